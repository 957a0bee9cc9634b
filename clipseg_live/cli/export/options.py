"""Settings from the options of ``export``: paths, data formats, styles, times and session files."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipseg_live.core.prompts import Prompt
    from clipseg_live.core.settings.annotations import AnnotationSettings
    from clipseg_live.core.settings.base import DataFormat, EngineSettings
    from clipseg_live.core.settings.live import FrameTransform
    from clipseg_live.core.settings.rendering import MatteSettings, RenderSettings


def check_places(
    sources: Sequence[str], output: Path | None, into: Path | None, suffix: str | None, jobs: int, *,
    data: bool, sequence: "Fraction | None" = None,
) -> None:  # fmt: skip
    """Check that the options say where the results go.

    Args:
        sources: Inputs.
        output: Value of ``-o``.
        into: Value of ``--into``.
        suffix: Value of ``--suffix``.
        jobs: Value of ``--jobs``.
        data: Whether masks or data are requested.
        sequence: Frame rate if images are a video.

    Raises:
        UsageError: The options do not fit together.
    """
    from clipseg_live.app.batch.photo_sets import is_photos
    from clipseg_live.core.addresses import SCHEMES, SourceName
    from clipseg_live.core.errors import UsageError

    photos = all(is_photos(name, sequence) for name in sources)

    for source in map(SourceName, sources):
        if source.is_address and not Path(source.reveal()).exists():
            raise UsageError(f"{source} is an address, and export reads files: record it with clipseg-live record.")
    if output is not None and str(output).partition(":")[0].lower() in SCHEMES:
        raise UsageError("The result is a file, not an address: name a file after -o, such as out.mp4.")
    if output is not None and into is not None:
        raise UsageError("-o names one result, --into a folder for many: give one of the two.")
    if photos and sequence is not None:
        raise UsageError(
            '--sequence takes a folder, or a pattern in quotes such as "shots/*.png", not single pictures.'
        )
    if into is None and len(sources) > 1 and not photos:
        raise UsageError(f"There are {len(sources)} inputs: give --into FOLDER, which takes a result for each.")
    if output is None and into is None and not data:
        raise UsageError(
            "Say where the result goes: -o out.mp4, --into FOLDER for many inputs, or only data: --data coco:FOLDER."
        )
    for name, given in (("--suffix", suffix is not None), ("--jobs", jobs != 1)):
        if given and into is None and not (photos and name == "--suffix"):
            raise UsageError(f"{name} is for many inputs: give --into FOLDER as well.")


def data_from(given: Sequence[str], many: bool) -> "list[tuple[DataFormat, Path]]":
    """Parse ``FORMAT:PATH``, or with ``many`` inputs ``FORMAT`` alone. The paths are empty then.

    Raises:
        UsageError: A value is invalid.
    """
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.settings.data_formats import find_format

    formats: list[tuple[DataFormat, Path]] = []
    for value in given:
        name, _, path = value.partition(":")
        form = find_format(name).name
        if many and path:
            raise UsageError(f"With --into, data lie beside each result: say --data {name}, without a place.")
        if not many and not path:
            raise UsageError(f"Say where the data go: --data {name}:PATH.")
        if many and any(form == other for other, _ in formats):
            raise UsageError(f"--data {name} is given twice: once is enough.")
        formats.append((form, Path(path)))
    return formats


def annotations_from(**options: Any) -> "AnnotationSettings":
    """Return the settings of annotations.

    Raises:
        UsageError: A value is invalid.
    """
    from clipseg_live.core.settings.annotations import AnnotationSettings
    from clipseg_live.core.settings.base import validated

    return validated(AnnotationSettings, **only_given(**options))


def only_given(**options: Any) -> dict[str, Any]:
    """Return the options that are not None."""
    return {name: value for name, value in options.items() if value is not None}


def look_from(
    names: list[str], threshold: list[float] | None, colour: list[str] | None, opacity: float | None,
    effect: str | None, preset: str | None, shapes: dict[str, list[float]], negative: int, contrast: int,
) -> "RenderSettings":  # fmt: skip
    """Return the render settings of prompts.

    Args:
        names: Names of the prompts that are drawn.
        threshold: Threshold of all prompts, or of each prompt in their order.
        colour: Colour of all prompts, or of each prompt in their order.
        opacity: Opacity of all prompts.
        effect: Effects, in place of those of the preset.
        preset: Name of a preset.
        shapes: Values of ``MatteShape`` by name, one for all prompts or one for each.
        negative: Number of negative prompts, which follow the drawn ones.
        contrast: Number of contrast prompts, which come last.

    Raises:
        UsageError: A value is invalid.
    """
    from clipseg_live.core.settings.base import MatteShape, PromptStyle, parse_colour, prompt_styles, validated
    from clipseg_live.core.settings.effects import DEFAULT_EFFECTS, parse_effects
    from clipseg_live.core.settings.presets import find_preset
    from clipseg_live.core.settings.rendering import RenderSettings

    styles = prompt_styles(
        len(names),
        thresholds=threshold or (),
        colours=[parse_colour(text) for text in colour or ()],
        opacity=PromptStyle().opacity if opacity is None else opacity,
    )
    styles = tuple(
        style.model_copy(update={"shape": validated(MatteShape, **_nth(shapes, number, len(names)))})
        for number, style in enumerate(styles)
    )
    others = [PromptStyle(role="negative")] * negative + [PromptStyle(role="contrast")] * contrast
    effects = find_preset(preset)[0] if preset is not None else DEFAULT_EFFECTS
    effects = parse_effects(effect) if effect is not None else effects
    spare = [""] * len(others)
    return validated(RenderSettings, effects=effects, styles=(*styles, *others), names=(*names, *spare))


def _nth(options: dict[str, list[float]], number: int, count: int) -> dict[str, float]:
    """Return the value of each option for one prompt.

    Raises:
        UsageError: An option has neither one value nor ``count``.
    """
    from clipseg_live.core.errors import UsageError

    for name, values in options.items():
        if len(values) not in (1, count):
            raise UsageError(
                f"There are {len(values)} values of {name} for {count} prompts: give one for all, or one for each."
            )
    return {name: values[0] if len(values) == 1 else values[number] for name, values in options.items()}


def mattes_from(preset: str | None, given: dict[str, Any]) -> "MatteSettings":
    """Return the matte settings of a preset, with the given values in place of its own.

    Raises:
        UsageError: A value is invalid.
    """
    from clipseg_live.core.settings.base import validated
    from clipseg_live.core.settings.presets import find_preset
    from clipseg_live.core.settings.rendering import MatteSettings

    base = MatteSettings() if preset is None else find_preset(preset)[1]
    return validated(MatteSettings, **{**base.model_dump(), **given})


def engine_from(values: dict[str, Any]) -> "EngineSettings":
    """Return the engine settings with the given values.

    Raises:
        UsageError: A value is invalid.
    """
    from clipseg_live.core.settings.base import EngineSettings, validated

    return validated(EngineSettings, **values)


def from_session(
    path: Path, engine: dict[str, Any], mattes: dict[str, Any], *, trusted: bool = False
) -> "tuple[tuple[Prompt, ...], RenderSettings, FrameTransform, EngineSettings, MatteSettings]":
    """Return prompts, render settings, framing, engine and mattes of a session file.

    Args:
        path: Session file.
        engine: Values in place of the file's engine settings.
        mattes: Values in place of the file's matte settings.
        trusted: The file may read files outside its folder.

    Raises:
        UsageError: The file shows no prompt, or a value is invalid.
        Failure: The file cannot be read.
    """
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.session_file import load_session
    from clipseg_live.core.settings.base import validated
    from clipseg_live.core.settings.rendering import MatteSettings

    saved = load_session(path, trusted=trusted)
    asking = [(row, prompt) for row in saved.shown() if (prompt := row.prompt) is not None]
    if not any(row.style.role == "show" for row, _ in asking):
        raise UsageError(f"The session {path} shows no prompt: add one in the window first.")
    rows, prompts = tuple(row for row, _ in asking), tuple(prompt for _, prompt in asking)
    indices = {row.id: index for index, row in enumerate(rows)}
    look = saved.look(rows)
    styles = tuple(
        style.model_copy(update={"against": tuple(indices.get(row_id, -1) for row_id in style.against)})
        for style in look.styles
    )
    matte = validated(MatteSettings, **{**saved.matte.model_dump(), **mattes})
    chosen = engine_from({**saved.engine.model_dump(), **engine})
    return prompts, look.model_copy(update={"styles": styles}), saved.framing, chosen, matte


def parse_time(text: str) -> Fraction:
    """Parse a time such as ``"90"``, ``"1:30"`` or ``"0:01:30.5"``, and return exact seconds.

    Raises:
        UsageError: The text is not a time.
    """
    from clipseg_live.core.errors import UsageError

    parts = text.strip().split(":")
    try:
        values = [Fraction(part) for part in parts]
    except (ValueError, ZeroDivisionError):
        values = []
    well_formed = 1 <= len(values) <= 3 and all(value >= 0 for value in values)
    if not well_formed or any(value >= 60 for value in values[1:]) or "/" in text:
        raise UsageError(f"{text!r} is not a time: write seconds (12.5) or hours, minutes and seconds (0:01:12.5).")
    seconds = Fraction(0)
    for value in values:
        seconds = seconds * 60 + value
    return seconds
