"""Controls for the mask settings: smoothing, motion, edges and overlap of prompts."""

from collections.abc import Sequence

from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import SegmentedControl
from clipseg_live.gui.widgets.slider_field import SliderField


class MatteSection(QWidget):
    """Controls for the fields of ``MatteSettings`` in the store."""

    def __init__(self, store: Store, parent: QWidget) -> None:
        super().__init__(parent)
        self._store = store
        on_off = [(True, self.tr("On")), (False, self.tr("Off"))]
        self.smoothing = self._slide(self.tr("Steadiness"), "smoothing")
        self.follow = self._segments(self.tr("Follow motion"), "follow", on_off)
        self.refine = self._segments(self.tr("Crisp edges"), "refine", on_off)
        kinds = [("independent", self.tr("Separate")), ("exclusive", self.tr("Exclusive"))]
        self.together = self._segments(self.tr("Prompts"), "together", kinds)
        self.none_level = self._slide(self.tr("None under"), "none_level")
        self.auto_hide = self._segments(self.tr("Hide absent"), "auto_hide", on_off)
        self.present = self._slide(self.tr("Present from"), "present")
        self._hints = {
            self.smoothing: self.tr("0 believes every answer at once; more is calmer."),
            self.follow: self.tr("Mattes move with the picture between two answers."),
            self.refine: self.tr("Borders follow the picture's edges."),
            self.together: self.tr("Exclusive: each pixel goes to one prompt, or to none."),
            self.none_level: self.tr("Pixels whose best probability is lower belong to no prompt."),
            self.auto_hide: self.tr("A prompt that is not in the picture is not drawn."),
            self.present: self.tr("From this presence on a prompt counts as there."),
        }
        self._labels: dict[QWidget, QLabel] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(8)
        grid.setColumnMinimumWidth(0, 78)
        grid.setColumnStretch(1, 1)
        for row, (control, hint) in enumerate(self._hints.items()):
            label = QLabel(control.accessibleName(), self)
            theme.set_kind(label, "muted")
            label.setBuddy(control)
            control.setToolTip(hint)
            control.setStatusTip(hint)
            self._labels[control] = label
            grid.addWidget(label, row, 0)
            grid.addWidget(control, row, 1)
        store.changed.connect(self._show)
        self._show()

    def reset(self) -> None:
        """Restore the default mask settings."""
        self._store.update(matte=MatteSettings())

    def _slide(self, title: str, name: str) -> SliderField:
        default = MatteSettings.model_fields[name].default
        slide = SliderField(title, bare=True, default=default, parent=self)
        slide.setFixedHeight(theme.CONTROL)
        slide.edited.connect(lambda value: self._edit(name, value, f"matte {name}"))
        slide.released.connect(self._store.end_merge)
        return slide

    def _segments(self, title: str, name: str, choices: Sequence[tuple[object, str]]) -> SegmentedControl:
        segments = SegmentedControl(title, choices, self)
        segments.setAccessibleName(title)
        segments.picked.connect(lambda value: self._edit(name, value))
        return segments

    def _edit(self, name: str, value: object, merge: str = "") -> None:
        self._store.update(merge, matte=self._store.settings.matte.model_copy(update={name: value}))

    def _show(self) -> None:
        matte = self._store.settings.matte
        for name in ("smoothing", "follow", "refine", "together", "none_level", "auto_hide", "present"):
            getattr(self, name).show_value(getattr(matte, name))
        for control, shown in ((self.none_level, matte.together == "exclusive"), (self.present, matte.auto_hide)):
            control.setVisible(shown)
            self._labels[control].setVisible(shown)
