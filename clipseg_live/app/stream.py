"""Builds a stream for programs: ``clipseg_live.stream``."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

from clipseg_live.app.session import DEMO_SOURCE, framed, make_matting, open_session_source
from clipseg_live.core.addresses import SourceName
from clipseg_live.core.privacy import is_cautious
from clipseg_live.core.prompts import PromptLike, require_prompts
from clipseg_live.core.settings.base import EngineSettings, PromptStyle, validated
from clipseg_live.core.settings.live import LiveSettings, SourceSpec, SourceStatus
from clipseg_live.core.settings.rendering import PLAIN_MATTES
from clipseg_live.model.driver import DriverSegmenter
from clipseg_live.runtime.stream import Stream


def stream(
    source: str | Path | SourceSpec,
    prompts: PromptLike | Sequence[PromptLike] = (),
    settings: LiveSettings | None = None,
    *,
    threshold: float | None = None,
    model: str | None = None,
    sequence: int | float | Fraction | None = None,
    on_status: Callable[[SourceStatus], None] = lambda status: None,
) -> Stream:
    """Frames of a source with the maps and mattes of prompts, as they come.

    source: as in ``clipseg-live watch``: "camera:0", a file, an address, "demo:". prompts: texts or prompts; none takes
    the rows of ``settings``. settings: engine, mattes, framing and the rows' styles by their places (defaults: hard
    masks at 0.5, each frame for itself). threshold: of all prompts, instead of their own, 0..1. model: a name or
    folder, instead of the settings' own; "demo:" alone defaults to "shapes". sequence: frames per second of the film
    that the pictures of a folder or pattern make; without it they are independent photos, as fast as they are taken,
    and ``on_status`` tells of those that cannot be read.
    Raises UsageError and ModelError at once; SourceError comes from the iteration.
    """
    spec = source if isinstance(source, SourceSpec) else SourceSpec(name=SourceName(str(source)))
    if sequence is not None:
        spec = validated(SourceSpec, **{**dict(spec), "sequence": sequence})
    open_session_source(spec)  # a name that means nothing is told before a model is loaded
    chosen = settings or LiveSettings(matte=PLAIN_MATTES)
    engine = chosen.engine
    if model is not None or (settings is None and spec.name.startswith(DEMO_SOURCE)):
        engine = EngineSettings(**{**engine.model_dump(), "model": model or "shapes"})
    own = [prompt for row in chosen.shown() if (prompt := row.prompt) is not None]
    given = not (isinstance(prompts, Sequence) and len(prompts) == 0)
    asked = list(require_prompts(prompts if given else own))
    segmenter = DriverSegmenter.load(**engine.model_dump())
    segmenter.encode(asked)
    return Stream(
        spec,
        asked,
        segmenter,
        open_session_source,
        framed,
        make_matting(),
        matte=chosen.matte,
        cautious=is_cautious(chosen.effects) or None,
        styles=_styles(chosen, len(asked), given=given, threshold=threshold),
        framing=chosen.framing,
        on_status=on_status,
    )


def _styles(settings: LiveSettings, count: int, given: bool, threshold: float | None) -> list[PromptStyle]:
    """One for each prompt: of the settings' rows, but for prompts that were given beside them."""
    own = [] if given else [row.style for row in settings.shown() if row.prompt is not None]
    styles = [*own, *[PromptStyle()] * (count - len(own))]
    return styles if threshold is None else [style.model_copy(update={"threshold": threshold}) for style in styles]
