"""Functions for programs: mattes and effects on an image, and an export in one call. Streams are in ``stream.py``."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from os import PathLike
from pathlib import Path

from clipseg_live.app.export import ExportRequest, run_export
from clipseg_live.core.errors import UsageError
from clipseg_live.core.frame import Frame, Pixels
from clipseg_live.core.image_input import ImageLike, as_pixels
from clipseg_live.core.mattes import Mattes
from clipseg_live.core.prompts import PromptLike, require_prompts
from clipseg_live.core.rendered_frame import RenderPlan
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.core.settings.base import DataFormat, EngineSettings, PromptStyle, prompt_styles, validated
from clipseg_live.core.settings.effects import DEFAULT_EFFECTS, AnyEffect, parse_effects
from clipseg_live.core.settings.rendering import ExportSettings, MatteSettings, RenderSettings
from clipseg_live.core.system.quoting import shorten
from clipseg_live.demo.source import DEMO_PREFIX
from clipseg_live.matting.causal import CausalMattes
from clipseg_live.rendering.renderer import EffectRenderer
from clipseg_live.runtime.export import ExportResult, Progress
from clipseg_live.runtime.pipeline import FramePipeline, RenderTools, plan_of

_TOOLS = RenderTools(CausalMattes, EffectRenderer)

FrameRate = int | float | Fraction
EffectsLike = str | Sequence[AnyEffect]
"""Effects as on the command line ("spotlight+labels"), or as values of ``core.settings.effects``."""


def make_mattes(
    pixels: ImageLike,
    found: Segmentation,
    settings: MatteSettings | None = None,
    *,
    threshold: float | None = None,
    styles: Sequence[PromptStyle] = (),
) -> Mattes:
    """Return soft mattes of one image, with borders that follow its edges, for each prompt whose role is "positive".

    Effects that hide something cover a little more than other effects. The result holds the mattes of both. Maps with
    values that are not finite give empty mattes. Hiding effects then hide the whole image.

    Args:
        pixels: Image of the segmentation, in any form that ``Segmenter.segment`` takes.
        found: Segmentation of the image.
        settings: Settings of the mattes.
        threshold: Threshold of all prompts, 0..1, in place of their own.
        styles: Threshold, role and shape of each prompt, in their order.

    Raises:
        UsageError: The image does not fit the maps, or the styles do not fit the prompts.
    """
    pixels = as_pixels(pixels)
    if pixels.shape[:2] != found.frame_size:
        (height, width), (rows, columns) = found.frame_size, pixels.shape[:2]
        raise UsageError(f"The maps are of an image of {width}×{height} pixels, but this image has {columns}×{rows}.")
    plan = plan_of(found.prompts, _list_styles(len(found.prompts), styles, threshold), matte=settings)
    frame, pipeline = Frame(pixels, 0, Fraction(0)), FramePipeline(plan, _TOOLS)
    pipeline.add_prediction(plan.prediction(frame, found.probabilities))
    return pipeline.process(frame).mattes


def draw(
    pixels: ImageLike,
    mattes: Mattes,
    effects: EffectsLike = DEFAULT_EFFECTS,
    *,
    names: Sequence[str] = (),
    styles: Sequence[PromptStyle] = (),
) -> Pixels:
    """Draw effects over an image, and return the result as a new image: uint8 (height, width, 3), RGB.

    Args:
        pixels: Image in any form that ``Segmenter.segment`` takes.
        mattes: Mattes of the image.
        effects: Effects to draw.
        names: Name of each matte, for the effect "labels".
        styles: Colour and opacity of each matte.

    Raises:
        UsageError: An effect is unknown, or the mattes are of an image of another size.
        SourceError: A backdrop cannot be read.
    """
    pixels = as_pixels(pixels)
    if (mattes.height, mattes.width) != pixels.shape[:2]:
        (rows, columns) = pixels.shape[:2]
        raise UsageError(
            f"The mattes are of an image of {mattes.width}×{mattes.height} pixels, but this image has {columns}×{rows}."
        )
    look = RenderSettings(
        effects=_list_effects(effects), styles=_list_styles(len(mattes.each), styles), names=tuple(names)
    )
    pipeline = FramePipeline(RenderPlan(), _TOOLS)
    try:
        return pipeline.draw(Frame(pixels, 0, Fraction(0)), mattes, look)
    finally:
        pipeline.close()


def export(
    source: str | Path,
    prompts: PromptLike | Sequence[PromptLike],
    output: str | Path | None = None,
    settings: ExportSettings | None = None,
    *,
    effects: EffectsLike | None = None,
    threshold: float | None = None,
    styles: Sequence[PromptStyle] = (),
    data: Mapping[DataFormat, str | Path] | None = None,
    model: str | None = None,
    sequence: FrameRate | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> ExportResult:
    """Segment a video, an image or a folder of images into a file, data or both, as ``clipseg-live export`` does.

    A folder or pattern of images is a set of independent photos, whose results go into the folder ``output``. With
    ``sequence`` it is a video. A photo that cannot be read does not stop the others. It is reported by a warning and in
    the result's ``problems``.

    Warnings (UserWarning) report facts about the result, for example that data show areas that effects hide.

    Args:
        source: File, folder, pattern or "demo:".
        prompts: One or several prompts, as for ``Segmenter.segment``.
        output: Video or image to write. None if only data are written.
        settings: Settings of the export.
        effects: Effects, in place of those of ``settings``.
        threshold: Threshold of all prompts, 0..1, in place of their own.
        styles: Styles of the prompts in their order, in place of those of ``settings``.
        data: Path for each data format, such as {"coco": "dataset"}.
        model: Name or folder of a model, in place of that of ``settings``. "demo:" without settings uses "shapes".
        sequence: Frame rate at which the images of a folder or pattern are a video.
        on_progress: Called with the progress.

    Returns:
        Result of the export.

    Raises:
        UsageError: An argument is invalid.
        Failure: The export failed. No incomplete result is left.
    """
    for value in (source, "" if output is None else output):
        if not isinstance(value, (str, PathLike)):
            raise UsageError(f"{shorten(repr(value))} is not the name of a file or folder.")
    all_prompts = require_prompts(prompts)
    export_settings = settings or ExportSettings()
    given_styles = tuple(styles) or export_settings.render.styles
    look = {
        "styles": _list_styles(len(all_prompts), given_styles, threshold),
        "names": tuple(prompt.label for prompt in all_prompts),
    }
    if effects is not None:
        look["effects"] = _list_effects(effects)
    engine = export_settings.engine
    if model is not None or (settings is None and str(source).startswith(DEMO_PREFIX)):
        engine = validated(EngineSettings, **{**engine.model_dump(), "model": model or "shapes"})
    if sequence is not None:
        export_settings = validated(ExportSettings, **{**dict(export_settings), "sequence": sequence})
    export_settings = export_settings.model_copy(
        update={"engine": engine, "look": export_settings.render.model_copy(update=look)}
    )
    data_paths = tuple((data_format, Path(path)) for data_format, path in (data or {}).items())
    request = ExportRequest(
        str(source), None if output is None else Path(output), all_prompts, export_settings, data=data_paths
    )
    finished_export = run_export(request, on_progress=on_progress)
    for notice in (*finished_export.notices, *finished_export.result.problems):
        warnings.warn(notice, UserWarning, stacklevel=2)
    return finished_export.result


def _list_effects(effects: EffectsLike) -> tuple[AnyEffect, ...]:
    return parse_effects(effects) if isinstance(effects, str) else tuple(effects)


def _list_styles(count: int, styles: Sequence[PromptStyle], threshold: float | None = None) -> tuple[PromptStyle, ...]:
    """Return one style for each prompt.

    Raises:
        UsageError: The number of styles is wrong, or the threshold is invalid.
    """
    if styles and len(styles) != count:
        raise UsageError(f"There are {len(styles)} styles for {count} prompts: give one for each, or none.")
    all_styles = tuple(styles) or prompt_styles(count)
    if threshold is None:
        return all_styles
    return tuple(validated(PromptStyle, **{**style.model_dump(), "threshold": threshold}) for style in all_styles)
