"""Random user actions on the window, in any order, with checks after each action.

A test runs few actions, ``scripts/reliability/window_actions.py`` many.
"""

import json
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from PySide6.QtCore import (
    QCoreApplication,
    QEvent,
    QMimeData,
    QObject,
    QPoint,
    QPointF,
    Qt,
    QTimer,
    QtMsgType,
    QUrl,
    Slot,
    qInstallMessageHandler,
)
from PySide6.QtGui import QDesktopServices, QDropEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QFileDialog,
    QLineEdit,
    QMenu,
    QTabBar,
    QToolButton,
    QWidget,
)
from shiboken6 import isValid

from clipseg_live.core.session_file import save_session
from clipseg_live.core.settings.effects import CutOut
from clipseg_live.core.settings.live import LiveSettings, PromptRow
from clipseg_live.core.status import Message, RecordingStatus, SourceState, SourceStatus, WorkerState, WorkerStatus
from clipseg_live.gui.app import Startable, panels_for
from clipseg_live.gui.main_window import MainWindow
from clipseg_live.gui.prompts.row import PromptRowWidget
from clipseg_live.gui.settings.effect_rows import effect_rows
from clipseg_live.gui.state.preferences import Preferences, PreferencesStore
from clipseg_live.gui.state.services import Services
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.state.thread_bridge import Bridge
from tests.helpers.gui.fake_session import RATES, FakeSession, rendered_frame
from tests.helpers.gui.panel_tools import drag_enter

LEFT = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier
TEXTS = ("a red mug", "", "  ", "x" * 900, "例 ü \U0001f600", "a & b <i>c</i>", "100% {} %s", "\u202eright", "hair")
KEYS = (
    Qt.Key.Key_Tab, Qt.Key.Key_Backtab, Qt.Key.Key_Escape, Qt.Key.Key_Return, Qt.Key.Key_Space, Qt.Key.Key_Left,
    Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Home, Qt.Key.Key_End, Qt.Key.Key_PageUp,
    Qt.Key.Key_PageDown, Qt.Key.Key_Delete, Qt.Key.Key_Backspace, Qt.Key.Key_F2, Qt.Key.Key_A, Qt.Key.Key_B,
    Qt.Key.Key_Menu,
)  # fmt: skip
MODIFIERS = (
    PLAIN, Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.AltModifier,
    Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.ShiftModifier,
)  # fmt: skip
NEVER = frozenset({"quit"})
"""Actions that are not triggered, because they close the window."""
_POPUP_MILLISECONDS = 5
_OFFSCREEN = "This plugin does not support"  # start of messages about missing features of the offscreen platform
_MOST_DIALOGS = 2
_MOST_ACTIONS_WITH_DIALOG = 4
"""Actions after which an open dialog is closed."""


