"""Text field in which the number of a slider is typed."""

from collections.abc import Callable

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QLineEdit, QToolTip, QWidget

from clipseg_live.gui.widgets import theme

_STEPS = {Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1}


class NumberEditor(QLineEdit):
    """Field over a slider while its number is typed. It deletes itself at the end.

    Enter and Tab apply the text; a wrong one is marked, and the field stays. Escape drops the text. If the focus leaves
    in another way, a right text is applied and a wrong one is dropped.

    Args:
        text: the number.
        apply: applies a text, and returns why it is wrong, "" if it is not.
        slider: the slider below.

    Attributes:
        stepped: signal with a number of steps, on Up and Down, also with Shift.
        reset: signal, on a double-click.
        closed: signal, the field has closed.
    """

    stepped = Signal(int)
    reset = Signal()
    closed = Signal()

    def __init__(self, text: str, apply: Callable[[str], str], slider: QWidget) -> None:
        super().__init__(text, slider)
        self._apply = apply
        self._closing = False
        self.setAccessibleName(slider.accessibleName())
        self.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)
        self.setFont(theme.figure_font(theme.SMALL_SIZE))
        self.setMaxLength(24)
        self.setGeometry(slider.rect())
        self._show_refusal("")
        self.textEdited.connect(lambda: self._show_refusal(""))

    def begin(self, text: str = "") -> None:
        """Take the focus, with the number selected, or replaced by the first key that was pressed.

        Args:
            text: the first key, "" for none.
        """
        self.show()
        self.setFocus(Qt.FocusReason.OtherFocusReason)
        if text:
            self.setText(text)
        else:
            self.selectAll()

    def show_number(self, text: str) -> None:
        """Show another number, selected."""
        self.setText(text)
        self.selectAll()
        self._show_refusal("")

    def finish(self, *, keep_focus: bool = True) -> None:
        """Close the field.

        Args:
            keep_focus: give the focus back to the slider.
        """
        if self._closing:
            return
        self._closing = True
        QToolTip.hideText()
        slider = self.parentWidget()
        if keep_focus and slider is not None:
            slider.setFocus(Qt.FocusReason.OtherFocusReason)
        self.hide()
        self.closed.emit()
        self.deleteLater()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Apply on Enter, revert on Escape, and step on Up and Down."""
        key = Qt.Key(event.key())
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._enter()
        elif key == Qt.Key.Key_Escape:
            self.finish()
        elif key in _STEPS and not event.modifiers() & Qt.KeyboardModifier.AltModifier:
            many = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self.stepped.emit(_STEPS[key] * (10 if many else 1))
        else:
            super().keyPressEvent(event)
            event.accept()  # no key of the field moves a row or plays the video

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Reset. The first click of a double-click on the slider has opened this field."""
        self.reset.emit()
        self.finish()

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Apply the text, and let the slider choose the next control. A wrong text keeps the focus."""
        self._enter()
        return bool(self.window().focusNextPrevChild(forward)) if self._closing else True

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Apply the text if it is right, else drop it."""
        super().focusOutEvent(event)
        if self._closing or event.reason() in (
            Qt.FocusReason.PopupFocusReason,
            Qt.FocusReason.ActiveWindowFocusReason,
        ):
            return
        self._apply(self.text())
        self.finish(keep_focus=False)

    def _enter(self) -> None:
        reason = self._apply(self.text())
        if not reason:
            self.finish()
            return
        self._show_refusal(reason)
        self.selectAll()
        QToolTip.showText(self.mapToGlobal(QPoint(0, self.height())), reason, self)

    def _show_refusal(self, reason: str) -> None:
        self.setAccessibleDescription(reason)
        self.setToolTip(reason)
        colour = theme.DANGER if reason else theme.ACCENT
        self.setStyleSheet(
            f"QLineEdit {{ background: {theme.BACKGROUND_COLOUR}; border: 1px solid {colour}; border-radius: 5px; "
            f"padding: 0 5px; min-height: 0; }}"
        )
