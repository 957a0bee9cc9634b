"""``clipseg-live index``: encode videos and photos once, so that any prompt can be searched in them."""

import functools
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipseg_live.cli.commands import INPUT, RESULT, option, with_options
from clipseg_live.cli.export.single import progress_display
from clipseg_live.cli.shared_options import EncoderOptions, given, refuse_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from clipseg_live.app.video_index import IndexRequest
    from clipseg_live.index.encoding import Storage
    from clipseg_live.model.features import FeatureSegmenter

logger = logging.getLogger(__name__)

_INPUT = "Videos, folders or patterns of videos or photos, or demo:."


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """Options of ``index`` alone."""

    every: Annotated[
        str | None,
        option(
            INPUT, "1s|N|each", "Frames of a video to index: one for each time, such as 0.5s, every N-th one, or each. "
            "Photos are all indexed.", default="1s",
        ),
    ] = None  # fmt: skip
    into: Annotated[Path | None, option(RESULT, "FOLDER", "Folder for the indexes.", default="beside each input")] = (
        None
    )
    compact: Annotated[
        bool | None,
        option(RESULT, None, "Store 4 bits for each value instead of 16: about a quarter of the size.", "--compact"),
    ] = None
    bits: Annotated[
        int | None, option(RESULT, "16|8|4", "Bits for each value: fewer make the index smaller.", default="16")
    ] = None
    overwrite: Annotated[
        bool | None,
        option(RESULT, None, "Replace an index that was made from other content or with other settings.",
               "--overwrite"),
    ] = None  # fmt: skip


@with_options()
def index(
    sources: Annotated[list[str], typer.Argument(metavar="INPUT", help=_INPUT, callback=refuse_session)],
    engine: EncoderOptions,
    own: IndexOptions,
) -> None:
    """Encode videos or photos once, so that search finds any prompt in them in seconds.

    An interrupted index is continued by the same command.
    """
    from clipseg_live.app.batch.naming import sources_of
    from clipseg_live.app.engine import find_model
    from clipseg_live.app.video_index import IndexRequest, index_place, load_feature_engine
    from clipseg_live.core.errors import ClipsegLiveError, ModelError
    from clipseg_live.core.settings.base import BUILT_IN_MODEL, EngineSettings, validated
    from clipseg_live.index.sampling import Sampling
    from clipseg_live.runtime.export import ExportStopped

    values = given(engine)
    if all(source.startswith("demo:") for source in sources):
        values.setdefault("model", BUILT_IN_MODEL)
    settings = validated(EngineSettings, **values)
    every = None if own.every is None else Sampling.parse(own.every)
    found = sources_of(sources)
    for notice in found.notices:
        print(notice, file=sys.stderr)  # noqa: T201
    requests = [
        IndexRequest(name, index_place(name, own.into), every, _storage(own), settings, bool(own.overwrite))
        for name in found.names
    ]
    engine_of = functools.cache(lambda: load_feature_engine(find_model(settings), settings))  # all inputs share it
    failed = 0
    for request in requests:
        try:
            _run(request, engine_of)
        except (ExportStopped, ModelError):
            raise
        except ClipsegLiveError as error:
            if len(requests) == 1:
                raise
            logger.warning("%s cannot be indexed", request.source, exc_info=True)
            print(error, file=sys.stderr)  # noqa: T201
            failed += 1
    if failed:
        raise typer.Exit(1)


def _storage(own: IndexOptions) -> "Storage | None":
    """Return the form of the entries.

    Raises:
        UsageError: The options are invalid.
    """
    from clipseg_live.core.errors import UsageError

    if own.bits is None:
        return "4-bit" if own.compact else None
    storages: dict[int, Storage] = {16: "half", 8: "8-bit", 4: "4-bit"}
    if own.bits not in storages:
        raise UsageError(f"{own.bits} bits cannot be stored: use --bits 16, 8 or 4.")
    if own.compact and own.bits != 4:
        raise UsageError("--compact stores 4 bits: leave out --bits or --compact.")
    return storages[own.bits]


def _run(request: "IndexRequest", engine_of: "Callable[[], FeatureSegmenter]") -> None:
    """Index one source, and report on it."""
    from clipseg_live.app.video_index import build_index, in_words

    with progress_display() as (on_stage, on_progress):

        def report(stage: str) -> None:
            on_stage(stage)
            if not sys.stderr.isatty():
                print(stage, file=sys.stderr)  # noqa: T201

        finished = build_index(request, engine=engine_of, on_stage=report, on_progress=on_progress)
    for notice in finished.notices:
        print(notice, file=sys.stderr)  # noqa: T201
    frames = "1 frame" if finished.frames == 1 else f"{finished.frames} frames"
    told = f"{finished.folder}: {frames}, {in_words(finished.bytes)}"
    if finished.result is None:
        told += "; complete already"
    elif finished.result.seconds > 0:
        told += f"; {finished.result.frames} encoded in {finished.result.seconds:.1f} s"
    print(told)  # noqa: T201
