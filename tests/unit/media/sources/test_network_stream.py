"""Streams of local servers: frames, times, silence, interruptions and invalid streams."""

import threading
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from clipseg_live.core.addresses import safe_name
from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.media.sources.network_stream import StreamClock, StreamSource, check_address
from tests.helpers.clips import make_clip, numbered_image
from tests.helpers.fakes import ManualClock
from tests.helpers.servers import HTTPHandler, RTSPHandler, Server, SilentHandler, frame_colour

MICROSECOND = Fraction(1, 1_000_000)


def number_of(pixels: np.ndarray, most: int = 40) -> int:
    """Return the number of the server's frame."""
    seen = pixels.reshape(-1, 3).mean(axis=0)
    return min(range(most), key=lambda number: np.abs(seen - frame_colour(number)).sum())


def serving(**pages: tuple[str, bytes]) -> Server:
    named = {"/" + name.replace("_", "."): page for name, page in pages.items()}
    return Server(type("Handler", (HTTPHandler,), {"pages": named}))


def at(server: Server, path: str, scheme: str = "http", who: str = "") -> str:
    return f"{scheme}://{who}127.0.0.1:{server.port}/{path}"


def read_on(source: StreamSource, most: int = 300) -> None:
    """Read until the stream ends or breaks."""
    for _ in range(most):
        if source.read() is None:
            return


def test_mjpeg_reconnects():
    with serving() as server:
        source = StreamSource(at(server, "live.mjpg"))
        for _ in range(2):
            info = source.open()
            assert (info.width, info.height, info.rate, info.duration) == (64, 48, None, None)
            assert info.time_base == MICROSECOND and info.name == at(server, "live.mjpg") and source.live
            frames = [source.read() for _ in range(8)]
            assert [frame.index for frame in frames] == list(range(8))
            assert 0 <= frames[0].time < 1
            assert all(later.time > frame.time for frame, later in pairwise(frames))
            assert [number_of(frame.pixels) for frame in frames[2:]] == list(range(2, 8))
            assert frames[0].pixels.flags.c_contiguous and frames[0].pixels.dtype == np.uint8
            server.kill()
            with pytest.raises(SourceError, match="was disconnected"):
                read_on(source)
            with pytest.raises(SourceError, match="was disconnected"):
                source.read()
            with pytest.raises(SourceError, match="refuses the connection"):
                source.open()
            assert source.read() is None
            server.start()
        source.close()
        source.close()


@pytest.mark.slow
def test_rtsp_reconnects():
    with Server(RTSPHandler) as server:
        source = StreamSource(at(server, "stream", "rtsp"))
        for _ in range(2):
            info = source.open()
            assert (info.width, info.height) == (64, 48)
            frames = [source.read() for _ in range(12)]
            assert frames[0].time == 0 and info.time_base == Fraction(1, 90000)
            steps = [later.time - frame.time for frame, later in pairwise(frames)]
            assert set(steps) == {Fraction(1, 25)}
            numbers = [number_of(frame.pixels) for frame in frames]
            assert numbers == list(range(numbers[0], numbers[0] + 12))
            server.kill()
            with pytest.raises(SourceError, match="was disconnected"):
                read_on(source)
            server.start()
        source.close()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_file_over_http_plays_in_real_time_to_its_end(tmp_path, suffix):
    path = make_clip(tmp_path / f"clip.{suffix}", count=60, rate=Fraction(30), options={"bf": "2", "g": "12"})
    clock = ManualClock()
    with serving(**{f"clip_{suffix}": ("video/mp4", path.read_bytes())}) as server:
        source = StreamSource(at(server, f"clip.{suffix}"), clock=clock, wait=clock.wait)
        info = source.open()
        assert info.rate == 30 and info.duration == pytest.approx(2, abs=0.2)
        frames, when = [], []
        while (frame := source.read()) is not None:
            frames.append(frame)
            when.append(clock.now - 1000)
        source.close()
    assert len(frames) == 60 and frames[0].time == 0
    assert [float(frame.time) for frame in frames] == pytest.approx([n / 30 for n in range(60)], abs=0.002)
    assert when == pytest.approx([float(frame.time) for frame in frames], abs=0.002)
    assert np.abs(frames[30].pixels.astype(int) - numbered_image(30)).mean() < 12
    assert all(frame.duration for frame in frames)


def test_a_rotated_file_over_http_is_upright(tmp_path):
    path = make_clip(tmp_path / "r.mp4", count=3, rotation=(90, False, False))
    with serving(r_mp4=("video/mp4", path.read_bytes())) as server:
        source = StreamSource(at(server, "r.mp4"))
        info = source.open()
        assert (info.width, info.height) == (48, 64) and source.read().pixels.shape == (64, 48, 3)
        source.close()


