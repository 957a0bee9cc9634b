"""``clipseg-live export``: a video, picture or folder in; the same with its prompts drawn, and masks as data, out."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from clipseg_live.assemble.export import ExportRequest
    from clipseg_live.core.live import Framing
    from clipseg_live.core.look import Look, MatteSettings
    from clipseg_live.core.prompts import Prompt
    from clipseg_live.core.settings import EngineSettings
    from clipseg_live.pipeline.export import Progress

_INPUT = "A video file, a picture, a folder or pattern of pictures, or demo: (demo:SEED for another scene)."
_ONCE = "once for all prompts, or once for each in their order"


def export(
    source: Annotated[str, typer.Argument(metavar="INPUT", help=_INPUT)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="The file to write.")],
    prompt: Annotated[
        list[str] | None, typer.Option("--prompt", "-p", metavar="TEXT", help="What to look for; repeat for more.")
    ] = None,
    prompt_image: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A picture of what to look for; repeat for more.")
    ] = None,
    prompt_embedding: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A conditional embedding (.npy, .safetensors).")
    ] = None,
    template: Annotated[
        list[str] | None, typer.Option(help='A sentence around each text, such as "a photo of a {}"; averaged.')
    ] = None,
    model: Annotated[str | None, typer.Option(help="A model's name or folder (see: clipseg-live models).")] = None,
    device: Annotated[str | None, typer.Option(help="auto (the default), cpu, cuda or mps.")] = None,
    dtype: Annotated[str | None, typer.Option(help="auto (the default), float32, float16 or bfloat16.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the model's square in pixels; its own by default.")] = None,
    fit: Annotated[str | None, typer.Option(help="stretch (the default), letterbox or aspect.")] = None,
    threshold: Annotated[list[float] | None, typer.Option(help=f"Probability from 0 to 1, {_ONCE}.")] = None,
    colour: Annotated[
        list[str] | None, typer.Option("--colour", "--color", help=f"#rrggbb or a colour's name, {_ONCE}.")
    ] = None,
    opacity: Annotated[
        float | None, typer.Option(help="How much of the colour covers the picture, from 0 to 1 (default 0.55).")
    ] = None,
    effect: Annotated[
        str | None,
        typer.Option(
            help="What is drawn: names joined by +, options in parentheses (default tint+outline); see docs/effects.md."
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Effects and mattes for a purpose: broadcast, green screen, inspect, privacy...")
    ] = None,
    negative: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="What it matches is taken out of the others; repeat.")
    ] = None,
    contrast: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Others win only where they beat it; repeat.")
    ] = None,
    session: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A session file: its prompts, look, mattes, engine and framing.")
    ] = None,
    smoothing: Annotated[
        float | None, typer.Option(help="Steadiness over time, from 0 (off) to 1 (default 0.5); ends at cuts.")
    ] = None,
    follow: Annotated[
        bool | None, typer.Option("--follow/--no-follow", help="Take motion out before smoothing (default: yes).")
    ] = None,
    edges: Annotated[
        bool | None, typer.Option("--edges/--no-edges", help="Fit masks to the picture's edges (default: yes).")
    ] = None,
    together: Annotated[str | None, typer.Option(help="independent (the default) or exclusive prompts.")] = None,
    none_level: Annotated[
        float | None, typer.Option(help="Exclusive: pixels under this probability belong to none (default 0.35).")
    ] = None,
    auto_hide: Annotated[
        bool | None, typer.Option("--auto-hide/--no-auto-hide", help="Leave out prompts that are not present.")
    ] = None,
    grow: Annotated[
        list[float] | None, typer.Option(help=f"Grow masks by percent of the shorter side, -10 to 10, {_ONCE}.")
    ] = None,
    feather: Annotated[
        list[float] | None, typer.Option(help=f"Fade borders over percent of the shorter side, -10 to 10, {_ONCE}.")
    ] = None,
    smallest: Annotated[
        list[float] | None, typer.Option(help=f"Leave out parts under this percent of the area, {_ONCE}.")
    ] = None,
    fill: Annotated[
        list[float] | None, typer.Option(help=f"Fill holes under this percent of the area, {_ONCE}.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="lookahead (the default, steadier) or causal (as a live session shows it).")
    ] = None,
    detail: Annotated[
        str | None, typer.Option(help="off (the default), zoom (small objects once more) or tiles (large frames).")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Begin at (seconds or h:mm:ss).")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="End before (seconds or h:mm:ss).")] = None,
    codec: Annotated[str | None, typer.Option(help="h264, vp9 or ffv1 (lossless); chosen by OUT's name.")] = None,
    quality: Annotated[int, typer.Option(help="0 (smallest) to 100 (best).")] = 70,
    masks: Annotated[
        Path | None, typer.Option(metavar="OUT.jsonl|FOLDER", help="Masks as JSON lines, or a folder of PNG files.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what stands at OUT.")] = False,
    keep_partial: Annotated[
        bool, typer.Option("--keep-partial", help="Keep what was done when the input breaks or you stop it.")
    ] = False,
) -> None:
    """Segment a video and write it with its prompts drawn: size, timing, sound and colours as they came in."""
    from clipseg_live.assemble.export import ExportRequest, prompts_from
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.look import ExportSettings
    from clipseg_live.core.settings import DEFAULT_MODEL, validated

    engine = _given(model=model, device=device, dtype=dtype, size=size, fit=fit, detail=detail)
    mattes = _given(
        smoothing=smoothing, follow=follow, refine=edges, together=together, none_level=none_level, auto_hide=auto_hide
    )
    shapes = _given(grow=grow, feather=feather, smallest=smallest, fill=fill)
    times = {"start": None if start is None else parse_time(start), "end": None if end is None else parse_time(end)}
    files = {"codec": codec, "quality": quality, "overwrite": overwrite, "keep_partial": keep_partial}
    if session is not None:
        drawn = (prompt, prompt_image, prompt_embedding, template, threshold, colour, opacity, effect, preset, negative,
                 contrast, grow, feather, smallest, fill)  # fmt: skip
        if any(given is not None for given in drawn):
            raise UsageError("A session file has its own prompts and look: give those options, or --session, not both.")
        prompts, look, framing, chosen, matte = _from_session(session, engine, mattes)
    else:
        if not (prompt or prompt_image or prompt_embedding):
            raise UsageError('There is no prompt: say what to look for, such as -p "red circle".')
        shown = prompts_from(prompt or (), template or (), prompt_image or (), prompt_embedding or ())
        others = prompts_from([*(negative or ()), *(contrast or ())], template or (), (), ())
        prompts, framing = (*shown, *others), None
        look = _look(
            [one.label for one in shown], threshold, colour, opacity, effect, preset, shapes,
            len(negative or ()), len(contrast or ()),
        )  # fmt: skip
        matte = _mattes(preset, mattes)
        engine.setdefault("model", "shapes" if source.startswith("demo:") else DEFAULT_MODEL)
        chosen = _engine(engine)
    kept = _given(time=time)
    settings = validated(ExportSettings, engine=chosen, look=look, matte=matte, **kept, **times, **files)
    request = ExportRequest(source, output, prompts, settings, masks)
    _run(request if framing is None else replace(request, framing=framing))


def _given(**options: Any) -> dict[str, Any]:
    """Those that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _look(
    names: list[str], threshold: list[float] | None, colour: list[str] | None, opacity: float | None,
    effect: str | None, preset: str | None, shapes: dict[str, list[float]], negative: int, contrast: int,
) -> "Look":  # fmt: skip
    from clipseg_live.core.effects import DEFAULT_EFFECTS, parse_effects
    from clipseg_live.core.look import Look
    from clipseg_live.core.presets import find_preset
    from clipseg_live.core.settings import MatteShape, PromptStyle, parse_colour, prompt_styles, validated

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
    return validated(Look, effects=effects, styles=(*styles, *others), names=(*names, *spare))


