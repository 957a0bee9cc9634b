"""Controls for the mask settings: smoothing, motion, edges and overlap of prompts."""

from collections.abc import Sequence

from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import SegmentedControl
from clipseg_live.gui.widgets.number_range import NumberRange
from clipseg_live.gui.widgets.slider_field import SliderField

LABEL_WIDTH = 104
"""Width of the labels next to the controls, in pixels; all sections of the panel are aligned."""


class MaskSettings(QWidget):
    """Controls for the fields of ``MatteSettings`` in the store."""

    def __init__(self, store: Store, parent: QWidget) -> None:
        super().__init__(parent)
        self._store = store
        on_off = [(True, self.tr("On")), (False, self.tr("Off"))]
        self.smoothing = self._add_slider(self.tr("Smoothing"), "smoothing")
        self.motion_tracking = self._segments(self.tr("Follow motion"), "motion_tracking", on_off)
        levels = [("off", self.tr("Off")), ("fast", self.tr("Fast")), ("best", self.tr("Best"))]
        self.edges = self._segments(self.tr("Snap to edges"), "edges", levels)
        kinds = [("independent", self.tr("Allow")), ("exclusive", self.tr("Prevent"))]
        self.overlap = self._segments(self.tr("Overlap"), "overlap", kinds)
        self.background_threshold = self._add_slider(self.tr("Min. probability"), "background_threshold")
        self.auto_hide = self._segments(self.tr("Hide undetected"), "auto_hide", on_off)
        self.presence_threshold = self._add_slider(self.tr("Min. presence"), "presence_threshold")
        self._hints = {
            self.smoothing: self.tr("0 = raw, reacts at once. Higher = less flicker."),
            self.motion_tracking: self.tr("Moves masks with the motion in the video between predictions."),
            self.edges: self.tr(
                "Aligns mask borders with the image. Best takes several times as long; use it for exports."
            ),
            self.overlap: self.tr("Prevent: each pixel belongs to at most one prompt."),
            self.background_threshold: self.tr("Pixels whose highest probability is lower belong to no prompt."),
            self.auto_hide: self.tr("Hides the mask of a prompt that is not detected in the frame."),
            self.presence_threshold: self.tr("A prompt is detected when its presence reaches this value."),
        }
        self._labels: dict[QWidget, QLabel] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(8)
        grid.setColumnMinimumWidth(0, LABEL_WIDTH)
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

    def _add_slider(self, title: str, name: str) -> SliderField:
        default = MatteSettings.model_fields[name].default
        slider = SliderField(title, NumberRange(default=default), bare=True, parent=self)
        slider.setFixedHeight(theme.CONTROL)
        slider.edited.connect(lambda value: self._edit(name, value, f"matte {name}"))
        slider.released.connect(self._store.end_merge)
        return slider

    def _segments(self, title: str, name: str, choices: Sequence[tuple[object, str]]) -> SegmentedControl:
        segments = SegmentedControl(title, choices, self)
        segments.setAccessibleName(title)
        segments.picked.connect(lambda value: self._edit(name, value))
        return segments

    def _edit(self, name: str, value: object, merge: str = "") -> None:
        self._store.update(merge, matte=self._store.settings.matte.model_copy(update={name: value}))

    def _show(self) -> None:
        matte = self._store.settings.matte
        for name in (
            "smoothing",
            "motion_tracking",
            "edges",
            "overlap",
            "background_threshold",
            "auto_hide",
            "presence_threshold",
        ):
            getattr(self, name).show_value(getattr(matte, name))
        for control, visible in (
            (self.background_threshold, matte.overlap == "exclusive"),
            (self.presence_threshold, matte.auto_hide),
        ):
            control.setVisible(visible)
            self._labels[control].setVisible(visible)
