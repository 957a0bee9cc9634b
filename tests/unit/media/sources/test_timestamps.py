"""Clock discontinuities: video and audio stay in sync, nothing is lost, and intended gaps are kept."""

import shutil
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pytest

from clipseg_live.core.frame import Frame
from clipseg_live.media.sources.live_sources import open_playback
from clipseg_live.media.sources.network_stream import StreamSource
from clipseg_live.media.sources.time_index import index_of
from clipseg_live.media.sources.timestamps import TimeMap
from clipseg_live.media.sources.video_file import VideoFileSource
from clipseg_live.media.writers.recording import RecordingWriter
from tests.helpers.clips import make_clip, raw_times, read_all
from tests.helpers.clock_jumps import (
    Segment,
    VideoTimes,
    durations,
    encoded,
    export,
    export_all,
    ffmpeg,
    playback_times,
    video_times,
)
from tests.helpers.fakes import ManualClock
from tests.helpers.paths import DATA
from tests.helpers.rendered import rendered
from tests.helpers.servers import HTTPHandler, Server

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program is not installed")

IN_STEP = 0.04
WRAP = 2**33 / 90_000

Make = Callable[..., bytes]
OTHERS = [Segment(2), Segment(2, 3600), Segment(2, 3602), Segment(1.6, size="96x48"),
          Segment(10, bframes=3, sound=("mp2",))]  # fmt: skip
JOINED: dict[str, Callable[[Make], list[bytes]]] = {
    "restart at 0": lambda make: [make(4), make(4)],
    "an hour ahead": lambda make: [make(4), make(4, 3600)],
    "an hour back": lambda make: [make(4, 3600), make(4)],
    "advertisement with its own clock": lambda make: [make(4, 3600), make(3), make(4, 3604)],
    "advertisement an hour ahead": lambda make: [make(4), make(3, 3600), make(4, 4)],
    "advertisement without sound": lambda make: [make(4), make(3, sound=()), make(4)],
    "advertisement without B-frames": lambda make: [make(4), make(3, bframes=0), make(4)],
    "advertisement of another size": lambda make: [make(4), make(3, size="96x48"), make(4)],
    "advertisement of another sample rate": lambda make: [make(4), make(3, rate=44100), make(4)],
    "segments under a second": lambda make: [make(0.6)] * 8,
    "segments of ten frames": lambda make: [make(0.4, bframes=0)] * 8,
    "overlap of 30 ms": lambda make: [make(4), make(4, 3.97)],
    "33 bits are full": lambda make: [make(8, WRAP - 5)],
    "33 bits are full, twice": lambda make: [make(8, WRAP - 5), make(4, WRAP - 5)],
    "sound by MPEG": lambda make: [make(4, sound=("mp2",)), make(4, sound=("mp2",))],
    "sound begins earlier": lambda make: [make(4, lead=0.6), make(4, lead=0.6)],
    "sound begins later": lambda make: [make(4, lead=-0.6), make(4, lead=-0.6)],
}


class Parts(NamedTuple):
    """Encoded segments, and the frames and beeps that ffmpeg finds in each of them."""

    data: dict[Segment, bytes]
    alone: dict[bytes, VideoTimes]

    def __call__(self, seconds: float, clock: float = 0, **more: Any) -> bytes:
        return self.data[Segment(seconds, clock, **more)]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """Encode and decode the segments of all cases together."""
    asked: dict[Segment, None] = dict.fromkeys(OTHERS)

    def note(*arguments: Any, **more: Any) -> bytes:
        asked[Segment(*arguments, **more)] = None
        return b""

    for case in JOINED.values():
        case(note)
    folder = tmp_path_factory.mktemp("segments")
    data = encoded(folder, list(asked))
    found = video_times([folder / f"part{number}.ts" for number in range(len(data))])
    return Parts(data, dict(zip(data.values(), found, strict=True)))


class Exported(NamedTuple):
    """An export of concatenated segments, and the frames and beeps that ffmpeg finds in it."""

    path: Path
    notices: list[str]
    seen: VideoTimes
    heard: list[float]


