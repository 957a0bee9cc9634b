"""Construction of indexes from sources, with the concrete sources and engine."""

import hashlib
import logging
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from clipseg_live.app.batch.naming import absolute, result_stem
from clipseg_live.app.engine import find_model, loading_message
from clipseg_live.app.export import open_named_source
from clipseg_live.core.addresses import SourceName
from clipseg_live.core.errors import Failure, SourceError, UsageError
from clipseg_live.core.frame import SourceInfo
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.core.settings.source_schemes import find_scheme
from clipseg_live.core.system.paths import is_folder_or_pattern
from clipseg_live.index.building import Indexing, IndexingResult, resume_time
from clipseg_live.index.chunks import list_chunks
from clipseg_live.index.content import Stamps, check_content, content_digest, stamps_of
from clipseg_live.index.encoding import Storage, entry_bytes
from clipseg_live.index.index import Index
from clipseg_live.index.manifest import (
    INDEX_SUFFIX,
    MANIFEST_NAME,
    IndexedSource,
    IndexManifest,
    IndexRecipe,
    InvalidIndex,
    is_index,
)
from clipseg_live.index.sampling import FrameSelector, Sampling
from clipseg_live.index.store import IndexStore
from clipseg_live.index.writer import open_writer
from clipseg_live.media.sources.registry import list_images
from clipseg_live.model.features import FeatureSegmenter
from clipseg_live.model.store.layout import ModelFiles
from clipseg_live.runtime.export import Progress
from clipseg_live.runtime.threads import StopSwitch

logger = logging.getLogger(__name__)

_SPARE_BYTES = 64 << 20
"""Free disk space that an index leaves."""


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """A requested index of one source.

    Attributes:
        source: Video, or folder or pattern of photos, or ``demo:``.
        folder: Folder of the index; None for one beside the source.
        every: Rule that selects frames of a video; all photos are indexed. None: that of an index that is there, or
            one frame a second.
        storage: Form in which entries are stored. None: that of an index that is there, or "half".
        engine: Settings of the engine.
        overwrite: Replace an index that was made from other content or in another way.
    """

    source: str
    folder: Path | None = None
    every: Sampling | None = None
    storage: Storage | None = None
    engine: EngineSettings = field(default_factory=EngineSettings)
    overwrite: bool = False

    @property
    def place(self) -> Path:
        """Folder of the index."""
        return index_place(self.source) if self.folder is None else self.folder


@dataclass(frozen=True, slots=True)
class FinishedIndex:
    """A finished index.

    Attributes:
        folder: Folder of the index.
        frames: Frames of the source in the index.
        bytes: Size of the index on disk.
        result: What was encoded; None if the index was complete already.
        notices: Messages for the user.
    """

    folder: Path
    frames: int
    bytes: int
    result: IndexingResult | None
    notices: tuple[str, ...] = ()


def index_place(source: str, into: Path | None = None) -> Path:
    """Return the folder of the index of a source: beside it, or in the folder ``into``."""
    if find_scheme(source) is not None or is_folder_or_pattern(source):
        stem = result_stem(source)
        beside = Path() if find_scheme(source) is not None else Path(absolute(source)).parent
    else:
        stem, beside = Path(source).name, Path(source).parent
    return (beside if into is None else into) / f"{stem}{INDEX_SUFFIX}"


