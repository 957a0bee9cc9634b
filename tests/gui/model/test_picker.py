"""The model selector: which model runs, the state of each, and how another one is chosen."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from clipseg_live.core.settings.base import DEFAULT_MODEL
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.status import WorkerState, WorkerStatus
from clipseg_live.gui.main_window import MainWindow
from clipseg_live.gui.model.picker import ModelButton, ModelPicker, ModelRow
from clipseg_live.gui.state.models import Models
from clipseg_live.gui.state.settings_store import Store
from tests.gui.conftest import FakeServices
from tests.helpers.gui.fake_session import READY, FakeSession
from tests.helpers.gui.model_entries import RD16, RD64, catalogue_entries
from tests.helpers.gui.panel_tools import click, show, top_level, wait_closed

SHAPES = replace(READY, model="shapes", replaced="It could not be downloaded. The demo model shapes is used for now.")
REFUSED = WorkerStatus(WorkerState.WAITING, problem="It could not be downloaded.", model="shapes")


@pytest.fixture
def models(qtbot: QtBot) -> Models:
    return Models(Store(LiveSettings()), catalogue_entries)


@pytest.fixture
def button(qtbot: QtBot, models: Models) -> ModelButton:
    button = ModelButton(models)
    show(qtbot, button, (200, 40))
    return button


def open_picker(qtbot: QtBot, button: ModelButton) -> ModelPicker:
    click(qtbot, button)
    picker = top_level(qtbot, ModelPicker)
    qtbot.waitUntil(lambda: len(picker.rows) == 4)
    return picker


def shown(row: ModelRow) -> tuple[str, str, str]:
    """Return the state, the text of the button and the problem of a row."""
    texts = (row.button.text() if row.button.isVisible() else "", row.problem.text() if row.problem.isVisible() else "")
    return row.state.toolTip(), *texts


def test_every_model_has_its_size_and_state(qtbot: QtBot, button: ModelButton) -> None:
    picker = open_picker(qtbot, button)
    assert {name: shown(row) for name, row in picker.rows.items()} == {
        DEFAULT_MODEL: ("Not installed", "Download (about 600 MB)", ""),
        RD64: ("Installed, 603 MB", "Use", ""),
        RD16: ("Incomplete", "Download (about 600 MB)", "Its weights are cut short."),
        "shapes": ("10.7 MB", "Use", ""),
    }


def test_the_running_model_is_shown_and_not_the_requested_one(
    qtbot: QtBot, models: Models, button: ModelButton
) -> None:
    models.show_worker(SHAPES)
    assert button.text() == "shapes" and models.requested == DEFAULT_MODEL
    picker = open_picker(qtbot, button)
    assert shown(picker.rows["shapes"])[:2] == ("Running", "")
    assert shown(picker.rows[DEFAULT_MODEL])[1:] == ("Retry", SHAPES.replaced)
    models.show_worker(READY)
    qtbot.waitUntil(lambda: shown(picker.rows[DEFAULT_MODEL])[:2] == ("Running", ""))
    assert button.text() == "rd64-refined" and shown(picker.rows["shapes"])[1] == "Use"


def test_a_model_is_chosen_and_the_choice_can_be_undone(qtbot: QtBot, models: Models, button: ModelButton) -> None:
    models.show_worker(READY)
    picker = open_picker(qtbot, button)
    click(qtbot, picker.rows[RD64].button)
    store = models._store
    assert store.settings.engine.model == RD64 and picker.isVisible()
    store.undo()
    assert store.settings.engine.model == DEFAULT_MODEL


def test_a_download_shows_its_progress_in_its_row(qtbot: QtBot, models: Models, button: ModelButton) -> None:
    picker = open_picker(qtbot, button)
    models.show_worker(WorkerStatus(WorkerState.LOADING, "Downloading 150 of 600 MB"))
    row = picker.rows[DEFAULT_MODEL]
    assert shown(row) == ("Downloading 150 of 600 MB", "", "")
    assert row.progress.isVisible() and row.progress.value() == row.progress.maximum() / 4
    assert not picker.rows[RD64].progress.isVisible()
    models.show_worker(WorkerStatus(WorkerState.LOADING, "Loading"))
    assert row.progress.maximum() == 0, "the progress is unknown"


@pytest.mark.parametrize("worker", [SHAPES, REFUSED])
def test_retry_loads_the_requested_model_again(
    qtbot: QtBot, models: Models, button: ModelButton, worker: WorkerStatus
) -> None:
    models.show_worker(worker)
    picker = open_picker(qtbot, button)
    with qtbot.waitSignal(models.retry_requested, timeout=1000):
        click(qtbot, picker.rows[DEFAULT_MODEL].button)
    assert models._store.settings.engine.model == DEFAULT_MODEL and not models._store.can_undo


def test_a_folder_is_chosen_and_listed(qtbot: QtBot, models: Models, button: ModelButton, tmp_path: Path) -> None:
    picker = open_picker(qtbot, button)
    click(qtbot, picker.folder_button)
    dialog = top_level(qtbot, QFileDialog)
    dialog.fileSelected.emit(str(tmp_path))
    dialog.close()
    wait_closed(qtbot, dialog)
    assert models._store.settings.engine.model == str(tmp_path)
    models.show_worker(replace(READY, model=str(tmp_path)))
    assert button.accessibleName() == f"Model: {tmp_path.name}" and button.toolTip() == str(tmp_path)
    click(qtbot, button)
    picker = top_level(qtbot, ModelPicker)
    qtbot.waitUntil(lambda: len(picker.rows) == 5)
    assert shown(picker.rows[str(tmp_path)])[0] == "Running"


def test_a_long_state_fits_the_button(qtbot: QtBot, models: Models, button: ModelButton) -> None:
    text = "Converting CIDAS/clipseg-rd64-refined for OpenVINO, once"
    models.show_worker(WorkerStatus(WorkerState.LOADING, text))
    assert button.text().endswith("…") and button.fontMetrics().horizontalAdvance(button.text()) < button.width()
    assert text in button.accessibleName() and button.toolTip() == text
    button.resize(600, 40)
    assert button.text() == text


def test_an_alias_is_the_model_that_it_names(qtbot: QtBot, models: Models) -> None:
    models.refresh()
    qtbot.waitUntil(lambda: bool(models.entries))
    models.choose("rd64")
    assert models.requested == RD64


def test_the_list_is_read_again_when_a_download_has_ended(qtbot: QtBot) -> None:
    lists = [catalogue_entries(), tuple(replace(entry, whole=True) for entry in catalogue_entries())]
    models = Models(Store(LiveSettings()), lambda: lists.pop(0))
    models.refresh()
    qtbot.waitUntil(lambda: bool(models.entries))
    models.show_worker(READY)
    qtbot.waitUntil(lambda: models.entries[0].whole)


def test_the_status_line_opens_the_selector_by_mouse_and_keyboard(
    make_window: Callable[..., MainWindow], session: FakeSession, services: FakeServices, qtbot: QtBot
) -> None:
    window = make_window(size=(900, 600))
    session.set_status(worker=SHAPES)
    window.refresh()
    button = window.status_line.worker
    assert button.text() == "shapes · cpu · float32" and button.toolTip() == SHAPES.replaced
    click(qtbot, button)
    picker = top_level(qtbot, ModelPicker)
    qtbot.waitUntil(lambda: len(picker.rows) == 4)
    qtbot.waitUntil(lambda: all(row.isVisible() for row in picker.rows.values()))
    qtbot.waitUntil(lambda: window.geometry().contains(picker.geometry()))
    click(qtbot, picker.rows[DEFAULT_MODEL].button)
    assert "restart_worker" in session.names()
    qtbot.keyClick(picker, Qt.Key.Key_Escape)
    wait_closed(qtbot, picker)
    button.setFocus()
    qtbot.keyClick(button, Qt.Key.Key_Space)
    picker = top_level(qtbot, ModelPicker)
    picker.close()
    wait_closed(qtbot, picker)
