"""``clipseg-live live``: the window. It is also what opens without any command."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer


def live(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[SOURCE]", help="camera:0, a file, an address (rtsp, http), screen: or demo:; else the last one."
        ),
    ] = None,
    prompt: Annotated[
        list[str] | None, typer.Option("--prompt", "-p", metavar="TEXT", help="Begin with this; repeat for more.")
    ] = None,
    session: Annotated[Path | None, typer.Option(metavar="FILE", help="Begin with a saved session.")] = None,
    model: Annotated[str | None, typer.Option(help="A model's name or folder (see: clipseg-live models).")] = None,
) -> None:
    """Open the window: a camera, video or stream with its prompts segmented, edited while it runs."""
    from clipseg_live.core.errors import Failure
    from clipseg_live.core.live import LiveSettings
    from clipseg_live.core.session_file import load_session

    settings: LiveSettings | None = load_session(session) if session is not None else None
    if not has_display():
        raise Failure(
            "There is no display to open a window on: use clipseg-live watch SOURCE -p TEXT for data, or "
            "clipseg-live export INPUT -p TEXT -o OUT.mp4 for a video."
        )
    from clipseg_live.gui.app import run

    code = run(settings=settings, source=source, prompts=tuple(prompt or ()), model=model)
    if code:
        raise typer.Exit(code)


def has_display() -> bool:
    """Whether Qt can open a window here."""
    if sys.platform != "linux":
        return True
    names = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    return any(os.environ.get(name) for name in names)