def build_index(
    request: IndexRequest,
    *,
    engine: Callable[[], FeatureSegmenter] | None = None,
    stop: StopSwitch | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> FinishedIndex:
    """Index a source. An index that is there is continued; damaged parts of it are made again.

    Args:
        request: Requested index.
        engine: Returns a loaded engine for the settings of the request.
        stop: Stops from another thread, as Ctrl-C does. The frames so far are kept.
        on_stage: Called with a message for each stage.
        on_progress: Called with the progress.

    Raises:
        UsageError: The request is invalid.
        InvalidIndex: The index that is there was made from other content or in another way.
        Failure: Indexing failed. The frames so far are kept.
    """
    folder, photos = request.place, is_folder_or_pattern(request.source)
    if request.engine.detail != "off":
        raise UsageError("An index has no details of small objects: leave out --detail.")
    address = SourceName(request.source)
    if address.is_address and not Path(request.source).exists():
        raise UsageError(f"{address} is an address, and index reads files: record it with clipseg-live record.")
    if request.overwrite and folder.exists():
        _remove(folder)
    previous = IndexManifest.read(folder) if (folder / MANIFEST_NAME).exists() else None
    described = _describe(request, previous)
    files = find_model(request.engine)
    storage = request.storage or ("half" if previous is None else previous.recipe.storage)
    if previous is not None and (finished := _finished(folder, previous, described, files, request)) is not None:
        return finished
    on_stage(loading_message(files, request.engine))
    loaded = load_feature_engine(files, request.engine) if engine is None else engine()
    recipe = IndexRecipe.of(loaded, storage)
    sampling = Sampling.parse(described.every)
    try:
        with open_writer(folder, files.name, recipe) as writer:
            number = writer.add_source(described)
            start = None if photos else resume_time(writer.times(number), sampling)
            selector = FrameSelector(sampling) if sampling.seconds is not None else None
            source = open_named_source(request.source, start, select=None if selector is None else selector.selects)
            with closing(source):
                info = source.open()
                on_stage(_announce(info, sampling, loaded, storage, folder))
                work = Indexing(source, info, loaded, writer, number, sampling, on_progress=on_progress)
                if stop is not None:
                    stop.on_stop(work.request_stop)
                result = work.run()
            frames = writer.manifest.sources[number].frames or 0
            notices = (*writer.notices, *loaded.notices, *info.notices, *result.problems)
    except SourceError:
        if previous is None and not list_chunks(folder):  # leave no empty index beside a file that is no video
            _remove(folder)
        raise
    return FinishedIndex(folder, frames, size_on_disk(folder), result, notices)


def load_feature_engine(files: ModelFiles, settings: EngineSettings) -> FeatureSegmenter:
    """Load the engine for indexes.

    Raises:
        UsageError: The settings are invalid.
        ModelError: The model cannot be used.
    """
    options = settings.model_dump(include={"device", "dtype", "size", "engine"})
    return FeatureSegmenter.load(files, fit=settings.resize_mode, **options)


def find_indexes(name: str) -> list[Path]:
    """Return the indexes that a name stands for: an index, those in a folder, or that of a video or of photos.

    Raises:
        UsageError: There is none.
    """
    path = Path(name)
    if is_index(path):
        return [path]
    if path.is_dir():
        inner = sorted(found.parent for found in path.rglob(MANIFEST_NAME) if is_index(found.parent))
        if inner:
            return inner
    place = index_place(name)
    if is_index(place):
        return [place]
    raise UsageError(f"{name} has no index: make one with clipseg-live index {name}.")


def open_index(path: Path, engine: FeatureSegmenter | None = None, *, engine_name: str = "auto") -> Index:
    """Open an index, and check that its sources have not changed. Sources that are not there are not checked.

    Raises:
        InvalidIndex: The index is damaged, or a source has changed.
    """
    index = Index.open(path, engine, engine_name=engine_name)
    for source in index.sources:
        files = files_of(source)
        if files and all(file.exists() for file in files):
            check_content(source, files, path)
    return index


def files_of(source: IndexedSource) -> list[Path]:
    """Return the files of an indexed source; none for a source with a scheme."""
    if find_scheme(source.path) is not None:
        return []
    if not source.photos:
        return [Path(source.path)]
    folder = Path(source.path)
    folder = folder if folder.is_dir() else folder.parent
    return [folder / name for name, _, _ in source.stamps]


def size_on_disk(folder: Path) -> int:
    """Return the size of an index in bytes."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def _describe(request: IndexRequest, previous: IndexManifest | None) -> IndexedSource:
    """Return the source of a request. Files with the same stamps as before are not read."""
    name, photos = request.source, is_folder_or_pattern(request.source)
    path = absolute(name)
    if find_scheme(name) is not None:
        stamps: Stamps = ((name, 0, 0),)
        content = hashlib.sha256(name.encode()).hexdigest()
        known = None
    else:
        files = list_images(name)
        stamps = stamps_of(files)
        known = next((each for each in (previous.sources if previous else ()) if each.stamps == stamps), None)
        content = content_digest(files) if known is None else known.content
    others = previous.sources if previous else ()
    if others and not any(each.path == path or each.content == content for each in others):
        raise InvalidIndex(
            f"The index {request.place} is that of {others[0].path}: give another folder with --into, or --overwrite "
            "to replace it."
        )
    every = "each" if photos else str(request.every or next((each.every for each in others), Sampling()))
    return IndexedSource(
        name=Path(path).name or path, path=path, content=content, stamps=stamps, every=every, photos=photos
    )


def _finished(
    folder: Path, previous: IndexManifest, described: IndexedSource, files: ModelFiles, request: IndexRequest
) -> FinishedIndex | None:
    """Return the index if it is complete, undamaged and as requested, so that no model is needed."""
    recipe, wanted = previous.recipe, request.engine
    same = (
        recipe.weights == files.digest()
        and wanted.dtype in ("auto", recipe.dtype)
        and wanted.size in (None, recipe.size)
        and wanted.resize_mode == recipe.resize_mode
        and request.storage in (None, recipe.storage)
    )
    source = next((each for each in previous.sources if each.content == described.content), None)
    if not same or source is None or source.frames is None or source.every != described.every:
        return None
    try:
        store = IndexStore(folder)
        for chunk in store.chunks.values():
            chunk.verify()
    except InvalidIndex:
        logger.warning("The index %s has to be completed", folder, exc_info=True)
        return None
    if (source.path, source.stamps) != (described.path, described.stamps):
        with open_writer(folder, previous.model, recipe) as writer:
            writer.add_source(described)
    return FinishedIndex(folder, source.frames, size_on_disk(folder), None)


def _announce(info: SourceInfo, sampling: Sampling, engine: FeatureSegmenter, storage: Storage, folder: Path) -> str:
    """Return a message with the expected size.

    Raises:
        Failure: The disk has less space.
    """
    count = sampling.expected(info.frame_count, None if info.independent else info.duration)
    if count is None:
        return f"Indexing {info.name} to {folder.name}"
    needed = count * entry_bytes(*engine.feature_shape((info.height, info.width)), storage)
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE_BYTES:
        raise Failure(
            f"The index of {info.name} needs about {in_words(needed)}, and {folder} has {in_words(free)} free: use "
            "another disk with --into, or --compact."
        )
    return f"Indexing {info.name} to {folder.name}: about {in_words(needed)}"


def in_words(size: float) -> str:
    """Return a number of bytes as text."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _remove(folder: Path) -> None:
    if not is_index(folder):
        raise UsageError(f"{folder} is not an index, so it is never replaced: give another folder.")
    try:
        shutil.rmtree(folder)
    except OSError as error:
        logger.warning("An index cannot be removed", exc_info=True)
        raise Failure(f"The index {folder} cannot be removed: {error.strerror or error}.") from error
