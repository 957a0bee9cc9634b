"""Settings of a recording, and the names of its files."""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from clipseg_live.core.privacy import untouched_files
from clipseg_live.core.settings.annotations import DEFAULT_ANNOTATIONS, AnnotationSettings
from clipseg_live.core.settings.base import Codec, DataFormat, Frozen
from clipseg_live.core.settings.data_formats import find_format

Track = Literal["composed", "camera", "mattes"]
Encoding = Literal["auto", "software"]
SoundChoice = Literal["source", "microphone", "off"]
OnChange = Literal["letterbox", "part"]

SUFFIXES: dict[Codec, str] = {
    "h264": ".mp4", "h265": ".mp4", "av1": ".mp4", "vp9": ".webm", "ffv1": ".mkv", "prores": ".mov",
}  # fmt: skip
"""Suffix of the container of each codec. A recording that is interrupted stays playable in all of them."""
DEFAULT_PATTERN = "clipseg-live {date} {time}"
_LONGEST_NAME = 120
_FIELDS = ("date", "time", "prompts", "source")


class RecordingSettings(Frozen):
    """Tracks, formats and encoding of a recording.

    Attributes:
        tracks: Rendered frames, original frames of the camera, and mattes (white on black). Each track is a file, and
            all have the same timestamps.
        data: Data formats that are written next to the tracks.
        codec: Codec of the tracks.
        encoder: "auto" uses a hardware encoder if one works, "software" never does.
        quality: 0 (smallest) to 100 (best).
        sound: Audio of the source if it is a file, of a microphone, or none.
        microphone: Name of the microphone; "" for the default one.
        pattern: Pattern of the file names, with the fields {date}, {time}, {prompts} and {source}.
        part_seconds: Duration after which a new part starts; None for never.
        part_bytes: Size after which a new part starts; None for never.
        on_change: If the frame size changes: "letterbox" fits frames into the same file with black bars, "part" starts
            a new part.
        replay_seconds: Seconds that are kept for a replay; 0 keeps none.
        annotations: Settings of annotations in data. A recording is never split.
    """

    tracks: Annotated[tuple[Track, ...], Field(min_length=1, max_length=3)] = ("composed",)
    data: tuple[DataFormat, ...] = ()
    codec: Codec = "h264"
    encoder: Encoding = "auto"
    quality: Annotated[int, Field(ge=0, le=100)] = 70
    sound: SoundChoice = "source"
    microphone: str = ""
    pattern: Annotated[str, Field(max_length=200)] = DEFAULT_PATTERN
    part_seconds: Annotated[float, Field(ge=1, le=86_400)] | None = None
    part_bytes: Annotated[int, Field(ge=1_000_000)] | None = None
    on_change: OnChange = "letterbox"
    replay_seconds: Annotated[float, Field(ge=0, le=300)] = 0.0
    annotations: AnnotationSettings = DEFAULT_ANNOTATIONS

    @property
    def untouched(self) -> tuple[str, ...]:
        """Files with the original frames, which effects do not hide: the camera track and some data formats."""
        return untouched_files(self.data, ("camera",) if "camera" in self.tracks else ())

    @field_validator("tracks", "data")
    @classmethod
    def _are_told_once(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(values)) != len(values):
            raise ValueError("each track can be recorded only once")
        return values

    @field_validator("pattern")
    @classmethod
    def _can_be_filled(cls, pattern: str) -> str:
        unknown = next((name for name in re.findall(r"\{([^}]*)\}", pattern) if name not in _FIELDS), None)
        if unknown is not None:
            raise ValueError(f"{{{unknown}}} is not a placeholder; use {', '.join(f'{{{each}}}' for each in _FIELDS)}")
        return pattern


def track_path(folder: Path, stem: str, settings: RecordingSettings, track: Track) -> Path:
    """Return the path of a track. The first track has the name without an addition."""
    extra = "" if track == settings.tracks[0] else f" {track}"
    return folder / f"{stem}{extra}{SUFFIXES[settings.codec]}"


def data_path(folder: Path, stem: str, form: DataFormat) -> Path:
    """Return the path of the data of a format: a file or a folder."""
    return folder / find_format(form).file_name.replace("{}", stem)


def all_paths(folder: Path, stem: str, settings: RecordingSettings) -> tuple[Path, ...]:
    """Return all paths that a part of a recording writes."""
    tracks = (track_path(folder, stem, settings, track) for track in settings.tracks)
    return (*tracks, *(data_path(folder, stem, form) for form in settings.data))


def file_stem(pattern: str, when: datetime, prompts: Sequence[str] = (), source: str = "") -> str:
    """Return the stem of a file name that is valid on every system; never empty, never hidden.

    Args:
        pattern: Pattern with the fields {date}, {time}, {prompts} and {source}.
        when: Date and time.
        prompts: Names of the prompts.
        source: Name of the source.
    """
    values = {
        "date": when.strftime("%Y-%m-%d"),
        "time": when.strftime("%H.%M.%S"),
        "prompts": ", ".join(prompt for prompt in prompts if prompt.strip()) or "no prompt",
        "source": source or "source",
    }
    filled = re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), pattern)
    plain = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]+', "-", filled)
    encoded = re.sub(r"\s+", " ", plain).strip(" .").encode("utf-8", "ignore")[:_LONGEST_NAME]
    stem = encoded.decode("utf-8", "ignore").strip(" .")
    return stem if stem and not _is_reserved(stem) else f"clipseg-live {stem}".strip()


def _is_reserved(stem: str) -> bool:
    """Return whether a name is that of a device on Windows."""
    return re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", stem.casefold()) is not None
