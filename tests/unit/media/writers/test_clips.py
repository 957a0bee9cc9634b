"""Clips by stream copy: whole frames, with audio, from the last key frame on."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from clipseg_live.core.errors import SinkError, SourceError, UsageError
from clipseg_live.media.sources.video_file import VideoFileSource
from clipseg_live.media.writers.clips import clip_suffix, copy_clip
from tests.helpers.clips import make_clip, read_all

KEYS = {"g": "10", "bf": "2", "sc_threshold": "0"}
"""A key frame every ten frames, and reordered frames between them."""


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.ts"])
def test_a_clip_has_the_pixels_of_its_range(tmp_path: Path, name: str) -> None:
    path = make_clip(tmp_path / name, count=60, rate=Fraction(10), sound=["aac"], sound_seconds=6, options=KEYS)
    target = tmp_path / f"clip{clip_suffix(path)}"
    assert target.suffix == {".ts": ".mkv"}.get(path.suffix, path.suffix)
    begin = copy_clip(path, target, Fraction(25, 10), Fraction(4))
    whole, found = read_all(VideoFileSource(path))[1], read_all(VideoFileSource(target))[1]
    assert begin == whole[20].time
    expected = [frame for frame in whole if begin <= frame.time < 4]
    assert len(expected) <= len(found) <= len(expected) + 3
    for before, after in zip(expected, found, strict=False):
        assert abs(float(before.time - begin - (after.time - found[0].time))) < 0.002
        np.testing.assert_array_equal(before.pixels, after.pixels)
    with av.open(str(target)) as container:
        (sound,) = container.streams.audio
        times = [packet.pts * packet.time_base for packet in container.demux(sound) if packet.size]
        assert -0.1 < times[0] < 0.2 and 1.5 < times[-1] < 2.1


def test_a_start_on_a_key_frame_is_exact(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", count=30, rate=Fraction(10), options=KEYS)
    assert copy_clip(path, tmp_path / "b.mp4", Fraction(2), Fraction(3)) == 2
    assert copy_clip(path, tmp_path / "c.mp4", Fraction(0), Fraction(1)) == 0


def test_existing_files_are_kept(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        copy_clip(path, tmp_path / "b.mp4", Fraction(0), Fraction(1))
    assert (tmp_path / "b.mp4").read_text() == "mine"
    copy_clip(path, tmp_path / "b.mp4", Fraction(0), Fraction(1), overwrite=True)
    assert read_all(VideoFileSource(tmp_path / "b.mp4"))[1]


def test_failures_leave_nothing(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4")
    (tmp_path / "c.mp4").write_bytes(b"no video")
    with pytest.raises(SourceError):
        copy_clip(tmp_path / "c.mp4", tmp_path / "b.mp4", Fraction(0), Fraction(1))
    with pytest.raises(SinkError):
        copy_clip(path, tmp_path / "none" / "b.mp4", Fraction(0), Fraction(1))
    with pytest.raises(SinkError):  # WebM does not hold H.264
        copy_clip(path, tmp_path / "b.webm", Fraction(0), Fraction(1))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.mp4", "c.mp4"]
