"""Fixtures for commands: they record the calls of commands without running them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from clipseg_live.app import stream as app_stream
from clipseg_live.cli import main
from clipseg_live.cli.export import command as export_command
from clipseg_live.cli.headless import recording, virtual_camera
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.settings.base import EngineSettings, PromptStyle
from clipseg_live.core.settings.live import FrameTransform, LiveSettings
from clipseg_live.core.settings.rendering import MatteSettings

SEGMENTING = ("live", "watch", "virtual-camera", "record", "export")


@dataclass(frozen=True)
class CommandSettings:
    """Settings of a command in a common form."""

    prompts: tuple[Prompt, ...]
    styles: tuple[PromptStyle, ...]
    effects: tuple[Any, ...]
    matte: MatteSettings
    engine: EngineSettings
    framing: FrameTransform


def normalised(settings: LiveSettings) -> CommandSettings:
    prompts, look = settings.prompts()
    return CommandSettings(prompts, look.styles, settings.effects, settings.matte, settings.engine, settings.framing)


class NoItems:
    """A stream without frames."""

    def __enter__(self) -> Iterator[object]:
        return iter(())

    def __exit__(self, *error: object) -> None:
        pass


@pytest.fixture
def recorded_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Record the arguments of the functions that commands call."""
    calls: list[tuple[Any, ...]] = []

    def stream(spec: object, prompts: object, settings: object, *, styles: object, on_status: object) -> NoItems:
        calls.append((spec, prompts, settings, styles))
        return NoItems()

    def window(**values: Any) -> int:
        calls.append((values,))
        return 0

    from clipseg_live.gui import app as gui_app

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(app_stream, "stream", stream)
    monkeypatch.setattr(gui_app, "run_window", window)
    monkeypatch.setattr(recording, "run_recording", lambda *values: calls.append(values))
    monkeypatch.setattr(virtual_camera, "run_camera", lambda *values: calls.append(values))
    monkeypatch.setattr(export_command, "run_one", lambda *values: calls.append(values))
    return calls


@pytest.fixture
def run_settings(recorded_calls: list[tuple[Any, ...]]) -> Callable[..., CommandSettings]:
    """Run a command and return its settings. ``live`` starts with the default settings as those of the last run."""

    def run(command: str, *arguments: object, source: str = "walk.mp4") -> CommandSettings:
        recorded_calls.clear()
        more = ["-o", "out.mp4"] if command == "export" else []
        assert main.run([command, source, *map(str, arguments), *more]) == 0
        (values,) = recorded_calls
        if command == "export":
            request = values[0]
            look, settings = request.settings.render, request.settings
            return CommandSettings(
                request.prompts, look.styles, look.effects, settings.matte, settings.engine, request.framing
            )
        if command == "watch":
            _, prompts, live, styles = values
            return CommandSettings(prompts, styles, live.effects, live.matte, live.engine, live.framing)
        if command == "live":
            opened = values[0]
            return normalised(opened["settings"] or opened["change"](LiveSettings()))
        return normalised(values[0])

    return run
