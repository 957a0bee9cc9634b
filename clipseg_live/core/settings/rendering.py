"""Settings of rendering and mattes that the window and the export share."""

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from clipseg_live.core.settings.annotations import DEFAULT_ANNOTATIONS, AnnotationSettings
from clipseg_live.core.settings.base import (
    Codec,
    EngineSettings,
    Frozen,
    PromptStyle,
    SequenceRate,
    UnitInterval,
    renamed,
)
from clipseg_live.core.settings.effects import DEFAULT_EFFECTS, Effects

TemporalMode = Literal["causal", "lookahead"]
Overlap = Literal["independent", "exclusive"]
HDRMode = Literal["sdr", "keep"]
Deinterlace = Literal["auto", "off"]
Edges = Literal["off", "fast", "best"]


def _edges_of_switch(value: object) -> object:
    """Return the level of edges of the former switch, or the value itself."""
    return {True: "fast", False: "off"}[value] if isinstance(value, bool) else value


class MatteSettings(Frozen):
    """Settings of the conversion from probability maps to mattes.

    Attributes:
        smoothing: Smoothing over time, 0 (none) to 1.
        motion_tracking: Mattes follow the motion of the frames between predictions.
        edges: How borders follow the image, where the map alone is coarse: "off", "fast" (in real time) or "best" (as
            exactly as possible). Values of the former switch, True and False, mean "fast" and "off".
        overlap: "independent" prompts may overlap. "exclusive" assigns each pixel to its most probable prompt, or to
            none if no probability reaches ``background_threshold``.
        background_threshold: Minimum probability of a pixel with "exclusive".
        auto_hide: Do not draw a prompt whose presence stays below ``presence_threshold``.
        presence_threshold: Minimum presence of a prompt with ``auto_hide``.
    """

    smoothing: UnitInterval = 0.5
    motion_tracking: Annotated[bool, renamed("motion_tracking", "follow")] = True
    edges: Annotated[Edges, BeforeValidator(_edges_of_switch), renamed("edges", "edge_refinement", "refine")] = "fast"
    overlap: Annotated[Overlap, renamed("overlap", "together")] = "independent"
    background_threshold: Annotated[UnitInterval, renamed("background_threshold", "none_level")] = 0.35
    auto_hide: bool = False
    presence_threshold: Annotated[UnitInterval, renamed("presence_threshold", "present")] = 0.35


PLAIN_MATTES = MatteSettings(smoothing=0.0, motion_tracking=False, edges="off")
"""The model's own maps, frame by frame, without smoothing or refinement."""


class RenderSettings(Frozen):
    """Effects, and the styles and names of the prompts, for a renderer.

    Attributes:
        effects: Effects in drawing order.
        styles: Style of each prompt.
        names: Name of each prompt.
    """

    effects: Effects = DEFAULT_EFFECTS
    styles: tuple[PromptStyle, ...] = ()
    names: tuple[str, ...] = ()


class ExportSettings(Frozen):
    """All settings of an export, except its paths and prompts.

    Attributes:
        engine: The model, and how it runs.
        render: Effects and styles.
        matte: Settings of the conversion from probability maps to mattes.
        temporal: "causal" gives the same mattes as a live session in locked mode. "lookahead" also uses later frames.
        start: Time in seconds of the first frame; None for the start of the source.
        end: Time in seconds. Frames with start ≤ time < end are exported; None for the end of the source.
        codec: Codec of the video; None for the default.
        quality: 0 (smallest) to 100 (best); ignored by the lossless ffv1.
        alpha: Write the cut-out with a transparent background instead of the frame with its effects.
        hdr: "sdr" converts HDR video to BT.709, "keep" writes it as HDR with 10 bits.
        deinterlace: "auto" deinterlaces interlaced frames, "off" keeps both fields.
        every: Masks and data are written for every N-th frame.
        only_present: Masks and data are written only for frames in which a prompt is present.
        annotations: Settings of annotations in masks and data.
        overwrite: Replace existing files.
        keep_partial: Keep the incomplete file if the export stops.
        sequence: Frames per second of the images of a folder or pattern as a sequence; None treats them as independent
            photos.
    """

    engine: EngineSettings = EngineSettings()
    render: Annotated[RenderSettings, renamed("render", "look")] = RenderSettings()
    matte: MatteSettings = MatteSettings()
    temporal: Annotated[TemporalMode, renamed("temporal", "time")] = "lookahead"
    start: Fraction | None = None
    end: Fraction | None = None
    codec: Codec | None = None
    quality: Annotated[int, Field(ge=0, le=100)] = 70
    alpha: bool = False
    hdr: HDRMode = "sdr"
    deinterlace: Deinterlace = "auto"
    every: Annotated[int, Field(ge=1)] = 1
    only_present: bool = False
    annotations: AnnotationSettings = DEFAULT_ANNOTATIONS
    overwrite: bool = False
    keep_partial: bool = False
    sequence: SequenceRate | None = None
