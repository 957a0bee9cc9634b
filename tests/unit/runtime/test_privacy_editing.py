"""Privacy during edits: scenarios in a session with an oracle engine, in all outputs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from clipseg_live.core.privacy import PATIENCE_SECONDS, SETTLE_SECONDS
from clipseg_live.core.session_file import load_session, save_session
from clipseg_live.core.settings.effects import BlackOut, Pixelate, Tint
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.settings.presets import with_preset
from clipseg_live.core.status import HiddenReason
from tests.helpers.privacy_rig import Rig, is_hidden, shows
from tests.helpers.privacy_sequences import retype, row, settings_with_texts

Make = Callable[..., Rig]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Make]:
    made: list[Rig] = []

    def make(settings: LiveSettings, always: bool = False) -> Rig:
        made.append(Rig(settings, tmp_path, always))
        made[-1].predict()
        return made[-1]

    yield make
    for each in made:
        each.close()


def may_be_sent(rig: Rig) -> bool:
    """Return whether the newest frame may be sent to a virtual camera."""
    return rig.session._may_publish(rig.shown_frames[-1])


def late(rig: Rig) -> None:
    rig.frame()
    rig.take()
    if len(rig.worker.working) == 3:
        rig.deliver()


@pytest.mark.slow
@pytest.mark.parametrize("effect", [BlackOut(), Pixelate(cell=20.0)])
@pytest.mark.parametrize("between", [Rig.predict, late, lambda rig: None], ids=["at once", "late", "never"])
@pytest.mark.parametrize("always", [False, True])
def test_no_frame_shows_hidden_pixels_while_a_prompt_is_retyped(
    rig: Make, effect: BlackOut | Pixelate, between: Callable[[Rig], None], always: bool
) -> None:
    one = rig(settings_with_texts("red circle", effects=(effect,)), always)
    assert not is_hidden(one.shown_frames[-1]) and may_be_sent(one)
    begun = len(one.shown_frames)
    retype(one, 0, "blue star", lambda: between(one))
    assert len(one.shown_frames) > begun + 15
    assert all(is_hidden(picture) for picture in one.shown_frames[begun:]) and not may_be_sent(one)
    one.wait(SETTLE_SECONDS)
    one.predict()
    assert not is_hidden(one.shown_frames[-1]) and may_be_sent(one)
    assert not shows(one.shown_frames[-1].composed, "red circle" if always else "blue star")


@pytest.mark.slow
def test_a_half_typed_prompt_hides_everything_for_seconds(rig: Make) -> None:
    one = rig(settings_with_texts("red circle"))
    retype(one, 0, "blue s", one.predict)
    one.wait(PATIENCE_SECONDS - 0.5)
    one.predict()
    assert is_hidden(one.shown_frames[-1]) and one.session.status().hidden is HiddenReason.EDITING


@pytest.mark.slow
def test_an_undetected_new_prompt_is_in_force_after_a_delay(rig: Make) -> None:
    one = rig(settings_with_texts("red circle"))
    retype(one, 0, "a dog", one.predict)
    one.wait(PATIENCE_SECONDS)
    one.predict()
    assert (
        not is_hidden(one.shown_frames[-1]) and shows(one.shown_frames[-1].composed, "red circle") and may_be_sent(one)
    )


def test_a_still_frame_is_rendered_again_when_an_edit_comes_into_force(rig: Make) -> None:
    """Without a new frame or prediction, the session checks the time itself."""
    one = rig(settings_with_texts("red circle"))
    settings = settings_with_texts("blue star")
    one.apply(settings)
    one.take()
    one.deliver()
    assert is_hidden(one.shown_frames[-1])
    waits = one.composing._guard.seconds_to_check(one.settings)
    assert waits is not None and abs(waits - SETTLE_SECONDS) < 0.1
    one.wait(waits)
    assert not is_hidden(one.shown_frames[-1])


@pytest.mark.parametrize(
    "rows",
    [
        (),
        (row(0, ""),),
        (row(0, "red circle").model_copy(update={"visible": False}),),
        (row(0, "red circle", role="negative"),),
        (row(0, "red circle", role="contrast"),),
        (row(0, "red circle"), row(1, " ").model_copy(update={"solo": True})),
        (row(0, "red circle"), row(1, "")),
    ],
    ids=["no rows", "empty", "invisible", "taken out", "contrast", "empty solo", "empty beside"],
)
@pytest.mark.parametrize("always", [False, True])
def test_everything_is_hidden_without_prompts(rig: Make, rows: tuple, always: bool) -> None:  # type: ignore[type-arg]
    one = rig(LiveSettings(rows=rows, effects=(Tint(), BlackOut())), always)
    for _ in range(4):
        one.predict()
    assert all(is_hidden(picture) for picture in one.shown_frames) and not may_be_sent(one)
    assert one.session.status().hidden is HiddenReason.NOTHING
    full = settings_with_texts("red circle")
    one.apply(full)
    one.apply(full.model_copy(update={"rows": rows}))
    one.predict()
    assert is_hidden(one.shown_frames[-1]) and not may_be_sent(one)


@pytest.mark.slow
def test_a_preset_chosen_before_a_prompt_is_typed_hides_everything(rig: Make) -> None:
    one = rig(LiveSettings())
    for _ in range(5):
        one.predict()
    assert not is_hidden(one.shown_frames[-1])
    one.apply(with_preset(one.settings, "privacy"))
    begun = len(one.shown_frames)
    for _ in range(5):
        one.predict()
        assert not may_be_sent(one)
    assert all(is_hidden(picture) for picture in one.shown_frames[begun - 1 :])
    one.apply(one.settings.model_copy(update={"rows": (row(0, ""),)}))
    retype(one, 0, "red circle", one.predict)
    assert is_hidden(one.shown_frames[-1])
    one.wait(SETTLE_SECONDS)
    one.predict()
    assert not is_hidden(one.shown_frames[-1]) and may_be_sent(one)


@pytest.mark.parametrize("way", ["effect", "preset", "session file", "undo"])
def test_the_replay_restarts_with_a_privacy_effect(rig: Make, way: str, tmp_path: Path) -> None:
    hiding = settings_with_texts("red circle")
    plain = settings_with_texts("red circle", effects=(Tint(),))
    one = rig(hiding if way == "undo" else plain)
    if way == "undo":
        one.apply(plain)
    one.predict()
    one.predict()
    before = one.session._outputs._replay
    if way == "preset":
        hiding = with_preset(plain, "privacy")
    if way == "session file":
        save_session(tmp_path / "a.clipseg", hiding)
        hiding = load_session(tmp_path / "a.clipseg")
    one.apply(hiding)
    assert one.session._outputs._replay is not before
    for _ in range(3):
        one.predict()
    one.close()  # checks the content of each replay
    kept = [id(frame.pixels) for frame in one.replays[-1].frames]
    assert kept and all(Rig.hiding(picture) for picture in one.shown_frames if id(picture.composed) in kept)


def test_a_frame_rendered_while_a_privacy_effect_is_added_reaches_no_output(rig: Make) -> None:
    one = rig(settings_with_texts("red circle", effects=(Tint(),)))
    one.apply_during(settings_with_texts("red circle"))
    assert Rig.hiding(one.shown_frames[-1])
    one.predict()
    assert not shows(one.shown_frames[-1].composed, "red circle")


@pytest.mark.slow
def test_an_additional_prompt_does_not_hide_the_frame(rig: Make) -> None:
    one = rig(settings_with_texts("red circle"))
    rows = one.settings.rows
    for typed in ("b", "bl", "blue", "blue star"):
        one.apply(one.settings.model_copy(update={"rows": (*rows, row(1, typed))}))
        one.predict()
        assert not is_hidden(one.shown_frames[-1]) and not shows(one.shown_frames[-1].composed, "red circle")


@pytest.mark.slow
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [(..., 0, 0), (0, 5, 7), ...])
def test_a_non_finite_prediction_is_ignored(rig: Make, value: float, where: object) -> None:
    one = rig(settings_with_texts("red circle", "blue star"))
    begun = len(one.shown_frames)
    for _ in range(6):
        one.frame()
        one.take()
        one.deliver(lambda maps: maps.__setitem__(where, value))
    assert len(one.shown_frames) == begun + 6 and all(is_hidden(picture) for picture in one.shown_frames[begun:])
    assert not may_be_sent(one)
    assert all(np.isfinite(picture.maps).all() for picture in one.shown_frames)
    assert len([message for message in one.messages if "returned NaN" in message.text]) == 1
    one.predict()
    assert not is_hidden(one.shown_frames[-1]) and may_be_sent(one)


def test_a_non_finite_prediction_keeps_the_frame_without_privacy_effects(rig: Make) -> None:
    one = rig(settings_with_texts("red circle", effects=(Tint(),), mode="locked"))
    one.frame()
    one.take()
    one.deliver(lambda maps: maps.fill(np.nan))
    assert not is_hidden(one.shown_frames[-1]) and one.shown_frames[-1].index == one.index


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_auto_hide_does_not_apply_to_privacy_effects(rig: Make, share: float) -> None:
    """Each first frame with a new object is hidden; otherwise the rig fails."""
    settings = settings_with_texts("red circle", "blue star")
    matte = settings.matte.model_copy(update={"auto_hide": True, "presence_threshold": share})
    one = rig(settings.model_copy(update={"matte": matte}))
    for _ in range(100):
        one.predict()
    assert sum(is_hidden(picture) for picture in one.shown_frames) < 20


def test_a_prediction_before_its_settings_hides_everything(rig: Make) -> None:
    one = rig(settings_with_texts("red circle"))
    begun = len(one.shown_frames)
    one.apply_overtaken(settings_with_texts("blue star"))
    assert len(one.shown_frames) > begun and all(is_hidden(picture) for picture in one.shown_frames[begun:])