def _nth(options: dict[str, list[float]], number: int, count: int) -> dict[str, float]:
    """Each option's value for one prompt. Raises UsageError where there are neither one nor ``count``."""
    from clipseg_live.core.errors import UsageError

    for name, values in options.items():
        if len(values) not in (1, count):
            raise UsageError(
                f"There are {len(values)} values of {name} for {count} prompts: give one for all, or one for each."
            )
    return {name: values[0] if len(values) == 1 else values[number] for name, values in options.items()}


def _mattes(preset: str | None, given: dict[str, Any]) -> "MatteSettings":
    from clipseg_live.core.look import MatteSettings
    from clipseg_live.core.presets import find_preset
    from clipseg_live.core.settings import validated

    base = MatteSettings() if preset is None else find_preset(preset)[1]
    return validated(MatteSettings, **{**base.model_dump(), **given})


def _engine(values: dict[str, Any]) -> "EngineSettings":
    from clipseg_live.core.settings import EngineSettings, validated

    return validated(EngineSettings, **values)


def _from_session(
    path: Path, engine: dict[str, Any], mattes: dict[str, Any]
) -> "tuple[tuple[Prompt, ...], Look, Framing, EngineSettings, MatteSettings]":
    """Prompts, look, framing, engine and mattes of a session file, the last two with what was given beside it."""
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.look import MatteSettings
    from clipseg_live.core.session_file import load_session
    from clipseg_live.core.settings import validated

    saved = load_session(path)
    asking = [(row, prompt) for row in saved.shown() if (prompt := row.prompt) is not None]
    if not any(row.style.role == "show" for row, _ in asking):
        raise UsageError(f"The session {path} shows no prompt: add one in the window first.")
    rows, prompts = tuple(row for row, _ in asking), tuple(prompt for _, prompt in asking)
    places = {row.id: place for place, row in enumerate(rows)}
    look = saved.look(rows)
    styles = tuple(
        style.model_copy(update={"against": tuple(places.get(at, -1) for at in style.against)}) for style in look.styles
    )
    matte = validated(MatteSettings, **{**saved.matte.model_dump(), **mattes})
    chosen = _engine({**saved.engine.model_dump(), **engine})
    return prompts, look.model_copy(update={"styles": styles}), saved.framing, chosen, matte


