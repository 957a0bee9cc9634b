"""Variants of a comparison: shared predictions, their views and figures, and privacy."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from clipseg_live.core.analysis.comparison import BOTH, ONLY_FIRST, ONLY_OTHER, VariantView
from clipseg_live.core.frame import Frame
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.effects import BlackOut, MatteView, Tint
from clipseg_live.core.settings.live import Comparison, ComparisonView, LiveSettings, PromptRow, Variant
from clipseg_live.core.settings.rendering import PLAIN_MATTES
from clipseg_live.core.status import Prediction
from clipseg_live.matting.causal import CausalMattes
from clipseg_live.rendering.renderer import EffectRenderer
from clipseg_live.runtime.comparison import ComparisonRenderer, predicted_rows, select_prediction
from clipseg_live.runtime.pipeline import FramePipeline, RenderTools, keys_of, live_plan

TOOLS = RenderTools(CausalMattes, EffectRenderer)
GREY = np.full((10, 20, 3), 100, np.uint8)
RAMP = np.tile(np.linspace(0.025, 0.975, 20, dtype=np.float32), (10, 1))


def row(number: int, text: str, threshold: float = 0.5) -> PromptRow:
    return PromptRow(id=number, text=text, style=PromptStyle(colour=(0, 0, 255), threshold=threshold))


def settings_of(
    *variants: tuple[PromptRow, ...], active: int = 0, view: str = "result", **values: object
) -> LiveSettings:
    """Return settings with a comparison of variants that differ in their rows."""
    shared = {"matte": PLAIN_MATTES, "effects": (MatteView(),), **values}
    others = tuple(Variant(rows=rows, **shared) for number, rows in enumerate(variants) if number != active)  # type: ignore[arg-type]
    comparison = Comparison(others=others, active=active, view=ComparisonView(view))
    return LiveSettings(rows=variants[active], comparison=comparison, **shared)  # type: ignore[arg-type]


def predict(settings: LiveSettings, *maps: NDArray[np.float32]) -> Prediction:
    rows = predicted_rows(settings)
    keys = keys_of(rows)
    ids = tuple(each.id for each in rows)
    return Prediction(0, 0, 1, ids, np.stack(maps), keys=tuple(keys[number] for number in ids))


def render(settings: LiveSettings, *maps: NDArray[np.float32]) -> tuple[VariantView, ...]:
    """Render one frame like the render thread."""
    errors: list[Exception] = []
    main, others = FramePipeline(live_plan(settings, 1), TOOLS), ComparisonRenderer(TOOLS, errors.append)
    prediction = predict(settings, *maps)
    main.add_prediction(select_prediction(prediction, settings.rows))
    others.update(settings)
    others.add_prediction(prediction)
    views = others.render(main.process(Frame(GREY, 0, Fraction(0))), "full")
    others.close()
    assert not errors
    return views


def test_variants_with_the_same_prompts_share_their_predictions() -> None:
    same = settings_of((row(0, "cup"),), (row(0, "cup", 0.9),), (row(7, "cup "), row(8, "hand", 0.2)))
    assert [(each.id, each.text) for each in predicted_rows(same)] == [(0, "cup"), (-1, "hand")]
    other = settings_of((row(0, "cup"),), (row(0, "mug"),), (row(0, "mug"), row(1, "hand")), active=1)
    assert [(each.id, each.text) for each in predicted_rows(other)] == [(0, "mug"), (-1, "cup"), (-2, "hand")]
    assert predicted_rows(LiveSettings(rows=(row(0, "cup"),))) == (row(0, "cup"),)


def test_a_prediction_is_selected_by_content() -> None:
    settings = settings_of((row(0, "cup"), row(1, "cup")), (row(0, "mug"), row(5, "cup")))
    prediction = predict(settings, RAMP, RAMP * 0.5, RAMP * 0.1)
    first = select_prediction(prediction, settings.compared()[0].rows)
    assert first.ids == (0, 1) and np.array_equal(first.maps, np.stack([RAMP, RAMP * 0.5]))
    second = select_prediction(prediction, settings.compared()[1].rows)
    assert second.ids == (0, 5) and np.array_equal(second.maps, np.stack([RAMP * 0.1, RAMP]))
    assert second.keys == tuple(keys_of(settings.compared()[1].rows).values())
    assert select_prediction(prediction, (row(0, "dog"),)).maps.shape == (0, 1, 1)


def test_every_variant_has_its_own_masks_and_figures() -> None:
    first, second, third = render(
        settings_of((row(0, "cup"),), (row(0, "cup", 0.75),), (row(0, "dog"),)), RAMP, 1 - RAMP
    )
    assert (first.image[:, 10:] == 255).all() and (first.image[:, :10] == 0).all()
    assert (second.image[:, 15:] == 255).all() and (second.image[:, :15] == 0).all()
    assert [view.prompts[0].area for view in (first, second, third)] == [0.5, 0.25, 0.5]
    assert [view.iou for view in (first, second, third)] == [None, 0.5, 0.0]
    assert [(each.name, each.colour) for each in third.prompts] == [("dog", (0, 0, 255))]
    assert not second.image.flags.writeable


@pytest.mark.parametrize("active", [0, 1])
def test_views_do_not_depend_on_the_active_variant(active: int) -> None:
    rows = (row(0, "cup"),), (row(0, "cup", 0.75),)
    for view in ComparisonView:
        expected = render(settings_of(*rows, view=view), RAMP)
        found = render(settings_of(*rows, view=view, active=active), RAMP)
        for one, other in zip(expected, found, strict=True):
            assert np.array_equal(one.image, other.image) and (one.prompts, one.iou) == (other.prompts, other.iou)


def test_the_difference_has_a_colour_for_each_case() -> None:
    high = np.where(RAMP < 0.8, RAMP, 0).astype(np.float32)
    first, second = render(settings_of((row(0, "cup"),), (row(0, "mug", 0.4),), view="difference"), high, RAMP)

    def nearest(view: VariantView, column: int) -> object:
        colours = [ONLY_FIRST, ONLY_OTHER, BOTH, (0, 0, 0)]
        return min(colours, key=lambda colour: np.abs(view.image[5, column].astype(int) - colour).sum())

    assert nearest(second, 2) == (0, 0, 0) and nearest(second, 9) == ONLY_OTHER  # only above the lower threshold
    assert nearest(second, 12) == BOTH and nearest(second, 18) == ONLY_OTHER and nearest(first, 12) == BOTH
    (_, swapped) = render(settings_of((row(0, "cup", 0.4),), (row(0, "mug"),), view="difference"), RAMP, high)
    assert nearest(swapped, 9) == ONLY_FIRST


def test_maps_are_drawn_for_every_variant() -> None:
    first, second = render(settings_of((row(0, "cup"),), (row(0, "mug"),), view="maps"), RAMP, 1 - RAMP)
    assert first.image[5, 18, 2] > 200 > 60 > first.image[5, 1, 2]
    assert second.image[5, 1, 2] > 200 > 60 > second.image[5, 18, 2]


def test_a_privacy_effect_in_any_variant_shows_none() -> None:
    settings = settings_of((row(0, "cup"),), (row(0, "cup", 0.9),))
    assert len(settings.compared()) == 2
    hiding = settings.model_copy(update={"effects": (Tint(), BlackOut())})
    assert hiding.compared() == () and render(hiding, RAMP) == ()
    assert settings.comparison is not None
    other = settings.comparison.others[0].model_copy(update={"effects": (BlackOut(),)})
    comparison = settings.comparison.model_copy(update={"others": (other,)})
    assert settings.model_copy(update={"comparison": comparison}).compared() == ()


def test_variants_come_and_go() -> None:
    settings = settings_of((row(0, "cup"),), (row(0, "cup", 0.75),))
    main, others = FramePipeline(live_plan(settings, 1), TOOLS), ComparisonRenderer(TOOLS, lambda error: None)
    prediction = predict(settings, RAMP)
    main.add_prediction(prediction)
    others.add_prediction(prediction)
    rendered = main.process(Frame(GREY, 0, Fraction(0)))
    assert others.render(rendered, "full") == ()  # no settings yet
    others.update(settings)
    assert len(others.render(rendered, "full")) == 2
    three = settings_of((row(0, "cup"),), (row(0, "cup", 0.75),), (row(0, "cup", 0.9),))
    others.update(three)
    assert [view.iou for view in others.render(rendered, "full")] == [None, 0.5, pytest.approx(0.2)]
    others.update(settings.model_copy(update={"comparison": None}))
    assert others.render(rendered, "full") == ()
    others.update(settings)
    assert len(others.render(rendered, "full")) == 2


@pytest.mark.parametrize("values", [{"active": 2}, {"active": -1}, {"others": ()}, {"others": (Variant(),) * 4}])
def test_invalid_comparisons_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Comparison.model_validate({"others": (Variant(),), **values})


def test_a_comparison_is_part_of_a_session_file() -> None:
    settings = settings_of((row(0, "cup"),), (row(0, "cup", 0.9),), active=1, view="difference")
    assert LiveSettings.model_validate_json(settings.model_dump_json()) == settings
