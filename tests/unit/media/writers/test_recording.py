"""Recordings: exact times, playable files after any end, audio in sync, and a faster preset during recording."""

import os
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.frame import ColourInfo, Frame
from clipseg_live.core.settings.recording import SUFFIXES
from clipseg_live.media.writers.adaptive_encoder import AdaptiveEncoder
from clipseg_live.media.writers.encoders import Encoder
from clipseg_live.media.writers.recording import RecordingWriter
from clipseg_live.media.writers.remux import remux_to_faststart
from tests.helpers.clips import make_clip, numbered_image, raw_times
from tests.helpers.recordings import (
    CLOCK,
    FLASHES,
    SECONDS,
    clicking_clip,
    clicks_by_ffmpeg,
    clicks_in,
    decode_all_by_ffmpeg,
    flashes_in,
    frames_by_ffmpeg,
    played_frames,
    probe,
    source,
    times_by_ffprobe,
    write,
)
from tests.helpers.rendered import rendered

CODECS = list(SUFFIXES)
UNEVEN = [0, 3000, 3001, 6000, 22_500, 90_000, 99_000, 180_007, 189_000, 270_000]
"""Ticks of 1/90000 second."""
STEP = 0.04
"""Maximum offset of audio from its frame, in seconds."""


def frames(stamps: list[int] = UNEVEN, size: tuple[int, int] = (48, 64)) -> list[Frame]:
    return [Frame(numbered_image(number, *size), number, stamp * CLOCK) for number, stamp in enumerate(stamps)]


def recorded(path: Path, codec: str, given: list[Frame] | None = None, **options: object) -> RecordingWriter:
    given = given or frames()
    writer = RecordingWriter(path, codec, quality=90, encoder="software", **options)
    write(writer, source(width=given[0].width, height=given[0].height), [(frame, None) for frame in given])
    return writer


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
def test_irregular_times_and_frames_are_kept(tmp_path: Path, codec: str) -> None:
    path = tmp_path / f"a{SUFFIXES[codec]}"
    recorded(path, codec)
    exact = path.suffix in (".mp4", ".mov")
    times = [stamp * CLOCK for stamp in UNEVEN]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    seen = raw_times(path)
    assert seen == times if exact else np.allclose([float(time) for time in seen], [*map(float, times)], atol=0.0015)
    assert np.allclose(times_by_ffprobe(path)["video"], [float(time) for time in times], atol=1e-5 if exact else 0.0015)
    assert sorted(set(seen)) == seen and seen[0] == 0
    decoded = frames_by_ffmpeg(path, (48, 64))
    assert len(decoded) == len(UNEVEN)
    for frame, back in zip(frames(), decoded, strict=True):
        difference = np.abs(frame.pixels.astype(int) - back).mean()
        assert difference == 0 if codec == "ffv1" else difference < 3
    with av.open(str(path)) as container:
        back = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    assert max(np.abs(frame.pixels - each).mean() for frame, each in zip(frames(), back, strict=True)) < 3


@pytest.mark.parametrize("codec", CODECS)
def test_tags_pixel_aspect_and_odd_sizes_are_kept(tmp_path: Path, codec: str) -> None:
    path = tmp_path / f"a{SUFFIXES[codec]}"
    info = source(width=63, height=47, pixel_aspect=Fraction(4, 3), colour=ColourInfo(1, 1, 1, 1))
    write(RecordingWriter(path, codec), info, [(frame, None) for frame in frames(UNEVEN[:3], (47, 63))])
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        size = stream.width, stream.height
        assert size == ((64, 48) if codec in ("h264", "h265") else (63, 47))
        if path.suffix in (".mp4", ".mov"):  # PyAV does not pass this option to the Matroska muxer
            assert stream.sample_aspect_ratio == Fraction(4, 3)
        tags = stream.codec_context
        assert (tags.color_primaries, tags.color_trc) == (1, 1)
        assert (tags.colorspace, tags.color_range) == ((0, 2) if codec == "ffv1" else (1, 1))
        tag = {"h265": "hvc1", "h264": "avc1", "av1": "av01"}.get(codec)
        assert tag is None or tags.codec_tag == tag


