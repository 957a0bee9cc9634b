"""The real window on a virtual screen: only the object of a prompt has the prompt's colour."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from clipseg_live.core.session_file import load_session, save_session
from clipseg_live.core.settings.base import EngineSettings, PromptStyle
from clipseg_live.core.settings.effects import Tint
from clipseg_live.core.settings.live import LiveSettings, PromptRow
from clipseg_live.demo.scenes import Scene
from tests.e2e.conftest import QUICK_ENGINE, start
from tests.e2e.screen import Screen, virtual_screen

RED, BLUE, YELLOW, MARK = (248, 58, 71), (45, 109, 246), (255, 214, 41), (0, 255, 160)
"""The red circle, the blue star and the yellow heart of the demo scene, and a prompt's colour that the scene lacks."""
FRAME = 20


@pytest.fixture(scope="module")
def screen() -> Iterator[Screen]:
    with virtual_screen() as found:
        yield found


@contextmanager
def window(screen: Screen, folder: Path, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    environment = {
        **os.environ, "DISPLAY": screen.display, "CLIPSEG_LIVE_CONFIG": str(folder / "settings"), "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    environment.pop("QT_QPA_PLATFORM", None)
    process = start(["live", *arguments], folder, variables=environment, **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "scene.png"
    Image.fromarray(Scene(0, 960, 540, Fraction(30)).picture(FRAME)).save(path)
    return path


@pytest.fixture
def session(tmp_path: Path) -> Path:
    return saved(tmp_path / "s.clipseg.json", "red circle")


def saved(path: Path, text: str) -> Path:
    """Save a session that marks the detected objects."""
    row = PromptRow(id=0, text=text, style=PromptStyle(colour=MARK, opacity=1.0))
    settings = LiveSettings(rows=(row,), effects=(Tint(),), engine=EngineSettings(model="shapes"))
    save_session(path, settings)
    return path


def test_only_the_prompted_object_is_coloured_also_after_an_edit(
    screen: Screen, tmp_path: Path, picture: Path, session: Path
) -> None:
    with window(screen, tmp_path, str(picture), "--session", str(session)) as process:
        screen.wait(lambda: screen.count(BLUE) > 2000, "the picture is not shown")
        before = {colour: screen.count(colour) for colour in (BLUE, YELLOW)}
        screen.wait(lambda: screen.count(MARK) > 1000, "the red circle is not marked")
        screen.wait(lambda: screen.count(RED) < 400, "the red circle is not covered")
        for colour, count in before.items():
            assert abs(screen.count(colour) - count) < 0.1 * count, f"{colour} was touched"
        number = screen_window(screen)
        screen.keys("windowfocus", "--sync", number)
        screen.keys("key", "--window", number, "ctrl+1")
        screen.keys("key", "ctrl+a")
        screen.keys("type", "--delay", "30", "blue star")
        screen.wait(lambda: screen.count(RED) > 1000, "the red circle is still covered")
        screen.wait(lambda: screen.count(BLUE) < 0.35 * before[BLUE], "the blue star is not marked")
        assert screen.count(MARK) > 1000
        assert abs(screen.count(YELLOW) - before[YELLOW]) < 0.1 * before[YELLOW]
        screen.keys("key", "ctrl+q")
        assert process.wait(10) == 0
    kept = json.loads((tmp_path / "settings" / "preferences.json").read_text())
    assert kept["settings"]["rows"][0]["text"] == "blue star"
    assert kept["recent"][0]["name"] == str(picture)
    assert load_session(session).rows[0].text == "red circle", "a session file is only changed when it is saved"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_terminated_window_leaves_no_processes(
    screen: Screen, tmp_path: Path, picture: Path, session: Path, number: signal.Signals
) -> None:
    with window(screen, tmp_path, str(picture), "--session", str(session)) as process:
        screen.wait(lambda: screen.count(MARK) > 1000, "the red circle is not marked")
        children = descendants(process.pid)
        assert children
        process.send_signal(number)
        process.wait(5)
        limit = time.monotonic() + 2.0
        while any(map(is_there, children)) and time.monotonic() < limit:
            time.sleep(0.02)
        assert not [child for child in children if is_there(child)]
        if number is not signal.SIGKILL:
            assert process.returncode == 0


def test_torch_is_never_imported_in_the_windows_process(screen: Screen, tmp_path: Path) -> None:
    """In a new interpreter, until what a prompt names is marked."""
    half = Image.new("RGB", (64, 36), (200, 0, 0))
    half.paste((90, 90, 90), (0, 0, 32, 36))
    half.save(tmp_path / "red.png")
    arguments = (str(tmp_path / "red.png"), "--session", str(saved(tmp_path / "s.clipseg.json", "red")))
    with window(screen, tmp_path, *arguments, fresh=True, patch=QUICK_ENGINE) as process:
        screen.wait(lambda: screen.count(MARK) > 1000, "what is red is not marked")
        mapped = Path(f"/proc/{process.pid}/maps").read_text()
        assert "libtorch" not in mapped and "QtWidgets" in mapped


def screen_window(screen: Screen) -> str:
    """Return the id of the window."""
    environment = {**os.environ, "DISPLAY": screen.display}
    found = subprocess.run(
        ["xdotool", "search", "--onlyvisible", "--name", "clipseg-live"],
        env=environment, check=True, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    return found.stdout.split()[0]


def descendants(process: int) -> list[int]:
    children = [
        int(child) for task in Path(f"/proc/{process}/task").glob("*/children") for child in task.read_text().split()
    ]
    return [*children, *(each for child in children for each in descendants(child))]


def is_there(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_the_demo_shows_masks_and_keeps_user_settings(screen: Screen, tmp_path: Path) -> None:
    line = (0, 216, 255)
    with window(screen, tmp_path, "--demo") as process:
        screen.wait(lambda: screen.count(line) > 150, "the red circle is not outlined")
        screen.keys("windowfocus", "--sync", screen_window(screen))
        screen.keys("key", "ctrl+q")
        assert process.wait(10) == 0
    kept = {path.name for path in (tmp_path / "settings").glob("*.json")}
    assert "demo.json" in kept and "preferences.json" not in kept
