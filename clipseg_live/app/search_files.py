"""Files from the results of a search: a contact sheet, clips and markers."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from clipseg_live.app.api import make_mattes
from clipseg_live.app.export import open_named_source
from clipseg_live.app.search import Finding, SearchRequest, SearchResult, open_shared
from clipseg_live.core.errors import ClipsegLiveError, Failure, SinkError, SourceError, UsageError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.mattes import Label
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.source_schemes import find_scheme
from clipseg_live.exporters.contact_sheet import MAX_IMAGES, ContactSheetSink
from clipseg_live.exporters.markers import Marker, write_markers
from clipseg_live.media.images.animations import kind_of
from clipseg_live.media.images.reader import read_image
from clipseg_live.media.writers.clips import clip_suffix, copy_clip
from clipseg_live.model.features import FeatureSegmenter

logger = logging.getLogger(__name__)

_EXACT = Fraction(1, 2000)
"""Seconds by which a time may be off after it was a float; frames are further apart."""
_AREA_THRESHOLD = 0.5


def write_sheet(path: Path, request: SearchRequest, result: SearchResult, *, overwrite: bool = False) -> list[str]:
    """Write a contact sheet with the best frames of the strongest appearances, and return notices.

    Args:
        path: PNG file to write.
        request: Search that was run.
        result: Its outcome.
        overwrite: Replace an existing file.

    Raises:
        ClipsegLiveError: A frame cannot be read, or the file cannot be written.
    """
    labels = tuple(Label(prompt.label, _AREA_THRESHOLD) for prompt in request.prompts)
    sheet = ContactSheetSink(path, {}, labels, overwrite)
    strongest = sorted(result.findings, key=lambda each: -each.appearance.presence)
    moments = {(each.index, each.appearance.source, each.appearance.best): each for each in strongest}
    chosen = list(moments.values())[:MAX_IMAGES]
    chosen.sort(key=lambda each: (str(each.index), each.appearance.source, each.appearance.best))
    title = (
        chosen[0].source.name if len({each.file for each in chosen}) == 1 else ", ".join(label.name for label in labels)
    )
    sheet.open(SourceInfo(title, 1, 1, None, Fraction(1)))
    try:
        for rendered in _best_frames(chosen, request, labels):
            sheet.write(rendered)
        sheet.finish()
    except BaseException:
        sheet.abort()
        raise
    return sheet.notices


def write_clips(folder: Path, result: SearchResult, *, overwrite: bool = False) -> tuple[list[Path], list[str]]:
    """Copy each appearance in a video into a file of its own, and return the files and notices.

    A clip begins at the last key frame before its appearance. Photos, animations and drawn scenes have no clips.

    Raises:
        Failure: No clip can be written.
    """
    written: list[Path] = []
    notices: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        logger.warning("A folder of clips cannot be created", exc_info=True)
        raise SinkError(f"The folder {folder} cannot be created: {error.strerror or error}.") from error
    for finding in result.findings:
        source, found = finding.source, finding.appearance
        path = Path(source.path)
        if source.photos or find_scheme(source.path) is not None or kind_of(path) != "video":
            notices.append(f"{source.name} is not a video file, so it has no clips.")
            continue
        words = re.sub(r"[^\w-]+", "-", found.prompt.label).strip("-")[:60]
        target = folder / f"{path.stem[:100]} {found.start:08.2f} {words}{clip_suffix(path)}"
        try:
            copy_clip(path, target, Fraction(found.start), Fraction(found.end), overwrite=overwrite)
        except ClipsegLiveError as error:
            logger.warning("A clip cannot be written", exc_info=True)
            notices.append(str(error))
            continue
        written.append(target)
    if result.findings and not written:
        raise Failure(f"No clip was written. {notices[0]}")
    return written, list(dict.fromkeys(notices))


def write_marker_file(path: Path, request: SearchRequest, result: SearchResult, *, overwrite: bool = False) -> None:
    """Write the appearances in one video as markers.

    Raises:
        UsageError: There are several sources, or the source is not a video, or the suffix is unknown.
        ClipsegLiveError: The video cannot be read, or the file cannot be written.
    """
    sources = {each.source.path: each.source for each in result.findings}
    if len(sources) > 1 or any(source.photos for source in sources.values()):
        raise UsageError("Markers belong to one video: search in one, or use --json.")
    rate, title = Fraction(30), ""
    for source in sources.values():
        with closing(open_named_source(source.path)) as opened:
            rate, title = opened.open().rate or rate, source.name
    order = {prompt: number for number, prompt in enumerate(request.prompts)}
    markers = [
        Marker(
            found.prompt.label,
            Fraction(found.start),
            Fraction(found.end),
            f"presence {found.presence:.2f}, area {100 * found.area:.1f} %",
            order[found.prompt],
        )
        for found in (each.appearance for each in result.findings)
    ]
    write_markers(path, markers, rate, title, overwrite=overwrite)


def _best_frames(
    findings: Sequence[Finding], request: SearchRequest, labels: tuple[Label, ...]
) -> Iterator[RenderedFrame]:
    """Yield the best frame of each appearance with the mattes of all prompts."""
    engines: dict[str, FeatureSegmenter] = {}
    for number, finding in enumerate(findings):
        index = open_shared(finding.index, request, engines)
        time = Fraction(finding.appearance.best)
        stored = next(
            index.query(request.prompts, start=time - _EXACT, end=time + _EXACT, source=finding.appearance.source)
        )
        frame = replace(_read_frame(finding, stored.time), index=number)
        mattes = make_mattes(frame.pixels, stored.segmentation, threshold=_AREA_THRESHOLD)
        yield RenderedFrame(frame, frame.pixels, mattes, labels)


def _read_frame(finding: Finding, time: Fraction) -> Frame:
    """Return the frame of a source at an exact time.

    Raises:
        SourceError: The source cannot be read.
    """
    if finding.source.photos:
        return Frame(read_image(finding.file), 0, time, file=Path(finding.file), independent=True)
    with closing(open_named_source(finding.source.path, time or None)) as source:
        source.open()
        frame = source.read()
    if frame is None:
        raise SourceError(f"{finding.source.name} has no frame at {float(time):.2f} s: it has changed.")
    return frame
