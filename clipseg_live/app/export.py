"""Builds a runnable session out of settings: the only place that knows every concrete class."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from clipseg_live._version import __version__
from clipseg_live.app.batch.photo_sets import Photo, open_photo_writer, with_photos
from clipseg_live.core.annotations import SPLIT_FORMATS
from clipseg_live.core.errors import UsageError
from clipseg_live.core.frame import SourceInfo
from clipseg_live.core.mattes import Label, MatteRequest
from clipseg_live.core.privacy import is_cautious, untouched_files, untouched_warning
from clipseg_live.core.prompts import Prompt, require_prompts
from clipseg_live.core.protocols import Engine, FrameSource, MaskSink, MatteSequence
from clipseg_live.core.segmentation import UNUSABLE
from clipseg_live.core.settings.base import DataFormat, EngineSettings
from clipseg_live.core.settings.live import FrameTransform
from clipseg_live.core.settings.rendering import Deinterlace, ExportSettings, RenderSettings
from clipseg_live.core.system.paths import is_pattern, searches
from clipseg_live.core.system.settings_log import loggable
from clipseg_live.demo.source import DEMO_PREFIX, DemoSource
from clipseg_live.exporters.masks import open_mask_sink
from clipseg_live.exporters.registry import SelectedFrames, open_data_sink, open_transparent_sink
from clipseg_live.matting.lookahead import CausalMattes, IndependentMattes, LookaheadMattes
from clipseg_live.media.images.photo_sets import Listing, PhotoSetSource
from clipseg_live.media.images.photo_writer import PhotoWriter
from clipseg_live.media.images.writers import ImageWriter, VideoWriter, open_sink
from clipseg_live.media.sources.framed_source import FramedSource
from clipseg_live.media.sources.registry import open_source
from clipseg_live.model.store import loading
from clipseg_live.rendering.hdr import HDRBlend
from clipseg_live.rendering.renderer import EffectRenderer
from clipseg_live.runtime.export import Export, ExportResult, Progress
from clipseg_live.runtime.threads import StopSwitch

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from clipseg_live.model.segmenter import Segmenter

DEMO_SECONDS = Fraction(8)
"""How much of the endless demo scene is exported where no end is given."""


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What a person asked to be exported.

    source: a file, a folder or pattern of pictures, or ``demo:SEED``. output: None where only masks or data are wanted.
    masks: a ``.jsonl`` file or a folder. data: formats, and where each goes.
    framing: what is done to every frame first; masks are of the framed picture.
    photos: a set of photos in place of the source, whose name is then the set's; output is a folder for their pictures.
    They are found by ``run_export`` where the source is a folder or pattern and no sequence is asked for.
    notices: sentences for the user about what was left out.
    """

    source: str
    output: Path | None
    prompts: tuple[Prompt, ...]
    settings: ExportSettings
    masks: Path | None = None
    framing: FrameTransform = field(default_factory=FrameTransform)
    data: tuple[tuple[DataFormat, Path], ...] = ()
    photos: tuple[Photo, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def outputs(self) -> tuple[Path, ...]:
        """Everything that is written."""
        given = (path for path in (self.output, self.masks) if path is not None)
        return (*given, *(path for _, path in self.data))

    @property
    def result(self) -> Path:
        """What the export is known by: its video or picture, or the first of its data."""
        return self.outputs[0]


@dataclass(frozen=True, slots=True)
class FinishedExport:
    """notices: sentences a person should read, such as that sound was converted."""

    result: ExportResult
    notices: tuple[str, ...]


class ReadyEngine(Engine, Protocol):
    """An engine that is loaded. files: its model's. notices: sentences a person should read."""

    files: loading.ModelFiles

    @property
    def notices(self) -> tuple[str, ...]: ...


def find_model(settings: EngineSettings) -> loading.ModelFiles:
    """The files of the model that is asked for; fetches them, with a bar of its own, where they are not there yet.

    Raises UsageError for what cannot be, ModelError where the files are missing.
    """
    from clipseg_live.model.segmenter import check_options  # imports torch, which takes a second

    check_options(settings.device, settings.dtype, settings.fit)
    return loading.find_model_files(settings.model)


def load_engine(files: loading.ModelFiles, settings: EngineSettings, prompts: Sequence[Prompt]) -> "Segmenter":
    """The engine that is asked for, with the prompts encoded. Raises UsageError for what cannot be, ModelError."""
    from clipseg_live.model.driver import DriverSegmenter

    engine = DriverSegmenter.load(files, **settings.model_dump(exclude={"model"}))
    engine.encode(prompts)
    return engine


def run_export(
    request: ExportRequest,
    *,
    engine: Callable[[], ReadyEngine] | None = None,
    stop: StopSwitch | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> FinishedExport:
    """Check everything that is cheap to check, load the model, and export.

    engine: gives one that is loaded, as ``request.settings`` asks for, when the source is seen to be there.
    stop: ends the export from another thread, as Ctrl-C does.
    Raises the errors of core: UsageError for what cannot be, Failure for what did not work.
    """
    settings = request.settings
    logger.info("Export settings: %s", loggable(settings))
    prompts = check_settings(request)
    request = with_photos(request)
    source = _source_of(request)
    if request.framing != FrameTransform():
        source = FramedSource(source, request.framing)
    _refuse_own_input(request)
    sink = _sink_of(request)
    _data_of(request, {})  # what cannot be is said before a model is loaded
    with ExitStack() as stack:
        stack.enter_context(closing(source))
        info = source.open()
        ready = None if engine is None else engine()
        files = find_model(settings.engine) if ready is None else ready.files
        if ready is None:
            on_stage(f"Loading {files.name}")
        data = _data_of(request, mask_header(request, files))
        if ready is None:
            ready = load_engine(files, settings.engine, prompts)
        on_stage(f"Exporting to {request.result.name}")
        composer = None
        if sink is not None:
            composer = stack.enter_context(closing(EffectRenderer(drawn_of(settings.look))))
        export = Export(
            source,
            info,
            ready,
            _mattes_of(settings, len(prompts), info.independent),
            composer,
            sink,
            prompts,
            data=data,
            labels=labels_of(request),
            blend=HDRBlend(info.hdr) if sink is not None and info.hdr is not None and info.hdr.kept else None,
            keep_partial=settings.keep_partial,
            on_progress=on_progress,
        )
        if stop is not None:
            stop.on_stop(export.request_stop)
        result = export.run()
    notices = [
        *ready.notices,
        *_conversion(info),
        *(request.notices or info.notices),
        *(notice for each in data for notice in each.notices),
    ]
    if export.broken:
        frames = "1 frame" if result.frames == 1 else f"{result.frames} frames"
        notices.append(f"{export.broken} The result has the {frames} before that point.")
    if export.unusable:
        frames = "1 frame has" if export.unusable == 1 else f"{export.unusable} frames have"
        notices.append(f"{UNUSABLE} {frames} no masks.")
    if (warning := _untouched(request)) is not None:
        notices.append(warning)
    if sink is not None:
        notices += sink.notices
        if sink.padded:
            notices.append(f"{sink.path.name} repeats its last line or column: H.264 and H.265 take only even sizes.")
    return FinishedExport(result, tuple(dict.fromkeys(notices)))  # two data sets may say the same


def _conversion(info: SourceInfo) -> tuple[str, ...]:
    """Return a sentence if the source was converted to SDR."""
    if info.hdr is None or info.hdr.kept:
        return ()
    if info.hdr.range == "wide gamut":
        return (f"{info.name} has a wide gamut: its colours were converted to BT.709 (sRGB).",)
    return (f"{info.name} is HDR ({info.hdr.range}) and was converted to SDR: --hdr keep writes HDR.",)


def check_settings(request: ExportRequest) -> tuple[Prompt, ...]:
    """The prompts of an export whose settings can be. Raises UsageError."""
    settings = request.settings
    prompts = require_prompts(request.prompts)
    if len(settings.look.styles) != len(prompts):
        raise UsageError(
            f"There are {len(settings.look.styles)} styles for {len(prompts)} prompts: one each is needed."
        )
    if not request.outputs:
        raise UsageError("Say where the result goes: a video or picture, masks, or data.")
    if settings.alpha and request.output is None:
        raise UsageError("Nothing is there to be transparent: --alpha needs -o, such as -o out.mov.")
    if settings.hdr == "keep" and settings.alpha:
        raise UsageError("A transparent result is always SDR: leave out --hdr keep, or --alpha.")
    if settings.hdr == "keep" and request.output is None:
        raise UsageError("There is no video to be written as HDR: --hdr keep needs -o.")
    if settings.codec is not None and request.output is None:
        raise UsageError(f"There is no video to be coded as {settings.codec}: --codec needs -o.")
    if settings.annotations.split is not None and not any(form in SPLIT_FORMATS for form, _ in request.data):
        raise UsageError(f"Nothing is there to be split: --split needs --data {' or '.join(SPLIT_FORMATS)}.")
    if settings.end is not None and settings.end <= (settings.start or 0):
        raise UsageError("The end must come after the start: nothing lies between --from and --to.")
    return prompts


def drawn_of(look: RenderSettings) -> RenderSettings:
    """The part of a look that is drawn: without prompts that only work on others."""
    drawn = [at for at, style in enumerate(look.styles) if style.role == "show"]
    names = tuple(look.names[at] for at in drawn) if look.names else ()
    return look.model_copy(update={"styles": tuple(look.styles[at] for at in drawn), "names": names})


def _mattes_of(settings: ExportSettings, count: int, independent: bool) -> MatteSequence:
    request = MatteRequest(
        keys=tuple(range(count)),
        ids=tuple(range(count)),
        styles=settings.look.styles,
        settings=settings.matte,
        cautious=is_cautious(settings.look.effects),
    )
    ahead = settings.time == "lookahead" and settings.matte.smoothing > 0  # without it there is nothing to look for
    make = LookaheadMattes if ahead else CausalMattes
    return IndependentMattes(lambda: make(request)) if independent else make(request)


def _source_of(request: ExportRequest) -> FrameSource:
    """The source of a request, not yet opened."""
    settings = request.settings
    if request.photos:
        listing = Listing(request.source, tuple(photo.file for photo in request.photos))
        return PhotoSetSource(lambda: listing)
    return open_named_source(
        request.source,
        settings.start,
        settings.end,
        settings.sequence,
        deinterlace=settings.deinterlace,
        keep_hdr=settings.hdr == "keep",
    )


def _sink_of(request: ExportRequest) -> VideoWriter | ImageWriter | PhotoWriter | None:
    """Where the composed picture goes; None where it goes nowhere."""
    settings = request.settings
    if request.photos:
        return open_photo_writer(request)
    if request.output is None or settings.alpha:
        return None
    return open_sink(
        request.output,
        codec=settings.codec,
        quality=settings.quality,
        overwrite=settings.overwrite,
        start=settings.start,
        end=settings.end,
    )


def _data_of(request: ExportRequest, header: Mapping[str, Any]) -> list[MaskSink]:
    """The sinks that take mattes: the transparent result whole, masks and data of the frames that are chosen."""
    settings, labels = request.settings, labels_of(request)
    shaped: dict[str, Any] = {"quality": settings.quality, "start": settings.start, "end": settings.end}
    whole: list[MaskSink] = []
    if settings.alpha and request.output is not None:
        whole.append(
            open_transparent_sink(request.output, header, labels, settings.overwrite, codec=settings.codec, **shaped)
        )
    chosen: list[MaskSink] = []
    if request.masks is not None:
        chosen.append(open_mask_sink(request.masks, header, labels, settings.overwrite, settings.annotations))
    for form, path in request.data:
        chosen.append(
            open_data_sink(form, path, header, labels, settings.overwrite, annotations=settings.annotations, **shaped)
        )
    if settings.every > 1 or settings.only_present:
        chosen = [
            SelectedFrames(sink, settings.every, settings.only_present, settings.matte.present) for sink in chosen
        ]
    return whole + chosen


def _untouched(request: ExportRequest) -> str | None:
    """Return a warning if something is written in which the effects hide nothing."""
    transparent = ("the transparent result",) if request.settings.alpha else ()
    return untouched_warning(
        request.settings.look.effects, untouched_files((form for form, _ in request.data), transparent)
    )


def labels_of(request: ExportRequest) -> tuple[Label, ...]:
    """Of the prompts that are drawn."""
    each = zip(request.prompts, request.settings.look.styles, strict=True)
    return tuple(Label(prompt.label, style.threshold) for prompt, style in each if style.role == "show")


def open_named_source(
    name: str,
    start: Fraction | None = None,
    end: Fraction | None = None,
    sequence: Fraction | None = None,
    *,
    deinterlace: Deinterlace = "auto",
    keep_hdr: bool = False,
) -> FrameSource:
    """The source of this name, not yet opened; a demo scene ends after ``DEMO_SECONDS`` unless ``end`` is given.

    sequence: frames per second, if the pictures of a folder or pattern are a film.
    deinterlace, keep_hdr: as for ``VideoFileSource``.
    """
    if not name.startswith(DEMO_PREFIX):
        return open_source(name, start=start, end=end, sequence=sequence, deinterlace=deinterlace, keep_hdr=keep_hdr)
    if sequence is not None:
        raise UsageError(f"--sequence takes a folder or a pattern of pictures, which {name} is not: leave it out.")
    start = start or Fraction(0)
    return DemoSource.named(name, start=start, duration=DEMO_SECONDS if end is None else end - start)


def mask_header(request: ExportRequest, files: loading.ModelFiles) -> dict[str, Any]:
    """Return what masks and data were made with."""
    return {
        "version": __version__,
        "model": files.name,
        "model_sha256": files.digest(),
        "source": request.source,
        "prompts": [prompt.label for prompt in request.prompts],
        "settings": request.settings.model_dump(mode="json"),
        "framing": request.framing.model_dump(mode="json"),
    }


def _refuse_own_input(request: ExportRequest) -> None:
    """No output may be the input, or another output, whatever it is called."""
    data = ((f"{form} data", path) for form, path in request.data)
    named = [("pictures" if request.photos else "video", request.output), ("masks", request.masks), *data]
    places = [(name, path) for name, path in named if path is not None]
    sources = [photo.file for photo in request.photos] or [Path(request.source)]
    for _, output in places:
        if any(_same(source, output) for source in sources):
            raise UsageError(f"{output} is the input itself: give the result another name.")
    is_searched = request.output is not None and is_pattern(request.source) and searches(request.source, request.output)
    if request.photos and is_searched:
        raise UsageError(f"{request.source} would find the results next time: name another folder.")
    folders = {source.parent for source in sources}
    for name, output in places:
        if os.path.isdir(output) and any(_same(folder, output) for folder in folders):
            raise UsageError(f"The input lies in {output}, which the {name} would replace: give them another folder.")
    for (name, output), (other_name, other) in combinations(places, 2):
        if _same(output, other) or os.path.abspath(output) == os.path.abspath(other):
            raise UsageError(f"The {other_name} and the {name} would both be {output}: give them two names.")


def _same(first: Path, second: Path) -> bool:
    try:
        return os.path.samefile(first, second)
    except OSError:  # one of them is not there
        return False


def prompts_from(
    texts: Sequence[str], templates: Sequence[str], images: Sequence[Path], embeddings: Sequence[Path]
) -> tuple[Prompt, ...]:
    """Prompts of the command line: texts, then images, then embeddings, each in the order given."""
    from clipseg_live.media.images.reader import read_image

    return (
        *(Prompt.text(text, templates or ("{}",)) for text in texts),
        *(Prompt.image(read_image(path), label=path.stem) for path in images),
        *(Prompt.embedding(path, label=path.stem) for path in embeddings),
    )
