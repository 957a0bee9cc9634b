"""Effects that are disabled, enabled and dragged."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, QPointF
from PySide6.QtWidgets import QToolButton, QWidget
from pytestqt.qtbot import QtBot

from clipseg_live.core.session_file import load_session, save_session
from clipseg_live.core.settings.effects import CutOut, Glow, Labels, Outline, Pixelate, Tint, is_private
from clipseg_live.core.settings.external_references import external_references, sandboxed
from clipseg_live.core.settings.live import DisabledEffect, LiveSettings
from clipseg_live.core.settings.presets import with_preset
from clipseg_live.gui.settings.effect_list import EffectList
from clipseg_live.gui.settings.effect_rows import EffectRow, effect_rows, with_effect_moved, with_effect_rows
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.state.user_presets import UserPresets
from clipseg_live.gui.widgets.drag_handle import DragHandle
from tests.helpers.gui.panel_tools import click, drag, show

ROWS = st.lists(st.builds(EffectRow, st.sampled_from([Tint(), Glow(), Labels()]), st.booleans()), max_size=8)


@given(ROWS)
def test_rows_keep_their_order(rows: list[EffectRow]) -> None:
    settings = with_effect_rows(LiveSettings(), rows)
    assert effect_rows(settings) == tuple(rows)
    assert settings.effects == tuple(row.effect for row in rows if row.enabled)
    assert LiveSettings.model_validate_json(settings.model_dump_json()) == settings


@given(ROWS.filter(bool), st.data())
def test_a_moved_row_is_at_its_gap(rows: list[EffectRow], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(rows) - 1))
    gap = data.draw(st.integers(0, len(rows)))
    numbers = with_effect_moved(range(len(rows)), index, gap)
    assert sorted(numbers) == list(range(len(rows)))
    assert numbers.index(index) == (gap - 1 if gap > index else gap)


def test_positions_after_the_end_are_the_end() -> None:
    disabled = (DisabledEffect(effect=Glow(), position=9), DisabledEffect(effect=Labels(), position=1))
    settings = LiveSettings(effects=(Tint(),), disabled_effects=disabled)
    assert [row.effect.kind for row in effect_rows(settings)] == ["tint", "glow", "labels"]


@pytest.fixture
def effects(qtbot: QtBot) -> EffectList:
    parent = QWidget()
    parent.store = Store(LiveSettings(effects=(Tint(), Outline(), Glow())))
    widget = EffectList(parent.store, UserPresets(None), parent)
    widget.resize(320, 400)
    show(qtbot, parent, (340, 420))
    widget.kept = parent
    return widget


def press(qtbot: QtBot, effects: EffectList, name: str) -> None:
    """Click on the visible button of this name. Qt shows new rows a moment later."""

    def found() -> list[QToolButton]:
        buttons = effects.findChildren(QToolButton)
        return [each for each in buttons if each.accessibleName() == name and each.isVisible()]

    qtbot.waitUntil(lambda: len(found()) == 1)
    click(qtbot, found()[0])


def kinds(effects: EffectList) -> list[str]:
    return [row.effect.kind if row.enabled else f"({row.effect.kind})" for row in effect_rows(effects._store.settings)]


def test_an_effect_is_disabled_and_enabled_in_its_place(qtbot: QtBot, effects: EffectList) -> None:
    press(qtbot, effects, "Disable Outline")
    assert kinds(effects) == ["tint", "(outline)", "glow"]
    assert [effect.kind for effect in effects._store.settings.effects] == ["tint", "glow"]
    press(qtbot, effects, "Draw Glow earlier")
    assert kinds(effects) == ["tint", "glow", "(outline)"]
    press(qtbot, effects, "Enable Outline")
    assert kinds(effects) == ["tint", "glow", "outline"]
    for _ in range(3):
        effects._store.undo()
    assert kinds(effects) == ["tint", "outline", "glow"] and not effects._store.can_undo


def test_the_options_of_a_disabled_effect_can_be_changed(qtbot: QtBot, effects: EffectList) -> None:
    press(qtbot, effects, "Disable Glow")
    press(qtbot, effects, "Glow options")
    effects._change({"strength": 0.25}, False)
    assert effects._store.settings.disabled_effects[0].effect == Glow(strength=0.25)


@pytest.mark.parametrize(
    ("index", "below", "order"),
    [(0, 2, ["outline", "glow", "tint"]), (2, -1, ["glow", "tint", "outline"]), (1, 1, ["tint", "outline", "glow"])],
)
def test_an_effect_is_dragged(qtbot: QtBot, effects: EffectList, index: int, below: int, order: list[str]) -> None:
    """Drag the row at an index below the row at another one, -1 for the top."""
    qtbot.waitUntil(lambda: effects._row_widgets[-1].y() > 0)
    handle = effects._row_widgets[index].findChild(DragHandle)
    y = effects._row_widgets[below].geometry().bottom() if below >= 0 else 0
    end = handle.mapFromGlobal(effects.mapToGlobal(QPointF(4, y))).toPoint()
    start = handle.rect().center()
    drag(handle, start, start + QPoint(0, 20), end, release=False)
    assert effects._drop_line.isVisible()
    drag(handle, start, start + QPoint(0, 20), end)
    assert kinds(effects) == order and not effects._drop_line.isVisible()
    assert effects._store.can_undo is (order != ["tint", "outline", "glow"])


def test_a_disabled_privacy_effect_hides_nothing_and_presets_remove_disabled_effects() -> None:
    settings = with_effect_rows(LiveSettings(), [EffectRow(Pixelate(), enabled=False), EffectRow(Tint())])
    assert not is_private(settings.effects) and settings.display == "smooth"
    assert with_preset(settings, "background blur").disabled_effects == ()


def test_files_of_disabled_effects_need_permission_too(tmp_path: Path) -> None:
    cutout = CutOut(backdrop="image", file=Path("/outside/beach.png"))
    settings = with_effect_rows(LiveSettings(), [EffectRow(cutout, enabled=False)])
    save_session(tmp_path / "a.clipseg.json", settings)
    assert load_session(tmp_path / "a.clipseg.json", trusted=True).disabled_effects == settings.disabled_effects
    assert [each.name for each in external_references(settings, tmp_path)] == ["/outside/beach.png"]
    assert sandboxed(settings, tmp_path).disabled_effects[0].effect == CutOut()
