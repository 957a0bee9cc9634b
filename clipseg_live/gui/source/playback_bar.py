"""Playback bar: play, seek, step, loop and speed for videos, previous and next for photos."""

import time
from fractions import Fraction

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QLabel, QSlider, QStyle, QStyleOptionSlider, QWidget

from clipseg_live.core.protocols import LiveSession
from clipseg_live.core.status import SourceState, SourceStatus
from clipseg_live.core.system.times import format_time
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.controls import ElidedLabel, tool_button

SPEEDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)
SKIP_SECONDS = 5
_STEPS = 10_000
_HOLD_SECONDS = 0.4


class SeekBar(QSlider):
    """Slider that jumps to the position of a click."""

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Jump to the pointer and begin a drag."""
        if event.button() == Qt.MouseButton.LeftButton:
            option = QStyleOptionSlider()
            self.initStyleOption(option)
            part = QStyle.SubControl.SC_SliderHandle
            handle = self.style().subControlRect(QStyle.ComplexControl.CC_Slider, option, part, self)
            if not handle.contains(event.position().toPoint()):
                share = (event.position().x() - handle.width() / 2) / max(self.width() - handle.width(), 1)
                self.setValue(round(min(max(share, 0.0), 1.0) * self.maximum()))
        super().mousePressEvent(event)


class PlaybackBar(QFrame):
    """Bar that shows a ``SourceStatus`` and controls playback. It is hidden for sources without a timeline.

    For a set of photos it shows the number of the photo and its file name instead of a timeline.
    """

    def __init__(self, session: LiveSession, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.set_kind(self, "bar")
        self._session = session
        self._status = SourceStatus()
        self._ignore_until = 0.0
        self.back_button = tool_button("step-back", self.tr("Previous frame"))
        self.play_button = tool_button("play", self.tr("Play"))
        self.forward_button = tool_button("step-forward", self.tr("Next frame"))
        self.loop_button = tool_button("loop", self.tr("Loop"), checkable=True)
        self.seek_bar = SeekBar(Qt.Orientation.Horizontal)
        self.seek_bar.setAccessibleName(self.tr("Position"))
        self.seek_bar.setRange(0, _STEPS)
        self.seek_bar.setPageStep(_STEPS // 20)
        self.seek_bar.setSingleStep(_STEPS // 200)
        self.time = QLabel("0:00")
        theme.set_kind(self.time, "figure")
        self.time.setFont(theme.figure_font())
        self.time.setAccessibleName(self.tr("Time"))
        self.speed_box = QComboBox()
        self.speed_box.setAccessibleName(self.tr("Speed"))
        self.speed_box.setToolTip(self.tr("Speed"))
        for speed in SPEEDS:
            self.speed_box.addItem(f"{speed:g}×", speed)
        self.speed_box.setCurrentIndex(SPEEDS.index(1.0))
        self.photo = QLabel()
        theme.set_kind(self.photo, "figure")
        self.photo.setFont(theme.figure_font())
        self.photo.setAccessibleName(self.tr("Photo"))
        self.file = ElidedLabel()
        self.file.setAccessibleName(self.tr("File"))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(theme.UNIT, theme.UNIT // 2, theme.UNIT, theme.UNIT // 2)
        layout.setSpacing(theme.UNIT // 2)
        for button in (self.back_button, self.play_button, self.forward_button):
            layout.addWidget(button)
        layout.addSpacing(theme.UNIT)
        layout.addWidget(self.photo)
        layout.addSpacing(theme.UNIT)
        layout.addWidget(self.file, 1)
        layout.addWidget(self.seek_bar, 1)
        layout.addSpacing(theme.UNIT)
        layout.addWidget(self.time)
        layout.addSpacing(theme.UNIT)
        layout.addWidget(self.loop_button)
        layout.addWidget(self.speed_box)
        self._timeline_widgets = (self.play_button, self.seek_bar, self.time, self.loop_button, self.speed_box)
        self._photo_widgets = (self.photo, self.file)
        self._show_kind(photos=False)
        self.play_button.clicked.connect(self.toggle)
        self.back_button.clicked.connect(lambda: session.step(-1))
        self.forward_button.clicked.connect(lambda: session.step(1))
        self.loop_button.toggled.connect(session.set_loop)
        self.speed_box.currentIndexChanged.connect(lambda index: session.set_speed(SPEEDS[index]))
        self.seek_bar.valueChanged.connect(self._seek)
        self.hide()

    def toggle(self) -> None:
        """Play or pause."""
        if self._status.photos:
            return
        if self._status.state is SourceState.RUNNING:
            self._session.pause()
        else:
            self._session.play()

    def step(self, frames: int) -> None:
        """Step by a number of frames, negative for back."""
        if self._status.seekable:
            self._session.step(frames)

    def skip(self, seconds: int) -> None:
        """Seek by seconds. In a set of photos, go to the next photo, or to the previous one if negative."""
        if self._status.photos:
            self._session.step(1 if seconds > 0 else -1)
        elif self._status.seekable:
            self._session.seek(max(self._status.position + seconds, Fraction(0)))

    def change_speed(self, steps: int) -> None:
        """Go up in the list of speeds by a number of steps, negative for down."""
        if self._status.seekable and not self._status.photos:
            self.speed_box.setCurrentIndex(min(max(self.speed_box.currentIndex() + steps, 0), len(SPEEDS) - 1))

    def show_status(self, status: SourceStatus) -> None:
        """Show the status of the source."""
        if bool(self._status.photos) != bool(status.photos):
            self._show_kind(bool(status.photos))
        self._status = status
        self.setVisible(status.seekable)
        self._show_photo(status)
        playing = status.state is SourceState.RUNNING
        self.play_button.setIcon(theme.icon("pause" if playing else "play"))
        name = self.tr("Pause") if playing else self.tr("Play")
        self.play_button.setToolTip(name)
        self.play_button.setAccessibleName(name)
        with QSignalBlocker(self.loop_button):
            self.loop_button.setChecked(status.loop)
        if status.speed in SPEEDS and not self.speed_box.view().isVisible():
            with QSignalBlocker(self.speed_box):
                self.speed_box.setCurrentIndex(SPEEDS.index(status.speed))
        # keep the handle where the user has put it until the source has reached the position
        if not self.seek_bar.isSliderDown() and time.monotonic() >= self._ignore_until:
            with QSignalBlocker(self.seek_bar):
                share = float(status.position / status.duration) if status.duration else 0.0
                self.seek_bar.setValue(round(share * _STEPS))
        self.seek_bar.setEnabled(bool(status.duration))
        duration = "" if status.duration is None else f" / {format_time(int(status.duration))}"
        self.time.setText(f"{format_time(int(status.position))}{duration}")

    def _show_kind(self, photos: bool) -> None:
        """Show the controls for a timeline or for a set of photos."""
        for widget in self._timeline_widgets:
            widget.setVisible(not photos)
        for widget in self._photo_widgets:
            widget.setVisible(photos)
        back, forward = (
            (self.tr("Previous photo"), self.tr("Next photo"))
            if photos
            else (self.tr("Previous frame"), self.tr("Next frame"))
        )
        for button, name in ((self.back_button, back), (self.forward_button, forward)):
            button.setToolTip(name)
            button.setStatusTip(name)
            button.setAccessibleName(name)
            button.setEnabled(True)

    def _show_photo(self, status: SourceStatus) -> None:
        if status.photos:
            self.photo.setText(self.tr("{0} of {1}").format(status.photo, status.photos))
            self.file.show_text(status.file)
            self.back_button.setEnabled(status.photo > 1)
            self.forward_button.setEnabled(status.photo < status.photos)

    def _seek(self, value: int) -> None:
        if self._status.duration:
            self._ignore_until = time.monotonic() + _HOLD_SECONDS
            self._session.seek(self._status.duration * Fraction(value, _STEPS))
