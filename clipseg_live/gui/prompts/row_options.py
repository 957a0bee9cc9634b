"""Panel with the role and the mask shape of a prompt."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QWidget

from clipseg_live.core.settings.base import MatteShape, PromptStyle
from clipseg_live.core.settings.live import PromptRow
from clipseg_live.gui.prompts import edits
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import ChoiceBox, SegmentedControl, hint_label, panel_style_sheet
from clipseg_live.gui.widgets.number_range import NumberRange, bound
from clipseg_live.gui.widgets.slider_field import SliderField

ROW_PANEL_WIDTH = 320
_REACH = 5.0
"""Range of the sliders for lengths, in percent of the frame's shorter side."""
_AREA = 2.0
"""Top of the sliders for areas, in percent of the frame's area."""
_ALL, _SEVERAL = "all", "several"


class RowOptions(QFrame):
    """Popup that shows role, competing prompts and mask shape of one row and requests edits of them.

    It closes when the row is deleted, on Escape, and on a click elsewhere.
    """

    def __init__(self, row_id: int, store: Store, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self._row_id = row_id
        self._store = store
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        theme.set_kind(self, "card")
        self.setStyleSheet(panel_style_sheet())
        self.setAccessibleName(self.tr("Mask options"))
        self.setFixedWidth(ROW_PANEL_WIDTH)
        self._make_controls()
        self._lay_out()
        store.changed.connect(self._show)
        self._show()
        self.role.button("positive").setFocus()

    # ---- construction

    def _make_controls(self) -> None:
        roles = [("positive", self.tr("Show")), ("negative", self.tr("Subtract")), ("contrast", self.tr("Compete"))]
        self.role = SegmentedControl(self.tr("Role"), roles, self)
        self.role.picked.connect(lambda role: self._edit(role=role))
        self.role_hint = hint_label("", self)
        self.targets = ChoiceBox(self.tr("Applies to"), self)
        self.targets.picked.connect(self._set_targets)
        self.grow = self._add_slider(self.tr("Grow"), "grow", -_REACH, _REACH)
        self.feather = self._add_slider(self.tr("Feather"), "feather", -_REACH, _REACH)
        self.min_area = self._add_slider(self.tr("Minimum area"), "min_area", 0.0, _AREA)
        self.fill_holes = self._add_slider(self.tr("Fill holes"), "fill_holes", 0.0, _AREA)
        self.reset = QPushButton(self.tr("Reset"), self)
        self.reset.setAccessibleName(self.tr("Reset mask options"))
        self.reset.clicked.connect(lambda: self._edit(role="positive", targets=(), shape=MatteShape()))

    def _add_slider(self, title: str, name: str, low: float, top: float) -> SliderField:
        field = MatteShape.model_fields[name]
        least, most = bound(field, "ge"), bound(field, "le")
        numbers = NumberRange(low, top, field.default, least, most, unit="%", shortest=True)
        slider = SliderField(title, numbers, bare=True, parent=self)
        slider.setFixedHeight(theme.CONTROL)
        slider.edited.connect(lambda value: self._edit_shape(name, value))
        slider.released.connect(self._store.end_merge)
        return slider

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(12, 12, 12, 12)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(8)
        grid.setColumnMinimumWidth(0, 84)
        grid.setColumnStretch(1, 1)
        grid.addWidget(self.role, 0, 0, 1, 2)
        grid.addWidget(self.role_hint, 1, 0, 1, 2)
        self._targets_label = self._label(self.targets)
        controls = (self.targets, self.grow, self.feather, self.min_area, self.fill_holes)
        hints = (
            self.tr("Prompts that this one is subtracted from or competes with."),
            self.tr("Percent of the frame's shorter side. Negative values shrink the mask."),
            self.tr("Width of the soft border outside the mask. Negative: inside."),
            self.tr("Removes parts that cover less of the frame."),
            self.tr("Fills holes that cover less of the frame."),
        )
        for row, (control, hint) in enumerate(zip(controls, hints, strict=True), start=2):
            control.setToolTip(hint)
            grid.addWidget(self._targets_label if control is self.targets else self._label(control), row, 0)
            grid.addWidget(control, row, 1)
        last = QHBoxLayout()
        last.addStretch(1)
        last.addWidget(self.reset)
        grid.addLayout(last, grid.rowCount(), 0, 1, 2)

    def _label(self, control: QWidget) -> QLabel:
        label = QLabel(control.accessibleName(), self)
        theme.set_kind(label, "muted")
        label.setBuddy(control)
        return label

    # ---- showing the Store

    def _show(self) -> None:
        row = edits.row_of(self._store.settings, self._row_id)
        if row is None:
            self.close()
            return
        style = row.style
        self.role.show_value(style.role)
        hints = {
            "positive": self.tr("Draws the mask of this prompt."),
            "negative": self.tr("Removes this prompt's area from the other masks."),
            "contrast": self.tr("Other prompts count only where they score higher than this one."),
        }
        self.role_hint.setText(hints[style.role])
        self._show_targets(row)
        for name in ("grow", "feather", "min_area", "fill_holes"):
            getattr(self, name).show_value(getattr(style.shape, name))
            getattr(self, name).setEnabled(style.role == "positive")
        plain = PromptStyle()
        self.reset.setEnabled((style.role, style.targets, style.shape) != (plain.role, plain.targets, plain.shape))

    def _show_targets(self, row: PromptRow) -> None:
        others = [other for other in self._store.settings.rows if other.id != row.id and other.style.role == "positive"]
        choices: list[tuple[object, str]] = [(_ALL, self.tr("All shown prompts"))]
        choices += [(other.id, other.text or self.tr("Image")) for other in others]
        targets = row.style.targets
        is_single = len(targets) == 1 and targets[0] in {other.id for other in others}
        if targets and not is_single:
            choices.append((_SEVERAL, self.tr("Several")))
        self.targets.set_choices(choices)
        self.targets.show_value(_ALL if not targets else targets[0] if is_single else _SEVERAL)
        for widget in (self.targets, self._targets_label):
            widget.setVisible(row.style.role != "positive")

    # ---- edits

    def _edit(self, merge: str = "", **values: object) -> None:
        row = edits.row_of(self._store.settings, self._row_id)
        if row is not None:
            style = row.style.model_copy(update=values)
            self._store.edit_row(row.model_copy(update={"style": style}), f"{merge} {row.id}" if merge else "")

    def _edit_shape(self, name: str, value: float) -> None:
        row = edits.row_of(self._store.settings, self._row_id)
        if row is not None:
            self._edit(name, shape=row.style.shape.model_copy(update={name: value}))

    def _set_targets(self, value: object) -> None:
        if value != _SEVERAL:
            self._edit(targets=() if value == _ALL else (value,))
