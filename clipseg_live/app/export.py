"""Construction of an export from its settings, with the concrete sources, exporters and engine."""

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipseg_live._version import __version__
from clipseg_live.app.batch.photo_sets import Photo, open_photo_writer, with_photos
from clipseg_live.app.engine import ReadyEngine, find_model, load_engine, loading_message
from clipseg_live.app.stored_maps import StoredMapsEngine, check_maps_path
from clipseg_live.core.errors import UsageError
from clipseg_live.core.frame import SourceInfo
from clipseg_live.core.privacy import is_cautious, untouched_files, untouched_warning
from clipseg_live.core.prompts import Prompt, require_prompts
from clipseg_live.core.protocols import FileOutput, FrameSource
from clipseg_live.core.rendered_frame import RenderPlan
from clipseg_live.core.segmentation import UNUSABLE
from clipseg_live.core.settings.base import DataFormat
from clipseg_live.core.settings.data_formats import find_format, with_option
from clipseg_live.core.settings.live import FrameTransform
from clipseg_live.core.settings.rendering import Deinterlace, ExportSettings
from clipseg_live.core.settings.source_schemes import SourceRequest, find_scheme, open_by_scheme
from clipseg_live.core.system.paths import is_pattern, searches
from clipseg_live.core.system.settings_log import loggable
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.masks import open_mask_sink
from clipseg_live.exporters.registry import SelectedFrames, open_data_sink, open_transparent_sink
from clipseg_live.matting.causal import CausalMattes
from clipseg_live.matting.lookahead import LookaheadMattes
from clipseg_live.media.images.photo_sets import Listing, PhotoSetSource
from clipseg_live.media.images.photo_writer import PhotoWriter
from clipseg_live.media.images.writers import ImageWriter, VideoWriter, open_sink
from clipseg_live.media.sources.framing import FramedSource
from clipseg_live.media.sources.registry import open_source
from clipseg_live.model.store.layout import ModelFiles
from clipseg_live.rendering.hdr import HDRBlend
from clipseg_live.rendering.renderer import EffectRenderer
from clipseg_live.runtime.export import Export, ExportResult, Progress
from clipseg_live.runtime.pipeline import FramePipeline, RenderTools, plan_of
from clipseg_live.runtime.threads import StopSwitch