def parse_time(text: str) -> Fraction:
    """``"90"``, ``"1:30"``, ``"0:01:30.5"`` as exact seconds. Raises UsageError for anything else."""
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


def _run(request: "ExportRequest") -> None:
    from clipseg_live.assemble.export import run_export

    with _terminated_like_interrupted(), _progress_display() as (on_stage, on_progress):
        finished = run_export(request, on_stage=on_stage, on_progress=on_progress)
    for notice in finished.notices:
        print(notice, file=sys.stderr)  # noqa: T201
    result = finished.result
    rate = result.frames / result.seconds if result.seconds > 0 else 0.0
    frames = "1 frame" if result.frames == 1 else f"{result.frames} frames"
    print(f"{request.output}: {frames} in {result.seconds:.1f} s ({rate:.1f} frames a second)")  # noqa: T201
    if request.masks is not None:
        print(f"{request.masks}: masks")  # noqa: T201


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """A polite request to end (SIGTERM) cleans up as Ctrl-C does; a second one does not break into the cleaning up."""
    numbers = (signal.SIGTERM, signal.SIGINT)

    def interrupt(number: int, frame: Any) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def _progress_display() -> "Iterator[tuple[Callable[[str], None], Callable[[Progress], None]]]":
    """A bar on a terminal, from the first stage on; nothing elsewhere."""
    from rich import progress as bars
    from rich.console import Console

    console = Console(stderr=True)
    columns = (
        bars.SpinnerColumn(),
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[rate]}"),
        bars.TextColumn("{task.fields[left]}"),
    )
    bar = bars.Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task("Starting", total=None, rate="", left="")

    def on_stage(stage: str) -> None:
        bar.start()
        bar.update(task, description=stage)

    def on_progress(progress: "Progress") -> None:
        left = "" if progress.seconds_left is None else f"{_clock(progress.seconds_left)} left"
        bar.update(
            task,
            completed=progress.frames,
            total=progress.total,
            rate=f"{progress.rate:.1f} frames/s" if progress.frames else "",
            left=left,
        )

    try:
        yield on_stage, on_progress
    finally:
        bar.stop()


def _clock(seconds: float) -> str:
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{whole:02d}" if hours else f"{minutes}:{whole:02d}"
