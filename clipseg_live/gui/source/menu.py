"""Menus that choose the source and transform its frames."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLabel,
    QLineEdit,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from clipseg_live.core.addresses import SECURE_PORTS, SourceName, address_problem
from clipseg_live.core.settings.live import FrameTransform, SourceSpec
from clipseg_live.gui.source.screen_picker import ScreenPicker
from clipseg_live.gui.state.services import Services
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.state.thread_bridge import BackgroundTask
from clipseg_live.gui.widgets import theme

DEMO_ENTRY = SourceSpec(name=SourceName("demo:"))
_MOST_TITLE = 32
_MENU_CLOSE_MILLISECONDS = 200
"""Milliseconds until a closing menu has left the screen."""


def source_title(spec: SourceSpec, cameras: Sequence[tuple[str, str]] = ()) -> str:
    """Return the name of a source shown to the user.

    Addresses are shown without user, password and query.

    Args:
        spec: the source.
        cameras: (name for a SourceSpec, name shown to the user) of known cameras.
    """
    names, name = dict(cameras), str(spec.name)
    if name in names:
        return names[name]
    rest = name.partition(":")[2]
    if spec.name.startswith("demo:"):
        return f"Demo scene {rest}".strip()
    if spec.name.startswith("screen:"):
        region = rest.split(",")
        return f"Screen, {region[2]} × {region[3]}" if len(region) == 4 else "Screen"
    if spec.name.startswith("camera:"):
        return f"Camera {rest}" if rest.isdigit() else rest
    title = name if spec.name.is_address else Path(name).name or name
    return f"{title} and {len(spec.more)} more" if spec.more else title


class SourceMenu(QToolButton):
    """Button with the name of the source and the menu of all sources.

    Attributes:
        chosen: signal with a SourceSpec.
        camera_options_requested: signal, the user wants the options of the camera.
        problem: signal with an error message for the user, "" when its cause is gone.
    """

    chosen = Signal(object)
    camera_options_requested = Signal()
    problem = Signal(str)

    def __init__(self, services: Services, recent: Callable[[], Sequence[SourceSpec]], parent: QWidget) -> None:
        super().__init__(parent)
        self._services = services
        self._recent = recent
        self._spec: SourceSpec | None = None
        self._cameras: Sequence[tuple[str, str]] = ()
        self._has_searched = False
        self.picker: ScreenPicker | None = None
        self._task = BackgroundTask(services.list_cameras, self)
        self._task.succeeded.connect(self._show_cameras)
        self._task.failed.connect(self._show_search_error)
        self.setIcon(theme.icon("video"))
        self.setIconSize(theme.icon_size())
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._menu = QMenu(self)
        self._menu.setAccessibleName(self.tr("Source"))
        self._menu.aboutToShow.connect(self._open_menu)
        self.setMenu(self._menu)
        self.show_source(None)

    def show_source(self, spec: SourceSpec | None) -> None:
        """Show the name of the open source; None for none."""
        self._spec = spec
        title = self.title() if spec is not None else self.tr("Choose source")
        limit = _MOST_TITLE
        self.setText(" " + (title if len(title) <= limit else title[: limit // 2] + "…" + title[-limit // 2 :]))
        self.setAccessibleName(self.tr("Source: {0}").format(title))
        self.setToolTip(title)

    def title(self) -> str:
        """Return the name of the open source, "" for none."""
        return source_title(self._spec, self._cameras) if self._spec is not None else ""

    def ask_file(self) -> None:
        """Let the user choose video or image files."""
        dialog = QFileDialog(self.window(), self.tr("Open videos or images"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setNameFilters(
            [
                self.tr("Videos and images")
                + " (*.mp4 *.mov *.mkv *.webm *.avi *.m4v *.ts *.mpg *.gif"
                + " *.png *.jpg *.jpeg *.webp *.bmp *.tif *.tiff)",
                self.tr("All files") + " (*)",
            ]
        )
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.filesSelected.connect(self._choose_files)
        dialog.open()

    def ask_folder(self) -> None:
        """Let the user choose a folder of photos or videos."""
        dialog = QFileDialog(self.window(), self.tr("Open folder"))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: self.chosen.emit(SourceSpec(name=SourceName(path))))
        dialog.open()

    def _choose_files(self, paths: Sequence[str]) -> None:
        first, *more = map(SourceName, paths)
        self.chosen.emit(SourceSpec(name=first, more=tuple(more)))

    def ask_address(self) -> None:
        """Let the user type the address of a stream."""
        dialog = AddressDialog(self.window())
        dialog.chosen.connect(self.chosen)
        dialog.open()

    def choose_demo(self) -> None:
        """Choose the demo scene."""
        self.chosen.emit(DEMO_ENTRY)

    def ask_region(self) -> None:
        """Let the user select a region of the screen."""
        if self.picker is None:
            self.picker = ScreenPicker(self.window())
            self.picker.picked.connect(self._choose_region)
            self.picker.ended.connect(self._release_picker)
            self.picker.show()

    def _choose_region(self, left: int, top: int, width: int, height: int) -> None:
        self.chosen.emit(SourceSpec(name=SourceName(f"screen:{left},{top},{width},{height}")))

    def _release_picker(self) -> None:
        self.picker = None

    def _open_menu(self) -> None:
        self._task.start()
        self._fill()

    def _show_cameras(self, cameras: Sequence[tuple[str, str]]) -> None:
        self._has_searched = True
        self._cameras = tuple(cameras)
        self.problem.emit("")
        self._fill()
        self.show_source(self._spec)

    def _show_search_error(self, problem: str) -> None:
        self._has_searched = True
        self._cameras = ()
        self._fill()
        self.problem.emit(problem)

    def _fill(self) -> None:
        menu = self._menu
        menu.clear()
        for name, title in self._cameras:
            self._add(menu, "video", title, SourceSpec(name=SourceName(name)))
        if not self._cameras:
            note = self.tr("No camera found") if self._has_searched else self.tr("Searching for cameras…")
            menu.addAction(theme.icon("video"), note).setEnabled(False)
        options = menu.addAction(theme.icon("sliders"), self.tr("Camera options…"), self.camera_options_requested.emit)
        options.setEnabled(self._spec is not None and self._spec.name.startswith("camera:"))
        menu.addSeparator()
        menu.addAction(theme.icon("file"), self.tr("Open file…"), self.ask_file)
        menu.addAction(theme.icon("folder"), self.tr("Open folder…"), self.ask_folder)
        menu.addAction(theme.icon("link"), self.tr("Open address…"), self.ask_address)
        if self._services.has_screen():
            self._add(menu, "screen", self.tr("Screen"), SourceSpec(name=SourceName("screen:")))
            # wait for the menu to close, or the image of the screen would contain it
            wait = partial(QTimer.singleShot, _MENU_CLOSE_MILLISECONDS, self, self.ask_region)
            menu.addAction(theme.icon("box"), self.tr("Screen region…"), wait)
        self._add(menu, "demo", self.tr("Demo scene"), DEMO_ENTRY)
        recent = [spec for spec in self._recent() if not spec.name.startswith(("camera:", "demo:"))]
        if recent:
            menu.addSeparator()
        for spec in recent:
            self._add(menu, "recent", source_title(spec), spec)

    def _add(self, menu: QMenu, icon: str, title: str, spec: SourceSpec) -> None:
        action = menu.addAction(theme.icon(icon), title.replace("&", "&&"), lambda: self.chosen.emit(spec))
        action.setToolTip(title)
        if self._spec is not None and (self._spec.name, self._spec.more) == (spec.name, spec.more):
            action.setIcon(theme.icon("check", theme.ACCENT))


class AddressDialog(QDialog):
    """Dialog that asks for the address of a stream.

    Attributes:
        chosen: signal with a SourceSpec.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Open address"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(480)
        self.field = QLineEdit()
        self.field.setPlaceholderText("rtsp://192.168.1.20/stream")
        self.field.setAccessibleName(self.tr("Address"))
        hint = QLabel(self.tr("Network camera or stream (rtsp, rtmp, http or https)"))
        theme.set_kind(hint, "muted")
        self.insecure_box = QCheckBox(self.tr("Accept any certificate"))
        self.insecure_box.setToolTip(
            self.tr("For servers with a certificate that cannot be verified, for example a self-signed one.")
        )
        self.insecure_box.hide()
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Open | QDialogButtonBox.StandardButton.Cancel)
        self.open_button = buttons.button(QDialogButtonBox.StandardButton.Open)
        theme.set_kind(self.open_button, "primary")
        self.open_button.setEnabled(False)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(*[2 * theme.UNIT] * 4)
        layout.setSpacing(theme.UNIT)
        layout.addWidget(self.field)
        layout.addWidget(hint)
        layout.addWidget(self.insecure_box)
        layout.addSpacing(theme.UNIT)
        layout.addWidget(buttons)
        self.field.textChanged.connect(self._check)
        self.accepted.connect(self._choose)

    def _check(self, text: str) -> None:
        self.open_button.setEnabled(not address_problem(text))
        self.insecure_box.setVisible(text.strip().partition("://")[0].lower() in SECURE_PORTS)

    def _choose(self) -> None:
        insecure = self.insecure_box.isVisibleTo(self) and self.insecure_box.isChecked()
        self.chosen.emit(SourceSpec(name=SourceName(self.field.text().strip()), insecure=insecure))


