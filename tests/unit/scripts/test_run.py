"""The first run from a checkout without a display."""

import importlib.util
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import av
import pytest

from clipseg_live.demo.example import DEMO_PROMPTS
from tests.helpers.paths import ROOT


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """Return the script in an empty folder, with an environment that is this Python, and no display."""
    loader = SourceFileLoader("scripts_run", str(ROOT / "scripts" / "run"))
    specification = importlib.util.spec_from_loader("scripts_run", loader)
    assert specification is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(sys, "argv", ["run"])
    monkeypatch.setattr(module, "prepare", lambda: Path(sys.executable))
    monkeypatch.setattr(module, "has_display", lambda: False)
    return module


def test_the_prompts_are_those_of_the_demo(run: ModuleType) -> None:
    hexadecimal = {text: "#{:02x}{:02x}{:02x}".format(*colour) for text, colour in DEMO_PROMPTS.items()}
    assert hexadecimal == run.DEMO_PROMPTS


@pytest.mark.slow
def test_a_short_clip_is_written_without_a_display(
    run: ModuleType, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "CLIP_SECONDS", "0.1")
    assert run.main() == 0
    with av.open("clipseg-live-demo.mp4") as clip:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in clip.decode(video=0)]
    assert len(frames) == 3
    red = (frames[1][..., 0] > 180) & (frames[1][..., 1:] < 90).all(axis=2)
    assert red.sum() < 1000, "the red circle is tinted"
    error = capfd.readouterr().err
    assert "clipseg-live-demo.mp4" in error.splitlines()[0] and "600 MB" in error and "scripts/run export" in error
    assert "\x1b" not in error, "without a terminal there are plain lines"


def test_no_file_is_replaced(run: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(subprocess, "call", lambda command: written.append(command[command.index("--output") + 1]) or 0)
    for name in ("clipseg-live-demo.mp4", "clipseg-live-demo-2.mp4"):
        assert run.main() == 0
        Path(name).symlink_to("nowhere")
    assert run.main() == 0
    assert written == ["clipseg-live-demo.mp4", "clipseg-live-demo-2.mp4", "clipseg-live-demo-3.mp4"]


def test_a_failure_says_nothing_about_what_comes_next(
    run: ModuleType, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "call", lambda command: 3)
    assert run.main() == 3 and "Next" not in capfd.readouterr().err
