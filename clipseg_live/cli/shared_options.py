"""Options that several commands share, as dataclasses (``commands.with_options``).

A field has the name of the settings field that it sets, which also checks its value; a test compares both. None means
that the option was not given.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from clipseg_live.cli.commands import DATA, INPUT, MASK, MODEL, NETWORK, PROMPTS, STYLE, option

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

EACH = "one value for all prompts, or one for each"


def refuse_session(given: str | list[str] | None) -> str | list[str] | None:
    """Return the sources of a command unchanged.

    Raises:
        UsageError: One of them is a session file.
    """
    for name in [given] if isinstance(given, str) else given or ():
        if name.lower().endswith(".json"):
            from clipseg_live.core.errors import UsageError
            from clipseg_live.core.session_file import is_session_name

            if is_session_name(name):
                raise UsageError(f"{name} is a session file: name a source, and the session with --session {name}.")
    return given


Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="camera:0, a file, an address (rtsp:// or http://), screen: or demo:.",
        callback=refuse_session,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptOptions:
    """Prompts, and the session file that may hold them."""

    prompt: Annotated[
        list[str] | None,
        option(
            PROMPTS,
            "TEXT",
            'Text of an object to segment, such as "red cup", or an expression, such as "sky and not '
            'cloud"; repeat for more.',
            "--prompt",
            "-p",
        ),
    ] = None
    prompt_image: Annotated[
        list[Path] | None, option(PROMPTS, "FILE", "Image of an object to segment; repeat for more.")
    ] = None
    prompt_embedding: Annotated[
        list[Path] | None,
        option(PROMPTS, "FILE", "Conditional embedding of an object (.npy or .safetensors); repeat for more."),
    ] = None
    template: Annotated[
        list[str] | None,
        option(
            PROMPTS, "TEXT", 'Template for all texts, such as "a photo of a {}"; embeddings of several are averaged.'
        ),
    ] = None
    negative: Annotated[
        list[str] | None,
        option(PROMPTS, "TEXT", "Text of an object whose area is subtracted from the other masks; repeat for more."),
    ] = None
    contrast: Annotated[
        list[str] | None,
        option(
            PROMPTS,
            "TEXT",
            "Text of an object that competes with the others: they count only where they are more probable; "
            "repeat for more.",
        ),
    ] = None
    session: Annotated[
        Path | None,
        option(PROMPTS, "FILE", "Session file that was saved in the window: prompts, styles, effects and model."),
    ] = None
    trust_session: Annotated[
        bool | None,
        option(
            PROMPTS, None, "Allow the session to use files outside its folder, or its own model.", "--trust-session"
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleOptions:
    """Fields of ``PromptStyle``."""

    threshold: Annotated[
        list[float] | None,
        option(MASK, "0..1", f"Probability from which a pixel belongs to the mask: {EACH}.", default="0.5"),
    ] = None
    colour: Annotated[
        list[str] | None,
        option(
            STYLE, "COLOUR", f"Colour of the mask, as #rrggbb or a name: {EACH}.", "--colour", "--color",
            default="another one for each prompt",
        ),
    ] = None  # fmt: skip
    opacity: Annotated[float | None, option(STYLE, "0..1", "Opacity of the colours.", default="0.55")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeOptions:
    """Fields of ``MatteShape``."""

    grow: Annotated[
        list[float] | None,
        option(
            MASK, "-10..10", "Distance by which masks grow, or shrink if it is negative, in percent of the frame's "
            f"shorter side: {EACH}.", default="0",
        ),
    ] = None  # fmt: skip
    feather: Annotated[
        list[float] | None,
        option(
            MASK, "-10..10", "Width of soft borders, outwards, or inwards if it is negative, in percent of the "
            f"frame's shorter side: {EACH}.", default="0",
        ),
    ] = None  # fmt: skip
    min_area: Annotated[
        list[float] | None,
        option(
            MASK, "PERCENT", f"Remove parts of a mask below this percentage of the frame's area: {EACH}.",
            default="0.02",
        ),
    ] = None  # fmt: skip
    fill_holes: Annotated[
        list[float] | None,
        option(MASK, "PERCENT", f"Fill holes below this percentage of the frame's area: {EACH}.", default="0"),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawingOptions:
    """Effects, and presets of effects and mask settings."""

    effect: Annotated[
        str | None,
        option(
            STYLE, "EFFECTS", 'Effects, joined by +, such as "spotlight+outline(width=0.4)"; see docs/effects.md.',
            default="tint+outline",
        ),
    ] = None  # fmt: skip
    preset: Annotated[
        str | None,
        option(
            STYLE, "NAME", "Effects and mask settings for a purpose: default, broadcast, green screen, "
            "background blur, inspect, privacy or highlight.", default="default",
        ),
    ] = None  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class MatteOptions:
    """Fields of ``MatteSettings``."""

    smoothing: Annotated[
        float | None,
        option(MASK, "0..1", "Smoothing over time; 0 switches it off. Cuts reset it.", default="0.5"),
    ] = None
    motion_tracking: Annotated[
        bool | None,
        option(MASK, None, "Move masks with the motion in the video.", default="yes"),
    ] = None
    edges: Annotated[
        str | None,
        option(
            MASK, "LEVEL", "Fit the borders of masks to the image: off, fast (real time), or best (for exports).",
            default="fast",
        ),
    ] = None  # fmt: skip
    overlap: Annotated[
        str | None,
        option(
            MASK, "MODE", "independent: masks may overlap; exclusive: each pixel belongs to its most probable prompt.",
            "--overlap", default="independent",
        ),
    ] = None  # fmt: skip
    background_threshold: Annotated[
        float | None,
        option(
            MASK, "0..1", "With --overlap exclusive: pixels below this probability belong to no prompt.",
            default="0.35",
        ),
    ] = None  # fmt: skip
    auto_hide: Annotated[
        bool | None,
        option(MASK, None, "Hide prompts that are not detected.", "--auto-hide/--no-auto-hide", default="no"),
    ] = None
    presence_threshold: Annotated[
        float | None,
        option(
            MASK, "0..1", "Presence below which a prompt counts as not detected.", "--presence-threshold",
            default="0.35",
        ),
    ] = None  # fmt: skip


DeviceName = Annotated[
    str | None, option(MODEL, "NAME", "Device that runs the model: auto, cpu, cuda or mps.", default="auto")
]
LibraryName = Annotated[
    str | None,
    option(MODEL, "NAME", "Library that runs the model: auto, torch or openvino (CPU only).", default="auto"),
]
InputSide = Annotated[
    int | None,
    option(MODEL, "PIXELS", "Side of the model's square input.", default="that of the model"),
]
ResizeModeName = Annotated[
    str | None,
    option(
        MODEL, "MODE", "How frames are resized for the model: stretch or letterbox (to a square), or aspect (to a "
        "rectangle with the frame's aspect ratio).", "--resize-mode", default="stretch",
    ),
]  # fmt: skip
DetailName = Annotated[
    str | None,
    option(
        MODEL, "MODE", "off, zoom (segment groups of small objects again, enlarged) or tiles (also segment "
        "overlapping parts of the frame).", default="off",
    ),
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeOptions:
    """Fields of ``EngineSettings`` about the model and the device that runs it."""

    model: Annotated[
        str | None,
        option(
            MODEL, "NAME", "Name or folder of a model (see: clipseg-live models).",
            default="the published CLIPSeg; shapes for demo:",
        ),
    ] = None  # fmt: skip
    device: DeviceName = None
    dtype: Annotated[
        str | None,
        option(
            MODEL, "NAME", "Precision of the model: auto, float32, bfloat16, float16 (torch) or int8 (openvino).",
            default="auto",
        ),
    ] = None  # fmt: skip
    engine: LibraryName = None
    size: InputSide = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderOptions(RuntimeOptions):
    """Fields of ``EngineSettings`` that decide what the vision encoder computes."""

    resize_mode: ResizeModeName = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions(EncoderOptions):
    """Fields of ``EngineSettings``."""

    detail: DetailName = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FramingOptions:
    """Fields of ``FrameTransform``."""

    crop: Annotated[
        str | None,
        option(INPUT, "X,Y,WIDTH,HEIGHT", "Crop the frames to a part, in shares of the frame, such as 0.25,0,0.5,1."),
    ] = None
    turn: Annotated[
        int | None,
        option(INPUT, "DEGREES", "Rotate the frames clockwise by 0, 90, 180 or 270 degrees.", "--rotate", default="0"),
    ] = None
    mirror: Annotated[
        bool | None, option(INPUT, None, "Mirror the frames horizontally.", "--mirror/--no-mirror", default="no")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationOptions:
    """Options of all commands that segment a source."""

    prompts: PromptOptions = field(default_factory=PromptOptions)
    style: StyleOptions = field(default_factory=StyleOptions)
    shape: ShapeOptions = field(default_factory=ShapeOptions)
    effects: DrawingOptions = field(default_factory=DrawingOptions)
    matte: MatteOptions = field(default_factory=MatteOptions)
    engine: EngineOptions = field(default_factory=EngineOptions)
    framing: FramingOptions = field(default_factory=FramingOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseOptions:
    """Field of ``EngineSettings`` for live sessions."""

    reuse: Annotated[
        str | None,
        option(
            MODEL, "MODE", "With openvino, compute only what changed since the last frame: auto (unless every frame "
            "waits for its own mask), on or off.", default="auto",
        ),
    ] = None  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions(SegmentationOptions):
    """Options of all commands with a live session."""

    reuse: ReuseOptions = field(default_factory=ReuseOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOptions:
    """Options of reading a source."""

    sequence: Annotated[
        bool | None,
        option(INPUT, None, "Read the images of a folder or pattern as a video, not as separate photos.", "--sequence"),
    ] = None
    rate: Annotated[
        str | None,
        option(INPUT, "NUMBER", "With --sequence: frames per second, such as 30 or 30000/1001.", default="25"),
    ] = None
    deinterlace: Annotated[
        str | None,
        option(INPUT, "auto|off", "Deinterlace interlaced video, or keep both fields in each frame.", default="auto"),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions:
    """Options of reading an address."""

    rtsp_transport: Annotated[
        str | None,
        option(NETWORK, "NAME", "Transport of an rtsp address: auto (tcp, then udp), tcp or udp.", default="auto"),
    ] = None
    insecure: Annotated[
        bool | None,
        option(NETWORK, None, "Do not verify the certificate of an https, rtsps or rtmps address.", "--insecure"),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationOptions:
    """Fields of ``AnnotationSettings``."""

    segmentation: Annotated[
        str | None,
        option(DATA, "FORM", "Segmentation in coco: polygon (most readers expect it) or rle (smaller).",
               default="polygon"),
    ] = None  # fmt: skip
    instances: Annotated[
        str | None,
        option(
            DATA, "RULE", "In coco, yolo and jsonl, an annotation is a component (connected part of a mask) or a "
            "whole prompt.",
            default="component",
        ),
    ] = None  # fmt: skip


def given(options: "DataclassInstance") -> dict[str, Any]:
    """Return the values of the options that were given, by the name of their field."""
    values = {each.name: getattr(options, each.name) for each in fields(options)}
    return {name: value for name, value in values.items() if value is not None}


def names_of(options: "DataclassInstance") -> list[str]:
    """Return the options that were given, as on the command line: ``--colour``."""
    hints = get_type_hints(type(options), include_extras=True)
    return [_option_name(name, hints[name]) for name in given(options)]


def _option_name(name: str, annotation: Any) -> str:
    definition = annotation.__metadata__[0]
    declared = [each for each in (definition.default, *(definition.param_decls or ())) if isinstance(each, str)]
    return declared[0].split("/")[0] if declared else f"--{name.replace('_', '-')}"