def hls(tmp_path: Path, count: int, ended: bool) -> dict[str, tuple[str, bytes]]:
    """Return a playlist of two segments, with or without an end."""
    path = make_clip(tmp_path / "all.ts", count=count, rate=Fraction(30), options={"g": "10", "bf": "0"})
    length = count / 30
    text = (
        f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{round(length) + 1}\n#EXT-X-MEDIA-SEQUENCE:0\n"
        f"#EXTINF:{length:.3f},\none.ts\n" + ("#EXT-X-ENDLIST\n" if ended else "")
    )
    return {"all_m3u8": ("application/vnd.apple.mpegurl", text.encode()), "one_ts": ("video/mp2t", path.read_bytes())}


@pytest.mark.slow
@pytest.mark.parametrize("ended", [True, False], ids=["whole", "live"])
def test_hls_plays_in_real_time(tmp_path, ended):
    clock = ManualClock()
    with serving(**hls(tmp_path, 45, ended)) as server:
        source = StreamSource(at(server, "all.m3u8"), read_seconds=0.5, clock=clock, wait=clock.wait)
        assert (source.open().duration is not None) is ended
        frames = []
        for _ in range(40):
            frames.append(source.read())
            assert clock.now - 1000 == pytest.approx(float(frames[-1].time), abs=0.002)
        if ended:
            assert [source.read() is None for _ in range(6)] == [False] * 5 + [True]
        else:
            with pytest.raises(SourceError, match=r"was disconnected|has sent nothing"):
                read_on(source)
        source.close()
    assert [frame.index for frame in frames] == list(range(40)) and frames[0].time == 0


def test_a_network_playlist_cannot_name_local_files(tmp_path):
    path = make_clip(tmp_path / "secret.ts", count=20)
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{path}\n#EXT-X-ENDLIST\n".encode()
    with serving(all_m3u8=("application/vnd.apple.mpegurl", text)) as server:
        source = StreamSource(at(server, "all.m3u8"))
        with pytest.raises(SourceError):
            source.open()


@pytest.mark.slow
def test_a_truncated_file_is_an_error(tmp_path):
    whole = make_clip(tmp_path / "clip.mkv", count=300, rate=Fraction(30), noise=True).read_bytes()
    clock = ManualClock()
    with serving(clip_mkv=("video/x-matroska", whole[: len(whole) // 2])) as server:
        source = StreamSource(at(server, "clip.mkv"), clock=clock, wait=clock.wait)
        source.open()
        with pytest.raises(SourceError, match="was disconnected"):
            read_on(source)
        source.close()


def test_a_change_of_size_is_an_error():
    with serving() as server:
        source = StreamSource(at(server, "live.mjpg"))
        source.open()
        server.running.RequestHandlerClass.size = (80, 48)
        with pytest.raises(SourceError, match="changed its frame size"):
            read_on(source)
        source.close()


@pytest.mark.slow
def test_a_silent_server_times_out():
    with Server(SilentHandler) as server:
        for scheme in ("http", "rtsp", "rtmp"):
            source = StreamSource(at(server, "x", scheme), open_seconds=0.4)
            began = time.monotonic()
            with pytest.raises(SourceError, match=r"did not respond within 0\.4 seconds"):
                source.open()
            assert time.monotonic() - began < 8


@pytest.mark.slow
def test_a_stream_that_stops_sending_is_an_error():
    class Falling(HTTPHandler):
        def _mjpeg(self) -> None:
            self.server.stopping, real = _After(12, self.server.stopping), self.server.stopping
            super()._mjpeg()
            real.wait(20)

    class _After:
        """Passes a number of frames."""

        def __init__(self, count: int, real: threading.Event) -> None:
            self.count, self.real = count, real

        def wait(self, seconds: float) -> bool:
            self.count -= 1
            return self.count < 0 or self.real.wait(seconds)

        def set(self) -> None:
            self.real.set()

    with Server(Falling) as server:
        source = StreamSource(at(server, "live.mjpg"), read_seconds=0.5)
        source.open()
        with pytest.raises(SourceError, match=r"has sent nothing for 0\.5 seconds"):
            read_on(source)
        source.close()


HTML = b"<!doctype html><html><head><title>Camera</title></head><body><h1>Log in</h1>" + b"<p>text</p>" * 300


def test_other_content_gives_an_error(tmp_path):
    sound = tmp_path / "sound.mp3"
    with av.open(str(sound), "w") as container:
        track = container.add_stream("libmp3lame", rate=48000)
        for _ in range(40):
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 1152), np.int16), format="s16p", layout="stereo")
            frame.sample_rate = 48000
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    pages = {
        "page_html": ("text/html", HTML),
        "notes_txt": ("text/plain", b"only words, line after line\n" * 200),
        "empty_mp4": ("video/mp4", b""),
        "sound_mp3": ("audio/mpeg", sound.read_bytes()),
    }
    said = {
        "page.html": "no playable video", "notes.txt": "playable|instead of",
        "empty.mp4": "no playable video",
        "sound.mp3": "contains only audio", "nowhere": "There is nothing at", "broken": "server error",
    }  # fmt: skip
    with serving(**pages) as server:
        for path, words in said.items():
            source = StreamSource(at(server, path))
            with pytest.raises(SourceError, match=words) as caught:
                source.open()
            assert at(server, path) in str(caught.value) and str(caught.value).endswith(".")
            assert source.read() is None
        source = StreamSource(at(server, "live.mjpg", "rtsp"))
        with pytest.raises(SourceError):
            source.open()


