"""Playback bar: play, seek, step, loop and speed for videos, previous and next for photos."""

import time
from fractions import Fraction

from PySide6.QtCore import QSignalBlocker, QSize
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QLabel, QLayout, QWidget

from clipseg_live.core.protocols import LiveSession
from clipseg_live.core.status import SourceState, SourceStatus
from clipseg_live.core.system.times import format_time, frame_number
from clipseg_live.gui.source.playback_range import WHOLE_FILE, PlaybackRange
from clipseg_live.gui.source.seek_bar import SEEK_STEPS, SeekBar
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.controls import ElidedLabel, tool_button

SPEEDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)
SKIP_SECONDS = 5
_HOLD_SECONDS = 0.4
_WIDTHS = (680, 480, 360)
"""Widths in pixels below which these are hidden: frame number, in and out buttons; speed and clear button; loop."""


class PlaybackBar(QFrame):
    """Bar that shows a ``SourceStatus`` and controls playback. It is hidden for sources without a timeline.

    For a set of photos it shows the number of the photo and its file name instead of a timeline. It keeps the in and
    out points of each file while the window is open.
    """

    def __init__(self, session: LiveSession, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.set_kind(self, "bar")
        self._session = session
        self._status = SourceStatus()
        self._ignore_until = 0.0
        self._file = ""
        self._ranges: dict[str, PlaybackRange] = {}
        self.back_button = tool_button("step-back", self.tr("Previous frame"))
        self.play_button = tool_button("play", self.tr("Play"))
        self.forward_button = tool_button("step-forward", self.tr("Next frame"))
        self.loop_button = tool_button("loop", self.tr("Loop"), checkable=True)
        self.first_button = tool_button("mark-in", self.tr("Set in point (I)"))
        self.last_button = tool_button("mark-out", self.tr("Set out point (O)"))
        self.clear_button = tool_button("close", self.tr("Clear in and out points (X)"))
        self.seek_bar = SeekBar()
        self.seek_bar.setAccessibleName(self.tr("Position"))
        self.time = QLabel("0:00")
        theme.set_kind(self.time, "figure")
        self.time.setFont(theme.figure_font())
        self.time.setAccessibleName(self.tr("Time"))
        self.frame = QLabel()
        theme.set_kind(self.frame, "figure")
        self.frame.setFont(theme.figure_font())
        self.frame.setAccessibleName(self.tr("Frame number"))
        self.frame.setToolTip(self.tr("Frame number, counted from 0 at the average frame rate"))
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
        layout.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)  # the bar may be narrower than its controls
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
        layout.addWidget(self.frame)
        for button in (self.first_button, self.last_button, self.clear_button):
            layout.addWidget(button)
        layout.addWidget(self.loop_button)
        layout.addWidget(self.speed_box)
        self._timeline_widgets = (self.play_button, self.seek_bar, self.time, self.loop_button, self.speed_box)
        self._wide_widgets = (self.frame, self.first_button, self.last_button)
        self._photo_widgets = (self.photo, self.file)
        self._show_kind(photos=False)
        self.play_button.clicked.connect(self.toggle)
        self.back_button.clicked.connect(lambda: session.step(-1))
        self.forward_button.clicked.connect(lambda: session.step(1))
        self.loop_button.toggled.connect(session.set_loop)
        self.speed_box.currentIndexChanged.connect(lambda index: session.set_speed(SPEEDS[index]))
        self.seek_bar.valueChanged.connect(self._seek)
        self.seek_bar.range_dragged.connect(self._drag_range)
        self.first_button.clicked.connect(self.set_first)
        self.last_button.clicked.connect(self.set_last)
        self.clear_button.clicked.connect(self.clear_range)
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

    @property
    def playback_range(self) -> PlaybackRange:
        """The part between the in and out points of the shown file."""
        return self._ranges.get(self._file, WHOLE_FILE)

    def show_file(self, name: str) -> None:
        """Show the in and out points of another file."""
        self._file = name

    def set_first(self) -> None:
        """Set the in point at the shown frame."""
        if self._has_timeline:
            self._set_range(self.playback_range.with_first(self._status.position))

    def set_last(self) -> None:
        """Set the out point at the shown frame."""
        if self._has_timeline:
            self._set_range(self.playback_range.with_last(self._status.position))

    def clear_range(self) -> None:
        """Remove the in and out points."""
        self._set_range(WHOLE_FILE)

    def change_speed(self, steps: int) -> None:
        """Go up in the list of speeds by a number of steps, negative for down."""
        if self._status.seekable and not self._status.photos:
            self.speed_box.setCurrentIndex(min(max(self.speed_box.currentIndex() + steps, 0), len(SPEEDS) - 1))

    def show_status(self, status: SourceStatus) -> None:
        """Show the status of the source."""
        if bool(self._status.photos) != bool(status.photos):
            self._show_kind(bool(status.photos))
        previous, self._status = self._status, status
        self._loop_range(previous.position)
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
                self.seek_bar.setValue(round(share * SEEK_STEPS))
        self.seek_bar.setEnabled(bool(status.duration))
        duration = "" if status.duration is None else f" / {format_time(int(status.duration))}"
        self.time.setText(f"{format_time(int(status.position))}{duration}")
        self.frame.setText(
            self.tr("frame {0}").format(frame_number(status.position, status.rate)) if status.rate else ""
        )
        self._show_range()

    def minimumSizeHint(self) -> QSize:
        """Return a width at which the bar is still usable. Narrower than its controls, it hides some of them."""
        return QSize(200, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Hide what does not fit."""
        super().resizeEvent(event)
        self._show_range()

    @property
    def _has_timeline(self) -> bool:
        return self._status.seekable and not self._status.photos and bool(self._status.duration)

    def _set_range(self, playback_range: PlaybackRange) -> None:
        self._ranges[self._file] = playback_range
        self._show_range()

    def _loop_range(self, previous: Fraction) -> None:
        """Continue at the in point if a looped file has left its range since the previous position."""
        status, shown = self._status, self.playback_range
        is_looping = status.loop and status.state is SourceState.RUNNING and self._has_timeline
        if not is_looping or self.seek_bar.isSliderDown() or time.monotonic() < self._ignore_until:
            return
        start = shown.first or Fraction(0)
        is_after = shown.last is not None and status.position > shown.last
        has_wrapped = status.position < start <= previous
        if is_after or has_wrapped:
            self._ignore_until = time.monotonic() + _HOLD_SECONDS
            self._session.seek(start)

    def _drag_range(self, playback_range: PlaybackRange, time: Fraction) -> None:
        self._set_range(playback_range)
        self._session.seek(time)  # show the frame at the point

    def _show_range(self) -> None:
        shown, timeline, width = self.playback_range, not self._status.photos, self.width()
        for widget in self._wide_widgets:
            widget.setVisible(self._has_timeline and width >= _WIDTHS[0])
        self.clear_button.setVisible(self._has_timeline and not shown.is_whole and width >= _WIDTHS[1])
        self.speed_box.setVisible(timeline and width >= _WIDTHS[1])
        self.loop_button.setVisible(timeline and width >= _WIDTHS[2])
        self.seek_bar.show_range(shown, self._status.duration)

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
            self._session.seek(self._status.duration * Fraction(value, SEEK_STEPS))