CHILD = """
import sys, time
from fractions import Fraction
from pathlib import Path
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.media.writers.recording import RecordingWriter
from tests.helpers.rendered import rendered
from tests.helpers.clips import numbered_image
writers = {}
for path, codec, clip in zip(*[iter(sys.argv[1:])] * 3):
    writers[codec] = RecordingWriter(path, codec, encoder="software")
    writers[codec].open(SourceInfo("x", 96, 64, Fraction(30), Fraction(1, 90000), audio_path=Path(clip)))
began, number = time.monotonic(), 0
while True:
    for codec, writer in writers.items():
        at = Fraction(round((time.monotonic() - began) * 90000) if number else 0, 90000)
        writer.write(rendered(Frame(numbered_image(number, 64, 96), number, at), source_time=at))
        print(codec, float(at), flush=True)
    number += 1
    time.sleep(max(0.0, began + number / 20 - time.monotonic()))
"""


@pytest.mark.slow
def test_a_recording_survives_a_kill_up_to_the_last_second(tmp_path: Path) -> None:
    """One process records with all codecs."""
    arguments, clips = [], {}
    for codec, suffix in SUFFIXES.items():
        sound, kind = {".webm": ("libopus", "mkv"), ".mkv": ("flac", "mkv")}.get(suffix, ("aac", "mp4"))
        if sound not in clips:
            clips[sound] = make_clip(tmp_path / f"{sound}.{kind}", count=2, sound=[sound], sound_seconds=20)
        arguments += [str(tmp_path / f"{codec}{suffix}"), codec, str(clips[sound])]
    written: dict[str, list[float]] = {codec: [] for codec in SUFFIXES}
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()},
    ) as child:  # fmt: skip
        assert child.stdout is not None
        try:
            for line in child.stdout:
                codec, at = line.split()
                written[codec].append(float(at))
                if all(times and times[-1] >= 2 for times in written.values()):
                    child.kill()
        finally:
            child.kill()
    paths = {codec: tmp_path / f"{codec}.recording{suffix}" for codec, suffix in SUFFIXES.items()}
    pictures = decode_all_by_ffmpeg([(path, ()) for path in paths.values()], (64, 96))
    for (codec, path), decoded in zip(paths.items(), pictures, strict=True):
        found = times_by_ffprobe(path)
        times, sound = found["video"], found["audio"]
        lost = written[codec][len(times) :]
        assert times[0] == 0 and np.allclose(times, written[codec][: len(times)], atol=0.02), codec
        most = 1.5 if codec == "av1" else 1  # its encoder holds frames back
        assert not lost or lost[0] > written[codec][-1] - most, (codec, lost)
        assert sound[0] < 0.15 and sound[-1] > times[-1] - 0.5, codec
        assert len(decoded) == len(times) == len(raw_times(path)), codec


SOUNDS = [("h264", "aac", ".mp4"), ("h264", "pcm_s16le", ".mov"), ("vp9", "libopus", ".mkv"), ("vp9", "aac", ".mp4"),
          ("ffv1", "flac", ".mkv"), ("prores", "pcm_s16le", ".mov"), ("av1", "libmp3lame", ".mp4"),
          ("h264", "ac3", ".mp4")]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("codec", "sound", "suffix"), SOUNDS)
def test_audio_follows_jumps_loops_and_pauses(tmp_path: Path, codec: str, sound: str, suffix: str) -> None:
    clip, path = clicking_clip(tmp_path / f"clip{suffix}", sound), tmp_path / f"a{SUFFIXES[codec]}"
    shown = played_frames(
        (50, Fraction(1, 10)),  # 0.5 and 1.3
        (40, Fraction(5, 2) + Fraction(1, 7)),  # a seek: 3
        (15, None),
        (30, Fraction(19, 10)),  # 2
        (20, Fraction(2, 5)),  # a loop: 0.5
    )
    writer = RecordingWriter(path, codec, encoder="software")
    write(writer, source(audio_path=clip), shown)
    flashes, played_by_av, played_by_ffmpeg = flashes_in(path), clicks_in(path), clicks_by_ffmpeg(path)
    assert len(flashes) == len(played_by_av) == len(played_by_ffmpeg) == 5, (flashes, played_by_av, played_by_ffmpeg)
    for flash, click, again in zip(flashes, played_by_av, played_by_ffmpeg, strict=True):
        assert abs(flash - click) < STEP and abs(flash - again) < STEP
    kept = sound in {"h264": ("aac",), "vp9": ("libopus",), "prores": ("pcm_s16le",)}.get(codec, (sound,))
    assert not writer.notices if kept else "converted" in writer.notices[0]
    stamps = times_by_ffprobe(path)["audio"]
    assert all(after > before for before, after in pairwise(stamps))


