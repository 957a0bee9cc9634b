"""``clipseg-live export``: a video, picture or folder in; the same with its prompts drawn, and masks as data, out."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from clipseg_live.cli.export_many import run_many
from clipseg_live.cli.export_options import (
    check_places,
    data_from,
    engine_from,
    from_session,
    look_from,
    mattes_from,
    only_given,
    parse_time,
)
from clipseg_live.cli.export_run import run_one
from clipseg_live.cli.session_option import TrustSession

_INPUT = (
    "A video file, a picture, a folder or pattern of pictures, or demo: (demo:SEED for another scene). With --into "
    "any number of them, and folders and patterns of videos."
)
_DATA = (
    "Also write jsonl, png, coco, yolo, indexed, npz, mask-video, alpha-prores, alpha-vp9, alpha-png, alpha-webp, "
    "animation-webp, animation-gif or sheet (see docs/data.md); repeat; with --into: FORMAT alone. -o may be left out."
)
_ONCE = "once for all prompts, or once for each in their order"


def export(
    sources: Annotated[list[str], typer.Argument(metavar="INPUT...", help=_INPUT)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="OUT", help="The file to write, of one INPUT.")
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write a result for each INPUT into FOLDER; what is finished there with the same settings is left.",
        ),
    ] = None,
    suffix: Annotated[
        str | None, typer.Option(help="With --into: what the results are, .mp4 (the default; .png of pictures)...")
    ] = None,
    jobs: Annotated[int, typer.Option(help="With --into: so many inputs at the same time, each with the model.")] = 1,
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
    trust_session: TrustSession = False,
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
        Path | None,
        typer.Option(
            metavar="OUT.jsonl|FOLDER",
            help="Masks as JSON lines, or a folder of PNG files; with --into: jsonl or png, beside each result.",
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="FORMAT:PATH", help=_DATA),
    ] = None,
    alpha: Annotated[
        bool, typer.Option("--alpha", help="OUT is what was found, transparent: .mov, .webm, .webp, .gif or a folder.")
    ] = False,
    every: Annotated[int, typer.Option(metavar="N", help="Masks and data of every N-th frame only.")] = 1,
    only_present: Annotated[
        bool, typer.Option("--only-present", help="Masks and data only of frames where a prompt is present.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what stands in a result's place.")] = False,
    keep_partial: Annotated[
        bool, typer.Option("--keep-partial", help="Keep what was done when the input breaks or you stop it.")
    ] = False,
) -> None:
    """Segment a video and write it with its prompts drawn: size, timing, sound and colours as they came in."""
    from clipseg_live.assemble.export import ExportRequest, prompts_from
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.look import ExportSettings
    from clipseg_live.core.settings import DEFAULT_MODEL, validated

    check_places(sources, output, into, suffix, jobs, data=masks is not None or bool(data))
    placed = data_from(data or (), many=into is not None)
    engine = only_given(model=model, device=device, dtype=dtype, size=size, fit=fit, detail=detail)
    mattes = only_given(
        smoothing=smoothing, follow=follow, refine=edges, together=together, none_level=none_level, auto_hide=auto_hide
    )
    shapes = only_given(grow=grow, feather=feather, smallest=smallest, fill=fill)
    times = {"start": None if start is None else parse_time(start), "end": None if end is None else parse_time(end)}
    files = {"codec": codec, "quality": quality, "overwrite": overwrite, "keep_partial": keep_partial}
    if session is not None:
        drawn = (prompt, prompt_image, prompt_embedding, template, threshold, colour, opacity, effect, preset, negative,
                 contrast, grow, feather, smallest, fill)  # fmt: skip
        if any(given is not None for given in drawn):
            raise UsageError("A session file has its own prompts and look: give those options, or --session, not both.")
        prompts, look, framing, chosen, matte = from_session(session, engine, mattes, trusted=trust_session)
    else:
        if not (prompt or prompt_image or prompt_embedding):
            raise UsageError('There is no prompt: say what to look for, such as -p "red circle".')
        shown = prompts_from(prompt or (), template or (), prompt_image or (), prompt_embedding or ())
        others = prompts_from([*(negative or ()), *(contrast or ())], template or (), (), ())
        prompts, framing = (*shown, *others), None
        look = look_from(
            [one.label for one in shown], threshold, colour, opacity, effect, preset, shapes,
            len(negative or ()), len(contrast or ()),
        )  # fmt: skip
        matte = mattes_from(preset, mattes)
        engine.setdefault("model", "shapes" if all(each.startswith("demo:") for each in sources) else DEFAULT_MODEL)
        chosen = engine_from(engine)
    kept = only_given(time=time)
    settings = validated(
        ExportSettings, engine=chosen, look=look, matte=matte, alpha=alpha, every=every, only_present=only_present,
        **kept, **times, **files,
    )  # fmt: skip
    request = ExportRequest(sources[0], output if into is None else into, prompts, settings)
    request = request if framing is None else replace(request, framing=framing)
    if into is None:
        run_one(replace(request, masks=masks, data=tuple(placed)))
    else:
        run_many(sources, into, request, suffix=suffix, masks=masks, data=[form for form, _ in placed], jobs=jobs)
