"""How a session looks, and how its mattes are made: the part of the settings that window and export share."""

from fractions import Fraction
from typing import Annotated, Literal, get_args

from pydantic import Field

from clipseg_live.core.annotations import DEFAULT_ANNOTATIONS, AnnotationSettings
from clipseg_live.core.settings.base import Codec, EngineSettings, Frozen, PromptStyle, SequenceRate, UnitInterval
from clipseg_live.core.settings.effects import DEFAULT_EFFECTS, Effects

TimeMode = Literal["causal", "lookahead"]
Together = Literal["independent", "exclusive"]
HDRMode = Literal["sdr", "keep"]
Deinterlace = Literal["auto", "off"]

TIME_MODES: tuple[TimeMode, ...] = get_args(TimeMode)
HDR_MODES: tuple[HDRMode, ...] = get_args(HDRMode)
DEINTERLACE: tuple[Deinterlace, ...] = get_args(Deinterlace)


class MatteSettings(Frozen):
    """How maps become mattes.

    smoothing: steadiness in time, 0 (each answer for itself) to 1. follow: mattes move with the picture between
    answers. refine: borders follow the picture's edges, where the map alone is coarse.
    together: "independent" prompts do not know of one another; "exclusive" gives each pixel to its most probable
    prompt, or to none where no probability reaches ``none_level``.
    auto_hide: a prompt whose presence stays under ``present`` is not drawn.
    """

    smoothing: UnitInterval = 0.5
    follow: bool = True
    refine: bool = True
    together: Together = "independent"
    none_level: UnitInterval = 0.35
    auto_hide: bool = False
    present: UnitInterval = 0.35


PLAIN_MATTES = MatteSettings(smoothing=0.0, follow=False, refine=False)
"""The model's own maps, frame by frame."""


class RenderSettings(Frozen):
    """How a session looks: effects in the order in which they are drawn, and one style and name per prompt."""

    effects: Effects = DEFAULT_EFFECTS
    styles: tuple[PromptStyle, ...] = ()
    names: tuple[str, ...] = ()


class ExportSettings(Frozen):
    """Everything that shapes an export, but its paths and prompts.

    time: "causal" gives what a live session in locked mode shows; "lookahead" uses what comes after a frame as well.
    start, end: seconds; frames with start ≤ time < end are exported. None: from the first, to the last.
    quality: 0 (smallest) to 100 (best); ignored by the lossless ffv1.
    alpha: the result is what was found, with transparency, in place of the picture with its effects.
    sequence: frames per second of the film that the pictures of a folder or pattern make; None takes them as a set of
    independent photos.
    hdr: "sdr" converts HDR video to BT.709, "keep" writes it as HDR with 10 bits.
    deinterlace: "auto" makes progressive frames of interlaced ones, "off" keeps both fields.
    every, only_present: which frames go into masks and data: every N-th, and only those where a prompt is present.
    annotations: how they are written in masks and data.
    """

    engine: EngineSettings = EngineSettings()
    look: RenderSettings = RenderSettings()
    matte: MatteSettings = MatteSettings()
    time: TimeMode = "lookahead"
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
