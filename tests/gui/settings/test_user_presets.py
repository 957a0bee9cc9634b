"""Presets of the user: saved, used and deleted in the window, and kept in a file."""

import json
from pathlib import Path

import pytest
from PySide6.QtWidgets import QInputDialog, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from clipseg_live.core.errors import Failure, UsageError
from clipseg_live.core.settings.effects import Blur, CutOut, Glow, Tint
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.gui.settings.effect_list import EffectList
from clipseg_live.gui.settings.effect_rows import EffectRow, with_effect_rows
from clipseg_live.gui.state import user_presets as module
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.state.user_presets import UserPresets
from tests.helpers.gui.panel_tools import item, show, top_level, wait_closed

MINE = LiveSettings(
    effects=(Blur(amount=5.0), CutOut(file=Path("/pictures/beach ü.png"))), matte=MatteSettings(smoothing=0.9)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config" / "presets.json"


@pytest.fixture
def effects(qtbot: QtBot, path: Path) -> EffectList:
    parent = QWidget()
    widget = EffectList(Store(MINE), UserPresets(path), parent)
    widget.kept = parent
    widget.resize(320, 300)
    show(qtbot, parent)
    return widget


def save_as(qtbot: QtBot, effects: EffectList, name: str) -> None:
    item(effects.preset_button.menu(), "Save as preset").trigger()
    dialog = top_level(qtbot, QInputDialog)
    qtbot.keyClicks(dialog.findChild(QLineEdit), name)
    dialog.accept()
    wait_closed(qtbot, dialog)


def offered(effects: EffectList) -> list[str]:
    menu = effects.preset_button.menu()
    menu.aboutToShow.emit()
    return [entry.text() for entry in menu.actions() if not entry.isSeparator()]


def test_a_preset_is_saved_used_and_deleted(qtbot: QtBot, effects: EffectList, path: Path) -> None:
    save_as(qtbot, effects, " Beach & blur ")
    assert "Beach && blur" in offered(effects)
    store = effects._store
    effects.use_preset("inspect")
    item(effects.preset_button.menu(), "Beach").trigger()
    assert (store.settings.effects, store.settings.matte) == (MINE.effects, MINE.matte)
    store.undo()
    assert store.settings.effects != MINE.effects
    item(item(effects.preset_button.menu(), "Delete preset").menu(), "Beach").trigger()
    assert "Delete preset" not in offered(effects) and json.loads(path.read_text()) == {}


def test_a_name_that_is_not_possible_is_refused_visibly(qtbot: QtBot, effects: EffectList, path: Path) -> None:
    save_as(qtbot, effects, "Background blur")
    assert effects._problem.isVisible() and "built-in" in effects._problem.text() and not path.exists()
    save_as(qtbot, effects, "Mine")
    assert not effects._problem.isVisible() and UserPresets(path).names() == ("Mine",)


def test_disabled_effects_are_left_out() -> None:
    presets = UserPresets(None)
    presets.save("a", with_effect_rows(LiveSettings(), [EffectRow(Tint()), EffectRow(Glow(), enabled=False)]))
    used = presets.apply(with_effect_rows(MINE, [EffectRow(Glow(), enabled=False)]), "a")
    assert used.effects == (Tint(),) and used.disabled_effects == ()
    assert presets.apply(MINE, "gone") == MINE


def test_windows_share_the_file(path: Path) -> None:
    first, second = UserPresets(path), UserPresets(path)
    first.save("b", MINE)
    second.save("A", LiveSettings())
    first.save("b", LiveSettings())
    assert first.names() == second.names() == ("A", "b")
    assert second.apply(MINE, "b").effects == LiveSettings().effects


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"{", b"[" * 100_000])
def test_a_damaged_file_is_renamed_at_the_next_change(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    presets = UserPresets(path)
    assert presets.names() == () and path.read_bytes() == content
    presets.save("a", MINE)
    assert presets.names() == ("a",) and path.with_name("presets.damaged.json").read_bytes() == content


def test_a_preset_that_cannot_be_used_stays_in_the_file(path: Path) -> None:
    path.parent.mkdir()
    unknown = {"effects": [{"kind": "of_a_removed_package"}], "matte": {}}
    path.write_text(json.dumps({"old": unknown, "odd": 3}))
    presets = UserPresets(path)
    assert presets.names() == () and presets.apply(MINE, "old") == MINE
    presets.save("new", MINE)
    assert presets.names() == ("new",) and json.loads(path.read_text())["old"] == unknown


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "default", "Green Screen"])
def test_impossible_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        UserPresets(None).save(name, MINE)


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PRESETS", 1)
    presets = UserPresets(None)
    presets.save("a", MINE)
    presets.save("a", LiveSettings())
    with pytest.raises(UsageError, match="delete one"):
        presets.save("b", MINE)


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match=r"could not be saved to .*presets\.json: "):
        UserPresets(tmp_path / "file" / "presets.json").save("a", MINE)
