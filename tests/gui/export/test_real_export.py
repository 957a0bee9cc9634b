"""An export from the dialog with the real command, and the same command on the command line."""

import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from clipseg_live.app.export import open_named_source
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.core.settings.live import LiveSettings, PromptRow, SourceSpec
from clipseg_live.gui.export.dialog import RANGE
from clipseg_live.gui.main_window import MainWindow
from clipseg_live.gui.state.preferences import Preferences
from clipseg_live.media.images.writers import open_sink
from clipseg_live.media.sources.registry import open_source
from tests.helpers.clips import read_all
from tests.helpers.gui.fake_session import FakeSession, file_status

LEFT = Qt.MouseButton.LeftButton


@pytest.mark.slow
def test_the_command_line_repeats_an_export_of_the_dialog(
    make_window: Callable[..., MainWindow], session: FakeSession, qtbot: QtBot, tmp_path: Path
) -> None:
    clip, results = tmp_path / "scene.mp4", tmp_path / "results"
    info, frames = read_all(open_named_source("demo:3", end=Fraction(1, 2)))
    writer = open_sink(clip)
    writer.open(replace(info, width=info.width // 4, height=info.height // 4))
    for frame in frames:
        small = np.ascontiguousarray(frame.pixels[::4, ::4])
        writer.write(RenderedFrame(replace(frame, pixels=small), small))
    writer.finish()
    settings = LiveSettings(
        rows=(PromptRow(id=0, text="red circle"), PromptRow(id=4, text="blue star")),
        engine=EngineSettings(model="shapes"),
    )
    window = make_window(settings, Preferences(export_folder=str(results)))
    window.open_source(SourceSpec(name=str(clip)))
    for position, action in ((Fraction(5, 30), "set_first"), (Fraction(9, 30), "set_last")):
        session.set_status(file_status(float(position), duration=0.5))
        window.refresh()
        window.actions_by_name[action].trigger()
    window.actions_by_name["export"].trigger()
    dialog = window.exports.dialog
    assert dialog is not None
    for action in dialog.form.data_menu.actions():
        if action.data() in ("coco", "csv"):
            action.trigger()
    qtbot.mouseClick(dialog.scope.button(RANGE), LEFT)
    qtbot.mouseClick(dialog.export_button, LEFT)
    (card,) = dialog.cards()
    qtbot.waitUntil(lambda: card.state.text() in ("Done", "Failed"), timeout=120_000)
    assert card.state.text() == "Done", card.problems.text()
    _, exported = read_all(open_source(results / "scene.mp4"))
    assert len(exported) == 5

    repeated = tmp_path / "repeated"
    words = shlex.split(card.run.job.command())
    words[words.index("--into") + 1] = str(repeated)
    subprocess.run([sys.executable, "-m", *[words[0].replace("-", "_"), *words[1:]]], check=True, capture_output=True)
    _, again = read_all(open_source(repeated / "scene.mp4"))
    assert all(np.array_equal(one.pixels, two.pixels) for one, two in zip(exported, again, strict=True))
    names = sorted(
        path.relative_to(repeated) for path in repeated.rglob("*") if path.is_file() and not _is_hidden(path)
    )
    assert len(names) > 6  # the video, the table and the data set with its images
    for name in names:
        if name.suffix != ".mp4":
            assert (results / name).read_bytes() == (repeated / name).read_bytes(), name


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")
