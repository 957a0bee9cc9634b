"""Make the images of the README and the docs with the program itself: the demo scene and the built-in model.

    python scripts/make_pictures.py [FOLDER]        # docs/pictures by default

The images of the window are grabbed from the real window on Qt's offscreen platform.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout needs no installation

from clipseg_live import Prompt, Segmenter
from clipseg_live.core.frame import Frame, Pixels
from clipseg_live.core.mattes import MatteRequest, Mattes
from clipseg_live.core.protocols import Maps
from clipseg_live.core.settings.base import PromptStyle, prompt_styles
from clipseg_live.core.settings.effects import (
    KINDS,
    AnyEffect,
    Blur,
    CutOut,
    Glow,
    Heatmap,
    Labels,
    MatteView,
    Outline,
    Pixelate,
    Raw,
    SideBySide,
    Spotlight,
    Tint,
    Wipe,
)
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.settings.rendering import RenderSettings
from clipseg_live.demo.scenes import Scene
from clipseg_live.matting.causal import CausalMattes
from clipseg_live.media.safe_card import placeholder_card
from clipseg_live.rendering.renderer import EffectRenderer
from scripts.training.truth import scene_truth

PHRASES = ("red circle", "blue star", "yellow heart")
COLOURS = ((0, 216, 255), (255, 122, 0), (160, 60, 255))
"""Colours of the masks. Each differs from the colour of its object, so the masks are visible."""
SHEET: tuple[tuple[tuple[AnyEffect, ...], ...], ...] = (
    ((Tint(), Outline()), (Spotlight(), Glow(), Labels())),
    ((CutOut(),), (Heatmap(), Outline())),
    ((Blur(),), (Pixelate(),)),
)
FRAME_NUMBER = 0
"""Index of the frame of ``demo:`` in the still images."""
PROBABILITIES: tuple[tuple[tuple[AnyEffect, ...], ...], ...] = (
    ((Tint(), Outline(), Labels()), (Heatmap(),)),
    ((Raw(),), (MatteView(),)),
)
ANIMATION_WIDTH, FRAME_MILLISECONDS = 800, 100


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    scene = Scene(0, 1280, 720)
    frame = scene.picture(FRAME_NUMBER)
    prediction = Segmenter.load("shapes").segment(frame, [Prompt.text(phrase) for phrase in PHRASES])
    save(frame, folder / "scene.png")
    mattes = mattes_of(scene, prediction.probabilities)
    styles = prompt_styles(len(PHRASES), colours=COLOURS, opacity=0.65)
    (folder / "effects").mkdir(exist_ok=True)
    for kind, effect in KINDS.items():
        before = (Tint(), Outline()) if effect in (Wipe, SideBySide) else ()
        settings = RenderSettings(effects=(*before, effect()), styles=styles, names=PHRASES)
        drawn = EffectRenderer(settings).compose(frame, mattes)
        small = Image.fromarray(drawn).resize((480, 270), Image.Resampling.LANCZOS)
        small.save(folder / "effects" / f"{kind}.webp", quality=80, method=6)
    save(rendered(frame, mattes, styles, (Spotlight(), Outline(), Glow(), Labels())), folder / "demo.png")
    sheet = [np.hstack([rendered(frame, mattes, styles, each) for each in row]) for row in SHEET]
    save(np.vstack(sheet)[::2, ::2], folder / "effects.png")
    sheet = [np.hstack([rendered(frame, mattes, styles, each) for each in row]) for row in PROBABILITIES]
    small = Image.fromarray(np.vstack(sheet)).resize((1280, 720), Image.Resampling.LANCZOS)
    small.save(folder / "probabilities.webp", quality=85, method=6)
    rows, columns = np.nonzero(scene_truth(scene, FRAME_NUMBER).mask(PHRASES[0]))
    box = (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
    print(f"{PHRASES[0]} in scene.png: box={tuple(map(int, box))}")
    Image.fromarray(placeholder_card(640, 360)).save(folder / "safe-card.webp", quality=80, method=6)
    WindowPictures(folder).make()


def mattes_of(scene: Scene, maps: Maps) -> Mattes:
    """Return the mattes of frame ``FRAME_NUMBER``, as an export with causal mattes makes them."""
    numbers = tuple(range(len(maps)))
    pipeline, request = CausalMattes(), MatteRequest(numbers, numbers, prompt_styles(len(maps)), explain=True)
    frame = Frame(scene.picture(FRAME_NUMBER), FRAME_NUMBER, Fraction(FRAME_NUMBER, 30))
    pipeline.take(maps, numbers, FRAME_NUMBER)
    pipeline.show(frame, request.settings)
    return pipeline.mattes(frame, request)


def rendered(frame: Pixels, mattes: Mattes, styles: tuple[PromptStyle, ...], effects: tuple[AnyEffect, ...]) -> Pixels:
    return EffectRenderer(RenderSettings(effects=effects, styles=styles, names=PHRASES)).compose(frame, mattes)


class WindowPictures:
    """Runs the real window on the demo scene, and saves images of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.frames: list[Image.Image] = []

    def make(self) -> None:
        from PySide6.QtCore import QTimer

        from clipseg_live.demo.example import demo_settings

        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        from clipseg_live.gui import app

        build = app.MainWindow.__init__

        def built(window: Any, *arguments: Any) -> None:
            build(window, *arguments)
            self.window, self.session = window, arguments[0]
            window.resize(1280, 760)
            QTimer.singleShot(0, lambda: self._follow(self._script()))

        app.MainWindow.__init__ = built  # type: ignore[method-assign]
        with tempfile.TemporaryDirectory() as config:
            self.recordings = Path(config) / "recordings"
            app.run_window(settings=demo_settings(), source="demo:", path=Path(config) / "preferences.json")
        first, *rest = self.frames
        path = self.folder / "edit.webp"
        first.save(path, save_all=True, append_images=rest, duration=FRAME_MILLISECONDS, loop=0, quality=60, method=6)
        print(path)

    def _follow(self, script: Iterator[int]) -> None:
        from PySide6.QtCore import QTimer

        milliseconds = next(script, None)
        if milliseconds is None:
            self.window.close()
        else:
            QTimer.singleShot(milliseconds, lambda: self._follow(script))

    def _script(self) -> Iterator[int]:
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest
        from PySide6.QtWidgets import QLineEdit

        while (picture := self.session.picture()) is None or len(picture.ids) < len(PHRASES):
            yield 50
        yield 3000
        self._save(self._grab_without_rates(), "window.png")
        yield from self._export()
        yield from self._record()
        yield from self._compare()
        field = next(each for each in self.window.prompts.findChildren(QLineEdit) if each.text() == PHRASES[1])
        yield from self._film(8)
        field.setFocus()
        field.selectAll()
        for letter in "green triangle":
            QTest.keyClick(field, letter)
            yield from self._film(1)
        QTest.keyClick(field, Qt.Key.Key_Return)
        yield from self._film(22)

    def _export(self) -> Iterator[int]:
        """Save an image of the export dialog."""
        exports = self.window.exports
        exports.open_dialog()
        exports.dialog.show_folder(Path("~/Videos/clipseg-live exports"))
        exports.dialog.resize(520, 480)
        yield 500
        self._save(self._grab(exports.dialog), "export.png")
        exports.dialog.close()

    def _record(self) -> Iterator[int]:
        """Save an image of the window during a recording with blur, and restore the settings."""
        window, bar = self.window, self.window.recording_bar
        before = window._store.settings
        bar._folder = lambda: self.recordings
        bar.recording_changed.emit(RecordingSettings(replay_seconds=30))
        window._store.update(effects=(Blur(amount=5.0), Labels(presence=False)))
        window.body.show_tab(1)
        yield 1000
        bar.toggle()
        while self.session.status().recording.seconds < 12:
            yield 50
        self._save(self._grab_without_rates(), "recording.png")
        bar.toggle()
        while self.session.status().recording.active:
            yield 50
        bar.recording_changed.emit(RecordingSettings())
        window._store.edit(before)
        window.toasts.remove("recording")
        window.body.show_tab(0)
        yield 1000

    def _compare(self) -> Iterator[int]:
        """Save images of all maps and of a comparison with the difference of two variants, and restore the settings."""
        window = self.window
        before = window._store.settings
        window.messages.settle("recording")
        window.body.map_sheet.toggle()
        yield 1000
        self._save(self._grab_without_rates(), "maps.png")
        window.body.map_sheet.toggle()
        window._store.update(rows=before.rows[:1])
        window.body.compare_view.toggle()
        row = window._store.settings.rows[0]
        window._store.edit_row(row.model_copy(update={"text": f"{PHRASES[0]} or {PHRASES[2]}"}))
        window.prompts.histogram_button.click()
        window.body.compare_view.views.button("difference").click()
        yield 3000
        self._save(self._grab_without_rates(), "compare.png")
        window.prompts.histogram_button.click()
        window._store.edit(before)
        yield 1000

    def _save(self, image: Image.Image, name: str) -> None:
        image.save(self.folder / name, optimize=True)
        print(self.folder / name)

    def _film(self, frames: int) -> Iterator[int]:
        for _ in range(frames):
            yield FRAME_MILLISECONDS
            whole = self._grab()
            size = ANIMATION_WIDTH, round(whole.height * ANIMATION_WIDTH / whole.width)
            self.frames.append(whole.resize(size, Image.Resampling.LANCZOS))

    def _grab_without_rates(self) -> Image.Image:
        """Return an image of the window without the status line, which shows the speed of this machine."""
        whole = self._grab()
        return whole.crop((0, 0, whole.width, whole.height - 40))

    def _grab(self, widget: Any = None) -> Image.Image:
        grabbed = (widget or self.window).grab().toImage().convertToFormat(_rgb())
        data = np.frombuffer(grabbed.constBits(), np.uint8).reshape(grabbed.height(), grabbed.bytesPerLine())
        return Image.fromarray(data[:, : 3 * grabbed.width()].reshape(grabbed.height(), grabbed.width(), 3).copy())


def _rgb() -> Any:
    from PySide6.QtGui import QImage

    return QImage.Format.Format_RGB888


def save(pixels: Pixels, path: Path) -> None:
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, optimize=True)
    print(path)


if __name__ == "__main__":
    main()
