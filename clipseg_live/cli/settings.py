"""Settings of all commands that segment a source, from their options, session files and presets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from clipseg_live.cli.shared_options import LiveOptions, PromptOptions, SegmentationOptions, given, names_of

if TYPE_CHECKING:
    from clipseg_live.core.prompts import Prompt
    from clipseg_live.core.settings.base import Frozen, PromptStyle
    from clipseg_live.core.settings.live import LiveSettings, PromptRow
    from clipseg_live.core.settings.rendering import RenderSettings

_Settings = TypeVar("_Settings", bound="Frozen")


@dataclass(frozen=True, slots=True)
class PromptedSettings:
    """Settings with any number of prompts.

    Attributes:
        prompts: Prompts.
        look: Effects, and the style and name of each prompt.
        live: Mask settings, engine and framing. Its rows may be others.
    """

    prompts: "tuple[Prompt, ...]"
    look: "RenderSettings"
    live: "LiveSettings"


def load_base(
    options: SegmentationOptions, default: "LiveSettings | None" = None, *, exclusive: bool = True
) -> "LiveSettings":
    """Return the settings that the options change: those of the session file, or else the default.

    Args:
        options: Options of the command.
        default: Settings without a session file; None for the defaults of a session.
        exclusive: Reject prompts, styles and effects together with a session file.

    Raises:
        UsageError: The options conflict, or the session is not trusted.
        Failure: The session file cannot be read.
    """
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.session_file import load_session
    from clipseg_live.core.settings.live import LiveSettings

    path = options.prompts.session
    if path is None:
        return LiveSettings() if default is None else default
    others = [name for name in names_of(options.prompts) if name not in ("--session", "--trust-session")]
    names = [*others, *names_of(options.style), *names_of(options.shape), *names_of(options.effects)]
    if exclusive and names:
        raise UsageError(
            f"The session file has its own prompts, styles and effects: give --session or {' '.join(names)}, not both."
        )
    return load_session(path, trusted=bool(options.prompts.trust_session))


def change_settings(options: SegmentationOptions, base: "LiveSettings", *, demo: bool = False) -> "LiveSettings":
    """Return the settings of a live session with the values of the options.

    New prompts replace the rows. Without them, styles and templates apply to the rows that are shown, and negative and
    contrast prompts are added.

    Args:
        options: Options of the command.
        base: Settings that the options change.
        demo: Use the model "shapes" unless an option or a session file names another one.

    Raises:
        UsageError: A value is invalid, or there are too many prompts.
        Failure: A file cannot be read.
    """
    from clipseg_live.app.prompts import LONGEST_ROW_IMAGE, with_prompts

    changed = _change_all_but_prompts(options, base, demo=demo)
    shown, others = _read(options.prompts, LONGEST_ROW_IMAGE)
    rows = () if shown else _change_rows(options, base)
    styles = (*_new_styles(options, len(shown)), *_other_styles(options.prompts))
    replaced = {"rows": rows, "comparison": None} if shown else {"rows": rows}  # variants had other prompts
    base_rows = changed.model_copy(update=replaced)
    return with_prompts(base_rows, (*shown, *others), styles, options.prompts.template or ())


def session_settings(options: SegmentationOptions, *, demo: bool) -> "LiveSettings":
    """Return the settings of a live session without a window.

    Args:
        options: Options of the command.
        demo: As for ``change_settings``.

    Raises:
        UsageError: The options conflict, a value is invalid, or there is no prompt.
        Failure: A file cannot be read.
    """
    settings = change_settings(options, load_base(options), demo=demo)
    settings = settings.model_copy(update={"comparison": None})  # only the window shows variants
    _require_prompt(options, settings.prompts()[1])
    return settings


def prompted_settings(
    options: SegmentationOptions, default: "LiveSettings | None" = None, *, exclusive: bool = True, demo: bool
) -> PromptedSettings:
    """Return the settings of an export or stream, whose prompts need not fit into a session.

    Args:
        options: Options of the command.
        default: As for ``load_base``.
        exclusive: As for ``load_base``.
        demo: As for ``change_settings``.

    Raises:
        UsageError: The options conflict, a value is invalid, or there is no prompt.
        Failure: A file cannot be read.
    """
    from clipseg_live.core.settings.base import validated
    from clipseg_live.core.settings.rendering import RenderSettings

    base = load_base(options, default, exclusive=exclusive)
    shown, others = _read(options.prompts)
    if not shown:
        live = change_settings(options, base, demo=demo)
        prompts, look = live.prompts()
        _require_prompt(options, look)
        return PromptedSettings(prompts, look, live)
    live = _change_all_but_prompts(options, base, demo=demo)
    styles = (*_new_styles(options, len(shown)), *_other_styles(options.prompts))
    names = (*(prompt.label for prompt in shown), *[""] * len(others))
    look = validated(RenderSettings, effects=live.effects, styles=styles, names=names)
    return PromptedSettings((*shown, *others), look, live)


def _require_prompt(options: SegmentationOptions, look: "RenderSettings") -> None:
    from clipseg_live.core.errors import UsageError

    if any(style.role == "positive" for style in look.styles):
        return
    if options.prompts.session is not None:
        raise UsageError(f"The session {options.prompts.session} shows no prompt: add one in the window first.")
    raise UsageError('There is no prompt: say what to segment, such as -p "red circle".')


def _change_all_but_prompts(options: SegmentationOptions, base: "LiveSettings", *, demo: bool) -> "LiveSettings":
    from clipseg_live.core.settings.base import BUILT_IN_MODEL, validated
    from clipseg_live.core.settings.effects import parse_effects
    from clipseg_live.core.settings.live import LiveSettings
    from clipseg_live.core.settings.presets import find_preset

    effects, matte = base.effects, base.matte
    if options.effects.preset is not None:
        effects, matte = find_preset(options.effects.preset)
    if options.effects.effect is not None:
        effects = parse_effects(options.effects.effect)
    engine, framing = given(options.engine), given(options.framing)
    if isinstance(options, LiveOptions):
        engine |= given(options.reuse)
    if demo and options.prompts.session is None:
        engine.setdefault("model", BUILT_IN_MODEL)
    if "crop" in framing:
        framing["crop"] = _parse_crop(framing["crop"])
    changed = {
        "effects": effects,
        "disabled_effects": base.disabled_effects if effects == base.effects else (),
        "matte": _replaced(matte, given(options.matte)),
        "engine": _replaced(base.engine, engine),
        "framing": _replaced(base.framing, framing),
    }
    return validated(LiveSettings, **{**dict(base), **changed})


def _parse_crop(text: str) -> tuple[float, ...]:
    from clipseg_live.core.errors import UsageError

    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not a crop: give x,y,width,height in shares of the frame, such as 0.25,0,0.5,1."
        ) from error
    return x, y, width, height


def _read(options: PromptOptions, longest: int | None = None) -> "tuple[tuple[Prompt, ...], tuple[Prompt, ...]]":
    """Return the prompts that are drawn, and the negative and contrast prompts."""
    from clipseg_live.app.prompts import read_prompts

    templates = options.template or ()
    images, embeddings = options.prompt_image or (), options.prompt_embedding or ()
    shown = read_prompts(options.prompt or (), templates, images, embeddings, longest=longest)
    return shown, read_prompts([*(options.negative or ()), *(options.contrast or ())], templates)


def _new_styles(options: SegmentationOptions, count: int) -> "tuple[PromptStyle, ...]":
    from clipseg_live.core.settings.base import PALETTE, PromptStyle

    return _styled(options, [PromptStyle(colour=PALETTE[index % len(PALETTE)]) for index in range(count)])


def _other_styles(options: PromptOptions) -> "tuple[PromptStyle, ...]":
    from clipseg_live.core.settings.base import PromptStyle

    negative, contrast = PromptStyle(role="negative"), PromptStyle(role="contrast")
    return (*[negative] * len(options.negative or ()), *[contrast] * len(options.contrast or ()))


def _change_rows(options: SegmentationOptions, base: "LiveSettings") -> "tuple[PromptRow, ...]":
    """Return the rows with the styles and templates of the options, where they are shown."""
    shown = [row for row in base.shown() if row.style.role == "positive" and row.prompt is not None]
    styles = dict(zip((row.id for row in shown), _styled(options, [row.style for row in shown]), strict=True))
    templates = {} if options.prompts.template is None else {"templates": tuple(options.prompts.template)}
    return tuple(
        _replaced(row, {"style": styles[row.id], **templates}) if row.id in styles else row for row in base.rows
    )


def _styled(options: SegmentationOptions, styles: "Sequence[PromptStyle]") -> "tuple[PromptStyle, ...]":
    """Return the styles with the values of the options: one for all styles, or one for each.

    Raises:
        UsageError: The number of values is another one, or a value is invalid.
    """
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.settings.base import parse_colour

    style, shape = given(options.style), given(options.shape)
    if "colour" in style:
        style["colour"] = [parse_colour(text) for text in style["colour"]]
    if "opacity" in style:
        style["opacity"] = [style["opacity"]]
    for name, values in (*style.items(), *shape.items()):
        if len(values) not in (1, len(styles)):
            raise UsageError(
                f"There are {len(values)} values of {name} for {len(styles)} prompts: "
                "give one for all, or one for each."
            )

    def values_of(columns: Mapping[str, Sequence[object]], index: int) -> dict[str, object]:
        return {name: values[0] if len(values) == 1 else values[index] for name, values in columns.items()}

    return tuple(
        _replaced(each, {**values_of(style, index), "shape": _replaced(each.shape, values_of(shape, index))})
        for index, each in enumerate(styles)
    )


def _replaced(settings: _Settings, values: Mapping[str, Any]) -> _Settings:
    """Return the settings with other values of some fields.

    Raises:
        UsageError: A value is invalid.
    """
    from clipseg_live.core.settings.base import validated

    return validated(type(settings), **{**dict(settings), **values})
