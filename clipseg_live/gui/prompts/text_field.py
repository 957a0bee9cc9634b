"""Text field of a prompt."""

from PySide6.QtCore import QEvent, QMimeData, QPointF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QFocusEvent,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QLinearGradient,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QLineEdit, QWidget

from clipseg_live.core.expressions.parser import ExpressionError, find_error
from clipseg_live.core.settings.live import LONGEST_TEXT
from clipseg_live.gui.prompts.completer import PromptCompleter, PromptWords
from clipseg_live.gui.widgets import theme

PAUSE = 150
"""Milliseconds from the last key until the text is applied."""

_WAVE = 3
"""Step of the line below an error, in pixels."""
_FADE = 24
"""Width over which a long text fades out, in pixels."""


class PromptField(QLineEdit):
    """Line edit that reports its text when the text should be applied.

    With ``set_apply_on_finish``, typing alone does not apply the text. Undo and redo are left to the window, which
    undoes all edits.

    An expression that is wrong or not finished is marked and never applied. Undo and Escape restore the text before it.
    The key Down lists all words, names and operators that fit at the cursor.

    Args:
        words: what prompts can be completed with.
        row_id: id of the row that the text belongs to; None for a new row.
        parent: parent widget.

    Attributes:
        text_applied: signal with the text, ``PAUSE`` after the last key, or at once on Enter, on a completion and when
            the focus leaves.
        submitted: signal with the text, on Enter and on a completion.
        image_pasted: signal with the QMimeData of the clipboard if it is an image.
        problem_changed: signal with one sentence about an expression that is not applied, or "".
    """

    text_applied = Signal(str)
    submitted = Signal(str)
    image_pasted = Signal(object)
    problem_changed = Signal(str)

    def __init__(self, words: PromptWords, row_id: int | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.set_kind(self, "flat")
        self.setMaxLength(LONGEST_TEXT)
        self.setAcceptDrops(False)  # dropped files go to the row
        self._applied_text = ""
        self._has_edits = self._applies_on_finish = False
        self._words = words
        self._row_id = row_id
        self._problem: ExpressionError | None = None
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE)
        self._pause.timeout.connect(self._apply_text)
        self.textEdited.connect(self._start_pause)
        self._completer = completer = PromptCompleter(self, words, row_id)
        # queued, so that the field has inserted the completion before
        completer.activated[str].connect(self._complete, Qt.ConnectionType.QueuedConnection)  # type: ignore[index]
        self.setCompleter(completer)

    @property
    def problem(self) -> str:
        """One sentence about an expression that is not applied; "" without one."""
        return self.tr("Not applied: {}.").format(self._problem.reason) if self._problem is not None else ""

    def show_text(self, text: str) -> None:
        """Show the text of the settings.

        Text being typed, the cursor and the selection stay, unless the text has changed elsewhere, for example by undo.
        """
        if text == self._applied_text:
            return
        self._applied_text = text
        self._has_edits = False
        self._pause.stop()
        self._show_problem(None)
        if text != self.text():
            at_end = self.cursorPosition() == len(self.text())
            cursor = self.cursorPosition()
            self.setText(text)
            self.setCursorPosition(len(text) if at_end and self.hasFocus() else cursor if self.hasFocus() else 0)

    def set_apply_on_finish(self, finished_only: bool) -> None:
        """Apply the text only when it is finished: on Enter, on a completion, or when the focus leaves.

        While an effect hides something, a half-typed prompt must not replace a complete one.
        """
        self._applies_on_finish = finished_only
        if finished_only:
            self._pause.stop()
        elif self._has_edits:
            self._pause.start()
        self.update()

    def flush(self) -> None:
        """Apply typed text at once, unless it is not a valid expression."""
        if self._has_edits:
            self._apply_text()

    def _start_pause(self) -> None:
        self._has_edits = True
        if not self._applies_on_finish:
            self._pause.start()

    def _apply_text(self) -> bool:
        """Apply the text, and return whether it can be applied."""
        self._pause.stop()
        self._show_problem(find_error(self.text(), self._words.names(self._row_id)))
        if self._problem is not None:
            return False
        self._has_edits = False
        self._applied_text = self.text()
        self.text_applied.emit(self.text())
        return True

    def _restore(self) -> None:
        """Show the applied text in place of an expression that is not applied."""
        self._has_edits = False
        self._show_problem(None)
        self.setText(self._applied_text)

    def _show_problem(self, problem: ExpressionError | None) -> None:
        before, self._problem = self.problem, problem
        if self.problem != before:
            self.setAccessibleDescription(self.problem)
            self.problem_changed.emit(self.problem)
        self.update()

    def submit(self) -> None:
        """Apply and submit the text, as Enter does, unless it is not a valid expression."""
        if self._apply_text():
            self.submitted.emit(self.text())

    def _complete(self, text: str) -> None:
        """Insert a completion. One of a whole text is submitted, and typing goes on after one of a part."""
        completion = self._completer.completion(text)
        self.setText(text)
        if completion is None or (completion.cursor == len(text) and text == completion.shown):
            self.submit()
            return
        self.setCursorPosition(completion.cursor)
        self._has_edits = True
        if completion.unfinished:
            self._show_problem(None)
        elif not self._applies_on_finish:
            self._apply_text()

    def event(self, event: QEvent) -> bool:
        """Apply typed text before an undo or redo, and leave both to the window.

        The undo of an expression that cannot be applied is handled by the field.
        """
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and _is_undo(event):
            self.flush()
            if self._problem is not None and event.matches(QKeySequence.StandardKey.Undo):
                event.accept()
                return True
            event.ignore()
            return False
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Handle Enter, Escape, Down, undo, redo and pasted images."""
        popup = self._completer.popup()
        assert popup is not None
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if event.modifiers() & Qt.KeyboardModifier.AltModifier:
                event.ignore()  # handled by the row
                return
            if popup.isVisible() and popup.currentIndex().isValid():
                event.ignore()  # handled by the completer
                return
            popup.hide()
            self.submit()
        elif event.key() == Qt.Key.Key_Escape and not popup.isVisible():
            if self._problem is not None:
                self._restore()
            else:
                self.clearFocus()
        elif _is_undo(event):
            if self._problem is not None and event.matches(QKeySequence.StandardKey.Undo):
                self._restore()
            else:
                event.ignore()
        elif event.key() == Qt.Key.Key_Down and not event.modifiers() and not popup.isVisible():
            self._completer.show_all()
        elif event.matches(QKeySequence.StandardKey.Paste) and _is_image(QGuiApplication.clipboard().mimeData()):
            self.image_pasted.emit(QGuiApplication.clipboard().mimeData())
        else:
            super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Apply typed text and show the beginning of the text."""
        leaving = event.reason() not in (Qt.FocusReason.PopupFocusReason, Qt.FocusReason.ActiveWindowFocusReason)
        if leaving or not self._applies_on_finish:
            self.flush()  # before the signal editingFinished
        super().focusOutEvent(event)
        if leaving:
            self.home(False)  # show the beginning of a long text

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the text, marks for an error and for text that waits for Enter, and the fade-out of long texts."""
        super().paintEvent(event)
        text_area = self.rect().adjusted(2, 2, -2, -2)
        if self._problem is not None:
            self._paint_underline(self._problem.start, self._problem.end)
        elif self._applies_on_finish and self._has_edits:  # waiting for Enter
            painter = QPainter(self)
            painter.setPen(theme.qcolour(theme.WARNING))
            painter.drawText(text_area, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, "⏎")
            painter.end()
        if self.hasFocus() or self.fontMetrics().horizontalAdvance(self.text()) <= text_area.width() - 12:
            return
        fade = QLinearGradient(text_area.right() - _FADE, 0, text_area.right(), 0)
        fade.setColorAt(0, theme.qcolour(theme.RAISED, 0))
        fade.setColorAt(0.8, theme.qcolour(theme.RAISED))
        painter = QPainter(self)
        painter.fillRect(text_area.adjusted(text_area.width() - _FADE, 0, 0, 0), fade)
        painter.end()

    def _paint_underline(self, start: int, end: int) -> None:
        """Paint a wavy line below the characters from ``start`` to ``end``, or where one is missing."""
        metrics, text, cursor = self.fontMetrics(), self.text(), self.cursorRect().center()
        origin = cursor.x() - metrics.horizontalAdvance(text[: self.cursorPosition()])
        left = max(origin + metrics.horizontalAdvance(text[:start]), 4)
        right = min(max(origin + metrics.horizontalAdvance(text[:end]), left + _WAVE * 4), self.width() - 4)
        base = cursor.y() + metrics.height() / 2
        points = [QPointF(x, base + (_WAVE / 2 if turn % 2 else 0)) for turn, x in enumerate(range(left, right, _WAVE))]
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.qcolour(theme.DANGER), 1.3))
        painter.drawPolyline(points)
        painter.end()


def _is_undo(event: QKeyEvent) -> bool:
    return event.matches(QKeySequence.StandardKey.Undo) or event.matches(QKeySequence.StandardKey.Redo)


def _is_image(content: QMimeData | None) -> bool:
    return content is not None and content.hasImage() and not content.hasText()
