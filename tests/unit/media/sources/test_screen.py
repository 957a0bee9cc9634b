"""The screen as a source, with a fake of mss."""

import importlib
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.media.sources import screen
from clipseg_live.media.sources.screen import ScreenSource
from tests.helpers.fakes import ManualClock

MONITORS = [
    {"left": -100, "top": 0, "width": 740, "height": 480},
    {"left": 0, "top": 0, "width": 640, "height": 480},
    {"left": -100, "top": 0, "width": 100, "height": 480},
]


class Grabber:
    """Captures grey that increases with each frame. ``scale`` is that of high-density screens."""

    def __init__(self, scale: int = 1) -> None:
        self.monitors, self.scale = MONITORS, scale
        self.areas: list[dict[str, int]] = []
        self.closed = 0
        self.fails = False

    def grab(self, area: dict[str, int]) -> SimpleNamespace:
        if self.fails:
            raise RuntimeError("the display is\nlocked")
        self.areas.append(area)
        height, width = area["height"] * self.scale, area["width"] * self.scale
        pixels = np.full((height, width, 4), (1, 2, len(self.areas), 255), np.uint8)
        return SimpleNamespace(bgra=pixels.tobytes(), width=width, height=height)

    def close(self) -> None:
        self.closed += 1


def source_of(grabber: Grabber, clock: ManualClock | None = None, region=None, rate=None) -> ScreenSource:
    clock = clock or ManualClock()
    return ScreenSource(region, rate, grabber=lambda: grabber, clock=clock, wait=clock.wait)


@pytest.mark.slow
def test_the_main_screen_is_captured_at_30_fps():
    grabber, clock = Grabber(), ManualClock()
    source = source_of(grabber, clock)
    info = source.open()
    assert (info.name, info.width, info.height, info.rate) == ("screen", 640, 480, 30) and source.live
    frames = [source.read() for _ in range(31)]
    assert [frame.index for frame in frames] == list(range(31))
    assert [round(float(frame.time) * 30, 3) for frame in frames] == list(range(31))
    assert tuple(frames[4].pixels[0, 0]) == (5, 2, 1)  # RGB of the fifth frame
    assert grabber.areas[0] == MONITORS[1]
    source.close()
    source.close()
    assert grabber.closed == 1 and source.read() is None


def test_a_region_has_its_rate_and_density():
    grabber = Grabber(scale=2)
    source = source_of(grabber, region=(-50, 10, 60, 20), rate=10)
    info = source.open()
    assert (info.width, info.height, info.rate) == (120, 40, 10)
    assert grabber.areas == [{"left": -50, "top": 10, "width": 60, "height": 20}]
    source.close()


def test_a_late_frame_does_not_speed_up_the_next():
    grabber, clock = Grabber(), ManualClock()
    source = source_of(grabber, clock, rate=10)
    source.open()
    source.read()
    clock.now += 1.05  # ten frames are missed
    assert float(source.read().time) == pytest.approx(1.05)
    assert float(source.read().time) == pytest.approx(1.15)
    source.close()


@pytest.mark.parametrize("region", [(0, 0, 641, 10), (-101, 0, 10, 10), (0, 470, 10, 11), (5000, 5000, 10, 10)])
def test_a_region_outside_the_screen_is_rejected(region):
    grabber = Grabber()
    source = source_of(grabber, region=region)
    with pytest.raises(SourceError, match="outside the screen, which extends from -100,0 to 640,480"):
        source.open()
    assert grabber.closed == 1


def test_errors_are_one_sentence():
    grabber = Grabber()
    source = source_of(grabber)
    source.open()
    source.read()
    grabber.fails = True
    with pytest.raises(SourceError, match="cannot be captured: the display is locked"):
        source.read()
    grabber.fails, grabber.scale = False, 2
    with pytest.raises(SourceError, match="screen size changed"):
        source.read()
    source.close()
    grabber.monitors = MONITORS[:1]
    with pytest.raises(SourceError, match="no screen"):
        source_of(grabber).open()


def test_a_missing_mss_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch):
    real = importlib.import_module

    def missing(name: str, *rest: str) -> object:
        if name == "mss":
            raise ModuleNotFoundError("No module named 'mss'")
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UsageError, match='pip install "mss>='):
        ScreenSource().open()
    monkeypatch.setattr(screen, "has_package", lambda module: False)
    with pytest.raises(UsageError, match='pip install "mss>='):  # when it is named, before a model is loaded
        ScreenSource.named("screen:")


def test_screen_names_are_parsed():
    assert ScreenSource.named("screen:")._region is None
    assert ScreenSource.named("screen: 1, 2,30,40")._region == (1, 2, 30, 40)
    for name in ("screen:1,2,3", "screen:a,b,c,d", "screen:1;2;3;4", "screen:0"):
        with pytest.raises(UsageError, match="not a screen region"):
            ScreenSource.named(name)
    with pytest.raises(UsageError, match="is empty"):
        ScreenSource.named("screen:0,0,0,5")
    for rate in (0.0, -3.0, 0.5, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="at least 1"):
            ScreenSource(rate=rate)
    with pytest.raises(SourceError, match="live"):
        ScreenSource().seek(Fraction(1))
    source = ScreenSource()
    source.set_control("gain", 1)
    assert source.controls() == {} and source.read() is None
