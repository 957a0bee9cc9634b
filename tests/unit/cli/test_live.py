"""Settings with which ``clipseg-live live`` opens the window."""

from pathlib import Path
from typing import Any

import pytest

from clipseg_live.cli import main
from clipseg_live.core.session_file import save_session
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.core.settings.effects import Blur
from clipseg_live.core.settings.live import LiveSettings, PromptRow, SourceSpec
from clipseg_live.demo.example import DEMO_PROMPTS
from clipseg_live.gui import app


@pytest.fixture
def window_calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Record the arguments with which the window is opened."""
    opened: list[dict[str, Any]] = []

    def run(**options: Any) -> int:
        opened.append(options)
        return 0

    monkeypatch.setattr(app, "run_window", run)
    monkeypatch.setenv("DISPLAY", ":0")
    return opened


@pytest.mark.parametrize(("arguments", "source"), [(["--demo"], "demo:"), (["demo:"], "demo:"), (["demo:7"], "demo:7")])
def test_the_demo_has_its_model_and_leaves_preferences_alone(
    window_calls: list[dict[str, Any]], arguments: list[str], source: str
) -> None:
    assert main.run(["live", *arguments, "-p", "green cross"]) == 0
    (options,) = window_calls
    assert options["settings"].engine.model == "shapes" and options["source"] == source
    assert [row.text for row in options["settings"].rows] == ["green cross"] and options["path"].name == "demo.json"


def test_the_demo_brings_its_prompts_with_any_model(window_calls: list[dict[str, Any]]) -> None:
    for arguments in (["--demo"], ["demo:3"], ["demo:", "--model", "rd16"]):
        assert main.run(["live", *arguments]) == 0
    assert all([row.text for row in each["settings"].rows] == list(DEMO_PROMPTS) for each in window_calls)
    assert [each["settings"].engine.model for each in window_calls] == ["shapes", "shapes", "rd16"]


def test_other_sources_start_with_the_last_settings(window_calls: list[dict[str, Any]]) -> None:
    assert main.run(["live", "walk.mp4"]) == 0
    assert main.run(["live", "walk.mp4", "--model", "rd16"]) == 0
    assert [each["settings"] for each in window_calls] == [None, None]
    last = LiveSettings(rows=(PromptRow(id=4, text="mug"),), effects=(Blur(),))
    first, second = (each["change"](last) for each in window_calls)
    assert first == last
    assert second == last.model_copy(update={"engine": EngineSettings(model="rd16")})
    assert all(each["path"].name == "preferences.json" for each in window_calls)


def test_connection_options_reach_the_source(
    window_calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["live", "https://host/x", "--insecure", "--rtsp-transport", "udp"]) == 0
    assert window_calls[0]["source"] == SourceSpec(name="https://host/x", insecure=True, rtsp_transport="udp")
    assert main.run(["live", "--insecure"]) == 2 and "name the source as well" in capsys.readouterr().err
    assert main.run(["live", "rtsp://host/x", "--rtsp-transport", "smoke"]) == 2
    assert "rtsp_transport" in capsys.readouterr().err


def test_deinterlacing_option_applies_to_the_source(
    window_calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["live", "walk.mp4", "--deinterlace", "off"]) == 0
    assert window_calls[0]["source"] == SourceSpec(name="walk.mp4", deinterlace="off")
    assert main.run(["live", "--deinterlace", "off"]) == 2 and "name the source as well" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["live", "watch", "virtual-camera", "record"])
def test_deinterlacing_option_is_validated(tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    into = ["--into", str(tmp_path)] if command == "record" else []
    assert main.run([command, "walk.mp4", *into, "-p", "hair", "--deinterlace", "smoke"]) == 2
    error = capsys.readouterr().err
    assert "deinterlace" in error and "auto" in error and error.count("\n") == 1


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "a look.clipseg.JSON"
    save_session(path, LiveSettings(rows=(PromptRow(id=3, text="hair"),)))
    return path


@pytest.mark.parametrize("more", [[], ["-p", "mug"], ["--model", "rd16"]])
def test_a_session_file_as_source_is_opened(window_calls: list[dict[str, Any]], saved: Path, more: list[str]) -> None:
    assert main.run(["live", str(saved), *more]) == 0
    assert main.run(["live", "--session", str(saved), *more]) == 0
    for each in window_calls:
        assert each["source"] is None and each["settings"].rows[0].text == (more[1] if "-p" in more else "hair")
        assert each["settings"].engine.model == (more[1] if "--model" in more else EngineSettings().model)


def test_a_session_file_as_source_is_validated(
    window_calls: list[dict[str, Any]], saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["live", str(saved), "--session", str(saved)]) == 2
    assert "two session files" in capsys.readouterr().err
    assert main.run(["live", str(tmp_path / "missing.clipseg.json")]) == 1
    (tmp_path / "other.json").write_text("{}")
    assert main.run(["live", str(tmp_path / "other.json")]) == 1
    assert window_calls == []
    assert main.run(["live", "https://host/stream.json"]) == 0
    assert window_calls[0]["source"] == "https://host/stream.json"


@pytest.mark.parametrize("command", ["watch", "virtual-camera", "record", "export"])
def test_other_commands_name_the_session_option(saved: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([command, str(saved), "-p", "hair"]) == 2
    error = capsys.readouterr().err
    assert "is a session file" in error and f"--session {saved}" in error and error.count("\n") == 1