class Faults:
    """Unhandled errors: exceptions in slots and threads, and warnings of Qt."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def __enter__(self) -> "Faults":
        self._hooks = sys.excepthook, threading.excepthook
        sys.excepthook = self._note
        threading.excepthook = lambda reports: self._note(reports.exc_type, reports.exc_value, reports.exc_traceback)
        self._handler = qInstallMessageHandler(self._qt)
        return self

    def __exit__(self, *_: object) -> None:
        sys.excepthook, threading.excepthook = self._hooks
        qInstallMessageHandler(self._handler)

    def _note(self, kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        self.errors.append("".join(traceback.format_exception(kind, error, trace)))

    def _qt(self, kind: QtMsgType, context: object, text: str) -> None:
        if kind not in (QtMsgType.QtDebugMsg, QtMsgType.QtInfoMsg) and not text.startswith(_OFFSCREEN):
            self.errors.append(f"Qt: {text}")


class Popups(QObject):
    """Answers menus and questions, so that none of them blocks the test."""

    def __init__(self, choose: Callable[[], int], never: Sequence[object]) -> None:
        super().__init__()
        self._choose, self._never = choose, never
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._answer)
        self._timer.start(_POPUP_MILLISECONDS)

    def stop(self) -> None:
        self._timer.stop()

    @Slot()
    def _answer(self) -> None:
        popup = QApplication.activePopupWidget()
        if isinstance(popup, QMenu):
            items = [entry for entry in popup.actions() if entry.isEnabled() and not entry.isSeparator()]
            chosen_item = items[self._choose() % len(items)] if items else None
            if (
                chosen_item is None
                or chosen_item in self._never
                or chosen_item.menu() is not None
                or self._choose() % 3 == 0
            ):
                popup.close()
            else:
                popup.setActiveAction(chosen_item)
                QTest.keyClick(popup, Qt.Key.Key_Return)
        elif popup is not None:
            popup.close()
        elif isinstance(question := QApplication.activeModalWidget(), QDialog) and not isinstance(
            question, QFileDialog
        ):
            buttons = [
                entry for entry in question.findChildren(QAbstractButton) if entry.isEnabled() and entry.isVisible()
            ]
            if buttons:
                buttons[self._choose() % len(buttons)].click()
            else:
                question.reject()


class Monkey:
    """A window with random user actions.

    Args:
        folder: Folder for files.
        services: Services of the window.
        faults: Collected errors.
        session: Session of the window; None for a fake one.
        numbers: Choices for popups, repeated without end.
        settings: Settings at the start.

    Attributes:
        done: Number of runs of each action.
    """

    def __init__(
        self,
        folder: Path,
        services: Services,
        faults: Faults,
        session: Startable | None = None,
        numbers: Sequence[int] = (1, 2, 3, 5, 8),
        settings: LiveSettings | None = None,
    ) -> None:
        self.folder, self._faults = folder, faults
        self.session: Any = session or FakeSession()
        self._numbers = cycle(numbers or (0,))
        self._with_dialog = 0
        self.done: Counter[str] = Counter()
        self._files = make_files(folder)
        self._opener = _Opener()
        QDesktopServices.setUrlHandler("file", self._opener, "open")
        preferences_store = PreferencesStore(
            folder / "config" / "preferences.json", Preferences(folder=str(folder)), self._report
        )
        self.store = Store(LiveSettings() if settings is None else settings)
        self.preferences_store = preferences_store
        self.window = MainWindow(
            self.session, Bridge(self.session), self.store, preferences_store, services, panels_for(folder / "config")
        )
        self.window.resize(900, 600)
        self.window.show()
        self._is_real = not isinstance(self.session, FakeSession)
        self._never = [self.window.actions_by_name[name] for name in NEVER]
        self._popups = Popups(self._next, self._never)
        self.settle()

    def close(self) -> None:
        """Close the window like a user, and check that all resources are released."""
        self._close_dialogs()
        self._popups.stop()
        self.window.close()
        assert self.session.stop() == (), "the session did not release everything"
        self.window.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        QCoreApplication.processEvents()
        QDesktopServices.unsetUrlHandler("file")
        assert not isValid(self.window)
        self._no_faults()

    # ---- actions

    def act(self, name: str, one: int, two: int) -> None:
        """Run an action of ACTIONS with two numbers for its choices, and check the window."""
        self.done[name] += 1
        getattr(self, name)(one, two)
        self.settle()
        self.check()

    def type_prompt(self, one: int, two: int) -> None:
        field = self.window.prompts.field
        if field.isEnabled() and field.isVisible():
            field.setFocus()
            paste(field, TEXTS[one % len(TEXTS)])
            if two % 4:
                QTest.keyClick(field, Qt.Key.Key_Return)

    def edit_prompt(self, one: int, two: int) -> None:
        cards = self.window.prompts.list.rows
        if cards:
            card = cards[one % len(cards)]
            card.field.setFocus()
            card.field.selectAll()
            paste(card.field, TEXTS[two % len(TEXTS)])
            if two % 2:
                QTest.keyClick(card.field, Qt.Key.Key_Return)

    def move_row(self, one: int, two: int) -> None:
        cards = self.window.prompts.list.rows
        if cards and self.window.prompts.isVisible():
            grip = cards[one % len(cards)].drag_handle
            drag(grip, grip.rect().center(), QPoint(4, two % 500 - 250))

    def press_button(self, one: int, two: int) -> None:
        buttons = self._of(QAbstractButton)
        if buttons:
            QTest.mouseClick(buttons[one % len(buttons)], LEFT)

    def drag_slider(self, one: int, two: int) -> None:
        sliders = [entry for entry in self._of(QAbstractSlider) if entry.width() > 1]
        if sliders:
            slider = sliders[one % len(sliders)]
            middle = slider.height() // 2
            drag(slider, QPoint(two % slider.width(), middle), QPoint((two * 7) % slider.width(), middle))

    def choose(self, one: int, two: int) -> None:
        boxes = self._of(QComboBox)
        if boxes:
            box = boxes[one % len(boxes)]
            if box.count():
                place = two % box.count()
                box.setCurrentIndex(place)
                box.activated.emit(place)

    def type_anywhere(self, one: int, two: int) -> None:
        fields = [*self._of(QLineEdit), *self._of(QAbstractSpinBox)]
        if fields:
            field = fields[one % len(fields)]
            field.setFocus()
            paste(field, TEXTS[two % len(TEXTS)])

    def press_key(self, one: int, two: int) -> None:
        target = QApplication.focusWidget() or self.window
        key, modifier = KEYS[one % len(KEYS)], MODIFIERS[two % len(MODIFIERS)]
        QTest.keyClick(target, key, modifier)

    def use_shortcut(self, one: int, two: int) -> None:
        actions = self.window.actions_by_name
        names = sorted(actions.keys() - NEVER)
        action = actions[names[one % len(names)]]
        keys = [key for entry in action.shortcuts() if (key := entry[0])]
        if keys and two % 2:
            key = keys[two % len(keys)]
            QTest.keyClick(QApplication.focusWidget() or self.window, key.key(), key.keyboardModifiers())
        elif action.isEnabled():
            action.trigger()

    def undo_and_redo(self, one: int, two: int) -> None:
        steps = 1 + one % 5
        for _ in range(steps):
            self.store.undo()
        back = steps if two % 4 else two % (steps + 1)  # mostly all of it, otherwise few settings would remain
        before, could = self.store.settings, self.store.can_undo
        if could:
            self.store.undo()
            self.store.redo()
            assert self.store.settings == before, "undo and redo did not bring the same settings back"
        for _ in range(back):
            self.store.redo()

    def use_menu(self, one: int, two: int) -> None:
        """Trigger an item of any button's menu, without opening the menu."""
        menus = [button.menu() for button in self._of(QToolButton) if button.menu() is not None]
        if menus:
            menu = menus[one % len(menus)]
            menu.aboutToShow.emit()
            items = [entry for entry in menu.actions() if entry.isEnabled() and not entry.isSeparator()]
            if items and (item := items[two % len(items)]) not in self._never:
                item.trigger()

    def change_look(self, one: int, two: int) -> None:
        body = self.window.body
        if not body.settings_panel.isVisible():
            body.show_tab(1)
        controls: list[QWidget] = body.settings_panel.findChildren(QAbstractButton) + body.settings_panel.findChildren(
            QAbstractSlider
        )
        controls = [entry for entry in controls if entry.isEnabled() and entry.isVisible() and entry.width() > 1]
        control = controls[one % len(controls)]
        if isinstance(control, QToolButton) and control.menu() is not None:
            items = control.menu().actions()
            items[two % len(items)].trigger()
        elif isinstance(control, QAbstractButton):
            control.click()
        else:
            drag(control, QPoint(two % control.width(), 5), QPoint((two * 7) % control.width(), 5))

    def switch_tab(self, one: int, two: int) -> None:
        bars = self._of(QTabBar)
        if bars:
            bar = bars[one % len(bars)]
            bar.setCurrentIndex(two % max(bar.count(), 1))

    def drop(self, one: int, two: int) -> None:
        data = QMimeData()
        paths = [self._files[(one + extra) % len(self._files)] for extra in range(1 + (two % 7 == 0))]
        data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        targets: list[QWidget] = [self.window.canvas, self.window.prompts.new_row, *self.window.prompts.list.rows]
        target = targets[two % len(targets)]
        entering = drag_enter(QPoint(5, 5), data)
        entering.ignore()
        QApplication.sendEvent(target, entering)
        if entering.isAccepted():
            dropping = QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, LEFT, PLAIN)
            QApplication.sendEvent(target, dropping)

    def receive_message(self, one: int, two: int) -> None:
        topic = ("worker", "source", "recording", "disk", "session", "model")[one % 6]
        level = ("info", "warning", "error")[two % 3]
        message = Message(topic, TEXTS[two % len(TEXTS)], level)  # type: ignore[arg-type]
        thread = threading.Thread(target=lambda: self.session.on_message(message))
        thread.start()
        thread.join()

    def change_status(self, one: int, two: int) -> None:
        sources, workers = list(SourceState), list(WorkerState)
        long = TEXTS[two % len(TEXTS)]
        source = SourceStatus(
            state=sources[one % len(sources)],
            name=long,
            width=(0, 1, 640, 16384)[two % 4],
            height=(0, 1, 360, 16384)[two % 4],
            rate=(None, Fraction(30), Fraction(30000, 1001), Fraction(1, 7))[one % 4],
            duration=(None, Fraction(0), Fraction(60), Fraction(10**7))[two % 4],
            position=Fraction(two, 7),
            seekable=bool(two % 2),
            loop=bool(one % 2),
            speed=(0.25, 1.0, 4.0)[one % 3],
            problem=long,
            controls=(("exposure", -4.0), ("gain", 3.0))[: two % 3],
        )
        worker = WorkerStatus(
            workers[two % len(workers)], progress=long, problem=long, model=long, device="cpu", restarts=one % 9
        )
        self.session.set_status(source, worker, rates=RATES, effort=("full", "quick", "least")[two % 3])
        self.window.refresh()

    def change_recording(self, one: int, two: int) -> None:
        path = self.folder / "clip.mp4"
        status = RecordingStatus(bool(one % 2), path, seconds=two * 1.5, size=two**4, dropped=one % 3)
        self.session.set_status(recording=status)
        self.session.refuses_recording = "The disk is full." if two % 5 == 0 else ""
        self.window.refresh()

    def show_picture(self, one: int, two: int) -> None:
        width, height = ((320, 180), (1, 1), (3, 500), (500, 3), (64, 48))[one % 5]
        ids = tuple(row.id for row in self.store.settings.rows)
        ids = (ids, (*ids, 99), ids[1:])[two % 3]
        self.session.show(rendered_frame(width, height, ids=ids, index=two))

    def draw_box(self, one: int, two: int) -> None:
        canvas = self.window.canvas
        if two % 3 == 0:
            self.window.actions_by_name[("crop", "box_prompt")[one % 2]].trigger()
        button = (LEFT, Qt.MouseButton.MiddleButton, Qt.MouseButton.RightButton)[two % 3 if two % 7 == 0 else 0]
        size = canvas.size()
        start = QPoint(one % max(size.width(), 1), two % max(size.height(), 1))
        drag(canvas, start, QPoint((one * 13) % 1000 - 30, (two * 17) % 700 - 30), button)

    def hover_canvas(self, one: int, two: int) -> None:
        canvas = self.window.canvas
        place = QPointF(one % max(canvas.width(), 1), two % max(canvas.height(), 1))
        if two % 4 == 0:
            QTest.mouseDClick(canvas, LEFT, PLAIN, place.toPoint())
            return
        event = QWheelEvent(
            place, canvas.mapToGlobal(place), QPoint(), QPoint(0, 120 * (one % 9 - 4)), Qt.MouseButton.NoButton,
            MODIFIERS[two % len(MODIFIERS)], Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(canvas, event)

    def resize(self, one: int, two: int) -> None:
        self.window.resize(400 + one % 1600, 300 + two % 1000)
        self.window.body.splitter.setSizes([one % 1000 + 1, two % 600 + 1])

    def use_dialog(self, one: int, two: int) -> None:
        dialogs = self._dialogs()
        if not dialogs:
            return
        dialog = dialogs[one % len(dialogs)]
        if isinstance(dialog, QFileDialog):
            dialog.selectFile(str(self._files[two % len(self._files)]))
            dialog.done(QDialog.DialogCode.Accepted) if two % 3 == 0 else dialog.accept() if two % 3 else None
        else:
            buttons = [
                entry for entry in dialog.findChildren(QAbstractButton) if entry.isEnabled() and entry.isVisible()
            ]
            if buttons and two % 4:
                QTest.mouseClick(buttons[two % len(buttons)], LEFT)
            elif isinstance(dialog, QDialog):
                dialog.reject()
            else:
                QTest.keyClick(dialog, Qt.Key.Key_Escape)

    def save_and_open(self, one: int, two: int) -> None:
        path = self.folder / f"kept-{one % 3}.clipseg.json"
        if two % 3:
            self.window.files.save(path)
        else:
            self.window.files.open(path)

    # ---- checks

    def check(self) -> None:
        self._no_faults()
        window, settings = self.window, self.store.settings
        assert window.isVisible(), "the window has gone"
        if not self._is_real:
            assert self.session.settings is settings, "the session does not run with the settings that are shown"
        assert self.preferences_store.value.settings == settings
        assert LiveSettings.model_validate(settings.model_dump()) == settings
        assert window.actions_by_name["undo"].isEnabled() == self.store.can_undo
        assert window.actions_by_name["redo"].isEnabled() == self.store.can_redo
        panel = window.prompts
        assert [card._row.id for card in panel.list.rows] == [row.id for row in settings.rows]
        for card, row in zip(panel.list.rows, settings.rows, strict=True):
            assert card._row == row
            assert card.field._pause.isActive() or card.field.text().strip() == row.text.strip()
        assert len(window.findChildren(PromptRowWidget)) == len(settings.rows), (
            "cards of rows that are gone are still there"
        )
        look = window.body.settings_panel
        assert window.models.requested == settings.engine.model
        assert look.device.currentData() == settings.engine.device
        assert look.input_size.currentData() == settings.engine.size
        assert look.resize_mode.currentData() == settings.engine.resize_mode
        assert look.detail.currentData() == settings.engine.detail
        assert look.mode.button(settings.display).isChecked()
        assert look.effects._kinds == [(row.effect.kind, row.enabled) for row in effect_rows(settings)]
        assert len(window.toasts.texts()) <= 4

    def settle(self) -> None:
        """Process events until pending work is done."""
        for _ in range(3):
            QCoreApplication.processEvents()
            QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        self._with_dialog = self._with_dialog + 1 if self._dialogs() else 0
        if self._with_dialog > _MOST_ACTIONS_WITH_DIALOG or len(self._dialogs()) > _MOST_DIALOGS:
            self._close_dialogs()

    def _no_faults(self) -> None:
        errors, self._faults.errors[:] = list(self._faults.errors), []
        assert not errors, "\n".join(errors)

    # ---- widgets

    def _of(self, kind: type) -> list:
        """Return the widgets that a user can use now, in a fixed order."""
        usable = [entry for entry in self.window.findChildren(kind) if entry.isVisible() and entry.isEnabled()]
        return [entry for entry in usable if not entry.visibleRegion().isEmpty()]

    def _dialogs(self) -> list[QWidget]:
        tops = QApplication.topLevelWidgets()
        shown = [entry for entry in tops if entry.isVisible() and entry is not self.window and entry.isWindow()]
        return [
            entry for entry in shown if not isinstance(entry, QMenu) and entry.windowType() is not Qt.WindowType.ToolTip
        ]

    def _close_dialogs(self) -> None:
        for dialog in self._dialogs():
            dialog.close()
        for _ in range(3):
            QCoreApplication.processEvents()
            QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)

    def _next(self) -> int:
        return next(self._numbers)

    def _report(self, text: str) -> None:
        self._faults.errors.append(text)