def whole_text(error: BaseException | None) -> str:
    """Return everything that a traceback shows of an error."""
    if error is None or (error.__suppress_context__ and error.__cause__ is None):
        return str(error or "")
    return str(error) + whole_text(error.__cause__) + whole_text(error.__context__)


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_passwords_are_used_and_never_shown(scheme):
    handler = HTTPHandler if scheme == "http" else type("Locked", (RTSPHandler,), {"password": "se:cret"})
    with Server(handler) as server:
        source = StreamSource(at(server, "locked", scheme, "ann:se:cret@"))
        info = source.open()
        assert info.name == at(server, "locked", scheme)
        assert source.read() is not None
        server.kill()
        with pytest.raises(SourceError) as cut:
            read_on(source)
        with pytest.raises(SourceError) as refused:
            source.open()
        server.start()
        with pytest.raises(SourceError, match="rejects the user name or password") as locked:
            StreamSource(at(server, "locked", scheme, "ann:wr0ng@")).open()
        for caught in (cut, refused, locked):
            shown = whole_text(caught.value)
            assert "ann" not in shown and "cret" not in shown and "wr0ng" not in shown


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("rtsp://cam.local:554/live/main", "rtsp://cam.local:554/live/main"),
        ("rtsp://ann:secret@cam.local/live", "rtsp://cam.local/live"),
        ("rtsp://ann:sec@ret@cam.local/live", "rtsp://cam.local/live"),
        ("rtsp://ann:sec/ret@cam.local/live", "rtsp://…"),
        ("rtsp://ann:12/34?5@cam.local/live", "rtsp://…"),
        ("rtsp://ann:sec#ret@cam.local/live", "rtsp://…"),
        ("http://cam.local/video.cgi?user=ann&pwd=secret", "http://cam.local/video.cgi"),
        ("rtsp://10.0.0.7:554/user=ann_password=secret_channel=1.sdp", "rtsp://10.0.0.7:554/…"),
        ("http://[::1]:8080/a#secret", "http://[::1]:8080/a"),
        ("HTTP://Host/a\x1b[2J", "HTTP://Host/a[2J"),
        ("ann:secret@cam.local", "cam.local"),
    ],
)
def test_display_names_have_no_secrets(address, name):
    assert safe_name(address) == name


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("", "is empty"), ("   ", "is empty"), ("cam.local/live", "must begin with rtsp://"),
        ("ftp://ann:secret@host/a", "must begin with rtsp://"), ("http://", "has no host"),
        ("rtsp:///live", "has no host"), ("http://?a", "has no host"), ("http://host/a\nb", "characters"),
        ("file:///etc/passwd", "must begin with"),
    ],
)  # fmt: skip
def test_invalid_addresses_are_rejected(address, words):
    with pytest.raises(UsageError, match=words) as caught:
        StreamSource(address)
    assert "secret" not in str(caught.value)


def test_addresses_are_not_changed():
    assert check_address("  RTSP://Host/A?b=c ") == "RTSP://Host/A?b=c"
    source = StreamSource("http://host/")
    source.close()
    source.set_control("gain", 1.0)
    assert source.controls() == {} and source.read() is None
    with pytest.raises(SourceError, match="live"):
        source.seek(Fraction(0))


def test_a_timeline_starts_at_zero_and_increases():
    timeline = StreamClock(Fraction(1, 1000), Fraction(25), 0.0)
    steps = [  # timestamp, previous clock in milliseconds, and resulting time
        (5_000, 0, 0), (5_040, 40, 40), (5_040, 80, 41), (None, 120, 81), (5_200, 200, 200),
        (9_000_000, 240, 240), (9_000_040, 280, 280),  # of another recording
        (100, 320, 320), (140, 360, 360), (120, 400, 361),  # and back; a small step back
        (60_140, 60_360, 60_360),  # a pause that the clock has, too
        (None, 60_360, 60_361), (60_180, 60_400, 60_400),
    ]  # fmt: skip
    assert [timeline.time(stamp, 40, now / 1000) * 1000 for stamp, now, _ in steps] == [time for *_, time in steps]


def test_a_timeline_may_start_without_a_timestamp():
    timeline = StreamClock(Fraction(1, 90000), Fraction(25), 0.0)
    assert [timeline.time(stamp, 0, 0.5) for stamp in (None, 3600, 7200)] == [0, Fraction(1, 25), Fraction(2, 25)]
