"""Options of ``export`` alone: results, data, times, and the checks of their combinations."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from clipseg_live.cli.commands import DATA, INPUT, MASK, RESULT, option
from clipseg_live.cli.shared_options import given
from clipseg_live.core.settings.data_formats import DATA_FORMATS

if TYPE_CHECKING:
    from clipseg_live.core.settings.base import DataFormat

_DATA = (
    f"Also write {', '.join(DATA_FORMATS[:-1])} or {DATA_FORMATS[-1]} (see docs/data.md); repeat for more. With "
    "--into, give FORMAT alone."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOptions:
    """Options for the paths and formats of the results."""

    output: Annotated[Path | None, option(RESULT, "OUT", "File to write; a folder for photos.", "--output", "-o")] = (
        None
    )
    into: Annotated[
        Path | None,
        option(
            RESULT, "FOLDER", "Folder for the results of several inputs. Results that are finished with the same "
            "settings are kept.",
        ),
    ] = None  # fmt: skip
    suffix: Annotated[
        str | None,
        option(
            RESULT, ".SUFFIX", "With --into, or for photos: suffix of the results, which selects their format.",
            default=".mp4; for photos that of the input",
        ),
    ] = None  # fmt: skip
    jobs: Annotated[
        int | None,
        option(
            RESULT, "N", "With --into: number of inputs that are exported at the same time, each with its own model.",
            default="1",
        ),
    ] = None  # fmt: skip
    json_output: Annotated[
        bool, option(RESULT, None, "With --into: print the progress and outcome of each input as JSON lines.", "--json")
    ] = False
    masks: Annotated[
        Path | None,
        option(
            DATA, "OUT.jsonl|FOLDER", "Write masks as JSON lines, or as PNG files in a folder. With --into: jsonl or "
            "png, next to each result.",
        ),
    ] = None  # fmt: skip
    data: Annotated[list[str] | None, option(DATA, "FORMAT:PATH", _DATA)] = None
    maps: Annotated[
        Path | None,
        option(
            DATA, "SET.npz", "Save the probability maps, and use those that are there instead of running the model.",
        ),
    ] = None  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeOptions:
    """Part of the input, and the use of later frames."""

    temporal: Annotated[
        str | None,
        option(
            MASK, "MODE", "lookahead (steadier masks, from later frames as well) or causal (masks as in a live "
            "session).", "--temporal", default="lookahead",
        ),
    ] = None  # fmt: skip
    start: Annotated[str | None, option(INPUT, "TIME", "Start at this time (seconds or h:mm:ss).", "--from")] = None
    end: Annotated[str | None, option(INPUT, "TIME", "End before this time (seconds or h:mm:ss).", "--to")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultOptions:
    """Fields of ``ExportSettings`` about the results."""

    codec: Annotated[
        str | None,
        option(
            RESULT, "NAME", "Codec of the video: h264, h265, vp9, av1, prores or ffv1 (lossless).",
            default="by the suffix of OUT",
        ),
    ] = None  # fmt: skip
    quality: Annotated[
        int | None,
        option(RESULT, "0..100", "Quality of the video: 0 is the smallest file, 100 the best.", default="70"),
    ] = None
    hdr: Annotated[
        str | None,
        option(
            RESULT, "sdr|keep", "Convert HDR video to SDR, or keep it with 10 bits (h265, vp9, av1, prores, ffv1).",
            default="sdr",
        ),
    ] = None  # fmt: skip
    alpha: Annotated[
        bool | None,
        option(
            RESULT, None, "Write the area of the masks with a transparent background: .mov, .webm, .webp, .gif or a "
            "folder.", "--alpha",
        ),
    ] = None  # fmt: skip
    overwrite: Annotated[bool | None, option(RESULT, None, "Replace existing results.", "--overwrite")] = None
    keep_partial: Annotated[
        bool | None,
        option(RESULT, None, "Keep the incomplete result if the input breaks or you stop the export.",
               "--keep-partial"),
    ] = None  # fmt: skip
    every: Annotated[int | None, option(DATA, "N", "Write masks and data of every N-th frame.", default="1")] = None
    only_present: Annotated[
        bool | None,
        option(DATA, None, "Write masks and data only of frames in which a prompt is detected.", "--only-present"),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """Fields of ``AnnotationSettings`` about the division of a data set."""

    split: Annotated[
        float | None,
        option(
            DATA, "0..1", "With yolo: share of the images for training, divided by source file. The others are for "
            "validation.",
        ),
    ] = None  # fmt: skip
    seed: Annotated[int | None, option(DATA, "N", "With --split: number that selects the division.", default="0")] = (
        None
    )


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Options of ``export`` alone."""

    places: PlaceOptions
    times: TimeOptions
    results: ResultOptions
    split: SplitOptions


