"""``clipseg-live live``: open the window. This is also the default command."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipseg_live.cli.options import (
    MODEL,
    DeinterlaceOption,
    Insecure,
    Prompts,
    RateOption,
    RtspTransport,
    Sequence,
    SessionOption,
    TrustSession,
    sequence_rate,
    source_spec,
)
from clipseg_live.core.system import signals

if TYPE_CHECKING:
    from fractions import Fraction

    from clipseg_live.core.settings.live import LiveSettings, SourceSpec


def live(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="camera:0, a file, an address (rtsp:// or http://), screen: or demo:; "
            "or a session file (.clipseg.json).",
            show_default="the last one, or the first camera",
        ),
    ] = None,
    prompt: Prompts = None,
    session: SessionOption = None,
    trust_session: TrustSession = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A model's name or folder (see: clipseg-live models).",
            show_default="the last one",
            rich_help_panel=MODEL,
        ),
    ] = None,
    demo: Annotated[
        bool,
        typer.Option(
            "--demo",
            help="The demo scene, with three prompts and the model shapes; the source demo: alone does the same.",
        ),
    ] = False,
    sequence: Sequence = False,
    rate: RateOption = None,
    deinterlace: DeinterlaceOption = "auto",
    rtsp_transport: RtspTransport = "auto",
    insecure: Insecure = False,
) -> None:
    """Open the window: a camera, video or stream with its prompts segmented, edited while it runs."""
    with signals.ending():  # until the window handles signals itself
        film = sequence_rate(sequence, rate)
        code = _open_window(
            source, prompt, session, trust_session, model, demo, rtsp_transport, insecure, film, deinterlace
        )
    if code:
        raise typer.Exit(code)


def _open_window(
    source: str | None, prompt: list[str] | None, session: Path | None, trusted: bool, model: str | None, demo: bool,
    rtsp_transport: str, insecure: bool, sequence: "Fraction | None", deinterlace: str,
) -> int:  # fmt: skip
    from clipseg_live.core.errors import Failure, UsageError
    from clipseg_live.core.session_file import is_session_name, load_session

    if source is not None and is_session_name(source):
        if session is not None:
            raise UsageError(f"{source} and {session} are two session files: give one.")
        session, source = Path(source), None
    if source is None and (insecure or rtsp_transport != "auto"):
        raise UsageError("--rtsp-transport and --insecure hold for one address: name it as the source.")
    if source is None and sequence is not None:
        raise UsageError("--sequence holds for one folder or pattern of pictures: name it as the source.")
    if source is None and deinterlace != "auto":
        raise UsageError("--deinterlace holds for one video or stream: name it as the source.")
    settings: LiveSettings | None = None
    if session is not None:
        settings = load_session(session, trusted=trusted)
    demo = demo or (source is not None and source.startswith("demo:") and session is None and model is None)
    if demo:
        settings, source = demo_settings(), source or "demo:"
    asked: str | SourceSpec | None = source
    if source is not None and (insecure or rtsp_transport != "auto" or sequence is not None or deinterlace != "auto"):
        asked = source_spec(source, rtsp_transport, insecure, sequence, deinterlace=deinterlace)
    if not has_display():
        raise Failure(
            "There is no display to open a window on: use clipseg-live watch SOURCE -p TEXT for data, or "
            "clipseg-live export INPUT -p TEXT -o OUT.mp4 for a video."
        )
    from clipseg_live.gui.app import run_window
    from clipseg_live.gui.state.preferences import preferences_path

    path = preferences_path()
    if demo:  # the demo does not change the stored preferences
        path = path.with_name("demo.json")
    return run_window(settings=settings, source=asked, prompts=tuple(prompt or ()), model=model, path=path)


def demo_settings() -> "LiveSettings":
    """Return settings with three prompts, in colours that differ from their objects, so that the masks are visible."""
    from clipseg_live.core.settings.base import EngineSettings, PromptStyle
    from clipseg_live.core.settings.live import LiveSettings, PromptRow

    prompts = {"red circle": (0, 216, 255), "blue star": (255, 122, 0), "yellow heart": (160, 60, 255)}
    rows = tuple(
        PromptRow(id=number, text=text, style=PromptStyle(colour=colour))
        for number, (text, colour) in enumerate(prompts.items())
    )
    return LiveSettings(rows=rows, engine=EngineSettings(model="shapes"))


def has_display() -> bool:
    """Return whether Qt can open a window here."""
    if sys.platform != "linux":
        return True
    names = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    return any(os.environ.get(name) for name in names)
