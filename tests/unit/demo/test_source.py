"""The source named ``demo:``."""

from fractions import Fraction

import numpy as np
import pytest

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.core.protocols import FrameSource
from clipseg_live.demo.scenes import SCENE_PRESETS, Scene
from clipseg_live.demo.source import DemoSource


def test_frames_come_in_order_with_exact_times() -> None:
    rate = Fraction(30000, 1001)
    source: FrameSource = DemoSource(4, 64, 36, rate, duration=Fraction(1, 5))
    info = source.open()
    assert (info.width, info.height, info.rate, info.frame_count) == (64, 36, rate, 6)
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    assert [f.index for f in frames] == list(range(6))
    assert [f.time for f in frames] == [n / rate for n in range(6)]
    assert all((f.time / info.time_base).denominator == 1 and f.duration == 1 / rate for f in frames)
    np.testing.assert_array_equal(frames[3].pixels, Scene(4, 64, 36, rate).picture(3))
    assert source.read() is None
    source.close()
    source.close()
    with pytest.raises(SourceError):
        source.read()
    source.open()
    first = source.read()
    assert first is not None and first.index == 0


def test_a_later_start_keeps_scene_time_and_counts_from_0() -> None:
    source = DemoSource(4, 64, 36, Fraction(10), duration=Fraction(1), start=Fraction(2))
    source.open()
    first, second = source.read(), source.read()
    assert first is not None and second is not None
    assert [(f.index, f.time) for f in (first, second)] == [(0, Fraction(2)), (1, Fraction(21, 10))]
    np.testing.assert_array_equal(first.pixels, Scene(4, 64, 36, Fraction(10)).picture(20))


@pytest.mark.slow
def test_a_source_without_duration_is_endless() -> None:
    source = DemoSource(0, 8, 8)
    info = source.open()
    assert info.frame_count is None and info.duration is None
    assert all(source.read() is not None for _ in range(50))


@pytest.mark.parametrize(
    ("name", "seed", "preset"),
    [("demo:", 0, "calm"), ("demo:7", 7, "calm"), ("demo:shake", 0, "shake"), ("demo:cuts:12", 12, "cuts")],
)
def test_names_are_parsed(name: str, seed: int, preset: str) -> None:
    scene = DemoSource.named(name, 32, 32).scene
    assert scene.seed == seed and scene.settings == SCENE_PRESETS[preset]


BAD = ["demo:-1", "demo:x", "demo:1:2", "demo:calm:x", "demo:²", "demo:" + "9" * 40, "a.mp4"]


@pytest.mark.parametrize("name", BAD)
def test_other_names_are_rejected(name: str) -> None:
    with pytest.raises(UsageError, match="not a demo scene"):
        DemoSource.named(name)


def test_an_empty_duration_is_rejected() -> None:
    with pytest.raises(UsageError, match="duration"):
        DemoSource(duration=Fraction(0))
