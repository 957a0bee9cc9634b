"""Search for prompts in indexes: appearances, ranked over several sources."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from clipseg_live.app.video_index import files_of, open_index
from clipseg_live.core.errors import ClipsegLiveError, UsageError
from clipseg_live.core.prompts import Prompt, require_prompts
from clipseg_live.core.system.times import format_time
from clipseg_live.index.appearances import DEFAULT_RULES, Appearance, RangeRules, find_appearances
from clipseg_live.index.index import Accuracy, Index
from clipseg_live.index.manifest import IndexedSource, InvalidIndex
from clipseg_live.model.features import FeatureSegmenter

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A requested search.

    Attributes:
        indexes: Folders of the indexes.
        prompts: Prompts to find.
        start: First time in seconds; None for the start of each source.
        end: Time in seconds before which frames end; None for the end of each source.
        rules: How presence becomes time ranges.
        accuracy: How presence is computed.
        engine_name: Engine: "auto", "torch" or "openvino".
    """

    indexes: tuple[Path, ...]
    prompts: tuple[Prompt, ...]
    start: Fraction | None = None
    end: Fraction | None = None
    rules: RangeRules = DEFAULT_RULES
    accuracy: Accuracy = "refined"
    engine_name: str = "auto"


@dataclass(frozen=True, slots=True)
class Finding:
    """An appearance, and where it is.

    Attributes:
        index: Folder of the index.
        source: Source of the frames.
        appearance: The appearance.
    """

    index: Path
    source: IndexedSource
    appearance: Appearance

    @property
    def file(self) -> str:
        """Return the path of the video or the photo, or the name of a source with a scheme."""
        if self.source.photos:
            return str(files_of(self.source)[round(self.appearance.best)])
        return self.source.path


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Outcome of a search.

    Attributes:
        findings: Appearances by prompt. Those of one source are in the order of time. Those of several are ranked by
            presence, then by area.
        frames: Number of frames that were searched.
        problems: Messages about indexes that could not be searched.
        notices: Messages for the user.
    """

    findings: tuple[Finding, ...]
    frames: int
    problems: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


def search_indexes(request: SearchRequest, on_stage: Callable[[str], None] = lambda stage: None) -> SearchResult:
    """Find all prompts in all indexes. An index that cannot be searched does not stop the others.

    Args:
        request: Requested search.
        on_stage: Called with a message for each index.

    Raises:
        UsageError: The request is invalid.
        ClipsegLiveError: The only index cannot be searched.
    """
    prompts = require_prompts(request.prompts)
    if request.end is not None and request.end <= (request.start or 0):
        raise UsageError("The end must come after the start: --to must be later than --from.")
    engines: dict[str, FeatureSegmenter] = {}
    findings: list[Finding] = []
    problems: list[str] = []
    notices: list[str] = []
    frames = sources = 0
    for path in request.indexes:
        on_stage(f"Searching {path.name}")
        try:
            index = open_shared(path, request, engines)
            found, count = _search_one(index, request, prompts)
        except (ClipsegLiveError, OSError) as error:
            if len(request.indexes) == 1:
                raise
            logger.warning("%s cannot be searched", path, exc_info=True)
            problems.append(str(error))
            continue
        findings += found
        frames += count
        sources += len(index.sources)
        notices += [_unfinished(index, number) for number, each in enumerate(index.sources) if each.frames is None]
    order = {prompt: number for number, prompt in reversed(list(enumerate(prompts)))}
    ranked = sources > 1
    findings.sort(key=lambda each: (order[each.appearance.prompt], *(_rank(each) if ranked else ())))
    return SearchResult(tuple(findings), frames, tuple(problems), tuple(notices))


def open_shared(path: Path, request: SearchRequest, engines: dict[str, FeatureSegmenter]) -> Index:
    """Open an index with the engine of an earlier one, if it has the same weights.

    Args:
        path: Folder of the index.
        request: Search with the engine to use.
        engines: Engines by weights; a new one is added.

    Raises:
        InvalidIndex: The index is damaged, or a source has changed.
        ModelError: The model of the index cannot be loaded.
    """
    index = open_index(path, engine_name=request.engine_name)
    weights = index.manifest.recipe.weights
    if weights in engines:
        index = Index.open(path, engines[weights])
    engines[weights] = index.engine
    return index


def _search_one(index: Index, request: SearchRequest, prompts: Sequence[Prompt]) -> tuple[list[Finding], int]:
    is_photos = tuple(source.photos for source in index.sources)
    if any(is_photos) and (request.start is not None or request.end is not None):
        raise UsageError("Photos have no times: leave out --from and --to.")
    if not len(index):
        raise InvalidIndex(f"The index {index.folder} has no frames yet: run clipseg-live index again.")
    table = index.presence(prompts, request.accuracy, start=request.start, end=request.end)
    appearances = find_appearances(table, request.rules, is_photos)
    if request.accuracy != "exact":
        appearances = _measured(index, prompts, appearances)
    return [Finding(index.folder, index.sources[each.source], each) for each in appearances], len(table.time)


def _measured(index: Index, prompts: Sequence[Prompt], appearances: list[Appearance]) -> list[Appearance]:
    """Return the appearances with the exact presence and area of their best frames."""
    rows = np.unique([each.row for each in appearances]).astype(np.int64)
    exact = index.presence(prompts, rows=rows)
    places = {
        (row, prompt): (number, column)
        for number, row in enumerate(rows.tolist())
        for column, prompt in enumerate(prompts)
    }
    return [
        replace(each, presence=float(exact.presence[place]), area=float(exact.area[place]))
        for each in appearances
        for place in (places[each.row, each.prompt],)
    ]


def _rank(finding: Finding) -> tuple[float, float, str, float]:
    """Return a key that sorts by presence in percent, then by area; equal ones by file and time."""
    appearance = finding.appearance
    return -round(appearance.presence, 2), -appearance.area, finding.file, appearance.start


def _unfinished(index: Index, number: int) -> str:
    source = index.sources[number]
    reached = max((float(time) for time in index.times(number)), default=0.0)
    until = "" if source.photos else f" It ends at {format_time(reached)}."
    return f"The index {index.folder} is not complete.{until} The same clipseg-live index command continues it."
