"""The transport bar of sources with a timeline: play, seek, step, loop and speed."""

from fractions import Fraction

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSlider, QStyle, QStyleOptionSlider, QToolButton, QWidget

from clipseg_live.core.live import SourceState, SourceStatus
from clipseg_live.core.ports import LiveSession
from clipseg_live.gui.icons import icon

SPEEDS = (0.25, 0.5, 1.0, 1.5, 2.0, 4.0)
_STEPS = 10_000


class SeekBar(QSlider):
    """A slider that jumps to where it is clicked."""

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            option = QStyleOptionSlider()
            self.initStyleOption(option)
            handle = self.style().subControlRect(
                QStyle.ComplexControl.CC_Slider, option, QStyle.SubControl.SC_SliderHandle, self
            )
            if not handle.contains(event.position().toPoint()):
                share = (event.position().x() - handle.width() / 2) / max(self.width() - handle.width(), 1)
                self.setSliderPosition(round(min(max(share, 0.0), 1.0) * self.maximum()))
        super().mousePressEvent(event)


class Transport(QWidget):
    """Shows ``SourceStatus`` and steers the session; hidden for sources without a timeline."""

    def __init__(self, session: LiveSession, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("bar")
        self._session = session
        self._status = SourceStatus()
        self.play_button = self._button("play", self.tr("Play or pause"))
        self.back_button = self._button("step-backward", self.tr("One frame back"))
        self.forward_button = self._button("step-forward", self.tr("One frame on"))
        self.loop_button = self._button("repeat", self.tr("Loop"))
        self.loop_button.setCheckable(True)
        self.seek_bar = SeekBar(Qt.Orientation.Horizontal)
        self.seek_bar.setAccessibleName(self.tr("Position"))
        self.seek_bar.setRange(0, _STEPS)
        self.seek_bar.setPageStep(_STEPS // 20)
        self.seek_bar.setSingleStep(_STEPS // 200)
        self.time = QLabel("0:00")
        self.time.setProperty("role", "value")
        self.time.setAccessibleName(self.tr("Time"))
        self.speed_box = QComboBox()
        self.speed_box.setAccessibleName(self.tr("Speed"))
        for speed in SPEEDS:
            self.speed_box.addItem(f"{speed:g}×", speed)
        self.speed_box.setCurrentIndex(SPEEDS.index(1.0))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 4)
        layout.setSpacing(4)
        for widget in (self.back_button, self.play_button, self.forward_button):
            layout.addWidget(widget)
        layout.addWidget(self.seek_bar, 1)
        for widget in (self.time, self.loop_button, self.speed_box):
            layout.addWidget(widget)
        self.play_button.clicked.connect(self.toggle)
        self.back_button.clicked.connect(lambda: session.step(-1))
        self.forward_button.clicked.connect(lambda: session.step(1))
        self.loop_button.toggled.connect(session.set_loop)
        self.speed_box.currentIndexChanged.connect(lambda index: session.set_speed(SPEEDS[index]))
        self.seek_bar.valueChanged.connect(self._seek)
        self.hide()

    def toggle(self) -> None:
        """Play, or pause."""
        if self._status.state is SourceState.RUNNING:
            self._session.pause()
        else:
            self._session.play()

    def skip(self, seconds: int) -> None:
        """Jump by so many seconds."""
        if self._status.seekable:
            self._session.seek(max(self._status.position + seconds, Fraction(0)))

    def show_status(self, status: SourceStatus) -> None:
        self._status = status
        self.setVisible(status.seekable and status.duration != 0)
        playing = status.state is SourceState.RUNNING
        self.play_button.setIcon(icon("pause" if playing else "play"))
        for control in (self.seek_bar, self.loop_button, self.speed_box):
            blocker = QSignalBlocker(control)
            if control is self.loop_button:
                self.loop_button.setChecked(status.loop)
            elif control is self.speed_box and status.speed in SPEEDS:
                self.speed_box.setCurrentIndex(SPEEDS.index(status.speed))
            elif control is self.seek_bar and not self.seek_bar.isSliderDown():
                self._show_position(status)
            blocker.unblock()
        self.seek_bar.setEnabled(status.duration is not None)
        whole = "" if status.duration is None else f" / {clock(status.duration)}"
        self.time.setText(f"{clock(status.position)}{whole}")

    def _show_position(self, status: SourceStatus) -> None:
        if status.duration:
            self.seek_bar.setValue(round(float(status.position / status.duration) * _STEPS))
        else:
            self.seek_bar.setValue(0)

    def _seek(self, value: int) -> None:
        if self._status.duration:
            self._session.seek(self._status.duration * Fraction(value, _STEPS))

    def _button(self, name: str, text: str) -> QToolButton:
        button = QToolButton()
        button.setIcon(icon(name))
        button.setToolTip(text)
        button.setAccessibleName(text)
        return button


def clock(seconds: Fraction | float) -> str:
    """1:02:03 or 2:03, in whole seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
