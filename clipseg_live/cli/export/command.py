"""``clipseg-live export``: write videos and images with their prompts drawn, and masks as data."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from clipseg_live.cli.export.batch import run_many
from clipseg_live.cli.export.options import (
    annotations_from,
    check_places,
    data_from,
    engine_from,
    from_session,
    look_from,
    mattes_from,
    only_given,
    parse_time,
)
from clipseg_live.cli.export.single import run_one
from clipseg_live.cli.options import (
    DATA,
    LOOK,
    MATTES,
    MODEL,
    ONCE,
    PART,
    PROMPTS,
    RESULT,
    EffectOption,
    Instances,
    Model,
    Preset,
    Prompts,
    RateOption,
    SegmentationOption,
    Sequence,
    SessionOption,
    Thresholds,
    TrustSession,
    refuse_session,
    sequence_rate,
)
from clipseg_live.core.settings.data_formats import DATA_FORMATS

_INPUT = (
    "A video, a picture, a folder or pattern of pictures, or demo: (demo:SEED for another scene). Several pictures, "
    "folders and patterns of pictures are one set of photos. With --into any number of inputs, and folders and "
    "patterns of videos."
)
_DATA = (
    f"Also write {', '.join(DATA_FORMATS[:-1])} or {DATA_FORMATS[-1]} (see docs/data.md); repeat for more. With --into "
    "say FORMAT alone."
)


def export(
    sources: Annotated[list[str], typer.Argument(metavar="INPUT", help=_INPUT, callback=refuse_session)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="OUT", help="The file to write; of photos a folder.", rich_help_panel=RESULT
        ),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="For many inputs: a result for each goes here; those that are finished, with the same settings, stay.",
            rich_help_panel=RESULT,
        ),
    ] = None,
    suffix: Annotated[
        str | None,
        typer.Option(
            metavar=".SUFFIX",
            help="With --into, and of photos: what kind of file the results are.",
            show_default=".mp4; of photos their own",
            rich_help_panel=RESULT,
        ),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            metavar="N", help="With --into: so many inputs at once, each with the model.", rich_help_panel=RESULT
        ),
    ] = 1,
    prompt: Prompts = None,
    prompt_image: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A picture of what to look for; repeat for more.", rich_help_panel=PROMPTS),
    ] = None,
    prompt_embedding: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A conditional embedding (.npy, .safetensors); repeat for more.",
            rich_help_panel=PROMPTS,
        ),
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help='A sentence around each text, such as "a photo of a {}"; several are averaged.',
            rich_help_panel=PROMPTS,
        ),
    ] = None,
    negative: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help="What it matches is taken out of the others; repeat for more.", rich_help_panel=PROMPTS
        ),
    ] = None,
    contrast: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help="The others count only where they beat it; repeat for more.", rich_help_panel=PROMPTS
        ),
    ] = None,
    session: SessionOption = None,
    trust_session: TrustSession = False,
    model: Model = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="auto, cpu, cuda or mps.", show_default="auto", rich_help_panel=MODEL),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Precision: auto, float32, float16 or bfloat16.",
            show_default="auto",
            rich_help_panel=MODEL,
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="Side of the model's square.",
            show_default="the model's own",
            rich_help_panel=MODEL,
        ),
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="How a frame meets the square: stretch, letterbox or aspect.",
            show_default="stretch",
            rich_help_panel=MODEL,
        ),
    ] = None,
    detail: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="off, zoom (small objects once more) or tiles (parts of large frames as well).",
            show_default="off",
            rich_help_panel=MODEL,
        ),
    ] = None,
    threshold: Thresholds = None,
    colour: Annotated[
        list[str] | None,
        typer.Option(
            "--colour",
            "--color",
            metavar="COLOUR",
            help=f"#rrggbb or a colour's name: {ONCE}.",
            show_default="one for each",
            rich_help_panel=LOOK,
        ),
    ] = None,
    opacity: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            help="How much of the colour covers the picture.",
            show_default="0.55",
            rich_help_panel=LOOK,
        ),
    ] = None,
    effect: EffectOption = None,
    preset: Preset = None,
    smoothing: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            help="Steadiness over time; 0 is off. It ends at cuts.",
            show_default="0.5",
            rich_help_panel=MATTES,
        ),
    ] = None,
    follow: Annotated[
        bool | None,
        typer.Option(
            "--follow/--no-follow",
            help="Move masks along with the picture, so that smoothing leaves no trails.",
            show_default="yes",
            rich_help_panel=MATTES,
        ),
    ] = None,
    edges: Annotated[
        bool | None,
        typer.Option(
            "--edges/--no-edges",
            help="Fit masks to the picture's edges.",
            show_default="yes",
            rich_help_panel=MATTES,
        ),
    ] = None,
    together: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="independent, or exclusive: each pixel belongs to its most probable prompt.",
            show_default="independent",
            rich_help_panel=MATTES,
        ),
    ] = None,
    none_level: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            help="With --together exclusive: pixels under this probability belong to no prompt.",
            show_default="0.35",
            rich_help_panel=MATTES,
        ),
    ] = None,
    auto_hide: Annotated[
        bool | None,
        typer.Option(
            "--auto-hide/--no-auto-hide",
            help="Leave out prompts that are not present.",
            show_default="no",
            rich_help_panel=MATTES,
        ),
    ] = None,
    grow: Annotated[
        list[float] | None,
        typer.Option(
            metavar="-10..10",
            help=f"Grow masks by percent of the shorter side: {ONCE}.",
            show_default="0",
            rich_help_panel=MATTES,
        ),
    ] = None,
    feather: Annotated[
        list[float] | None,
        typer.Option(
            metavar="-10..10",
            help=f"Fade borders, outwards or (negative) inwards, over percent of the shorter side: {ONCE}.",
            show_default="0",
            rich_help_panel=MATTES,
        ),
    ] = None,
    smallest: Annotated[
        list[float] | None,
        typer.Option(
            metavar="PERCENT",
            help=f"Leave out parts under this share of the area: {ONCE}.",
            show_default="0.02",
            rich_help_panel=MATTES,
        ),
    ] = None,
    fill: Annotated[
        list[float] | None,
        typer.Option(
            metavar="PERCENT",
            help=f"Fill holes under this share of the area: {ONCE}.",
            show_default="0",
            rich_help_panel=MATTES,
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="lookahead (steadier, uses later frames too) or causal (as a live session shows it).",
            show_default="lookahead",
            rich_help_panel=MATTES,
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Begin at (seconds or h:mm:ss).", rich_help_panel=PART),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="End before (seconds or h:mm:ss).", rich_help_panel=PART)
    ] = None,
    sequence: Sequence = False,
    rate: RateOption = None,
    codec: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="h264, h265, vp9, av1, prores or ffv1 (lossless).",
            show_default="by OUT's suffix",
            rich_help_panel=RESULT,
        ),
    ] = None,
    quality: Annotated[
        int, typer.Option(metavar="0..100", help="Of the video: 100 is best.", rich_help_panel=RESULT)
    ] = 70,
    hdr: Annotated[
        str | None,
        typer.Option(
            metavar="sdr|keep",
            help="HDR video: convert it to SDR, or keep it with 10 bits (h265, vp9, av1, prores, ffv1).",
            show_default="sdr",
            rich_help_panel=RESULT,
        ),
    ] = None,
    deinterlace: Annotated[
        str | None,
        typer.Option(
            metavar="auto|off",
            help="Interlaced video: make whole frames, or leave both fields in each (h264, prores, ffv1).",
            show_default="auto",
            rich_help_panel=RESULT,
        ),
    ] = None,
    alpha: Annotated[
        bool,
        typer.Option(
            "--alpha",
            help="OUT is what was found, on transparency: .mov, .webm, .webp, .gif or a folder.",
            rich_help_panel=RESULT,
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what stands in a result's place.", rich_help_panel=RESULT)
    ] = False,
    keep_partial: Annotated[
        bool,
        typer.Option(
            "--keep-partial",
            help="Keep what was done when the input breaks or you stop it.",
            rich_help_panel=RESULT,
        ),
    ] = False,
    masks: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.jsonl|FOLDER",
            help="Masks as JSON lines, or a folder of PNG files. With --into: jsonl or png, beside each result.",
            rich_help_panel=DATA,
        ),
    ] = None,
    data: Annotated[list[str] | None, typer.Option(metavar="FORMAT:PATH", help=_DATA, rich_help_panel=DATA)] = None,
    every: Annotated[
        int, typer.Option(metavar="N", help="Masks and data of every N-th frame only.", rich_help_panel=DATA)
    ] = 1,
    only_present: Annotated[
        bool,
        typer.Option(
            "--only-present", help="Masks and data only of frames where a prompt is present.", rich_help_panel=DATA
        ),
    ] = False,
    segmentation: SegmentationOption = None,
    instances: Instances = None,
    split: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            help="With yolo: this share of the images is for training, the rest for validation, by source file.",
            rich_help_panel=DATA,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="With --split: another division.", show_default="0", rich_help_panel=DATA),
    ] = None,
) -> None:
    """Segment a video and write it with its prompts drawn: size, timing, sound and colours as they came in."""
    from clipseg_live.app.export import ExportRequest, prompts_from
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.settings.base import DEFAULT_MODEL, validated
    from clipseg_live.core.settings.rendering import ExportSettings

    film = sequence_rate(sequence, rate)
    check_places(sources, output, into, suffix, jobs, data=masks is not None or bool(data), sequence=film)
    placed = data_from(data or (), many=into is not None)
    if alpha and effect is not None:
        raise UsageError("No effects are drawn on a transparent result: leave out --effect, or --alpha.")
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
    kept = only_given(time=time, hdr=hdr, deinterlace=deinterlace)
    annotations = annotations_from(segmentation=segmentation, instances=instances, split=split, seed=seed)
    settings = validated(
        ExportSettings, engine=chosen, look=look, matte=matte, alpha=alpha, every=every, only_present=only_present,
        annotations=annotations, sequence=film, **kept, **times, **files,
    )  # fmt: skip
    request = ExportRequest(sources[0], output if into is None else into, prompts, settings)
    request = request if framing is None else replace(request, framing=framing)
    if into is None:
        run_one(replace(request, masks=masks, data=tuple(placed)), sources, suffix)
    else:
        run_many(sources, into, request, suffix=suffix, masks=masks, data=[form for form, _ in placed], jobs=jobs)
