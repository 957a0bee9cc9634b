"""``clipseg-live search``: find when prompts appear in indexed videos and photos."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipseg_live.cli.commands import INPUT, MASK, MODEL, PROMPTS, RESULT, option, with_options
from clipseg_live.cli.export.options import parse_time
from clipseg_live.cli.search.report import print_findings
from clipseg_live.cli.shared_options import refuse_session

if TYPE_CHECKING:
    from clipseg_live.app.search import SearchRequest, SearchResult

_SOURCE = (
    "An indexed video or folder of photos, an index, or a folder of indexes, which is searched with its sub-folders."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """Options of ``search`` about what is found."""

    image: Annotated[
        list[Path] | None, option(PROMPTS, "FILE", "Image of an object to find; repeat for more.", "--image")
    ] = None
    start: Annotated[str | None, option(INPUT, "TIME", "Start at this time (seconds or h:mm:ss).", "--from")] = None
    end: Annotated[str | None, option(INPUT, "TIME", "End before this time (seconds or h:mm:ss).", "--to")] = None
    presence_threshold: Annotated[
        float | None,
        option(MASK, "0..1", "Presence from which a prompt counts as present.", "--presence-threshold", default="0.35"),
    ] = None
    gap: Annotated[
        float | None,
        option(
            MASK, "SECONDS", "Longest time without the prompt that does not end a time range.",
            default="one indexed frame, but no cut",
        ),
    ] = None  # fmt: skip
    shortest: Annotated[float | None, option(MASK, "SECONDS", "Leave out shorter time ranges.", default="0")] = None
    accuracy: Annotated[
        str | None,
        option(
            MODEL, "NAME", "exact (decode every frame in full), refined (only where presence is undecided) or quick "
            "(never).", default="refined",
        ),
    ] = None  # fmt: skip
    engine: Annotated[
        str | None,
        option(MODEL, "NAME", "Library that runs the model: auto, torch or openvino (CPU only).", default="auto"),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundOptions:
    """Options of ``search`` about its results."""

    json_output: Annotated[bool, option(RESULT, None, "Print JSON lines.", "--json")] = False
    csv_output: Annotated[bool, option(RESULT, None, "Print CSV.", "--csv")] = False
    sheet: Annotated[
        Path | None, option(RESULT, "FILE.png", "Write a contact sheet of the best frames.", "--sheet")
    ] = None
    clips: Annotated[
        Path | None,
        option(RESULT, "FOLDER", "Copy each time range into a video of its own, without encoding it again.", "--clips"),
    ] = None
    markers: Annotated[
        Path | None,
        option(
            RESULT, "FILE", "Write markers of one video: .edl (DaVinci Resolve), .csv (the columns of Premiere) or "
            ".ffmetadata (chapters for FFmpeg).", "--markers",
        ),
    ] = None  # fmt: skip
    overwrite: Annotated[bool, option(RESULT, None, "Replace existing files.", "--overwrite")] = False


@with_options()
def search(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=_SOURCE, callback=refuse_session)],
    own: SearchOptions,
    found: FoundOptions,
    prompts: Annotated[list[str] | None, typer.Argument(metavar="PROMPT", help='Texts such as "a dog".')] = None,
) -> None:
    """Print the time ranges in which prompts are present in an indexed video, with presence, area and best frame.

    Over several videos or photos, the results are ranked. Index them first with clipseg-live index.
    """
    from clipseg_live.app.search import search_indexes
    from clipseg_live.core.errors import UsageError
    from clipseg_live.exporters.markers import check_suffix

    if found.json_output and found.csv_output:
        raise UsageError("--json and --csv are two forms of the result: give one of them.")
    if found.markers is not None:
        check_suffix(found.markers)
    request = _request(source, prompts or (), own)
    result = search_indexes(request)
    for notice in (*result.notices, *result.problems):
        print(notice, file=sys.stderr)  # noqa: T201
    print_findings(result, "json" if found.json_output else "csv" if found.csv_output else "table")
    _write_files(request, result, found)
    if result.problems:
        raise typer.Exit(1)


def _write_files(request: "SearchRequest", result: "SearchResult", found: FoundOptions) -> None:
    """Write the files of the options, and name them on standard error."""
    from clipseg_live.app import search_files

    written: list[Path] = []
    notices: list[str] = []
    if found.sheet is not None and result.findings:
        notices += search_files.write_sheet(found.sheet, request, result, overwrite=found.overwrite)
        written.append(found.sheet)
    if found.markers is not None:
        search_files.write_marker_file(found.markers, request, result, overwrite=found.overwrite)
        written.append(found.markers)
    if found.clips is not None:
        clips, more = search_files.write_clips(found.clips, result, overwrite=found.overwrite)
        written += clips
        notices += more
    for line in (*notices, *map(str, written)):
        print(line, file=sys.stderr)  # noqa: T201


def _request(source: str, texts: "list[str] | tuple[str, ...]", own: SearchOptions) -> "SearchRequest":
    from clipseg_live.app.prompts import read_prompts
    from clipseg_live.app.search import SearchRequest
    from clipseg_live.app.video_index import find_indexes
    from clipseg_live.core.errors import UsageError
    from clipseg_live.index.appearances import RangeRules

    accuracy = own.accuracy or "refined"
    if accuracy not in ("exact", "refined", "quick"):
        raise UsageError(f"{accuracy!r} is not an accuracy: use exact, refined or quick.")
    if not texts and not own.image:
        raise UsageError('There is no prompt: say what to find, such as "a dog", or give --image FILE.')
    given_rules = {"threshold": own.presence_threshold, "gap": own.gap, "shortest": own.shortest}
    rules = RangeRules(**{name: value for name, value in given_rules.items() if value is not None})
    return SearchRequest(
        tuple(find_indexes(source)),
        read_prompts(texts, images=own.image or ()),
        start=None if own.start is None else parse_time(own.start),
        end=None if own.end is None else parse_time(own.end),
        rules=rules,
        accuracy=accuracy,  # type: ignore[arg-type]
        engine_name=own.engine or "auto",
    )