@pytest.mark.slow
@pytest.mark.parametrize(("codec", "sound"), [("h264", "aac"), ("prores", "pcm_s16le"), ("h265", "libmp3lame")])
def test_irregular_times_stay_exact_with_audio(tmp_path: Path, codec: str, sound: str) -> None:
    """A fragment can start after a packet of either track."""
    clip, path = clicking_clip(tmp_path / "clip.mov", sound), tmp_path / f"a{SUFFIXES[codec]}"
    steps = np.random.default_rng(4).choice([1, 700, 3000, 3001, 9000, 40_000, 70_000], 60)
    stamps = [0, *map(int, np.cumsum(steps))]
    seconds = SECONDS * 90_000 - 9000
    shown = [(frame, None if (stamp // seconds) % 2 else stamp % seconds * CLOCK)
             for frame, stamp in zip(frames(stamps), stamps, strict=True)]  # fmt: skip
    write(RecordingWriter(path, codec, encoder="software"), source(audio_path=clip), shown)
    assert raw_times(path) == [stamp * CLOCK for stamp in stamps]
    assert np.allclose(times_by_ffprobe(path)["video"], np.array(stamps) / 90_000, atol=1e-5)
    assert remux_to_faststart(path) == "" and raw_times(path) == [stamp * CLOCK for stamp in stamps]
    heard = [flash + start / 90_000 for start in range(0, stamps[-1], 2 * seconds) for flash in map(float, FLASHES)]
    expected = [click for click in heard if click < stamps[-1] / 90_000 - 0.5]  # the last one is before its first frame
    clicks = clicks_in(path)
    assert len(expected) > 4 and len(clicks) == len(expected) and np.allclose(clicks, expected, atol=STEP)


def test_continuous_audio_is_copied_bit_by_bit(tmp_path: Path) -> None:
    clip, path = clicking_clip(tmp_path / "clip.mp4", "aac"), tmp_path / "a.mp4"
    write(RecordingWriter(path), source(audio_path=clip), played_frames((90, Fraction(0))))
    packets = []
    for each in (clip, path):
        with av.open(str(each)) as container:
            packets.append({p.pts: bytes(p) for p in container.demux(audio=0) if p.size and p.pts >= 0})
    assert len(packets[1]) > 130
    assert all(packets[0][stamp] == data for stamp, data in packets[1].items())


@pytest.mark.slow
def test_paused_and_speed_changed_playback_is_silent(tmp_path: Path) -> None:
    clip, path = clicking_clip(tmp_path / "clip.mp4", "aac"), tmp_path / "a.mp4"
    still = [(frame, Fraction(1, 2)) for frame, _ in played_frames((60, None))]
    fast = [
        (Frame(frame.pixels, frame.index, frame.time + 2), Fraction(number, 15))
        for number, (frame, _) in enumerate(played_frames((55, None)))
    ]
    write(RecordingWriter(path), source(audio_path=clip), still + fast)
    assert clicks_in(path) == [] and times_by_ffprobe(path)["audio"][-1] > 3


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
def test_a_faster_preset_continues_in_the_same_file(tmp_path: Path, codec: str) -> None:
    path = tmp_path / f"a{SUFFIXES[codec]}"
    shown = [Frame(numbered_image(9 * number, 96, 128), number, Fraction(number, 10)) for number in range(40)]
    writer = RecordingWriter(path, codec, quality=90, encoder="software")
    assert not writer.speed_up()
    writer.open(source(width=128, height=96))
    for frame in shown:
        writer.write(rendered(frame))
        if frame.index == 14:
            assert writer.speed_up() is (codec not in ("ffv1", "prores"))
            assert not writer.speed_up()  # one at a time
    writer.finish()
    targets = (1.3, 3.3, 0.2, 2.0)  # on both sides of the change, in both directions
    whole, *parts = decode_all_by_ffmpeg(
        [(path, ()), *((path, ("-ss", f"{target + 0.005}")) for target in targets)], (96, 128)
    )
    assert len(whole) == 40
    for target, (back, *_) in zip(targets, parts, strict=True):
        asked = Fraction(target).limit_denominator(10)
        close = min(shown, key=lambda frame: np.abs(frame.pixels.astype(int) - back).mean())
        assert abs(close.time - asked) <= Fraction(2 if codec == "av1" else 1, 10)  # small B-frames look alike
        assert np.abs(close.pixels.astype(int) - back).mean() < 3
    with av.open(str(path)) as container:
        for target in (3.3, 0.2, 1.6, 1.3):
            container.seek(int(target * av.time_base))
            first = next(container.decode(video=0))
            number = round(first.pts * first.time_base * 10)
            assert target - 1.05 <= number / 10 <= target + 0.001
            assert np.abs(shown[number].pixels - first.to_ndarray(format="rgb24").astype(int)).mean() < 3


@pytest.mark.slow
def test_key_frames_come_every_second_at_every_rate(tmp_path: Path) -> None:
    stamps = [*range(0, 90_000, 1500), *range(90_000, 360_000, 18_000)]  # 60 a second, then 5
    path = tmp_path / "a.mp4"
    recorded(path, "h264", frames(stamps))
    lines = probe(path, "-select_streams", "v", "-show_entries", "packet=pts_time,flags")
    keys = [float(line.split(",")[0]) for line in lines if "K" in line]
    assert len(keys) >= 4 and max(after - before for before, after in pairwise(keys)) <= 1.001


@pytest.mark.slow
def test_a_failing_hardware_encoder_is_replaced_by_software(tmp_path: Path, monkeypatch) -> None:
    """libx264 simulates a hardware encoder, and fails once."""
    real, calls = AdaptiveEncoder._packets, []

    def failing(self: AdaptiveEncoder, given: av.VideoFrame | None) -> list[av.Packet]:
        calls.append(self.encoder.hardware)
        if self.encoder.hardware and calls.count(True) == 5:
            raise av.ExternalError(542398533, "Generic error in an external library")
        return real(self, given)

    monkeypatch.setattr(AdaptiveEncoder, "_packets", failing)
    writer = RecordingWriter(tmp_path / "a.mp4", candidates={"h264": (Encoder("h264", "libx264", "nv12", True),)})
    write(writer, source(), [(frame, None) for frame in frames()])
    assert len(frames_by_ffmpeg(tmp_path / "a.mp4", (48, 64))) == len(UNEVEN)
    assert writer.encoder == "libx264" and calls == [True] * 6 + [False] * 7
    assert len(writer.notices) == 1 and "continues with libx264" in writer.notices[0]


def test_unavailable_hardware_encoders_are_skipped(tmp_path: Path) -> None:
    missing = Encoder("h264", "h264_of_nobody", "nv12", True)
    writer = RecordingWriter(tmp_path / "a.mp4", candidates={"h264": (missing,)})
    write(writer, source(), [(frame, None) for frame in frames()])
    assert writer.encoder == "libx264" and not writer.notices


def test_existing_files_are_not_overwritten(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "a.mp4")
    writer.open(source())
    writer.write(rendered(frames()[0]))
    (tmp_path / "a.mp4").write_text("mine")
    with pytest.raises(SinkError, match="in the meantime"):
        writer.finish()
    kept = writer.abort(keep_partial=True)
    assert (tmp_path / "a.mp4").read_text() == "mine"
    assert kept == tmp_path / "a.partial.mp4" and raw_times(kept) == [0]
    with pytest.raises(UsageError, match="exists already"):
        RecordingWriter(tmp_path / "a.mp4")


def test_abort_removes_the_file_or_keeps_a_partial_one(tmp_path: Path) -> None:
    for keep in (False, True):
        writer = RecordingWriter(tmp_path / "a.mp4")
        writer.open(source())
        for frame in frames():
            writer.write(rendered(frame))
        assert [each.name for each in tmp_path.iterdir()] == ["a.recording.mp4"] == [writer.working.name]
        kept = writer.abort(keep_partial=keep)
        assert [each.name for each in tmp_path.iterdir()] == (["a.partial.mp4"] if keep else [])
        assert writer.abort() is None and writer.abort(keep_partial=True) is None
    assert raw_times(kept) == [stamp * CLOCK for stamp in UNEVEN]


def test_a_recording_without_frames_leaves_no_file(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "a.mkv", "ffv1")
    writer.open(source())
    with pytest.raises(SinkError, match="there were no frames"):
        writer.finish()
    assert writer.abort(keep_partial=True) is None and list(tmp_path.iterdir()) == []


def test_wrong_use_and_missing_folders_give_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot hold ffv1"):
        RecordingWriter(tmp_path / "a.mp4", "ffv1")
    with pytest.raises(SinkError, match="does not exist"):
        RecordingWriter(tmp_path / "none" / "a.mp4")
    writer = RecordingWriter(tmp_path / "a.mp4")
    with pytest.raises(SinkError, match="not open"):
        writer.write(rendered(frames()[0]))
    writer.open(source())
    with pytest.raises(SinkError, match="does not fit"):
        writer.write(rendered(Frame(numbered_image(0, 10, 10), 0, Fraction(0))))
    writer.abort()
    with pytest.raises(UsageError, match="use another codec"):
        RecordingWriter(tmp_path / "a.mp4").open(source(width=20_000))


def test_a_deleted_folder_is_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipseg_live.media.writers.recording._SYNC_SECONDS", 0.0)
    (tmp_path / "gone").mkdir()
    writer = RecordingWriter(tmp_path / "gone" / "a.mp4")
    writer.open(source())
    writer.write(rendered(frames()[0]))
    (tmp_path / "gone").rename(tmp_path / "elsewhere")
    with pytest.raises(SinkError, match="moved or deleted"):
        writer.write(rendered(frames()[1]))
    assert writer.abort(keep_partial=True) is None
    assert raw_times(tmp_path / "elsewhere" / "a.recording.mp4") == [0]


FILLING = """
import resource, signal, sys, numpy as np
from fractions import Fraction
from clipseg_live.core.errors import SinkError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.media.writers.recording import RecordingWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
for path, codec in zip(*[iter(sys.argv[1:])] * 2):
    writer = RecordingWriter(path, codec, quality=100, encoder="software")
    writer.open(SourceInfo("x", 64, 48, Fraction(30), Fraction(1, 90000)))
    generator = np.random.default_rng(0)
    try:
        for n in range(600):
            pixels = generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            writer.write(RenderedFrame.of(Frame(pixels, n, Fraction(n, 30))))
        writer.finish()
    except SinkError as error:
        print(codec, n, writer.abort(keep_partial=True).name, error, sep="|")
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Path], dict[str, list[str]]]:
    """Record in one process until a simulated full disk. Return paths and messages by codec."""
    paths = {codec: tmp_path_factory.mktemp(codec) / f"a{SUFFIXES[codec]}" for codec in ("h264", "ffv1")}
    arguments = [argument for codec, path in paths.items() for argument in (str(path), codec)]
    done = subprocess.run(
        [sys.executable, "-c", FILLING, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return paths, {codec: told for codec, *told in (line.split("|") for line in done.stdout.splitlines())}


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["h264", "ffv1"])
def test_a_full_disk_keeps_earlier_frames(filled: tuple[dict[str, Path], dict[str, list[str]]], codec: str) -> None:
    path, (written, kept, sentence) = filled[0][codec], filled[1][codec]
    assert sentence == f"{path.name} is larger than the disk or system allows: write to another disk."
    assert [each.name for each in path.parent.iterdir()] == [kept] == [f"a.partial{path.suffix}"]
    times = raw_times(path.parent / kept)
    assert times[-1] > Fraction(int(written), 30) - 1 and len(times) > 10
