"""``clipseg-live record``: record a source with its effects, without a window."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from clipseg_live.cli.commands import DATA, RECORDING, RESULT, option, with_options
from clipseg_live.cli.settings import session_settings
from clipseg_live.cli.shared_options import (
    AnnotationOptions,
    InputOptions,
    LiveOptions,
    NetworkOptions,
    Source,
    given,
)
from clipseg_live.cli.sources import source_spec

if TYPE_CHECKING:
    from clipseg_live.core.settings.recording import RecordingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """Files and duration of a recording."""

    into: Annotated[
        Path, option(RESULT, "FOLDER", "Folder for the files. It is created if it is missing.", default="here")
    ] = Path(".")
    seconds: Annotated[float | None, option(RECORDING, "SECONDS", "Stop after this many seconds.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOptions:
    """Fields of ``RecordingSettings``, and parts in other units."""

    pattern: Annotated[
        str | None,
        option(
            RESULT, "PATTERN", "Name of the files, with the fields {date}, {time}, {prompts} and {source}.", "--name",
            default="clipseg-live {date} {time}",
        ),
    ] = None  # fmt: skip
    tracks: Annotated[
        list[str] | None,
        option(
            RECORDING, "TRACK", "composed (frames with effects), source (frames without effects) or mattes (masks, "
            "white on black); repeat for more.", "--track", default="composed",
        ),
    ] = None  # fmt: skip
    data: Annotated[
        list[str] | None,
        option(DATA, "FORMAT", "Data to write as well, such as coco or jsonl (see docs/data.md); repeat for more."),
    ] = None
    codec: Annotated[
        str | None,
        option(RECORDING, "NAME", "Codec: h264, h265, av1, vp9, prores, or ffv1 (lossless).", default="h264"),
    ] = None
    encoder: Annotated[
        str | None,
        option(RECORDING, "KIND", "auto (hardware if it works) or software.", default="auto"),
    ] = None
    quality: Annotated[
        int | None, option(RECORDING, "0..100", "Quality: 0 is the smallest file, 100 the best.", default="70")
    ] = None
    sound: Annotated[
        str | None,
        option(RECORDING, "FROM", "source (the audio of a file), microphone, or off.", default="source"),
    ] = None
    microphone: Annotated[
        str | None,
        option(RECORDING, "NAME", "Microphone, with --sound microphone.", default="that of the system"),
    ] = None
    part_minutes: Annotated[float | None, option(RECORDING, "MINUTES", "Start a new file after this many minutes.")] = (
        None
    )
    part_size: Annotated[float | None, option(RECORDING, "MB", "Start a new file at this size in megabytes.")] = None
    on_change: Annotated[
        str | None,
        option(
            RECORDING, "POLICY", "If the frame size changes: letterbox (fit frames in, with black bars) or part (start "
            "a new file).", default="letterbox",
        ),
    ] = None  # fmt: skip


@with_options()
def record(
    source: Source,
    segmentation: LiveOptions,
    reading: InputOptions,
    network: NetworkOptions,
    files: FileOptions,
    recording: RecordOptions,
    annotations: AnnotationOptions,
) -> None:
    """Record a source with its effects, from the first frame with masks. Ctrl-C or the end of a file stops it.

    The file can be played while it grows, and stays playable if the program is killed.
    """
    from clipseg_live.cli.headless.recording import run_recording
    from clipseg_live.core.errors import Failure, UsageError

    spec = source_spec(source, reading, network, film=True)
    if files.seconds is not None and not files.seconds > 0:
        raise UsageError(f"{files.seconds:g} is not a duration: give --seconds above 0.")
    wanted = recording_settings(recording, annotations)
    settings = session_settings(segmentation, demo=source.startswith("demo:"))
    try:
        files.into.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"Nothing can be recorded in {files.into}: {error.strerror or error}.") from error
    run_recording(settings, spec, files.into, wanted, files.seconds)


def recording_settings(recording: RecordOptions, annotations: AnnotationOptions) -> "RecordingSettings":
    """Return the settings of a recording.

    Raises:
        UsageError: A value is invalid, or a microphone is named that is not recorded.
    """
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.settings.annotations import AnnotationSettings
    from clipseg_live.core.settings.base import validated
    from clipseg_live.core.settings.recording import RecordingSettings

    if recording.microphone is not None and recording.sound != "microphone":
        raise UsageError("--microphone names a microphone that is not recorded: give --sound microphone as well.")
    values = given(recording)
    if "part_minutes" in values:
        values["part_seconds"] = 60 * values.pop("part_minutes")
    if "part_size" in values:
        values["part_bytes"] = round(values.pop("part_size") * 1e6)
    if "tracks" in values:
        values["tracks"] = tuple("camera" if track == "source" else track for track in values["tracks"])
    return validated(RecordingSettings, **values, annotations=validated(AnnotationSettings, **given(annotations)))
