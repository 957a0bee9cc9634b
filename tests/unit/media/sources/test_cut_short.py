"""Truncated files give every frame before the cut, as many as ffmpeg decodes."""

import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from clipseg_live.core.errors import SourceBroken
from clipseg_live.media.sources.video_file import VideoFileSource
from tests.helpers.clock_jumps import ffmpeg

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program is not installed")

KINDS = {
    "a.avi": ["-c:v", "mpeg4"],
    "b.avi": ["-c:v", "mjpeg"],
    "c.mov": ["-c:v", "libx264", "-movflags", "+faststart"],
    "d.mp4": ["-c:v", "libx264", "-bf", "0", "-movflags", "+faststart"],
    "e.mp4": ["-c:v", "libx264", "-movflags", "+frag_keyframe+empty_moov", "-g", "10"],
    "f.mkv": ["-c:v", "libx264"],
    "g.webm": ["-c:v", "libvpx-vp9", "-speed", "8"],
    "h.ts": ["-c:v", "libx264"],
    "i.mpg": ["-c:v", "mpeg2video"],
    "j.flv": ["-c:v", "flv1"],
}


class Cut(NamedTuple):
    """The beginning of a file, and the frames that ffmpeg decodes from it."""

    path: Path
    frames: int


@pytest.fixture(scope="module")
def cuts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Cut]]:
    """Encode all files with one run of ffmpeg, truncate them, and decode the parts with another run."""
    folder = tmp_path_factory.mktemp("whole")
    outputs: list[str] = []
    for name, options in KINDS.items():
        sound = "libopus" if name.endswith(".webm") else "libmp3lame"
        outputs += ["-map", "0", "-map", "1", *options, "-c:a", sound, str(folder / name)]
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=3", "-f", "lavfi", "-i", "sine=d=3:r=44100", *outputs)
    paths: dict[str, list[Path]] = {name: [] for name in KINDS}
    for name, parts in paths.items():
        whole = folder / name
        data = whole.read_bytes()
        generator = np.random.default_rng(zlib.crc32(name.encode()))
        for share in (*generator.uniform(0.25, 1, 5), 0.999):
            parts.append(whole.with_stem(f"{whole.stem}{len(parts)}"))
            parts[-1].write_bytes(data[: int(len(data) * share)])
    counts = iter(counts_by_ffmpeg([path for parts in paths.values() for path in parts]))
    return {name: [Cut(path, next(counts)) for path in parts] for name, parts in paths.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_every_frame_before_the_cut_is_returned(cuts: dict[str, list[Cut]], name: str) -> None:
    for path, count in cuts[name]:
        assert abs(frames_of(path) - count) <= 1, (path, count)


def counts_by_ffmpeg(paths: Sequence[Path]) -> list[int]:
    """Decode all files with one run of ffmpeg. Starting it takes longer than decoding a file."""
    listed = [path.with_suffix(".frames") for path in paths]
    inputs = [part for path in paths for part in ("-i", str(path))]
    outputs = [
        part
        for number, path in enumerate(listed)
        for part in ("-map", f"{number}:v", "-fps_mode", "passthrough", "-f", "framemd5", str(path))
    ]
    ffmpeg(*inputs, *outputs)
    return [sum(not line.startswith("#") for line in path.read_text().splitlines()) for path in listed]


def frames_of(path: Path) -> int:
    source, count = VideoFileSource(path), 0
    source.open()
    try:
        while source.read() is not None:
            count += 1
    except SourceBroken:
        pass
    finally:
        source.close()
    assert count
    return count
