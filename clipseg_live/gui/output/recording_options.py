"""Panel with the recording options."""

from collections.abc import Callable, Sequence

from pydantic import ValidationError
from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QWidget,
)

from clipseg_live.core.settings.data_formats import FORMAT_SPECS, find_format
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.gui.state.thread_bridge import BackgroundTask
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import ChoiceBox, SegmentedControl, hint_label, panel_style_sheet
from clipseg_live.gui.widgets.number_range import NumberRange
from clipseg_live.gui.widgets.slider_field import SliderField

RECORDING_PANEL_WIDTH = 420
PARTS: tuple[tuple[float | None, int | None], ...] = (
    (None, None), (300.0, None), (900.0, None), (3600.0, None), (None, 1_000_000_000), (None, 4_000_000_000),
)  # fmt: skip
"""Choices for beginning a new part: after seconds, after bytes, or never."""
REPLAYS = (0.0, 10.0, 30.0, 60.0, 120.0)
ListMicrophones = Callable[[], Sequence[str]]


class RecordingOptions(QFrame):
    """Popup with the recording options. It closes on Escape and on a click elsewhere.

    Attributes:
        changed: signal with new RecordingSettings.
        folder_requested: signal, the user wants to choose another folder.
    """

    changed = Signal(object)
    folder_requested = Signal()

    def __init__(
        self, settings: RecordingSettings, folder: str, list_microphones: ListMicrophones, parent: QWidget
    ) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self._settings = settings
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        theme.set_kind(self, "card")
        self.setStyleSheet(panel_style_sheet() + "QPushButton[kind='value'] { text-align: left; padding: 0 8px; }")
        self.setAccessibleName(self.tr("Recording options"))
        self.setFixedWidth(RECORDING_PANEL_WIDTH)
        self._make_controls(folder)
        self._lay_out()
        self._microphones: Sequence[str] = ()
        self._task = BackgroundTask(list_microphones, self)
        self._task.succeeded.connect(self._offer_microphones)
        self._task.failed.connect(lambda _: None)  # the default microphone is still offered
        self._task.start()
        self._show()
        self.tracks["composed"].setFocus()

    # ---- construction

    def _make_controls(self, folder: str) -> None:
        tracks = {
            "composed": self.tr("With effects"), "camera": self.tr("Source"), "mattes": self.tr("Masks"),
        }  # fmt: skip
        hints = {
            "composed": self.tr("Frames with effects, as shown."),
            "camera": self.tr("Source frames without effects. Nothing in them is hidden."),
            "mattes": self.tr("Masks in white on black."),
        }
        self.tracks: dict[str, QCheckBox] = {}
        for track, name in tracks.items():
            box = self.tracks[track] = QCheckBox(name, self)
            box.setAccessibleName(self.tr("Record: {0}").format(name))
            box.setToolTip(hints[track])
            box.clicked.connect(self._pick_tracks)
        self.data = QPushButton(self)
        theme.set_kind(self.data, "value")
        self.data.setAccessibleName(self.tr("Also save"))
        self.data_menu = QMenu(self)
        for form in FORMAT_SPECS.all():
            action = self.data_menu.addAction(data_name(form))
            action.setCheckable(True)
            action.setData(form)
            action.triggered.connect(self._pick_data)
        self.data.clicked.connect(lambda: self.data_menu.popup(self.data.mapToGlobal(self.data.rect().bottomLeft())))
        self.codec = self._choice(self.tr("Format"), "codec")
        self.codec.set_choices([
            ("h264", "H.264 (MP4)"), ("h265", "H.265 (MP4)"), ("av1", "AV1 (MP4)"), ("vp9", "VP9 (WebM)"),
            ("prores", "ProRes (MOV)"), ("ffv1", self.tr("FFV1, lossless (MKV)")),
        ])  # fmt: skip
        encoders: list[tuple[object, str]] = [("auto", self.tr("Hardware (auto)")), ("software", self.tr("Software"))]
        self.encoder = self._segments(self.tr("Encoder"), encoders, "encoder")
        numbers = NumberRange(top=100, default=70, step=1, decimals=0)
        self.quality = SliderField(self.tr("Quality"), numbers, bare=True, parent=self)
        self.quality.setFixedHeight(theme.CONTROL)
        self.quality.edited.connect(lambda value: self._edit(quality=round(value)))
        self.sound = ChoiceBox(self.tr("Audio"), self)
        self.sound.picked.connect(lambda value: self._edit(sound=value[0], microphone=value[1]))
        self.pattern = QLineEdit(self)
        self.pattern.setAccessibleName(self.tr("File name"))
        self.pattern.setToolTip(self.tr("Placeholders: {date}, {time}, {prompts}, {source}."))
        self.pattern.editingFinished.connect(self._take_pattern)
        self.problem = hint_label("", self)
        self.parts = ChoiceBox(self.tr("Split file"), self)
        lengths = (
            self.tr("Never"), self.tr("Every 5 minutes"), self.tr("Every 15 minutes"), self.tr("Every hour"),
            self.tr("Every 1 GB"), self.tr("Every 4 GB"),
        )  # fmt: skip
        self.parts.set_choices(tuple(zip(PARTS, lengths, strict=True)))
        self.parts.picked.connect(lambda value: self._edit(part_seconds=value[0], part_bytes=value[1]))
        changes: list[tuple[object, str]] = [("letterbox", self.tr("Letterbox")), ("part", self.tr("New file"))]
        self.on_change = self._segments(self.tr("If size changes"), changes, "on_change")
        self.replay = self._choice(self.tr("Instant replay"), "replay_seconds")
        self.replay.set_choices([
            (seconds, self.tr("Off") if not seconds else self.tr("Last {0} seconds").format(f"{seconds:g}"))
            for seconds in REPLAYS
        ])  # fmt: skip
        self.folder = QPushButton(self.fontMetrics().elidedText(folder, Qt.TextElideMode.ElideMiddle, 250), self)
        theme.set_kind(self.folder, "value")
        self.folder.setAccessibleName(self.tr("Folder: {0}").format(folder))
        self.folder.setToolTip(folder)
        self.folder.clicked.connect(self._ask_folder)

    def _choice(self, name: str, field: str) -> ChoiceBox:
        choice = ChoiceBox(name, self)
        choice.picked.connect(lambda value: self._edit(**{field: value}))
        return choice

    def _segments(self, name: str, choices: list[tuple[object, str]], field: str) -> SegmentedControl:
        segments = SegmentedControl(name, choices, self)
        segments.picked.connect(lambda value: self._edit(**{field: value}))
        return segments

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(14, 14, 14, 14)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(8)
        grid.setColumnMinimumWidth(0, 104)
        grid.setColumnStretch(1, 1)
        tracks = QHBoxLayout()
        tracks.setSpacing(12)
        for box in self.tracks.values():
            tracks.addWidget(box)
        tracks.addStretch(1)
        grid.addWidget(self._label(self.tr("Record"), self.tracks["composed"]), 0, 0)
        grid.addLayout(tracks, 0, 1)
        controls = (
            self.data, self.codec, self.encoder, self.quality, self.sound, self.pattern, self.problem, self.parts,
            self.on_change, self.replay, self.folder,
        )  # fmt: skip
        for row, control in enumerate(controls, start=1):
            name = self.tr("Folder") if control is self.folder else control.accessibleName()
            if control is not self.problem:
                grid.addWidget(self._label(name, control), row, 0)
            grid.addWidget(control, row, 1)

    def _label(self, text: str, control: QWidget) -> QLabel:
        label = QLabel(text, self)
        theme.set_kind(label, "muted")
        label.setBuddy(control)
        return label

    # ---- showing the settings

    def _show(self) -> None:
        settings = self._settings
        for track, box in self.tracks.items():
            box.setChecked(track in settings.tracks)
            box.setEnabled(settings.tracks != (track,))  # at least one track is required
        for action in self.data_menu.actions():
            action.setChecked(action.data() in settings.data)
        formats = [data_name(form) for form in settings.data]
        self.data.setText(", ".join(formats) if len(formats) < 3 else self.tr("{0} formats").format(len(formats)))
        if not formats:
            self.data.setText(self.tr("None"))
        self.codec.show_value(settings.codec)
        self.encoder.show_value(settings.encoder)
        self.quality.show_value(float(settings.quality))
        self.parts.show_value((settings.part_seconds, settings.part_bytes))
        self.on_change.show_value(settings.on_change)
        self.replay.show_value(settings.replay_seconds)
        self.quality.setEnabled(settings.codec != "ffv1")
        self._show_sound()
        if not self.pattern.hasFocus():
            self.pattern.setText(settings.pattern)
        self.problem.setVisible(bool(self.problem.text()))

    def _show_sound(self) -> None:
        choices: list[tuple[object, str]] = [
            (("source", ""), self.tr("From source")),
            (("microphone", ""), self.tr("Microphone")),
            *((("microphone", name), self.tr("Microphone: {0}").format(name)) for name in self._microphones),
            (("off", ""), self.tr("None")),
        ]
        current = (self._settings.sound, self._settings.microphone if self._settings.sound == "microphone" else "")
        if current not in [value for value, _ in choices]:
            choices.append((current, self.tr("Microphone: {0} (unavailable)").format(current[1])))
        self.sound.set_choices(choices)
        self.sound.show_value(current)

    def _offer_microphones(self, names: Sequence[str]) -> None:
        self._microphones = names
        self._show_sound()

    # ---- edits

    def _pick_tracks(self) -> None:
        self._edit(tracks=tuple(track for track, box in self.tracks.items() if box.isChecked()))

    def _pick_data(self) -> None:
        self._edit(data=tuple(action.data() for action in self.data_menu.actions() if action.isChecked()))

    def _take_pattern(self) -> None:
        text = self.pattern.text().strip()
        if text != self._settings.pattern:
            self._edit(pattern=text)

    def _ask_folder(self) -> None:
        self.close()
        self.folder_requested.emit()

    def _edit(self, **values: object) -> None:
        try:
            settings = RecordingSettings.model_validate({**self._settings.model_dump(), **values})
        except ValidationError as error:
            reason = str(error.errors(include_url=False)[0]["msg"]).removeprefix("Value error, ")
            self.problem.setText(reason[:1].upper() + reason[1:] + ".")
        else:
            self.problem.setText("")
            self._settings = settings
            self.changed.emit(settings)
        self._show()


def data_name(form: str) -> str:
    """Return the name of a data format shown to the user."""
    return QCoreApplication.translate("DataFormats", find_format(form).title)