class FramingMenu(QToolButton):
    """Menu that mirrors, turns and crops the frames.

    Attributes:
        crop_requested: signal, the user wants to draw the crop.
    """

    crop_requested = Signal()

    def __init__(self, store: Store, parent: QWidget) -> None:
        super().__init__(parent)
        self._store = store
        theme.set_kind(self, "plain")
        self.setIcon(theme.icon("crop"))
        self.setIconSize(theme.icon_size())
        self.setToolTip(self.tr("Mirror, rotate, crop"))
        self.setAccessibleName(self.tr("Mirror, rotate, crop"))
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        menu = QMenu(self)
        self.mirror_action = menu.addAction(theme.icon("mirror"), self.tr("Mirror"), self.mirror)
        self.turn_action = menu.addAction(theme.icon("turn"), self.tr("Rotate 90°"), self.turn)
        self.crop_action = menu.addAction(theme.icon("crop"), self.tr("Crop…"), self.crop_requested.emit)
        menu.addSeparator()
        self.whole_action = menu.addAction(theme.icon("undo"), self.tr("Remove crop"), self.uncrop)
        self.setMenu(menu)
        store.changed.connect(self._show)
        self._show()

    def mirror(self) -> None:
        """Mirror the frames, or stop mirroring."""
        framing = self._store.settings.framing
        self._set(framing.model_copy(update={"mirror": not framing.mirror}))

    def turn(self) -> None:
        """Turn the frames by 90° clockwise."""
        framing = self._store.settings.framing
        # mirroring follows turning, so a mirrored frame turns in the opposite direction
        step = -90 if framing.mirror else 90
        self._set(framing.model_copy(update={"turn": (framing.turn + step) % 360}))

    def uncrop(self) -> None:
        """Remove the crop."""
        self._set(self._store.settings.framing.model_copy(update={"crop": None}))

    def _set(self, framing: FrameTransform) -> None:
        self._store.update(framing=framing)

    def _show(self) -> None:
        framing = self._store.settings.framing
        self.mirror_action.setIcon(theme.icon("check", theme.ACCENT) if framing.mirror else theme.icon("mirror"))
        self.whole_action.setEnabled(framing.crop is not None)
        changed = framing != FrameTransform()
        self.setIcon(theme.icon("crop", theme.ACCENT if changed else theme.TEXT))
