"""What programs call: mattes and effects on a picture, and an export in one call. ``stream.py`` has the live part."""

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from os import PathLike
from pathlib import Path

from clipseg_live.app.export import ExportRequest, run_export
from clipseg_live.core.errors import UsageError
from clipseg_live.core.frame import Frame, Pixels
from clipseg_live.core.image_input import ImageLike, as_pixels
from clipseg_live.core.mattes import MatteRequest, Mattes, no_mattes
from clipseg_live.core.prompts import PromptLike, require_prompts
from clipseg_live.core.segmentation import Segmentation, is_usable
from clipseg_live.core.settings.base import DataFormat, EngineSettings, PromptStyle, prompt_styles, validated
from clipseg_live.core.settings.effects import DEFAULT_EFFECTS, AnyEffect, parse_effects
from clipseg_live.core.settings.rendering import ExportSettings, MatteSettings, RenderSettings
from clipseg_live.core.system.quoting import shorten
from clipseg_live.demo.source import DEMO_PREFIX
from clipseg_live.matting.causal import MattePipeline
from clipseg_live.rendering.renderer import EffectRenderer
from clipseg_live.runtime.export import ExportResult, Progress

logger = logging.getLogger(__name__)

FrameRate = int | float | Fraction
EffectsLike = str | Sequence[AnyEffect]
"""As on the command line ("spotlight+labels"), or as values of ``core.effects``."""


def make_mattes(
    pixels: ImageLike,
    found: Segmentation,
    settings: MatteSettings | None = None,
    *,
    threshold: float | None = None,
    styles: Sequence[PromptStyle] = (),
) -> Mattes:
    """Soft mattes of one picture, with borders that follow its edges: one for each prompt whose role is "show".

    pixels: the picture that ``found`` is of, in any form that ``Segmenter.segment`` takes. threshold: 0..1, of all
    prompts, instead of their own. styles: threshold, role and shape of each prompt by its place.
    EffectsLike that hide something cover a little more than the other effects; the result holds what both need.
    Maps with values that are not numbers give empty mattes; effects that hide something then hide the whole picture.
    Raises UsageError where picture and maps, or styles and prompts, do not belong together.
    """
    pixels = as_pixels(pixels)
    if pixels.shape[:2] != found.frame_size:
        (height, width), (rows, columns) = found.frame_size, pixels.shape[:2]
        raise UsageError(f"The maps are of a picture of {width}×{height} pixels; this one has {columns}×{rows}.")
    numbers = tuple(range(len(found.prompts)))
    frame, chosen = Frame(pixels, 0, Fraction(0)), settings or MatteSettings()
    request = MatteRequest(numbers, numbers, _styled(len(numbers), styles, threshold), chosen)
    if not is_usable(found.probabilities, len(numbers)):
        logger.error("Prediction dropped: its values are not finite")
        return no_mattes(frame.height, frame.width, request.drawn)
    pipeline = MattePipeline()
    pipeline.take(found.probabilities, numbers, 0)
    pipeline.show(frame, chosen)
    return pipeline.mattes(frame, request)


def draw(
    pixels: ImageLike,
    mattes: Mattes,
    effects: EffectsLike = DEFAULT_EFFECTS,
    *,
    names: Sequence[str] = (),
    styles: Sequence[PromptStyle] = (),
) -> Pixels:
    """The picture with effects drawn over it, as a new one: uint8 (height, width, 3), RGB.

    pixels: in any form that ``Segmenter.segment`` takes. names: what the effect "labels" writes; styles: colours and
    opacities; of the mattes, by their places.
    Raises UsageError for effects that are not there, and for mattes of a picture of another size; SourceError for a
    backdrop that cannot be read.
    """
    pixels = as_pixels(pixels)
    if (mattes.height, mattes.width) != pixels.shape[:2]:
        (rows, columns) = pixels.shape[:2]
        raise UsageError(
            f"The mattes are of a picture of {mattes.width}×{mattes.height} pixels; this one has {columns}×{rows}."
        )
    look = RenderSettings(effects=_listed(effects), styles=_styled(len(mattes.each), styles), names=tuple(names))
    composer = EffectRenderer(look)
    try:
        return composer.compose(pixels, mattes)
    finally:
        composer.close()


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
    """Segment a video, a picture or a folder of pictures into a file, data, or both, as ``clipseg-live export`` does.

    A folder or pattern of pictures is a set of independent photos, whose pictures go into the folder ``output``; with
    ``sequence`` (frames per second) it is a film. A photo that cannot be read does not stop the others: the result's
    ``problems`` tell of it, and a warning.
    prompts: one or several, as for ``Segmenter.segment``. output: the video or picture; None where only data are
    wanted. data: a place for each format, such as {"coco": "dataset"}. effects, threshold
    (0..1, of all prompts), styles (by the prompts' places) and model replace those of ``settings``; "demo:" alone
    defaults to the model "shapes".
    Warns (UserWarning) about what a user should know of the result, such as data that show what effects hide.
    Raises UsageError for what cannot be, Failure for what did not work; no half of a result is left then.
    """
    for value in (source, "" if output is None else output):
        if not isinstance(value, (str, PathLike)):
            raise UsageError(f"{shorten(repr(value))} is not the name of a file or folder.")
    asked = require_prompts(prompts)
    chosen = settings or ExportSettings()
    own = tuple(styles) or chosen.look.styles
    look = {"styles": _styled(len(asked), own, threshold), "names": tuple(prompt.label for prompt in asked)}
    if effects is not None:
        look["effects"] = _listed(effects)
    engine = chosen.engine
    if model is not None or (settings is None and str(source).startswith(DEMO_PREFIX)):
        engine = validated(EngineSettings, **{**engine.model_dump(), "model": model or "shapes"})
    if sequence is not None:
        chosen = validated(ExportSettings, **{**dict(chosen), "sequence": sequence})
    chosen = chosen.model_copy(update={"engine": engine, "look": chosen.look.model_copy(update=look)})
    places = tuple((form, Path(place)) for form, place in (data or {}).items())
    request = ExportRequest(str(source), None if output is None else Path(output), asked, chosen, data=places)
    finished = run_export(request, on_progress=on_progress)
    for notice in (*finished.notices, *finished.result.problems):
        warnings.warn(notice, UserWarning, stacklevel=2)
    return finished.result


def _listed(effects: EffectsLike) -> tuple[AnyEffect, ...]:
    return parse_effects(effects) if isinstance(effects, str) else tuple(effects)


def _styled(count: int, styles: Sequence[PromptStyle], threshold: float | None = None) -> tuple[PromptStyle, ...]:
    """One style for each prompt. Raises UsageError for another number of them, or a threshold that cannot be."""
    if styles and len(styles) != count:
        raise UsageError(f"There are {len(styles)} styles for {count} prompts: give one for each, or none.")
    found = tuple(styles) or prompt_styles(count)
    if threshold is None:
        return found
    return tuple(validated(PromptStyle, **{**style.model_dump(), "threshold": threshold}) for style in found)
