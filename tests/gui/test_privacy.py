"""Privacy in the window: shown, copied and saved frames, and half-typed prompts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QImage
from pytestqt.qtbot import QtBot

from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.effects import BlackOut, Tint, is_private
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.settings.presets import with_preset
from clipseg_live.core.status import HiddenReason
from clipseg_live.gui.canvas.canvas import Canvas
from clipseg_live.gui.main_window import MainWindow
from tests.helpers.gui.fake_session import FakeSession, live_status, rendered_frame
from tests.helpers.gui.panel_tools import card, make_panel, texts
from tests.helpers.privacy_rig import Rig
from tests.helpers.privacy_sequences import STEPS, run, settings_with_texts


def pixels_of(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


class Viewed(Rig):
    """A rig whose frames are shown on a canvas, like in the window."""

    canvas: Canvas

    def _change(self, settings: LiveSettings) -> None:
        super()._change(settings)
        self.canvas.show_settings(settings)

    def _check_outputs(self) -> None:
        super()._check_outputs()
        newest = self.session.picture()
        if newest is not None:
            self.canvas.show_frame(newest)
        shown, image = self.canvas.frame, self.canvas.image()
        assert (shown is None) == (image is None)
        if shown is not None and image is not None:
            comparing = self.canvas.comparing
            np.testing.assert_array_equal(pixels_of(image), shown.original if comparing else shown.composed)
            if is_private(self.settings.effects):
                assert self.hiding(shown) and not comparing


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.booleans())
def test_the_canvas_never_shows_or_copies_hidden_pixels(qtbot: QtBot, tmp_path: Path, steps, compared) -> None:  # type: ignore[no-untyped-def]
    Viewed.canvas = Canvas()
    qtbot.addWidget(Viewed.canvas)
    rig = Viewed(settings_with_texts("red circle"), tmp_path)
    try:
        Viewed.canvas.show_settings(rig.settings)
        Viewed.canvas.compare(compared)
        run(rig, [*steps, ("effects", (Tint(),)), ("predict", 1), ("hide", BlackOut()), ("predict", 1)])
    finally:
        rig.close()


def frame_with_settings(settings_: LiveSettings) -> RenderedFrame:
    return replace(rendered_frame(width=64, height=36), settings=settings_)


def test_a_frame_from_before_a_privacy_effect_is_not_shown_copied_or_saved(
    window: MainWindow, session: FakeSession, qtbot: QtBot
) -> None:
    plain = window._store.settings.model_copy(update={"effects": (Tint(),)})
    window._store.edit(plain)
    session.set_status(source=live_status())
    session.show(frame_with_settings(plain))
    qtbot.waitUntil(lambda: window.canvas.frame is not None)
    QGuiApplication.clipboard().clear()
    window._store.edit(with_preset(plain, "privacy"))
    assert window.canvas.frame is None and window.canvas.image() is None
    window.recording_bar.copy()
    assert QGuiApplication.clipboard().image().isNull()
    window.recording_bar.snapshot()
    assert window.recording_bar._task is None
    session.show(frame_with_settings(window._store.settings))
    qtbot.waitUntil(lambda: window.canvas.frame is not None)
    window._store.edit(plain)
    assert window.canvas.frame is not None  # a hidden frame may stay


@pytest.mark.parametrize("reason", list(HiddenReason))
def test_the_canvas_shows_why_everything_is_hidden(
    window: MainWindow, session: FakeSession, qtbot: QtBot, reason: HiddenReason
) -> None:
    session.set_status(source=live_status(), hidden=reason)
    session.show(frame_with_settings(window._store.settings))
    qtbot.waitUntil(lambda: window.canvas.frame is not None)
    window.refresh()
    notice = window.canvas.notice
    assert (notice is None) == (reason is HiddenReason.WAITING)
    assert notice is None or (notice.quiet and notice.title == "The whole frame is hidden")


@pytest.mark.slow
def test_a_half_typed_prompt_is_not_applied_with_a_privacy_effect(qtbot: QtBot) -> None:
    panel = make_panel(qtbot, "red circle")
    panel.store.update(effects=(BlackOut(),))
    seen: list[str] = []
    panel.store.changed.connect(lambda: seen.append(texts(panel)[0]))
    field = card(panel, 0).field
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, "blue star", delay=20)
    assert not field._pause.isActive() and seen == [] and texts(panel) == ["red circle"]
    assert field.grab().toImage() is not None  # draws the sign for Enter
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert seen == ["blue star"]


@pytest.mark.slow
def test_leaving_the_field_applies_the_text(qtbot: QtBot) -> None:
    panel = make_panel(qtbot, "red circle", "face")
    panel.store.update(effects=(BlackOut(),))
    field = card(panel, 0).field
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, "blue star")
    assert texts(panel) == ["red circle", "face"]
    card(panel, 1).field.setFocus()
    assert texts(panel) == ["blue star", "face"]


def test_typing_is_applied_again_without_privacy_effects(qtbot: QtBot) -> None:
    panel = make_panel(qtbot, "red circle")
    panel.store.update(effects=(BlackOut(),))
    field = card(panel, 0).field
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, "blue")
    panel.store.update(effects=(Tint(),))
    qtbot.waitUntil(lambda: texts(panel) == ["blue"])
    panel.store.update(effects=(BlackOut(),))
    qtbot.keyClicks(field, " star")
    panel.store.undo()
    assert field.text() == "blue star" and texts(panel) == ["blue"]


def test_a_box_with_hidden_pixels_is_rejected(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    session.set_status(live_status())
    shown = rendered_frame()
    session.show(shown)
    qtbot.waitUntil(lambda: window.canvas.frame is shown, timeout=2000)
    window.store.update(effects=(BlackOut(),))
    window.picture_tools.begin_prompt()
    assert "what the privacy effects hide" in window.toasts.texts()[-1]
    window.store.update(effects=(Tint(),))
    window.picture_tools.begin_prompt()
    assert window.toasts.texts() == []
