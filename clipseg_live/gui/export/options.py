"""Form with the options of an export."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import get_args

from pydantic import ValidationError
from PySide6.QtCore import Signal
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QCheckBox, QDoubleSpinBox, QGridLayout, QLabel, QMenu, QPushButton, QSpinBox, QWidget

from clipseg_live.core.settings.data_formats import FORMAT_SPECS, find_format
from clipseg_live.core.settings.export_choices import ExportChoices, MaskKind
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import ChoiceBox, SegmentedControl, hint_label
from clipseg_live.gui.widgets.controls import tool_button
from clipseg_live.gui.widgets.number_range import NumberRange
from clipseg_live.gui.widgets.slider_field import SliderField

_DEFAULT_QUALITY = 70
_RATES = ("10", "12", "15", "24000/1001", "24", "30000/1001", "30", "50", "60")
_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".webp", ".gif", ".png", ".jpg")
_CODECS = (
    ("h264", "H.264"), ("h265", "H.265"), ("av1", "AV1"), ("vp9", "VP9"), ("prores", "ProRes"), ("ffv1", "FFV1"),
)  # fmt: skip


class _NumberBox(QSpinBox):
    """Spin box that leaves the wheel to the dialog, so that scrolling changes no value under the pointer."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


class _ShareBox(QDoubleSpinBox):
    """As ``_NumberBox``, for shares."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


class ExportForm(QWidget):
    """Shows ExportChoices and lets the user change them.

    Attributes:
        changed: signal with new ExportChoices.
    """

    changed = Signal(object)

    def __init__(self, choices: ExportChoices, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._choices = choices
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(theme.UNIT + 2)
        self._grid.setVerticalSpacing(theme.UNIT)
        self._grid.setColumnMinimumWidth(0, 112)
        self._grid.setColumnStretch(1, 1)
        self._labels: dict[QWidget, QLabel] = {}
        self._make_basic()
        self.more_button = tool_button("down", self.tr("More options"), checkable=True, text=self.tr("More options"))
        self._grid.addWidget(self.more_button, self._grid.rowCount(), 0, 1, 2)
        basic = set(self._labels)
        self._make_more()
        self._more = [widget for widget in self._labels if widget not in basic]
        self.problem = hint_label("", self)
        theme.set_kind(self.problem, "problem")
        self._grid.addWidget(self.problem, self._grid.rowCount(), 1)
        self.more_button.toggled.connect(self.show_more)
        self.show_more(False)
        self._show()

    @property
    def choices(self) -> ExportChoices:
        """The chosen options."""
        return self._choices

    def show_more(self, more: bool) -> None:
        """Show or hide the options that are needed less often."""
        for widget in self._more:
            widget.setVisible(more)
            self._labels[widget].setVisible(more)
        self.more_button.setIcon(theme.icon("up" if more else "down"))

    def _make_basic(self) -> None:
        automatic = (None, self.tr("Automatic"))
        self.suffix = self._choice("suffix", self.tr("File type"), [automatic, *((end, end) for end in _SUFFIXES)])
        self.suffix.setToolTip(self.tr("Automatic: MP4 for videos; photos keep their type if it can be written."))
        self.codec = self._choice("codec", self.tr("Codec"), [automatic, *_CODECS])
        numbers = NumberRange(top=100, default=_DEFAULT_QUALITY, step=1, decimals=0)
        self.quality = SliderField(self.tr("Quality"), numbers, bare=True, parent=self)
        self.quality.setFixedHeight(theme.CONTROL)
        self.quality.edited.connect(lambda value: self._edit(quality=round(value)))
        self._add(self.tr("Quality"), self.quality)
        self.data = QPushButton(self)
        self.data.setStyleSheet("text-align: left; padding: 0 8px;")
        self.data.setAccessibleName(self.tr("Data"))
        self.data_menu = QMenu(self)
        for name, spec in FORMAT_SPECS.all().items():
            action = self.data_menu.addAction(spec.title)
            action.setCheckable(True)
            action.setData(name)
            action.triggered.connect(self._pick_data)
        self.data.clicked.connect(lambda: self.data_menu.popup(self.data.mapToGlobal(self.data.rect().bottomLeft())))
        self._add(self.tr("Data"), self.data)
        self.masks = self._choice(
            "masks",
            self.tr("Mask files"),
            [(None, self.tr("None")), *((kind, find_format(kind).title) for kind in get_args(MaskKind))],
        )
        self.overwrite = self._check("overwrite", self.tr("Existing results"), self.tr("Replace"))

    def _make_more(self) -> None:
        self.alpha = self._check("alpha", self.tr("Background"), self.tr("Transparent outside the masks"))
        self.hdr = self._segments("hdr", self.tr("HDR video"), [("sdr", self.tr("To SDR")), ("keep", self.tr("Keep"))])
        self.temporal = self._segments(
            "temporal", self.tr("Masks use"), [("lookahead", self.tr("Later frames")), ("causal", self.tr("As live"))]
        )
        self.sequence = self._check("sequence", self.tr("Photos"), self.tr("As the frames of one video"))
        rates: list[tuple[object, str]] = [(None, self.tr("25 fps"))]
        rates += [(Fraction(rate), f"{float(Fraction(rate)):.5g} fps") for rate in _RATES]
        self.rate = self._choice("rate", self.tr("Their frame rate"), rates)
        self.every = self._number("every", self.tr("Data of"), self.tr("every {0} frames"), 1, 10_000)
        self.every.setSpecialValueText(self.tr("every frame"))
        self.only_present = self._check("only_present", self.tr("Data only"), self.tr("Frames with a detection"))
        self.segmentation = self._segments(
            "segmentation", self.tr("COCO masks"), [("polygon", self.tr("Polygons")), ("rle", self.tr("RLE"))]
        )
        self.instances = self._segments(
            "instances",
            self.tr("Annotations"),
            [("component", self.tr("Connected parts")), ("prompt", self.tr("Whole prompts"))],
        )
        self.split = _ShareBox(self)
        self.split.setRange(0.0, 0.99)
        self.split.setSingleStep(0.05)
        self.split.setSpecialValueText(self.tr("All"))
        self.split.setToolTip(self.tr("YOLO: share of the images for training. The others are for validation."))
        self.split.valueChanged.connect(lambda value: self._edit(split=round(value, 2) or None))
        self._add(self.tr("For training"), self.split)
        self.seed = self._number("seed", self.tr("Seed of division"), "{0}", 0, 2**31 - 1)
        self.keep_partial = self._check("keep_partial", self.tr("If stopped"), self.tr("Keep the finished part"))
        self.jobs = self._number("jobs", self.tr("At the same time"), self.tr("{0} files"), 1, 64)
        self.jobs.setSpecialValueText(self.tr("1 file"))

    def _add(self, name: str, control: QWidget) -> None:
        label = QLabel(name, self)
        theme.set_kind(label, "muted")
        label.setBuddy(control)
        row = self._grid.rowCount()
        self._grid.addWidget(label, row, 0)
        self._grid.addWidget(control, row, 1)
        self._labels[control] = label
        control.setAccessibleName(name)
        if isinstance(control, QSpinBox | QDoubleSpinBox):
            control.setFixedHeight(theme.CONTROL)
            control.lineEdit().setTextMargins(theme.UNIT - 2, 0, 0, 0)

    def _choice(self, field: str, name: str, choices: Sequence[tuple[object, str]]) -> ChoiceBox:
        box = ChoiceBox(name, self)
        box.set_choices(choices)
        box.picked.connect(self._editor(field))
        self._add(name, box)
        return box

    def _segments(self, field: str, name: str, choices: list[tuple[object, str]]) -> SegmentedControl:
        control = SegmentedControl(name, choices, self)
        control.picked.connect(self._editor(field))
        self._add(name, control)
        return control

    def _check(self, field: str, name: str, text: str) -> QCheckBox:
        box = QCheckBox(text, self)
        box.clicked.connect(self._editor(field))
        self._add(name, box)
        box.setAccessibleName(f"{name}: {text}")
        return box

    def _number(self, field: str, name: str, pattern: str, low: int, top: int) -> QSpinBox:
        box = _NumberBox(self)
        box.setRange(low, top)
        before, _, after = pattern.partition("{0}")
        box.setPrefix(before)
        box.setSuffix(after)
        box.valueChanged.connect(self._editor(field))
        self._add(name, box)
        return box

    def _editor(self, field: str) -> Callable[[object], None]:
        return lambda value: self._edit(**{field: value})

    def _pick_data(self) -> None:
        self._edit(data=tuple(action.data() for action in self.data_menu.actions() if action.isChecked()))

    def _edit(self, **values: object) -> None:
        try:
            choices = ExportChoices.model_validate({**dict(self._choices), **values})
        except ValidationError as error:
            reason = str(error.errors(include_url=False)[0]["msg"]).removeprefix("Value error, ")
            self.problem.setText(reason[:1].upper() + reason[1:] + ".")
        else:
            self.problem.setText("")
            if choices != self._choices:
                self._choices = choices
                self.changed.emit(choices)
        self._show()

    def _show(self) -> None:
        choices = self._choices
        for name in ("suffix", "codec", "masks", "hdr", "temporal", "segmentation", "instances", "rate"):
            getattr(self, name).show_value(getattr(choices, name))
        for name in ("overwrite", "alpha", "only_present", "keep_partial", "sequence"):
            getattr(self, name).setChecked(getattr(choices, name))
        self.rate.setEnabled(choices.sequence)
        for name in ("every", "seed", "jobs"):
            getattr(self, name).setValue(getattr(choices, name))
        self.split.setValue(choices.split or 0.0)
        self.quality.show_value(float(_DEFAULT_QUALITY if choices.quality is None else choices.quality))
        specs = FORMAT_SPECS.all()
        for action in self.data_menu.actions():
            action.setChecked(action.data() in choices.data)
        titles = [specs[name].title for name in choices.data]
        self.data.setText(", ".join(titles) if 0 < len(titles) < 3 else self.tr("{0} formats").format(len(titles)))
        if not titles:
            self.data.setText(self.tr("None"))
        self.problem.setVisible(bool(self.problem.text()))
