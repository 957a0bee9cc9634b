"""The export dialog with a program that replaces the command: parts, options, queue, progress, cancel and resume."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QFileDialog, QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

from clipseg_live.core.session_file import load_session
from clipseg_live.core.settings.live import LiveSettings, PromptRow, SourceSpec
from clipseg_live.core.status import WorkerState, WorkerStatus
from clipseg_live.gui.export import controller
from clipseg_live.gui.export.dialog import FILE, LIST, RANGE, ExportDialog
from clipseg_live.gui.export.run_card import RunCard
from clipseg_live.gui.files.model import NOTE_ROLE
from clipseg_live.gui.main_window import MainWindow
from clipseg_live.gui.state.preferences import Preferences, load_preferences
from tests.helpers.gui import fake_export
from tests.helpers.gui.fake_session import READY, FakeSession, file_status, live_status

LEFT = Qt.MouseButton.LeftButton
Event = dict[str, object]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


@pytest.fixture
def window(make_window: Callable[..., MainWindow], results: Path) -> MainWindow:
    made = make_window(LiveSettings(rows=(PromptRow(id=0, text="dog"),)), Preferences(export_folder=str(results)))
    made.exports.queue.program = (sys.executable, "-S", fake_export.__file__)
    return made


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (folder / name).write_bytes(b"not a video")
    return folder


def script(results: Path, *events: Event) -> None:
    (results / "script.jsonl").write_text("\n".join(json.dumps(event) for event in events))


def planned(*sources: Path) -> Event:
    return {"event": "planned", "sources": [{"source": str(source), "photos": []} for source in sources]}


def ended(number: int, ending: str = "done", sentence: str = "", *problems: str) -> Event:
    return {
        "event": "ended", "number": number, "ending": ending, "sentence": sentence, "frames": 9, "notices": [],
        "problems": problems,
    }  # fmt: skip


def progress(number: int, frames: int) -> Event:
    return {"event": "progress", "number": number, "frames": frames, "total": 100, "seconds_left": 75.0}


FINISHED: Event = {"event": "finished", "stopped": False, "seconds": 1.0, "notices": []}


def calls(results: Path) -> list[list[str]]:
    return [json.loads(line) for line in (results / "calls.jsonl").read_text().splitlines()]


def open_dialog(window: MainWindow, qtbot: QtBot) -> ExportDialog:
    qtbot.mouseClick(window.body.export_button, LEFT)
    dialog = window.exports.dialog
    assert dialog is not None
    qtbot.waitExposed(dialog)
    return dialog


def open_list(window: MainWindow, session: FakeSession, qtbot: QtBot, clips: Path) -> None:
    window.open_source(SourceSpec(name=str(clips)))
    qtbot.waitUntil(window.body.file_panel.isVisible, timeout=5000)
    session.set_status(file_status(position=12))
    window.refresh()


def export(dialog: ExportDialog, qtbot: QtBot, part: str = FILE) -> RunCard:
    qtbot.mouseClick(dialog.scope.button(part), LEFT)
    count = len(dialog.cards())
    qtbot.mouseClick(dialog.export_button, LEFT)
    assert len(dialog.cards()) == count + 1
    return dialog.cards()[0]


def wait_for(card: RunCard, text: str, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: text in card.state.text(), timeout=20_000)


def test_a_file_is_exported_with_the_options_of_the_dialog(
    window: MainWindow, session: FakeSession, qtbot: QtBot, clips: Path, results: Path
) -> None:
    window.open_source(SourceSpec(name=str(clips / "a.mp4"), deinterlace="off"))
    session.set_status(file_status(), READY)
    dialog = open_dialog(window, qtbot)
    assert dialog.summary.text() == "a.mp4" and not dialog.scope.button(LIST).isEnabled()
    assert not dialog.scope.button(RANGE).isEnabled()
    form = dialog.form
    form.suffix.setFocus()
    qtbot.keyClick(form.suffix, Qt.Key.Key_Down)
    qtbot.keyClick(form.suffix, Qt.Key.Key_Down)
    qtbot.mouseClick(form.overwrite, LEFT, pos=QPoint(8, form.overwrite.height() // 2))
    form.data_menu.actions()[0].trigger()
    script(results, planned(clips / "a.mp4"), progress(0, 40), ended(0), FINISHED)
    card = export(dialog, qtbot)
    wait_for(card, "Done", qtbot)
    (arguments,) = calls(results)
    name = form.data_menu.actions()[0].data()
    session_file = Path(arguments[arguments.index("--session") + 1])
    assert arguments == [
        "export", str(clips / "a.mp4"), "--session", str(session_file), "--trust-session", "--deinterlace", "off",
        "--suffix", ".mov", "--data", name, "--overwrite", "--into", str(results), "--json",
    ]  # fmt: skip
    assert session_file.parent == results and load_session(session_file, trusted=True) == window.store.settings
    assert card.folder_button.isVisible() and not card.bar.isVisible() and not card.resume_button.isVisible()
    window.preferences_store.write()
    saved, _ = load_preferences(window.preferences_store._path)
    assert saved.export.suffix == ".mov" and saved.export.data == (name,) and saved.export.overwrite


def test_in_and_out_points_are_the_range(
    window: MainWindow, session: FakeSession, qtbot: QtBot, clips: Path, results: Path
) -> None:
    window.open_source(SourceSpec(name=str(clips / "a.mp4")))
    session.set_status(file_status(position=12))
    window.refresh()
    qtbot.mouseClick(window.playback_bar.first_button, LEFT)
    session.set_status(file_status(position=20))
    window.refresh()
    qtbot.mouseClick(window.playback_bar.last_button, LEFT)
    dialog = open_dialog(window, qtbot)
    script(results, planned(clips / "a.mp4"), ended(0), FINISHED)
    card = export(dialog, qtbot, RANGE)
    assert dialog.summary.text() == "a.mp4, 0:12.00 to 0:20.02"
    wait_for(card, "Done", qtbot)
    arguments = calls(results)[0]
    assert arguments[arguments.index("--from") + 1] == "12.000000"
    assert arguments[arguments.index("--to") + 1] == "20.016666"  # half a frame after the last one


def test_a_list_is_exported_with_progress_and_its_failures_are_shown(
    window: MainWindow, session: FakeSession, qtbot: QtBot, clips: Path, results: Path
) -> None:
    open_list(window, session, qtbot, clips)
    dialog = open_dialog(window, qtbot)
    script(
        results, {"event": "stage", "text": "Loading the model"}, planned(clips / "a.mp4", clips / "b.mp4"),
        ended(0, "failed", "a.mp4 is empty."), progress(1, 40), {"event": "hold"},
    )  # fmt: skip
    card = export(dialog, qtbot, LIST)
    wait_for(card, "70%  ·  1 of 2 files  ·  1:15 left", qtbot)
    assert card.bar.value() == 700 and card.problems.text() == "a.mp4 is empty."
    assert window.body.export_button.text() == "70%"
    model = window.body.file_model
    assert model.data(model.index(0), NOTE_ROLE) == "Export failed: a.mp4 is empty."
    assert calls(results)[0][1:3] == [str(clips / "a.mp4"), str(clips / "b.mp4")]
    qtbot.mouseClick(card.stop_button, LEFT)
    wait_for(card, "Stopped", qtbot)
    assert window.body.export_button.text() == ""
    script(
        results, planned(clips / "a.mp4", clips / "b.mp4"), ended(0, "failed", "a.mp4 is empty."), ended(1), FINISHED
    )
    qtbot.mouseClick(card.resume_button, LEFT)
    wait_for(card, "1 problem", qtbot)
    assert calls(results)[0] == calls(results)[1]  # the command continues by itself
    assert model.data(model.index(1), NOTE_ROLE) == "Exported"
    assert card.resume_button.isVisible() and not card.stop_button.isVisible()


def test_exports_wait_for_those_before_them(
    window: MainWindow, session: FakeSession, qtbot: QtBot, clips: Path, results: Path
) -> None:
    window.open_source(SourceSpec(name=str(clips / "a.mp4")))
    session.set_status(file_status())
    dialog = open_dialog(window, qtbot)
    script(results, planned(clips / "a.mp4"), progress(0, 1), {"event": "hold"})
    first = export(dialog, qtbot)
    wait_for(first, "1%", qtbot)
    second, third = export(dialog, qtbot), export(dialog, qtbot)
    assert second.state.text() == third.state.text() == "Waiting"
    script(results, planned(clips / "a.mp4"), ended(0), FINISHED)
    qtbot.mouseClick(third.stop_button, LEFT)
    qtbot.mouseClick(first.stop_button, LEFT)
    wait_for(second, "Done", qtbot)
    assert third.state.text() == first.state.text() == "Stopped" and len(calls(results)) == 2
    qtbot.mouseClick(third.remove_button, LEFT)
    assert dialog.cards() == [second, first]


def test_an_export_that_cannot_start_says_why(
    window: MainWindow, session: FakeSession, qtbot: QtBot, clips: Path, results: Path
) -> None:
    window.open_source(SourceSpec(name=str(clips / "a.mp4")))
    session.set_status(file_status())
    dialog = open_dialog(window, qtbot)
    script(results, {"event": "fail", "text": "Photos have no codec: leave out --codec."})
    card = export(dialog, qtbot)
    wait_for(card, "Failed", qtbot)
    assert card.problems.text() == "Photos have no codec: leave out --codec."
    window.exports.queue.program = (str(results / "no program"),)
    card = export(dialog, qtbot)
    wait_for(card, "Failed", qtbot)
    assert card.problems.text().startswith("The export could not be started: ")


def test_the_end_of_an_export_is_a_message_while_the_dialog_is_closed(
    window: MainWindow,
    session: FakeSession,
    qtbot: QtBot,
    clips: Path,
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[QUrl] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: bool(opened.append(url)) or True)
    window.open_source(SourceSpec(name=str(clips / "a.mp4")))
    session.set_status(file_status())
    dialog = open_dialog(window, qtbot)
    script(results, planned(clips / "a.mp4"), ended(0), FINISHED)
    export(dialog, qtbot)
    dialog.close()
    qtbot.waitUntil(lambda: window.toasts.texts() == [f"Exported a.mp4 to {results}."], timeout=20_000)
    buttons = {each.text(): each for each in window.toasts.findChildren(QPushButton)}
    assert set(buttons) == {"Open folder", "Exports…"}
    qtbot.mouseClick(buttons["Open folder"], LEFT)
    assert [Path(url.toLocalFile()) for url in opened] == [results]


@pytest.mark.parametrize("name", ["camera:0", "screen:", "rtsp://cam.local/live"])
def test_only_files_are_exported(window: MainWindow, session: FakeSession, qtbot: QtBot, name: str) -> None:
    window.open_source(SourceSpec(name=name))
    session.set_status(live_status())
    dialog = open_dialog(window, qtbot)
    assert not dialog.export_button.isEnabled() and "Record cameras" in dialog.problem.text()


def test_an_export_needs_a_prompt(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    window.open_source(SourceSpec(name="walk.mp4"))
    window.store.update(rows=())
    dialog = open_dialog(window, qtbot)
    assert not dialog.export_button.isEnabled() and dialog.problem.text() == "Add a prompt first."
    window.store.undo()
    window.refresh()
    assert dialog.export_button.isEnabled() and not dialog.problem.text()


def test_a_set_of_photos_is_one_input(
    window: MainWindow, session: FakeSession, qtbot: QtBot, tmp_path: Path, results: Path
) -> None:
    photos = [tmp_path / "a.png", tmp_path / "b.png"]
    for photo in photos:
        Image.new("RGB", (8, 8)).save(photo)
    window.open_source(SourceSpec(name=str(tmp_path / "*.png")))
    qtbot.waitUntil(window.body.file_panel.isVisible, timeout=5000)
    dialog = open_dialog(window, qtbot)
    sources = [{"source": "*.png", "photos": [str(photo) for photo in photos]}]
    script(results, {"event": "planned", "sources": sources}, ended(0, "partly", "", "b.png is damaged."), FINISHED)
    wait_for(export(dialog, qtbot, LIST), "Done", qtbot)
    model = window.body.file_model
    assert [model.data(model.index(row), NOTE_ROLE) for row in (0, 1)] == [
        "Exported", "Export failed: b.png is damaged."
    ]  # fmt: skip
    assert dialog.cards()[0].problems.text() == "b.png is damaged."
    wait_for(export(dialog, qtbot, FILE), "Done", qtbot)
    assert [call[1] for call in calls(results)] == [str(tmp_path / "*.png"), str(photos[0])]


def test_the_model_that_runs_is_exported(window: MainWindow, session: FakeSession, qtbot: QtBot, results: Path) -> None:
    """The demo model that replaces a missing model is in the session file. The settings keep their model."""
    window.open_source(SourceSpec(name="walk.mp4"))
    session.set_status(file_status(), WorkerStatus(WorkerState.READY, model="shapes"))
    dialog = open_dialog(window, qtbot)
    qtbot.mouseClick(dialog.copy_button, LEFT)
    command = QGuiApplication.clipboard().text()
    (saved,) = results.glob("*.clipseg.json")
    assert command.startswith("clipseg-live export ") and f"--session '{saved}'" in command
    assert load_session(saved).engine.model == "shapes" != window.store.settings.engine.model


def test_the_folder_is_chosen_and_shown(
    window: MainWindow, session: FakeSession, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.open_source(SourceSpec(name="walk.mp4"))
    dialog = open_dialog(window, qtbot)
    qtbot.mouseClick(dialog.folder_button, LEFT)
    chooser = dialog.findChild(QFileDialog)
    (tmp_path / "other").mkdir()
    chooser.fileSelected.emit(str(tmp_path / "other"))
    chooser.close()
    assert dialog.folder_label.toolTip() == str(tmp_path / "other") and window.exports.folder == tmp_path / "other"
    script(tmp_path / "other", planned(Path("walk.mp4")), ended(0), FINISHED)
    card = export(dialog, qtbot)
    wait_for(card, "Done", qtbot)
    shown: list[QUrl] = []
    monkeypatch.setattr(controller, "QDesktopServices", type("Opened", (QDesktopServices,), {"openUrl": shown.append}))
    qtbot.mouseClick(card.folder_button, LEFT)
    assert shown == [QUrl.fromLocalFile(str(tmp_path / "other"))]


def test_a_folder_that_cannot_be_made_is_reported(
    window: MainWindow, session: FakeSession, qtbot: QtBot, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    window.preferences_store.update(export_folder=str(tmp_path / "file" / "below"))
    window.open_source(SourceSpec(name="walk.mp4"))
    dialog = open_dialog(window, qtbot)
    qtbot.mouseClick(dialog.export_button, LEFT)
    assert dialog.cards() == [] and "cannot be created" in window.toasts.texts()[0]


def test_closing_the_window_asks_before_it_ends_an_export(
    window: MainWindow, session: FakeSession, qtbot: QtBot, clips: Path, results: Path
) -> None:
    window.open_source(SourceSpec(name=str(clips / "a.mp4")))
    dialog = open_dialog(window, qtbot)
    script(results, planned(clips / "a.mp4"), progress(0, 1), {"event": "hold"})
    wait_for(export(dialog, qtbot), "1%", qtbot)
    window.close()
    question = window.exports.question
    assert question is not None and question.isVisible() and window.isVisible() and session.stops == 0
    qtbot.mouseClick(question.button(QMessageBox.StandardButton.Cancel), LEFT)
    assert window.exports.question is None and window.exports.queue.is_active
    window.close()
    question = window.exports.question
    assert question is not None
    (accept,) = (
        button for button in question.buttons() if question.buttonRole(button) is QMessageBox.ButtonRole.AcceptRole
    )
    qtbot.mouseClick(accept, LEFT)
    assert not window.exports.queue.is_active and not window.isVisible() and session.stops == 1


def test_more_options_are_folded(window: MainWindow, qtbot: QtBot) -> None:
    window.open_source(SourceSpec(name="walk.mp4"))
    dialog = open_dialog(window, qtbot)
    form = dialog.form
    assert form.suffix.isVisible() and not form.jobs.isVisible()
    qtbot.mouseClick(form.more_button, LEFT)
    assert form.jobs.isVisible()
    qtbot.mouseClick(form.temporal.button("causal"), LEFT)
    form.every.setFocus()
    qtbot.keyClick(form.every, Qt.Key.Key_Up)
    qtbot.keyClick(form.every, Qt.Key.Key_Return)
    assert dialog.cards() == []  # Enter does not start an export
    qtbot.keyClick(form.split, Qt.Key.Key_Up)
    assert not form.rate.isEnabled()
    qtbot.mouseClick(form.sequence, LEFT, pos=QPoint(8, form.sequence.height() // 2))
    form.rate.setFocus()
    qtbot.keyClick(form.rate, Qt.Key.Key_Down)
    assert form.choices.arguments() == [
        "--temporal", "causal", "--sequence", "--rate", "10", "--every", "2", "--split", "0.05",
    ]  # fmt: skip
    assert window.preferences_store.value.export == form.choices
