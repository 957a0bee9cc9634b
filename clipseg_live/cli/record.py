"""``clipseg-live record``: record a source with its prompts drawn, without a window."""

from pathlib import Path
from typing import Annotated

import typer

from clipseg_live.cli.export.options import annotations_from
from clipseg_live.cli.live_settings import live_settings_from
from clipseg_live.cli.options import (
    DATA,
    RECORDING_GROUP,
    RESULT,
    DeinterlaceOption,
    EffectOption,
    Insecure,
    Instances,
    Model,
    Preset,
    Prompts,
    RateOption,
    RtspTransport,
    SegmentationOption,
    Sequence,
    SessionOption,
    Source,
    Thresholds,
    TrustSession,
    sequence_rate,
    source_spec,
)


def record(
    source: Source,
    into: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="Where the files go; made where it is missing.",
            show_default="here",
            rich_help_panel=RESULT,
        ),
    ] = Path("."),
    prompt: Prompts = None,
    effect: EffectOption = None,
    preset: Preset = None,
    session: SessionOption = None,
    trust_session: TrustSession = False,
    model: Model = None,
    threshold: Thresholds = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="What the files are called: {date}, {time}, {prompts} and {source} are filled in.",
            show_default="clipseg-live {date} {time}",
            rich_help_panel=RESULT,
        ),
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TRACK",
            help="composed (as shown), camera (untouched) or mattes (white on black); repeat for more.",
            show_default="composed",
            rich_help_panel=RECORDING_GROUP,
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FORMAT", help="Data beside it, such as coco or jsonl; repeat for more.", rich_help_panel=DATA
        ),
    ] = None,
    codec: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="h264, h265, av1, vp9, prores, or ffv1 (lossless).", rich_help_panel=RECORDING_GROUP
        ),
    ] = "h264",
    encoder: Annotated[
        str,
        typer.Option(
            metavar="KIND", help="auto (the machine's own where it works) or software.", rich_help_panel=RECORDING_GROUP
        ),
    ] = "auto",
    quality: Annotated[
        int, typer.Option(metavar="0..100", help="From smallest to best.", rich_help_panel=RECORDING_GROUP)
    ] = 70,
    sound: Annotated[
        str,
        typer.Option(metavar="FROM", help="source (of a file), microphone, or off.", rich_help_panel=RECORDING_GROUP),
    ] = "source",
    microphone: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Which one, with --sound microphone.",
            show_default="the system's",
            rich_help_panel=RECORDING_GROUP,
        ),
    ] = None,
    part_minutes: Annotated[
        float | None,
        typer.Option(metavar="MINUTES", help="Begin a new part every so often.", rich_help_panel=RECORDING_GROUP),
    ] = None,
    part_size: Annotated[
        float | None,
        typer.Option(metavar="MB", help="Begin a new part at this size.", rich_help_panel=RECORDING_GROUP),
    ] = None,
    on_change: Annotated[
        str,
        typer.Option(
            metavar="POLICY",
            help="A picture of another size: letterbox (fitted in with black bars) or part (a new one).",
            rich_help_panel=RECORDING_GROUP,
        ),
    ] = "letterbox",
    seconds: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="End after so much.", rich_help_panel=RECORDING_GROUP)
    ] = None,
    segmentation: SegmentationOption = None,
    instances: Instances = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="Mirror the source.")] = False,
    sequence: Sequence = False,
    rate: RateOption = None,
    deinterlace: DeinterlaceOption = "auto",
    rtsp_transport: RtspTransport = "auto",
    insecure: Insecure = False,
) -> None:
    """Record a source with its prompts drawn, from its first masks on. Ctrl-C, or the end of a file, ends it.

    The file can be played at any moment while it grows, and after whatever ends it.
    """
    from clipseg_live.cli.headless.recording import run_recording
    from clipseg_live.core.errors import Failure, UsageError
    from clipseg_live.core.settings.base import validated
    from clipseg_live.core.settings.recording import DEFAULT_PATTERN, RecordingSettings

    film = sequence_rate(sequence, rate)
    spec = source_spec(source, rtsp_transport, insecure, film, deinterlace=deinterlace, film=True)
    if microphone is not None and sound != "microphone":
        raise UsageError("A microphone is named, but not asked for: give --sound microphone as well.")
    if seconds is not None and not seconds > 0:
        raise UsageError(f"{seconds:g} seconds cannot be recorded: give more than 0.")
    wanted = validated(
        RecordingSettings,
        tracks=tuple(track or ["composed"]),
        data=tuple(data or ()),
        codec=codec,
        encoder=encoder,
        quality=quality,
        sound=sound,
        microphone=microphone or "",
        pattern=name or DEFAULT_PATTERN,
        part_seconds=None if part_minutes is None else 60 * part_minutes,
        part_bytes=None if part_size is None else round(part_size * 1e6),
        on_change=on_change,
        annotations=annotations_from(segmentation=segmentation, instances=instances),
    )
    settings = live_settings_from(
        source, prompt=prompt, threshold=threshold, effect=effect, preset=preset, session=session,
        trust_session=trust_session, model=model, mirror=mirror,
    )  # fmt: skip
    try:
        into.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"Nothing can be recorded in {into}: {error.strerror or error}.") from error
    run_recording(
        settings,
        spec,
        into,
        wanted,
        seconds,
    )
