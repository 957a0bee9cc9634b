"""``clipseg-live camera``: a source with its prompts drawn, as a virtual camera, without a window."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipseg_live.cli.export_options import look_from, mattes_from, only_given
from clipseg_live.cli.options import (
    VIRTUAL,
    Effect,
    Model,
    Preset,
    Prompts,
    Session,
    Source,
    Thresholds,
    TrustSession,
)

if TYPE_CHECKING:
    from clipseg_live.core.live import LiveSettings


def camera(
    source: Source,
    prompt: Prompts = None,
    effect: Effect = None,
    preset: Preset = None,
    session: Session = None,
    trust_session: TrustSession = False,
    model: Model = None,
    threshold: Thresholds = None,
    device: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The virtual camera, by name or path.",
            show_default="the first",
            rich_help_panel=VIRTUAL,
        ),
    ] = "",
    width: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="Of its pictures, together with --height.",
            show_default="what the other program asks for, or the source's",
            rich_help_panel=VIRTUAL,
        ),
    ] = None,
    height: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="Of its pictures, together with --width.",
            show_default="what the other program asks for, or the source's",
            rich_help_panel=VIRTUAL,
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            help="Pictures a second.",
            show_default="what the other program asks for, or the source's",
            rich_help_panel=VIRTUAL,
        ),
    ] = None,
    fit: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Where the shapes differ: letterbox (black bars) or fill (cut off).",
            rich_help_panel=VIRTUAL,
        ),
    ] = "letterbox",
    safe: Annotated[
        Path | None,
        typer.Option(
            metavar="PICTURE",
            help="Shown while there is nothing to show.",
            show_default="a plain card",
            rich_help_panel=VIRTUAL,
        ),
    ] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="Mirror the source.")] = False,
) -> None:
    """Show a source with its prompts drawn as a virtual camera, for calls and OBS. Ctrl-C ends it."""
    from clipseg_live.assemble.camera import check_safe_picture
    from clipseg_live.cli.camera_run import run_camera
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.live import SourceSpec
    from clipseg_live.core.settings import validated
    from clipseg_live.core.virtual_camera import CameraSettings

    if (width is None) != (height is None):
        raise UsageError("A size has two sides: give --width and --height, or neither.")
    size = only_given(width=width, height=height, rate=rate)
    wanted = validated(CameraSettings, device=device, fit=fit, safe=str(safe) if safe is not None else "", **size)
    if safe is not None:
        check_safe_picture(safe)
    if session is not None:
        if any(given is not None for given in (prompt, effect, preset, threshold)):
            raise UsageError("A session file has its own prompts and look: give those options, or --session, not both.")
        settings = _from_file(session, trust_session)
    else:
        settings = _from_options(prompt or [], threshold, effect, preset)
    if model is not None or (session is None and source.startswith("demo:")):
        engine = settings.engine.model_copy(update={"model": model or "shapes"})
        settings = settings.model_copy(update={"engine": engine})
    if mirror:
        settings = settings.model_copy(update={"framing": settings.framing.model_copy(update={"mirror": True})})
    run_camera(settings, SourceSpec(name=source), wanted)


def _from_file(path: Path, trusted: bool) -> "LiveSettings":
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.session_file import load_session

    settings = load_session(path, trusted=trusted)
    if not any(row.style.role == "show" and row.prompt is not None for row in settings.shown()):
        raise UsageError(f"The session {path} shows no prompt: add one in the window first.")
    return settings


def _from_options(
    prompts: list[str], threshold: list[float] | None, effect: str | None, preset: str | None
) -> "LiveSettings":
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.live import MOST_ROWS, LiveSettings, PromptRow

    names = [prompt.strip() for prompt in prompts if prompt.strip()]
    if not names:
        raise UsageError('There is no prompt: say what to look for, such as -p "red circle".')
    if len(names) > MOST_ROWS:
        raise UsageError(f"There are {len(names)} prompts: a live session takes {MOST_ROWS} at most.")
    look = look_from(names, threshold, None, None, effect, preset, {}, 0, 0)
    rows = tuple(
        PromptRow(id=number, text=name, style=style)
        for number, (name, style) in enumerate(zip(names, look.styles, strict=True))
    )
    return LiveSettings(rows=rows, effects=look.effects, matte=mattes_from(preset, {}))
