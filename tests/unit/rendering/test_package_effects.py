"""Effects of packages: drawing, hiding of everything on failure, and closing of resources."""

import sys
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import pytest

from clipseg_live.core.errors import Failure
from clipseg_live.core.mattes import no_mattes
from clipseg_live.core.settings.base import prompt_styles
from clipseg_live.core.settings.effects import EffectInfo, EffectSettings, Tint
from clipseg_live.core.settings.rendering import RenderSettings
from clipseg_live.rendering.blending import EffectCanvas
from clipseg_live.rendering.renderer import EffectRenderer
from tests.helpers.patterns import disc, matte_of, texture

SIZE = 30, 40
PICTURE = texture(*SIZE, 1)


class Store:
    """Counts its creations and closings."""

    made = closed = 0

    def __init__(self) -> None:
        Store.made += 1

    def close(self) -> None:
        Store.closed += 1


class Veil(EffectSettings):
    """Hides nothing, although it is a privacy effect."""

    info: ClassVar = EffectInfo(title="Veil", help="Hides.", group="hide", drawing="package:draw_veil", private=True)
    kind: Literal["veil"] = "veil"


class Marker(EffectSettings):
    """Draws a white pixel."""

    info: ClassVar = EffectInfo(title="Marker", help="Marks.", group="mark", drawing="package:draw_marker")
    kind: Literal["marker"] = "marker"


def draw_veil(canvas: EffectCanvas, effect: Veil) -> None:
    assert effect.kind == "veil"


def draw_marker(canvas: EffectCanvas, effect: Marker) -> None:
    canvas.keep(Store)
    canvas.keep(list)
    canvas.picture[0, 0] = 255


class Shrink(Marker):
    """Returns an invalid frame."""

    info: ClassVar = EffectInfo(title="Shrink", help="Shrinks.", group="change", drawing="package:draw_smaller")
    part: Literal["half", "float"] = "half"


def draw_smaller(canvas: EffectCanvas, effect: Shrink) -> None:
    canvas.picture = canvas.picture[::2] if effect.part == "half" else canvas.picture / 255  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "package", sys.modules[__name__])


def renderer(*effects: EffectSettings) -> EffectRenderer:
    return EffectRenderer(RenderSettings(effects=effects, styles=prompt_styles(1), names=("a",)))


def test_a_privacy_effect_starts_from_black_when_all_is_hidden() -> None:
    matte = matte_of((disc(*SIZE, 15, 15, 8) * 255).astype(np.uint8))
    own = replace(no_mattes(*SIZE, 1), each=(matte,), own=True)
    marked = renderer(Marker(), Veil())
    assert not marked.compose(PICTURE, no_mattes(*SIZE, 1))[1:].any(), "it is drawn first, over black"
    assert (marked.compose(PICTURE, own)[1:] == PICTURE[1:]).all()
    assert not renderer(Veil()).compose(PICTURE, replace(own, each=())).any(), "a prompt without a mask"


def test_effect_resources_are_created_once_and_closed() -> None:
    Store.made = Store.closed = 0
    marked = renderer(Marker(), Tint(), Marker())
    for _ in range(3):
        assert (marked.compose(PICTURE, no_mattes(*SIZE, 1))[0, 0] == 255).all()
    assert (Store.made, Store.closed) == (1, 0)
    marked.close()
    marked.close()
    assert (Store.made, Store.closed) == (1, 1)
    marked.compose(PICTURE, no_mattes(*SIZE, 1))
    assert Store.made == 2, "a closed renderer begins again"


@pytest.mark.parametrize("drawing", ["package:missing", "no_such_package:draw", "package"])
def test_a_missing_drawing_function_gives_a_one_sentence_error(drawing: str, caplog: pytest.LogCaptureFixture) -> None:
    class Lost(Marker):
        """An effect without a drawing function."""

        info: ClassVar = EffectInfo(title="Lost", help="Lost.", group="mark", drawing=drawing)

    with pytest.raises(Failure, match=r"^The effect Lost cannot be drawn: .+\.$"):
        renderer(Lost())
    (record,) = caplog.records
    assert record.exc_info is not None


@pytest.mark.parametrize("part", ["half", "float"])
def test_an_invalid_frame_is_rejected(part: Literal["half", "float"]) -> None:
    with pytest.raises(Failure, match="The effect Shrink changed the image to shape"):
        renderer(Shrink(part=part)).compose(PICTURE, no_mattes(*SIZE, 1))
