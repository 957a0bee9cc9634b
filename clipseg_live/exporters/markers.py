"""Markers of time ranges for editors and players: an EDL, a CSV table, or chapters in FFmpeg's format."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from clipseg_live.core.errors import UsageError
from clipseg_live.exporters.folder import write_error
from clipseg_live.media.atomic_output import AtomicOutput

MARKER_SUFFIXES = (".edl", ".csv", ".ffmetadata")
_CSV_COLUMNS = ("Marker Name", "Description", "In", "Out", "Duration", "Marker Type")
"""Columns of the tables of markers that Premiere writes."""
_COLOURS = (
    "Red", "Blue", "Yellow", "Green", "Purple", "Pink", "Cyan", "Lavender", "Sky", "Mint", "Lemon", "Sand", "Cocoa",
    "Cream", "Rose", "Fuchsia",
)  # fmt: skip
"""Colours of markers in DaVinci Resolve, in the order of prompts."""
_FIRST_HOUR = 3600
"""Seconds at which timelines of DaVinci Resolve begin."""


@dataclass(frozen=True, slots=True)
class Marker:
    """A marked time range.

    Attributes:
        name: Text of the marker.
        start: Start in seconds.
        end: End in seconds.
        note: Further text.
        colour: Number of the colour, from 0.
    """

    name: str
    start: Fraction
    end: Fraction
    note: str = ""
    colour: int = 0


def write_markers(
    path: Path, markers: Sequence[Marker], rate: Fraction, title: str, *, overwrite: bool = False
) -> None:
    """Write markers in the format of the suffix.

    - ``.edl``: an edit decision list (CMX 3600) with markers as DaVinci Resolve imports them, from 01:00:00:00 on.
    - ``.csv``: the columns of Premiere's tables of markers.
    - ``.ffmetadata``: chapters for ``ffmpeg -i video -i file -map_metadata 1``. They may overlap.

    Timecodes count frames without dropping numbers.

    Args:
        path: File to write.
        markers: Markers to write.
        rate: Frames per second of the video.
        title: Name of the video.
        overwrite: Replace an existing file.

    Raises:
        UsageError: If the suffix is unknown, or the file exists.
        SinkError: If the file cannot be written.
    """
    suffix = check_suffix(path)
    ordered = sorted(markers, key=lambda marker: (marker.start, marker.end))
    write = {".edl": _edl, ".csv": _csv, ".ffmetadata": _chapters}[suffix]
    output = AtomicOutput(path, overwrite)
    working = output.begin()
    try:
        working.write_text(write(ordered, rate, title), encoding="utf-8", newline="")
    except OSError as error:
        output.discard()
        raise write_error(path, error) from error
    output.commit()


def check_suffix(path: Path) -> str:
    """Return the suffix of a file of markers.

    Raises:
        UsageError: If it is unknown.
    """
    suffix = path.suffix.lower()
    if suffix not in MARKER_SUFFIXES:
        raise UsageError(f"{path.name} is not a file of markers: use the suffix {', '.join(MARKER_SUFFIXES)}.")
    return suffix


def timecode(seconds: Fraction, rate: Fraction) -> str:
    """Return a time as hours, minutes, seconds and frames, such as ``00:01:02:13``."""
    nominal = max(round(rate), 1)
    whole, frames = divmod(round(seconds * rate), nominal)
    minutes, whole = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{whole:02}:{frames:02}"


def _edl(markers: Sequence[Marker], rate: Fraction, title: str) -> str:
    lines = [f"TITLE: {_plain(title)}", "FCM: NON-DROP FRAME", ""]
    first = Fraction(_FIRST_HOUR * max(round(rate), 1)) / rate  # the time whose timecode is 01:00:00:00
    for number, marker in enumerate(markers, start=1):
        begin, end = (timecode(first + time, rate) for time in (marker.start, marker.start + 1 / rate))
        colour = _COLOURS[marker.colour % len(_COLOURS)]
        frames = max(round((marker.end - marker.start) * rate), 1)
        lines.append(f"{number:03}  001      V     C        {begin} {end} {begin} {end}")
        lines.append(f" |C:ResolveColor{colour} |M:{_plain(marker.name)} |D:{frames}")
        lines.append("")
    return "\r\n".join(lines)


def _csv(markers: Sequence[Marker], rate: Fraction, title: str) -> str:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(_CSV_COLUMNS)
    for marker in markers:
        times = (marker.start, marker.end, marker.end - marker.start)
        table.writerow((marker.name, marker.note, *(timecode(time, rate) for time in times), "Comment"))
    return text.getvalue()


def _chapters(markers: Sequence[Marker], rate: Fraction, title: str) -> str:
    lines = [";FFMETADATA1", f"title={_escaped(title)}"]
    for marker in markers:
        start, end = (round(time * 1000) for time in (marker.start, marker.end))
        lines += ["[CHAPTER]", "TIMEBASE=1/1000", f"START={start}", f"END={end}", f"title={_escaped(marker.name)}"]
    return "\n".join([*lines, ""])


def _plain(text: str) -> str:
    """Return a text in one line, without the separator of fields."""
    return " ".join(text.replace("|", "/").split())


def _escaped(text: str) -> str:
    """Return a text with FFmpeg's special characters escaped."""
    return "".join(f"\\{letter}" if letter in "=;#\\" else letter for letter in " ".join(text.split()))