ACTIONS = (
    "type_prompt", "type_prompt", "edit_prompt", "move_row", "press_button", "press_button", "press_button",
    "press_button", "drag_slider", "drag_slider", "choose", "type_anywhere", "press_key", "press_key", "use_shortcut",
    "use_shortcut", "undo_and_redo", "use_menu", "use_menu", "change_look", "change_look", "change_look", "switch_tab",
    "drop", "receive_message", "change_status", "change_recording", "show_picture", "draw_box", "hover_canvas",
    "resize", "use_dialog", "use_dialog", "save_and_open",
)  # fmt: skip
"""Random choices. Actions with more choices of their own appear more often."""
ACTIONS_ON_A_REAL_SESSION = tuple(
    name for name in ACTIONS if name not in ("receive_message", "change_status", "change_recording", "show_picture")
)
"""Actions without those that need a fake session."""


def window_machine(
    make: Callable[[Faults, list[int]], "Monkey"], actions: Sequence[str], done: Counter[str]
) -> type[RuleBasedStateMachine]:
    """Return a state machine that runs actions on a window of ``make``, and counts them in ``done``."""

    class Window(RuleBasedStateMachine):
        monkey: Monkey | None = None

        @initialize(numbers=st.lists(st.integers(0, 99), min_size=3, max_size=9))
        def begin(self, numbers: list[int]) -> None:
            self.faults = Faults().__enter__()
            self.monkey = make(self.faults, numbers)

        @rule(action=st.sampled_from(actions), one=st.integers(0, 9999), two=st.integers(0, 9999))
        def act(self, action: str, one: int, two: int) -> None:
            assert self.monkey is not None
            self.monkey.act(action, one, two)

        def teardown(self) -> None:
            if self.monkey is None:
                return
            try:
                self.monkey.close()
            finally:
                self.faults.__exit__()
                done.update(self.monkey.done)

    return Window