if TYPE_CHECKING:
    from clipseg_live.model.driver import DriverSegmenter

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """A requested export.

    Attributes:
        source: File, folder or pattern of images, or ``demo:SEED``. For a set of photos, its name.
        output: File to write, or the folder for a set of photos. None if only masks or data are written.
        prompts: Prompts to segment.
        settings: Settings of the export.
        masks: A ``.jsonl`` file or a folder for masks.
        framing: Crop, rotation and mirroring of every frame. Masks are of the framed image.
        data: Data formats, each with its path.
        photos: Set of photos in place of the source. ``run_export`` lists them if the source is a folder or pattern and
            ``settings.sequence`` is not set.
        notices: Messages for the user about inputs that were left out.
        maps: ``.npz`` file of probability maps. Maps in it are used instead of the model, and new ones are added.
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
    maps: Path | None = None

    @property
    def outputs(self) -> tuple[Path, ...]:
        """Return the paths of everything that is written."""
        paths = (path for path in (self.output, self.masks) if path is not None)
        return (*paths, *(path for _, path in self.data))

    @property
    def result(self) -> Path:
        """Return the path that names the export: its video or image, or the first of its data."""
        return self.outputs[0]


@dataclass(frozen=True, slots=True)
class FinishedExport:
    """A finished export.

    Attributes:
        result: Result of the export.
        notices: Messages for the user, for example that sound was converted.
    """

    result: ExportResult
    notices: tuple[str, ...]


def run_export(
    request: ExportRequest,
    *,
    engine: Callable[[], ReadyEngine] | None = None,
    stop: StopSwitch | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> FinishedExport:
    """Check the request, load the model, and export.

    Args:
        request: Requested export.
        engine: Returns a loaded engine for ``request.settings``. Called once the source is open.
        stop: Stops the export from another thread, as Ctrl-C does.
        on_stage: Called with a message for each stage.
        on_progress: Called with the progress.

    Raises:
        UsageError: The request is invalid.
        Failure: The export failed.
    """
    settings = request.settings
    logger.info("Export settings: %s", loggable(settings))
    prompts = check_settings(request)
    request = with_photos(request)
    source = _open_source(request)
    if request.framing != FrameTransform():
        source = FramedSource(source, request.framing)
    _check_paths(request)
    frame_output = _open_frame_output(request)
    _open_data_outputs(request, {})  # reject invalid options before the model is loaded
    with ExitStack() as stack:
        stack.enter_context(closing(source))
        info = source.open()
        loaded_engine = None if engine is None else engine()
        files = find_model(settings.engine) if loaded_engine is None else loaded_engine.files
        if loaded_engine is None and request.maps is None:
            on_stage(loading_message(files, settings.engine))
        data = _open_data_outputs(request, mask_header(request, files))
        stored_maps: StoredMapsEngine | None = None
        if loaded_engine is None and request.maps is not None:
            loaded_engine = stored_maps = stack.enter_context(
                closing(_open_maps(request, request.maps, files, on_stage))
            )
        elif loaded_engine is None:
            loaded_engine = load_engine(files, settings.engine, prompts)
        on_stage(f"Exporting to {request.result.name}")
        pipeline = stack.enter_context(closing(_make_pipeline(request, info, draws=frame_output is not None)))
        export = Export(
            source,
            info,
            loaded_engine,
            prompts,
            pipeline,
            data if frame_output is None else [frame_output, *data],
            keep_partial=settings.keep_partial,
            on_progress=on_progress,
        )
        if stop is not None:
            stop.on_stop(export.request_stop)
        result = export.run()
        if stored_maps is not None:
            stored_maps.finish()
    notices = [
        *loaded_engine.notices,
        *_conversion_notices(info),
        *(request.notices or info.notices),
        *(notice for exporter in data for notice in exporter.notices),
    ]
    if export.broken:
        frames = "1 frame" if result.frames == 1 else f"{result.frames} frames"
        notices.append(f"{export.broken} The result contains the {frames} before that point.")
    if export.unusable:
        frames = "1 frame" if export.unusable == 1 else f"{export.unusable} frames"
        notices.append(f"{UNUSABLE} Affected: {frames}.")
    if (warning := _privacy_warning(request)) is not None:
        notices.append(warning)
    if frame_output is not None:
        notices += frame_output.notices
        if frame_output.padded:
            name = frame_output.path.name
            notices.append(f"The last row or column of {name} is duplicated: H.264 and H.265 require even sizes.")
    return FinishedExport(result, tuple(dict.fromkeys(notices)))  # two exporters may give the same notice


def _open_maps(
    request: ExportRequest, path: Path, files: ModelFiles, on_stage: Callable[[str], None]
) -> StoredMapsEngine:
    """Return an engine that takes maps from a file, and loads the model only if it is needed."""
    engine = request.settings.engine

    def load() -> "DriverSegmenter":
        on_stage(loading_message(files, engine))
        loaded = load_engine(files, engine, request.prompts)
        on_stage(f"Exporting to {request.result.name}")
        return loaded

    return StoredMapsEngine(path, files, engine, request.prompts, load, overwrite=request.settings.overwrite)


def _conversion_notices(info: SourceInfo) -> tuple[str, ...]:
    """Return a notice if the source was converted to SDR."""
    if info.hdr is None or info.hdr.kept:
        return ()
    if info.hdr.range == "wide gamut":
        return (f"{info.name} has a wide gamut: its colours were converted to BT.709 (sRGB).",)
    return (f"{info.name} is HDR ({info.hdr.range}) and was converted to SDR: --hdr keep writes HDR.",)


def check_settings(request: ExportRequest) -> tuple[Prompt, ...]:
    """Check the settings of an export, and return its prompts.

    Raises:
        UsageError: The settings are invalid.
    """
    settings = request.settings
    prompts = require_prompts(request.prompts)
    if len(settings.render.styles) != len(prompts):
        raise UsageError(
            f"There are {len(settings.render.styles)} styles for {len(prompts)} prompts: give one for each."
        )
    if not request.outputs:
        raise UsageError("Say where the result goes: a video or image, masks, or data.")
    if request.maps is not None:
        check_maps_path(request.maps)
    if settings.alpha and request.output is None:
        raise UsageError("--alpha needs an output: add -o, such as -o out.mov.")
    if settings.hdr == "keep" and settings.alpha:
        raise UsageError("A transparent result is always SDR: leave out --hdr keep, or --alpha.")
    if settings.hdr == "keep" and request.output is None:
        raise UsageError("--hdr keep needs an output: add -o, such as -o out.mp4.")
    if settings.codec is not None and request.output is None:
        raise UsageError(f"--codec {settings.codec} needs an output: add -o, such as -o out.mp4.")
    if settings.annotations.split is not None and not any(
        "split" in find_format(data_format).options for data_format, _ in request.data
    ):
        raise UsageError(f"--split needs a data set to split: add --data {' or '.join(with_option('split'))}.")
    if settings.end is not None and settings.end <= (settings.start or 0):
        raise UsageError("The end must come after the start: --to must be later than --from.")
    return prompts


def plan_of_export(request: ExportRequest, draws: bool = True) -> RenderPlan:
    """Return the plan of an export.

    Args:
        request: Requested export.
        draws: Rendered frames are written, not only data.
    """
    look = request.settings.render
    return plan_of(
        request.prompts,
        look.styles,
        names=look.names,
        matte=request.settings.matte,
        effects=look.effects if draws else None,
        cautious=is_cautious(look.effects),
    )


def _make_pipeline(request: ExportRequest, info: SourceInfo, draws: bool) -> FramePipeline:
    settings, independent = request.settings, info.independent
    is_lookahead = settings.temporal == "lookahead" and settings.matte.smoothing > 0  # only smoothing uses later frames
    tools = RenderTools(
        make_matting=lambda: LookaheadMattes(settings.matte, independent) if is_lookahead else CausalMattes(),
        make_renderer=EffectRenderer,
        blend=HDRBlend(info.hdr) if draws and info.hdr is not None and info.hdr.kept else None,
    )
    return FramePipeline(plan_of_export(request, draws), tools)


def _open_source(request: ExportRequest) -> FrameSource:
    """Return the source of a request, not opened yet."""
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


def _open_frame_output(request: ExportRequest) -> VideoWriter | ImageWriter | PhotoWriter | None:
    """Return the exporter of the rendered frames, or None if they are not written."""
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


def _open_data_outputs(request: ExportRequest, header: Mapping[str, Any]) -> list[FileOutput]:
    """Return the exporters that take mattes.

    The transparent result has all frames. Masks and data have the selected frames.
    """
    settings, labels = request.settings, plan_of_export(request).labels
    options = DataOptions(
        header,
        labels,
        settings.overwrite,
        settings.quality,
        settings.start,
        settings.end,
        annotations=settings.annotations,
    )
    all_frames: list[FileOutput] = []
    if settings.alpha and request.output is not None:
        all_frames.append(open_transparent_sink(request.output, options, settings.codec))
    selected: list[FileOutput] = []
    if request.masks is not None:
        selected.append(open_mask_sink(request.masks, header, labels, settings.overwrite, settings.annotations))
    selected += [open_data_sink(data_format, path, options) for data_format, path in request.data]
    if settings.every > 1 or settings.only_present:
        selected = [
            SelectedFrames(output, settings.every, settings.only_present, settings.matte.presence_threshold)
            for output in selected
        ]
    return all_frames + selected


def _privacy_warning(request: ExportRequest) -> str | None:
    """Return a warning if the effects do not hide anything in one of the outputs."""
    transparent = ("the transparent result",) if request.settings.alpha else ()
    return untouched_warning(
        request.settings.render.effects, untouched_files((data_format for data_format, _ in request.data), transparent)
    )


def open_named_source(
    name: str,
    start: Fraction | None = None,
    end: Fraction | None = None,
    sequence: Fraction | None = None,
    *,
    deinterlace: Deinterlace = "auto",
    keep_hdr: bool = False,
    select: Callable[[Fraction], bool] | None = None,
) -> FrameSource:
    """Return the source of this name, not opened yet. A demo scene ends after eight seconds without ``end``.

    Args:
        name: Name of the source.
        start: First time in seconds.
        end: Last time in seconds.
        sequence: Frame rate at which the images of a folder or pattern are a video.
        deinterlace: Option of ``VideoFileSource``.
        keep_hdr: Option of ``VideoFileSource``.
        select: Option of ``VideoFileSource``. Other sources return all frames.

    Raises:
        UsageError: The name or an option is invalid.
    """
    scheme = find_scheme(name)
    if scheme is None:
        return open_source(
            name, start=start, end=end, sequence=sequence, deinterlace=deinterlace, keep_hdr=keep_hdr, select=select
        )
    if sequence is not None:
        raise UsageError(
            f"--sequence needs a folder or a pattern of images, and {name} is neither: leave out --sequence."
        )
    source = open_by_scheme(scheme, SourceRequest(name=name, start=start, end=end))
    if getattr(source, "live", False):
        raise UsageError(f"{name} is a live source, and export reads files: record it with clipseg-live record.")
    return source


def mask_header(request: ExportRequest, files: ModelFiles) -> dict[str, Any]:
    """Return a description of the model and settings, which masks and data contain."""
    return {
        "version": __version__,
        "model": files.name,
        "model_sha256": files.digest(),
        "source": request.source,
        "prompts": [prompt.label for prompt in request.prompts],
        "settings": request.settings.model_dump(mode="json"),
        "framing": request.framing.model_dump(mode="json"),
    }


def _check_paths(request: ExportRequest) -> None:
    """Check that no output is the input or another output.

    Raises:
        UsageError: Two of them are the same file.
    """
    data = ((f"{data_format} data", path) for data_format, path in request.data)
    candidates = [
        ("images" if request.photos else "video", request.output),
        ("masks", request.masks),
        ("maps", request.maps),
        *data,
    ]
    outputs = [(name, path) for name, path in candidates if path is not None]
    sources = [photo.file for photo in request.photos] or [Path(request.source)]
    for _, output in outputs:
        if any(_is_same_file(source, output) for source in sources):
            raise UsageError(f"{output} is also the input: give the result another name.")
    is_searched = request.output is not None and is_pattern(request.source) and searches(request.source, request.output)
    if request.photos and is_searched:
        raise UsageError(f"{request.source} would also match the results: choose another folder.")
    folders = {source.parent for source in sources}
    for name, output in outputs:
        if os.path.isdir(output) and any(_is_same_file(folder, output) for folder in folders):
            raise UsageError(
                f"The input is in {output}, which the {name} would replace: choose another folder for them."
            )
    for (name, output), (other_name, other) in combinations(outputs, 2):
        if _is_same_file(output, other) or os.path.abspath(output) == os.path.abspath(other):
            raise UsageError(
                f"The {other_name} and the {name} would both be written to {output}: give them different names."
            )


def _is_same_file(first: Path, second: Path) -> bool:
    try:
        return os.path.samefile(first, second)
    except OSError:  # one of them does not exist
        return False
