"""What ``clipseg-live live`` begins with."""

from typing import Any

import pytest

from clipseg_live.cli import main
from clipseg_live.core.live import SourceSpec
from clipseg_live.gui import app


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the window was opened with."""
    opened: list[dict[str, Any]] = []

    def run(**options: Any) -> int:
        opened.append(options)
        return 0

    monkeypatch.setattr(app, "run", run)
    monkeypatch.setenv("DISPLAY", ":0")
    return opened


@pytest.mark.parametrize(("arguments", "source"), [(["--demo"], "demo:"), (["demo:"], "demo:"), (["demo:7"], "demo:7")])
def test_the_demo_has_its_model_and_leaves_preferences_alone(
    begun: list[dict[str, Any]], arguments: list[str], source: str
) -> None:
    assert main.run(["live", *arguments, "-p", "green cross"]) == 0
    (options,) = begun
    assert options["settings"].engine.model == "shapes" and options["source"] == source
    assert options["prompts"] == ("green cross",) and options["path"].name == "demo.json"


def test_anything_else_begins_as_the_last_time(begun: list[dict[str, Any]]) -> None:
    assert main.run(["live", "walk.mp4"]) == 0
    assert main.run(["live", "demo:", "--model", "rd16"]) == 0
    assert [each["settings"] for each in begun] == [None, None]
    assert [each["model"] for each in begun] == [None, "rd16"]
    assert all(each["path"].name == "preferences.json" for each in begun)


def test_how_an_address_is_opened_is_handed_on(begun: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["live", "https://host/x", "--insecure", "--rtsp-transport", "udp"]) == 0
    assert begun[0]["source"] == SourceSpec(name="https://host/x", insecure=True, rtsp_transport="udp")
    assert main.run(["live", "--insecure"]) == 2 and "name it as the source" in capsys.readouterr().err
    assert main.run(["live", "rtsp://host/x", "--rtsp-transport", "smoke"]) == 2
    assert "rtsp_transport" in capsys.readouterr().err
