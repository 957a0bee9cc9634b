"""``clipseg-live camera``: show a source with its prompts drawn as a virtual camera, without a window."""

from pathlib import Path
from typing import Annotated

import typer

from clipseg_live.cli.export.options import only_given
from clipseg_live.cli.live_settings import live_settings_from
from clipseg_live.cli.options import (
    VIRTUAL,
    DeinterlaceOption,
    EffectOption,
    Insecure,
    Model,
    Preset,
    Prompts,
    RtspTransport,
    Sequence,
    SessionOption,
    Source,
    Thresholds,
    TrustSession,
    sequence_rate,
    source_spec,
)


def camera(
    source: Source,
    prompt: Prompts = None,
    effect: EffectOption = None,
    preset: Preset = None,
    session: SessionOption = None,
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
            help="Pictures a second; with --sequence, of the film as well.",
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
    sequence: Sequence = False,
    deinterlace: DeinterlaceOption = "auto",
    rtsp_transport: RtspTransport = "auto",
    insecure: Insecure = False,
) -> None:
    """Show a source with its prompts drawn as a virtual camera, for calls and OBS. Ctrl-C ends it."""
    from clipseg_live.app.virtual_camera import check_safe_picture
    from clipseg_live.cli.headless.virtual_camera import run_camera
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.settings.base import validated
    from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings

    film = sequence_rate(sequence, rate if sequence else None)
    spec = source_spec(source, rtsp_transport, insecure, film, deinterlace=deinterlace, film=True)
    if (width is None) != (height is None):
        raise UsageError("A size has two sides: give --width and --height, or neither.")
    size = only_given(width=width, height=height, rate=rate)
    wanted = validated(
        VirtualCameraSettings, device=device, fit=fit, safe=str(safe) if safe is not None else "", **size
    )
    if safe is not None:
        check_safe_picture(safe)
    settings = live_settings_from(
        source, prompt=prompt, threshold=threshold, effect=effect, preset=preset, session=session,
        trust_session=trust_session, model=model, mirror=mirror,
    )  # fmt: skip
    run_camera(
        settings,
        spec,
        wanted,
    )
