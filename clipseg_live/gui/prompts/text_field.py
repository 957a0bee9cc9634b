"""Text field of a prompt."""

from PySide6.QtCore import QEvent, QMimeData, QStringListModel, Qt, QTimer, Signal
from PySide6.QtGui import QFocusEvent, QGuiApplication, QKeyEvent, QKeySequence, QLinearGradient, QPainter, QPaintEvent
from PySide6.QtWidgets import QCompleter, QLineEdit, QWidget

from clipseg_live.core.settings.live import LONGEST_TEXT
from clipseg_live.gui.widgets import theme

PAUSE = 150
"""Milliseconds from the last key until the text is applied."""

_POPUP = f"""
    QListView {{ background: {theme.RAISED}; border: 1px solid {theme.EDGE}; padding: 1px; outline: 0; }}
    QListView::item {{ min-height: 26px; padding: 0 4px; border-radius: 4px; color: {theme.TEXT}; }}
    QListView::item:selected, QListView::item:hover {{ background: {theme.ACCENT_SOFT}; }}
"""
_FADE = 24
"""Width over which a long text fades out, in pixels."""


class PromptField(QLineEdit):
    """Line edit that reports its text when the text should be applied.

    With ``set_apply_on_finish``, typing alone does not apply the text. Undo and redo are left to the window, which
    undoes all edits.

    Attributes:
        text_applied: signal with the text, ``PAUSE`` after the last key, or at once on Enter, on a completion and when
            the focus leaves.
        submitted: signal with the text, on Enter and on a completion.
        image_pasted: signal with the QMimeData of the clipboard if it is an image.
    """

    text_applied = Signal(str)
    submitted = Signal(str)
    image_pasted = Signal(object)

    def __init__(self, completions: QStringListModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.set_kind(self, "flat")
        self.setMaxLength(LONGEST_TEXT)
        self.setAcceptDrops(False)  # dropped files go to the row
        self._applied_text = ""
        self._has_edits = self._applies_on_finish = False
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE)
        self._pause.timeout.connect(self._apply_text)
        self.textEdited.connect(self._start_pause)
        self._completer = completer = QCompleter(completions, self)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setMaxVisibleItems(8)
        popup = completer.popup()
        assert popup is not None
        popup.setStyleSheet(_POPUP)
        # queued, so that the field has inserted the completion before
        completer.activated[str].connect(self._complete, Qt.ConnectionType.QueuedConnection)  # type: ignore[index]
        self.setCompleter(completer)

    def show_text(self, text: str) -> None:
        """Show the text of the settings.

        Text being typed, the cursor and the selection stay, unless the text has changed elsewhere, for example by undo.
        """
        if text == self._applied_text:
            return
        self._applied_text = text
        self._has_edits = False
        self._pause.stop()
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
        """Apply typed text at once."""
        if self._has_edits:
            self._apply_text()

    def _start_pause(self) -> None:
        self._has_edits = True
        if not self._applies_on_finish:
            self._pause.start()

    def _apply_text(self) -> None:
        self._has_edits = False
        self._pause.stop()
        self._applied_text = self.text()
        self.text_applied.emit(self.text())

    def _enter(self) -> None:
        self._apply_text()
        self.submitted.emit(self.text())

    def _complete(self, text: str) -> None:
        self.setText(text)
        self._enter()

    def event(self, event: QEvent) -> bool:
        """Apply typed text before an undo or redo, and leave both to the window."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and _is_undo(event):
            self.flush()
            event.ignore()
            return False
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Handle Enter, Escape, undo, redo and pasted images."""
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
            self._enter()
        elif event.key() == Qt.Key.Key_Escape and not popup.isVisible():
            self.clearFocus()
        elif _is_undo(event):
            event.ignore()
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
        """Paint the text, a mark for text that waits for Enter, and the fade-out of long texts."""
        super().paintEvent(event)
        text_area = self.rect().adjusted(2, 2, -2, -2)
        if self._applies_on_finish and self._has_edits:  # waiting for Enter
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


def _is_undo(event: QKeyEvent) -> bool:
    return event.matches(QKeySequence.StandardKey.Undo) or event.matches(QKeySequence.StandardKey.Redo)


def _is_image(content: QMimeData | None) -> bool:
    return content is not None and content.hasImage() and not content.hasText()