def check_places(sources: Sequence[str], places: PlaceOptions, sequence: "Fraction | None" = None) -> None:
    """Check that the options say where the results go.

    Args:
        sources: Inputs.
        places: Where the results go.
        sequence: Frame rate if images are a video.

    Raises:
        UsageError: The options do not fit together.
    """
    from clipseg_live.app.batch.photo_sets import is_photos
    from clipseg_live.core.addresses import SCHEMES, SourceName
    from clipseg_live.core.errors import UsageError

    photos, output, into = all(is_photos(name, sequence) for name in sources), places.output, places.into
    for source in map(SourceName, sources):
        if source.is_address and not Path(source.reveal()).exists():
            raise UsageError(f"{source} is an address, and export reads files: record it with clipseg-live record.")
    if output is not None and str(output).partition(":")[0].lower() in SCHEMES:
        raise UsageError("The result is a file, not an address: name a file after -o, such as out.mp4.")
    if output is not None and into is not None:
        raise UsageError("-o names one result, --into a folder for several: give one of the two.")
    if photos and sequence is not None:
        raise UsageError('--sequence takes a folder, or a pattern in quotes such as "shots/*.png", not single images.')
    if into is None and len(sources) > 1 and not photos:
        raise UsageError(f"There are {len(sources)} inputs: give --into FOLDER, a folder for their results.")
    if output is None and into is None and places.masks is None and not places.data:
        raise UsageError(
            "Say where the result goes: -o out.mp4, --into FOLDER for several inputs, or only data: --data coco:FOLDER."
        )
    if into is not None and places.maps is not None:
        raise UsageError("--maps is for one result: leave out --into.")
    if into is None and places.suffix is not None and not photos:
        raise UsageError("--suffix is for several inputs: give --into FOLDER as well.")
    if into is None and places.json_output:
        raise UsageError("--json is for several inputs: give --into FOLDER as well.")
    if into is None and places.jobs not in (None, 1):
        raise UsageError("--jobs is for several inputs: give --into FOLDER as well.")


def parse_data(places: PlaceOptions) -> "list[tuple[DataFormat, Path]]":
    """Parse ``FORMAT:PATH``, or with ``--into`` ``FORMAT`` alone. The paths are empty then.

    Raises:
        UsageError: A value is invalid.
    """
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.settings.data_formats import find_format

    many = places.into is not None
    formats: list[tuple[DataFormat, Path]] = []
    for value in places.data or ():
        name, _, path = value.partition(":")
        form = find_format(name).name
        if many and path:
            raise UsageError(f"With --into, data are written next to each result: give --data {name}, without a path.")
        if not many and not path:
            raise UsageError(f"The path of the data is missing: give --data {name}:PATH.")
        if many and any(form == other for other, _ in formats):
            raise UsageError(f"--data {name} is given twice: give it once.")
        formats.append((form, Path(path)))
    return formats


def parse_times(times: TimeOptions) -> dict[str, Any]:
    """Return the values of the options, with exact times in seconds.

    Raises:
        UsageError: A value is not a time.
    """
    return {name: value if name == "temporal" else parse_time(value) for name, value in given(times).items()}


def parse_time(text: str) -> Fraction:
    """Parse a time such as ``"90"``, ``"1:30"`` or ``"0:01:30.5"``, and return exact seconds.

    Raises:
        UsageError: The text is not a time.
    """
    from clipseg_live.core.errors import UsageError

    parts = text.strip().split(":")
    try:
        values = [Fraction(part) for part in parts]
    except (ValueError, ZeroDivisionError):
        values = []
    well_formed = 1 <= len(values) <= 3 and all(value >= 0 for value in values)
    if not well_formed or any(value >= 60 for value in values[1:]) or "/" in text:
        raise UsageError(f"{text!r} is not a time: give seconds (12.5) or hours, minutes and seconds (0:01:12.5).")
    seconds = Fraction(0)
    for value in values:
        seconds = seconds * 60 + value
    return seconds