@pytest.fixture(scope="module")
def exported(make: Parts, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    """Export all cases, and decode them with one run of ffmpeg."""
    folder = tmp_path_factory.mktemp("joined")
    targets, notices = [], []
    for number, (case, join) in enumerate(JOINED.items()):
        source = folder / f"in{number}.ts"
        source.write_bytes(b"".join(join(make)))
        targets.append(folder / f"out{number}{'.mkv' if len(case) % 2 else '.mp4'}")
        notices.append(export(source, targets[-1]))
    each = zip(targets, notices, playback_times(targets), strict=True)
    return {case: Exported(path, told, *found) for case, (path, told, found) in zip(JOINED, each, strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize("case", JOINED)
def test_video_and_audio_stay_in_sync_and_complete(make: Parts, exported: dict[str, Exported], case: str) -> None:
    parts = JOINED[case](make)
    target, notices, (_, seen), heard = exported[case]
    assert not any("damaged" in notice for notice in notices)
    alone = [make.alone[part] for part in parts]
    marks, seconds = sum(len(part.flashes) for part in alone), sum(part.times[-1] - part.times[0] for part in alone)
    times = raw_times(target)
    assert len(times) == sum(len(part.times) for part in alone)
    silent = 3 if "without sound" in case else 0
    early = 1 if "begins" in case else 0  # a mark at 0 is lost if the other stream starts later
    assert abs(len(seen) - marks) <= early and abs(len(heard) - (len(seen) - silent)) <= 2 * early
    lonely = [beep for beep in heard if min(abs(beep - flash) for flash in seen) > IN_STEP]
    assert len(lonely) == (2 if case == "sound begins earlier" else 0), lonely
    gaps = [float(after - before) for before, after in pairwise(times)]
    most = 0.75 if "begins" in case else 0.15
    assert max(gaps) < most and min(gaps) > 0
    assert abs(float(times[-1] - times[0]) + 0.04 - (seconds + 0.04 * len(parts))) < most * len(parts)
    ends = durations(target)
    assert abs(ends["video"][1] - ends["audio"][1]) < 0.15


CONTAINERS = ".mp4", ".mkv", ".mov", ".webm"


@pytest.fixture(scope="module", params=[("hls_ad.ts", 18.08, 375), ("lost.ts", 12.02, 251)], ids=lambda each: each[0])
def download(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[float, int, dict[str, tuple[Path, list[str]]]]:
    """Return duration and frames of a download, and its exports with notices. It is decoded once for all exports."""
    name, seconds, frames = request.param
    folder = tmp_path_factory.mktemp("downloads")
    targets = [folder / f"out{suffix}" for suffix in CONTAINERS]
    notices = export_all(DATA / name, targets, every=4)
    return seconds, frames, dict(zip(CONTAINERS, zip(targets, notices, strict=True), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", CONTAINERS)
def test_downloads_with_jumps_and_lost_packets_keep_their_duration(
    download: tuple[float, int, dict[str, tuple[Path, list[str]]]], suffix: str
) -> None:
    """The durations are those of ffmpeg."""
    seconds, frames, exports = download
    target, notices = exports[suffix]
    assert not any("damaged" in notice for notice in notices)
    times = raw_times(target)
    assert abs(len(times) - frames) <= 1
    assert abs(float(times[-1]) + 0.04 - seconds) < 0.04
    assert abs(durations(target)["audio"][1] - seconds) < 0.06
    assert all(float(after - before) < 0.09 for before, after in pairwise(times) if after - before < 1)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["advertisement with its own clock", "segments under a second", "overlap of 30 ms"])
def test_a_range_equals_a_part_of_the_whole(make: Parts, tmp_path: Path, case: str) -> None:
    source = tmp_path / "in.ts"
    source.write_bytes(b"".join(JOINED[case](make)))
    info, whole = read_all(VideoFileSource(source))
    assert info.frame_count == len(whole)
    assert abs(float(info.duration - whole[-1].time) - 0.04) < 0.1
    last = float(whole[-1].time)
    generator = np.random.default_rng(1)
    for _ in range(6):
        start, end = (Fraction(round(1000 * each), 1000) for each in sorted(generator.uniform(0, last, 2)))
        wanted = [frame for frame in whole if start <= frame.time < end]
        if not wanted:
            continue
        _, part = read_all(VideoFileSource(source, start, end))
        assert [frame.time for frame in part] == [frame.time for frame in wanted]
        assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(part, wanted, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_audio_of_a_range_is_in_sync(make: Parts, tmp_path: Path, suffix: str) -> None:
    source, target = tmp_path / "in.ts", tmp_path / f"out{suffix}"
    source.write_bytes(b"".join(JOINED["advertisement with its own clock"](make)))
    export(source, target, Fraction(5, 2), Fraction(9))
    (((_, seen), heard),) = playback_times([target])
    assert len(seen) == len(heard) >= 6
    assert max(abs(one - other) for one, other in zip(seen, heard, strict=True)) < IN_STEP
    ends = durations(target)
    assert abs(ends["video"][1] - 6.5) < 0.1 and abs(ends["audio"][1] - 6.5) < 0.1


@pytest.mark.slow
def test_the_player_can_seek_anywhere(make: Parts, tmp_path: Path) -> None:
    source = tmp_path / "in.ts"
    source.write_bytes(b"".join(JOINED["advertisement an hour ahead"](make)))
    whole = [frame.time for frame in read_all(VideoFileSource(source))[1]]
    player = open_playback(source)
    player.open()
    for time in (Fraction(21, 2), Fraction(5), Fraction(1, 2), Fraction(15, 2), Fraction(4)):
        player.seek(time)
        assert player.read().time == max(each for each in whole if each <= time)
    player.close()


@pytest.mark.slow
def test_a_recording_has_audio_in_sync(make: Parts, tmp_path: Path) -> None:
    source, target = tmp_path / "in.ts", tmp_path / "out.mp4"
    source.write_bytes(b"".join(JOINED["advertisement an hour ahead"](make)))
    player = open_playback(source)
    writer = RecordingWriter(target)
    writer.open(player.open())
    place = Fraction(0)
    for start, end in ((0, 6), (9, 11), (2, 5)):  # played on, then sought twice
        player.seek(Fraction(start))
        while (frame := player.read()) is not None and frame.time < end:
            writer.write(rendered(Frame(frame.pixels, 0, place, frame.duration), source_time=frame.time))
            place += Fraction(1, 25)
    player.close()
    writer.finish()
    (((_, seen), heard),) = playback_times([target])
    assert len(seen) >= 9 and len(heard) >= 8
    assert all(min(abs(beep - flash) for flash in seen) < IN_STEP + 0.02 for beep in heard)


@pytest.mark.slow
def test_a_stream_with_advertisements_continues(make: Parts, tmp_path: Path) -> None:
    parts = [make(2, 3600), make(1.6, size="96x48"), make(2, 3602)]
    text = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:3\n#EXT-X-MEDIA-SEQUENCE:0\n"
    text += "#EXT-X-DISCONTINUITY\n".join(f"#EXTINF:{length},\n{n}.ts\n" for n, length in enumerate((2, 1.6, 2)))
    pages = {f"/{n}.ts": ("video/mp2t", part) for n, part in enumerate(parts)}
    pages["/all.m3u8"] = ("application/vnd.apple.mpegurl", (text + "#EXT-X-ENDLIST\n").encode())
    clock = ManualClock()
    with Server(type("Handler", (HTTPHandler,), {"pages": pages})) as server:
        source = StreamSource(f"http://127.0.0.1:{server.port}/all.m3u8", clock=clock, wait=clock.wait)
        source.open()
        frames = list(iter(source.read, None))
        source.close()
    assert len(frames) == 140 and {frame.pixels.shape for frame in frames} == {(48, 64, 3)}
    gaps = [float(after.time - before.time) for before, after in pairwise(frames)]
    assert min(gaps) > 0 and max(gaps) < 0.15
    assert abs(float(frames[-1].time) + 0.04 - 5.6) < 0.2


@pytest.mark.parametrize("name", ["slides.mp4", "slides.mkv", "slides.mov"])
def test_long_gaps_are_kept(tmp_path: Path, name: str) -> None:
    stamps = [0, 10_000, 25_000, 3_700_000, 3_700_040]
    path = make_clip(tmp_path / name, time_base=Fraction(1, 1000), stamps=stamps, count=5, options={"bf": "0"})
    assert [frame.time * 1000 for frame in read_all(VideoFileSource(path))[1]] == stamps


@pytest.mark.slow
@pytest.mark.parametrize("name", ["slides.ts", "slides.flv"])
def test_slides_with_continuous_audio_keep_their_times(tmp_path: Path, name: str) -> None:
    """A frame every 15 seconds is not a jump while the audio continues."""
    path = tmp_path / name
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc=s=64x48:r=1/15:d=60", "-f", "lavfi", "-i", "anullsrc=d=60:r=44100",
        "-c:v", "flv1",
        *(["-c:v", "mpeg2video", "-fps_mode", "passthrough", "-enc_time_base", "1/25"] if name.endswith("ts") else []),
        "-c:a", "aac", "-max_interleave_delta", "0", str(path),
    )  # fmt: skip
    times = [float(frame.time) for frame in read_all(VideoFileSource(path))[1]]
    assert np.allclose(np.diff(times), 15, atol=0.05) and len(times) == 4


@pytest.mark.slow
def test_lost_packets_are_not_a_jump(make: Parts, tmp_path: Path) -> None:
    """Frames and duration are those of ffmpeg for any loss."""
    data = make(10, bframes=3, sound=("mp2",))
    blocks = [data[at : at + 188] for at in range(0, len(data), 188)]
    paths = [tmp_path / f"{seed}.ts" for seed in range(4)]
    for seed, path in enumerate(paths):
        generator = np.random.default_rng(seed)
        if seed % 2:
            kept = [block for at, block in enumerate(blocks) if at < 40 or generator.random() > 0.01]
        else:
            first, length = generator.integers(40, len(blocks) // 2), generator.integers(20, len(blocks) // 4)
            kept = [*blocks[:first], *blocks[first + length :]]
        path.write_bytes(b"".join(kept))
    for path, (times, _) in zip(paths, video_times(paths), strict=True):
        _, frames = read_all(VideoFileSource(path))
        assert len(index_of(path).segments) == 1
        assert abs(len(frames) - len(times)) <= 1
        assert abs(float(frames[-1].time - frames[0].time) - (times[-1] + 0.04 - times[0])) < 0.2


@pytest.mark.slow
def test_equal_times_stay_equal(tmp_path: Path) -> None:
    """TrueHD in Matroska has packets of 0.83 ms with timestamps in milliseconds."""
    export(DATA / "sy_truehd.mkv", tmp_path / "out.mkv")
    assert _stamps(tmp_path / "out.mkv") == _stamps(DATA / "sy_truehd.mkv")
    assert durations(tmp_path / "out.mkv")["audio"][1] == pytest.approx(5, abs=0.002)
    notices = export(DATA / "sy_truehd.mkv", tmp_path / "out.mp4")
    assert "truehd" in notices[0] and durations(tmp_path / "out.mp4")["audio"][1] == pytest.approx(5, abs=0.05)


def _stamps(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return [packet.pts for packet in container.demux(container.streams.audio[0]) if packet.size]


def test_packets_of_a_segment_have_the_same_shift(make: Parts, tmp_path: Path) -> None:
    """The shift depends on the packets of both streams; late audio gets the shift of its frames."""
    path = tmp_path / "in.ts"
    path.write_bytes(make(2) + make(2))
    with av.open(str(path)) as container:
        times = TimeMap([*container.streams.video, *container.streams.audio])
        stamps: dict[int, list[int]] = {0: [], 1: []}
        for packet in container.demux():
            for ready in times.feed(packet) if packet.size else times.flush():
                stamps[ready.stream_index].append(ready.dts)
    assert all(each == sorted(each) and len(each) > 90 for each in stamps.values())
    assert len(times.segments) == 2


@pytest.mark.parametrize("endless", [True, False])
def test_an_endlessly_restarting_stream_has_bounded_memory(tmp_path: Path, endless: bool) -> None:
    path = make_clip(tmp_path / "part.ts", count=10)
    restarts, stamps = 30, []
    with av.open(str(path)) as container:
        times = TimeMap([container.streams.video[0]], gaps_are_meant=True, endless=endless)
    for _ in range(restarts):
        with av.open(str(path)) as container:
            for packet in container.demux(video=0):
                stamps += [each.dts for each in (times.feed(packet) if packet.size else times.flush())]
    assert len(stamps) == 10 * restarts and all(one < other for one, other in pairwise(stamps))
    assert len(times.segments) == (2 if endless else restarts)
