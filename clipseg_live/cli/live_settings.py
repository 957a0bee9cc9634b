"""Settings of a live session from the options of ``camera`` and ``record``."""

from pathlib import Path
from typing import TYPE_CHECKING

from clipseg_live.cli.export.options import look_from, mattes_from

if TYPE_CHECKING:
    from clipseg_live.core.settings.live import LiveSettings


def live_settings_from(
    source: str,
    *,
    prompt: list[str] | None,
    threshold: list[float] | None,
    effect: str | None,
    preset: str | None,
    session: Path | None,
    trust_session: bool,
    model: str | None,
    mirror: bool,
) -> "LiveSettings":
    """Return the settings of a live session from options.

    Args:
        source: Name of the source.
        prompt: Prompts.
        threshold: Threshold of all prompts, or of each prompt in their order.
        effect: Effects.
        preset: Name of a preset.
        session: Session file, in place of prompts, thresholds, effects and preset.
        trust_session: The session file may read files outside its folder.
        model: Name or folder of a model. "demo:" without a session file uses "shapes".
        mirror: Mirror the source.

    Raises:
        UsageError: The options do not fit together.
        Failure: The session file cannot be read.
    """
    from clipseg_live.core.errors import UsageError

    if session is not None:
        if any(given is not None for given in (prompt, effect, preset, threshold)):
            raise UsageError("A session file has its own prompts and look: give those options, or --session, not both.")
        settings = _from_file(session, trust_session)
    else:
        settings = _from_options(prompt or [], threshold, effect, preset)
    if model is not None or (session is None and source.startswith("demo:")):
        engine = settings.engine.model_copy(update={"model": model or "shapes"})
        settings = settings.model_copy(update={"engine": engine})
    if mirror:
        settings = settings.model_copy(update={"framing": settings.framing.model_copy(update={"mirror": True})})
    return settings


def _from_file(path: Path, trusted: bool) -> "LiveSettings":
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.session_file import load_session

    settings = load_session(path, trusted=trusted)
    if not any(row.style.role == "show" and row.prompt is not None for row in settings.shown()):
        raise UsageError(f"The session {path} shows no prompt: add one in the window first.")
    return settings


def _from_options(
    prompts: list[str], threshold: list[float] | None, effect: str | None, preset: str | None
) -> "LiveSettings":
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.settings.live import MOST_ROWS, LiveSettings

    names = [prompt.strip() for prompt in prompts if prompt.strip()]
    if not names:
        raise UsageError('There is no prompt: say what to look for, such as -p "red circle".')
    if len(names) > MOST_ROWS:
        raise UsageError(f"There are {len(names)} prompts: a live session takes {MOST_ROWS} at most.")
    look = look_from(names, threshold, None, None, effect, preset, {}, 0, 0)
    rows = tuple(
        LiveSettings().new_row(name).model_copy(update={"id": number, "style": style})
        for number, (name, style) in enumerate(zip(names, look.styles, strict=True))
    )
    return LiveSettings(rows=rows, effects=look.effects, matte=mattes_from(preset, {}))
