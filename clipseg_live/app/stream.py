"""Streams for programs: ``clipseg_live.stream``."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

from clipseg_live.app.engine import find_model, load_engine
from clipseg_live.app.session import DEMO_SOURCE, frame_filter, make_matting, make_renderer, open_session_source
from clipseg_live.core.addresses import SourceName
from clipseg_live.core.errors import UsageError
from clipseg_live.core.privacy import is_cautious
from clipseg_live.core.prompts import PromptLike, require_prompts
from clipseg_live.core.settings.base import EngineSettings, PromptStyle, validated
from clipseg_live.core.settings.live import LiveSettings, SourceSpec
from clipseg_live.core.settings.rendering import PLAIN_MATTES
from clipseg_live.core.status import SourceStatus
from clipseg_live.runtime.pipeline import RenderTools
from clipseg_live.runtime.stream import Stream, StreamSettings


def stream(
    source: str | Path | SourceSpec,
    prompts: PromptLike | Sequence[PromptLike] = (),
    settings: LiveSettings | None = None,
    *,
    threshold: float | None = None,
    styles: Sequence[PromptStyle] = (),
    model: str | None = None,
    sequence: int | float | Fraction | None = None,
    on_status: Callable[[SourceStatus], None] = lambda status: None,
) -> Stream:
    """Return a stream of a source's frames with the maps and mattes of prompts.

    Args:
        source: Source as in ``clipseg-live watch``: "camera:0", a file, an address, "demo:".
        prompts: Texts or prompts. Without any, the rows of ``settings`` are used.
        settings: Engine, mattes, framing, and the styles of the rows in their order. Without them, masks are hard with
            a threshold of 0.5, and each frame is segmented without smoothing.
        threshold: Threshold of all prompts, 0..1, in place of their own.
        styles: Threshold, role and shape of each prompt, in their order, in place of those of ``settings``.
        model: Name or folder of a model, in place of the settings' own. "demo:" without settings uses "shapes".
        sequence: Frame rate at which the images of a folder or pattern are a video. Without it they are independent
            photos, as fast as they are taken, and ``on_status`` reports those that cannot be read.
        on_status: Called when the status of the source changes.

    Returns:
        A stream. Its iteration raises SourceError. Its ``notices`` are messages of the engine.

    Raises:
        UsageError: An argument is invalid.
        ModelError: The model cannot be used.
    """
    spec = source if isinstance(source, SourceSpec) else SourceSpec(name=SourceName(str(source)))
    if sequence is not None:
        spec = validated(SourceSpec, **{**dict(spec), "sequence": sequence})
    open_session_source(spec)  # reject an unknown name before the model is loaded
    live_settings = settings or LiveSettings(matte=PLAIN_MATTES)
    engine = live_settings.engine
    if model is not None or (settings is None and spec.name.startswith(DEMO_SOURCE)):
        engine = EngineSettings(**{**engine.model_dump(), "model": model or "shapes"})
    has_prompts = not (isinstance(prompts, Sequence) and len(prompts) == 0)
    row_prompts, look = ((), None) if has_prompts else live_settings.prompts()
    all_prompts = require_prompts(prompts if has_prompts else row_prompts)
    own_styles = tuple(styles) or (look.styles if look is not None else (PromptStyle(),) * len(all_prompts))
    if len(own_styles) != len(all_prompts):
        raise UsageError(
            f"There are {len(own_styles)} styles for {len(all_prompts)} prompts: give one for each, or none."
        )
    segmenter = load_engine(find_model(engine), engine, all_prompts)
    return Stream(
        spec,
        all_prompts,
        segmenter,
        open_session_source,
        frame_filter,
        RenderTools(make_matting, make_renderer),
        settings=StreamSettings(
            matte=live_settings.matte,
            cautious=is_cautious(live_settings.effects) or None,
            styles=tuple(_with_threshold(own_styles, threshold)),
            framing=live_settings.framing,
        ),
        on_status=on_status,
        get_notices=lambda: segmenter.notices,
    )


def _with_threshold(styles: Sequence[PromptStyle], threshold: float | None) -> Sequence[PromptStyle]:
    if threshold is None:
        return styles
    return [validated(PromptStyle, **{**style.model_dump(), "threshold": threshold}) for style in styles]
