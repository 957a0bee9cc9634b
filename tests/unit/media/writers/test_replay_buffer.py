"""The replay buffer is bounded, and saves a playable file."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.settings.base import Codec
from clipseg_live.media.writers.replay_buffer import ReplayBuffer
from tests.helpers.clips import make_clip
from tests.helpers.paths import ROOT
from tests.helpers.rendered import rendered

CLOCK = Fraction(1, 90_000)


def info(audio: Path | None = None, width: int = 64) -> SourceInfo:
    return SourceInfo("fake", width, 48, Fraction(30), CLOCK, audio_path=audio)


def frame(number: int, width: int = 64) -> Frame:
    """Return a grey frame, brighter with each second, with irregular times like those of a camera."""
    level = number // 30 * 20 % 250
    return Frame(np.full((48, width, 3), level, np.uint8), number, Fraction(number, 30) + Fraction(number % 3, 900))


def fill(buffer: ReplayBuffer, seconds: int, audio: Path | None = None) -> ReplayBuffer:
    buffer.open(info(audio))
    for number in range(30 * seconds):
        buffer.write(rendered(frame(number), source_time=Fraction(number, 30) if audio else None))
    return buffer


SAVE = """
import sys
from pathlib import Path
from clipseg_live.media.writers.replay_buffer import ReplayBuffer
from tests.unit.media.writers.test_replay_buffer import fill

buffer = fill(ReplayBuffer(2, "av1", encoder="software"), 7)
buffer.save(Path(sys.argv[1]))
buffer.abort()
"""


def save_av1(path: Path) -> None:
    """Save a replay in AV1 in a separate process: SVT-AV1 4.1 sometimes hangs, and no signal ends this call."""
    for attempt in range(3):
        try:
            subprocess.run(
                [sys.executable, "-c", SAVE, str(path)],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                timeout=40,
                check=True,
            )
            return
        except subprocess.TimeoutExpired:
            if attempt == 2:
                raise


def times_of(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [each.pts * each.time_base for each in container.decode(video=0) if each.pts is not None]


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "av1", "ffv1"])
def test_the_last_seconds_are_saved_from_time_zero(tmp_path: Path, codec: Codec) -> None:
    path = tmp_path / ("r.webm" if codec == "vp9" else "r.mp4")
    if codec == "av1":
        save_av1(path)
    else:
        buffer = fill(ReplayBuffer(2, codec, encoder="software"), 7)
        buffer.save(path)
        buffer.abort()
    times = times_of(path)
    assert times[0] == 0 and 2 <= times[-1] <= Fraction(35, 10)
    source = [frame(number).time for number in range(210)]
    first = source.index(min(source, key=lambda time: abs(time - (source[-1] - times[-1]))))
    tolerance = Fraction(1, 900) if codec == "vp9" else Fraction(1, 40_000)
    kept = source[first : first + len(times)]
    assert all(abs(a - (b - source[first])) <= tolerance for a, b in zip(times, kept, strict=True))


@pytest.mark.slow
def test_memory_is_bounded_and_seconds_are_reported() -> None:
    buffer = ReplayBuffer(2, encoder="software")
    assert buffer.seconds() == 0
    fill(buffer, 3)
    early = len(buffer._ring.content())
    for number in range(90, 900):
        buffer.write(rendered(frame(number)))
    assert buffer.seconds() == 2
    assert len(buffer._ring.content()) < 2.5 * early
    buffer.abort()
    assert buffer.seconds() == 0


@pytest.mark.slow
def test_audio_is_saved(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", count=210, sound=["aac"], sound_seconds=7)
    buffer = fill(ReplayBuffer(2, encoder="software"), 6, clip)
    buffer.save(tmp_path / "r.mp4")
    buffer.abort()
    with av.open(str(tmp_path / "r.mp4")) as container:
        sound = [packet.pts * packet.time_base for packet in container.demux(audio=0) if packet.pts is not None]
    picture = times_of(tmp_path / "r.mp4")
    assert 0 <= sound[0] < Fraction(3, 100) and abs(sound[-1] - picture[-1]) < Fraction(7, 10)


def test_a_faster_preset_continues_in_the_same_buffer(tmp_path: Path) -> None:
    buffer = fill(ReplayBuffer(3, encoder="software"), 2)
    assert buffer.speed_up()
    for number in range(60, 100):
        buffer.write(rendered(frame(number)))
    buffer.save(tmp_path / "r.mp4")
    buffer.abort()
    assert len(times_of(tmp_path / "r.mp4")) >= 85


def test_another_size_clears_the_buffer(tmp_path: Path) -> None:
    buffer = fill(ReplayBuffer(5, encoder="software"), 2)
    buffer.open(info(width=96))
    for number in range(45):
        buffer.write(rendered(frame(number, width=96)))
    buffer.save(tmp_path / "r.mp4")
    buffer.abort()
    with av.open(str(tmp_path / "r.mp4")) as container:
        assert container.streams.video[0].width == 96
    assert len(times_of(tmp_path / "r.mp4")) <= 45


def test_an_empty_buffer_or_an_existing_file_gives_an_error(tmp_path: Path) -> None:
    buffer = ReplayBuffer(2)
    with pytest.raises(SinkError, match="still empty"):
        buffer.save(tmp_path / "r.mp4")
    fill(buffer, 2)
    (tmp_path / "r.mp4").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        buffer.save(tmp_path / "r.mp4")
    with pytest.raises(SinkError, match="does not exist"):
        buffer.save(tmp_path / "none" / "r.mp4")
    buffer.abort()
    assert [path.name for path in tmp_path.iterdir()] == ["r.mp4"]
    with pytest.raises(SinkError, match="replay buffer is closed"):
        buffer.write(rendered(frame(0)))
