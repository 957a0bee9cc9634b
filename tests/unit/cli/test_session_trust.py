"""Sessions with external references need ``--trust-session`` on the command line."""

from pathlib import Path

import pytest

from clipseg_live.cli.main import run
from clipseg_live.core.session_file import save_session
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.core.settings.effects import CutOut
from clipseg_live.core.settings.live import LiveSettings, PromptRow

COMMANDS = {"live": [], "watch": ["demo:"], "export": ["demo:", "-o", "out.mp4", "--to", "0.1"]}


def session_with_reference(folder: Path, model: str = "shapes") -> Path:
    rows = (PromptRow(id=0, text="red circle"),)
    effects = (CutOut(backdrop="image", file=Path("/nowhere/sea.png")),)
    save_session(folder / "s.json", LiveSettings(rows=rows, effects=effects, engine=EngineSettings(model=model)))
    return folder / "s.json"


@pytest.mark.parametrize("command", COMMANDS)
def test_an_external_reference_is_rejected_and_named(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = session_with_reference(tmp_path, "some/model")
    assert run([command, *COMMANDS[command], "--session", str(path)]) == 2
    said = capsys.readouterr().err
    assert "the file /nowhere/sea.png and the model some/model" in said and "--trust-session" in said
    assert "\n" not in said.strip() and not (tmp_path / "out.mp4").exists()


@pytest.mark.slow
def test_a_trusted_reference_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = session_with_reference(tmp_path)
    assert run(["export", *COMMANDS["export"], "--session", str(path), "--trust-session"]) == 1
    assert "There is no file /nowhere/sea.png" in capsys.readouterr().err