def run_machine(machine: type[RuleBasedStateMachine], examples: int, steps: int, chosen: int | None = None) -> None:
    """Run windows with a number of steps each.

    Args:
        machine: The state machine.
        examples: Number of windows.
        steps: Number of steps of each window.
        chosen: Seed; None for the same steps each time.
    """
    options = settings(
        max_examples=examples, stateful_step_count=steps, derandomize=chosen is None, deadline=None, database=None,
        phases=(Phase.generate, Phase.shrink) if chosen is not None else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    if chosen is not None:
        machine = seed(chosen)(machine)
    run_state_machine_as_test(machine, settings=options)


class _Opener(QObject):
    """Replaces the file manager of the system."""

    @Slot(QUrl)
    def open(self, url: QUrl) -> None:
        """Do nothing."""


def make_files(folder: Path) -> list[Path]:
    """Create files to drop and to choose: valid and damaged ones, sessions with external references, and a folder.

    The last path does not exist.
    """
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 16), (200, 30, 60)).save(folder / "good.png")
    (folder / "cut.png").write_bytes((folder / "good.png").read_bytes()[:40])
    (folder / "empty.mp4").touch()
    (folder / "text.txt").write_text("not an image")
    (folder / "other.json").write_text("{}")
    (folder / "deep.json").write_text("[" * 5000)
    linked = LiveSettings(effects=(CutOut(backdrop="image", file=folder / "good.png"),))
    save_session(folder / "beside.clipseg.json", LiveSettings(rows=(linked.new_row("mug"),), effects=linked.effects))
    far = (PromptRow(id=2**31 - 1, text="far"), PromptRow(id=7, text="x" * 1000))
    save_session(folder / "ids.clipseg.json", LiveSettings(rows=far))
    outside = {"effects": [{"kind": "cutout", "backdrop": "image", "file": "/etc/hostname"}]}
    content = {"format": "clipseg-live session", "version": 1, "settings": outside}
    (folder / "outside.clipseg.json").write_text(json.dumps(content))
    names = sorted(entry.name for entry in folder.iterdir())
    return [*(folder / name for name in names), folder, folder / "nowhere.mp4"]


def paste(field: QWidget, text: str) -> None:
    """Insert a text at once. Keys of a long text would take seconds."""
    if isinstance(field, QLineEdit):
        field.insert(text)
        field.textEdited.emit(field.text())
    else:
        QTest.keyClicks(field, text[:8].encode("ascii", "ignore").decode())


def drag(widget: QWidget, start: QPoint, end: QPoint, button: Qt.MouseButton = LEFT) -> None:
    QTest.mousePress(widget, button, PLAIN, start)
    QTest.mouseMove(widget, (start + end) / 2)
    QTest.mouseMove(widget, end)
    if isValid(widget):
        QTest.mouseRelease(widget, button, PLAIN, end)
