"""Animated WebP and GIF, read back by Pillow and FFmpeg."""

import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clipseg_live.core.errors import UsageError
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.registry import open_data_sink
from clipseg_live.media.images.icc_profiles import srgb_profile
from tests.helpers.known_mattes import HEADER, LABELS, frames_with_mattes, mattes_of, union, write_frames

FORMS = [("animation-webp", "a.webp"), ("animation-gif", "a.gif")]


def read(path: Path) -> tuple[list[np.ndarray], list[int]]:
    """Return frames as RGBA, and their durations in milliseconds."""
    frames, durations = [], []
    with Image.open(path) as picture:
        for number in range(getattr(picture, "n_frames", 1)):
            picture.seek(number)
            picture.load()
            frames.append(np.asarray(picture.convert("RGBA")).copy())
            durations.append(picture.info["duration"])
    return frames, durations


@pytest.mark.parametrize(("form", "name"), FORMS)
@pytest.mark.parametrize("size", [(37, 53), (48, 64)])
def test_every_frame_keeps_its_alpha(form: str, name: str, size: tuple[int, int], tmp_path: Path) -> None:
    info, frames, mattes = frames_with_mattes(6, size, rate=Fraction(10))
    write_frames(open_data_sink(form, tmp_path / name, DataOptions(HEADER, LABELS)), info, frames, mattes)
    pictures, durations = read(tmp_path / name)
    assert durations == [100] * 6
    for picture, frame, each in zip(pictures, frames, mattes, strict=True):
        alpha = union(each)
        wanted = alpha if form == "animation-webp" else (alpha >= 128) * 255
        assert np.array_equal(picture[..., 3], wanted)
        if (alpha == 255).any():
            assert np.abs(picture[..., :3].astype(int) - frame.pixels)[alpha == 255].mean() < 8
    with Image.open(tmp_path / name) as picture:
        assert picture.info["loop"] == 0
        assert form == "animation-gif" or picture.info["icc_profile"] == srgb_profile()


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=12), st.sampled_from(FORMS))
def test_the_total_duration_is_exact(tmp_path_factory, steps: list[int], form: tuple[str, str]) -> None:
    """Times are multiples of 1/600 s, rounded one by one, at any rate."""
    info, frames, _ = frames_with_mattes(1, (4, 6))
    times = np.cumsum([0, *steps])
    placed = [replace(frames[0], time=Fraction(int(at), 600), duration=Fraction(1, 10)) for at in times]
    alphas = [mattes_of([np.full((4, 6), 255 - number, np.uint8)]) for number in range(len(placed))]
    path = tmp_path_factory.mktemp("any") / form[1]
    write_frames(open_data_sink(form[0], path, DataOptions(HEADER)), info, placed, alphas)
    _, durations = read(path)
    unit = 1 if form[0] == "animation-webp" else 10
    whole = float(times[-1]) / 600 * 1000 + 100
    # Pillow merges equal GIF frames and omits frames that are too fast, so only the sum matters.
    assert abs(sum(durations) - whole) <= unit / 2 + 1e-6
    assert min(durations) >= 10 * unit if unit == 1 else min(durations) >= 20


@pytest.mark.slow
@pytest.mark.parametrize(("form", "name"), FORMS)
def test_large_frames_are_scaled_down_and_long_animations_rejected(form: str, name: str, tmp_path: Path) -> None:
    info, frames, mattes = frames_with_mattes(1, (360, 1280))
    write_frames(open_data_sink(form, tmp_path / name, DataOptions(HEADER)), info, frames, mattes)
    with Image.open(tmp_path / name) as picture:
        assert picture.size == (640, 180)
    sink = open_data_sink(form, tmp_path / f"long-{name}", DataOptions(HEADER))
    with pytest.raises(
        UsageError, match=r"drawn lasts 61 s, but long-a\.\w+ can last at most 60 s: cut it with --from"
    ):
        sink.open(replace(info, duration=Fraction(61)))
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(("form", "name"), FORMS)
def test_a_live_animation_has_the_first_minute(form: str, name: str, tmp_path: Path) -> None:
    info, frames, _ = frames_with_mattes(1, (4, 6))
    placed = [replace(frames[0], time=Fraction(at), duration=Fraction(1)) for at in range(0, 70, 10)]
    alphas = [mattes_of([np.full((4, 6), 255 - number, np.uint8)]) for number in range(7)]
    sink = open_data_sink(form, tmp_path / name, DataOptions(HEADER))
    write_frames(sink, replace(info, duration=None), placed, alphas)
    assert sum(read(tmp_path / name)[1]) == 60_000
    (notice,) = sink.notices
    assert notice.startswith(f"{name} contains only the first 60 seconds: ")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="FFmpeg's program is not installed")
def test_ffmpeg_reads_the_gif(tmp_path: Path) -> None:
    info, frames, mattes = frames_with_mattes(6, rate=Fraction(50))
    write_frames(open_data_sink("animation-gif", tmp_path / "a.gif", DataOptions(HEADER)), info, frames, mattes)
    command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "a.gif"), "-f", "rawvideo", "-pix_fmt", "rgba", "-"]
    out = subprocess.run(command, capture_output=True, timeout=60)
    assert (out.returncode, out.stderr) == (0, b"")
    pictures = np.frombuffer(out.stdout, np.uint8).reshape(-1, 37, 53, 4)
    assert len(pictures) == 6
    for picture, each in zip(pictures, mattes, strict=True):
        assert np.array_equal(picture[..., 3] > 0, union(each) >= 128)
