"""Values of the frame pipeline: the plan that it follows, and the rendered frames that it returns."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Frame, Pixels, Signal
from clipseg_live.core.mattes import Label, Mattes
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.effects import AnyEffect, EdgeView
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.settings.rendering import MatteSettings, RenderSettings
from clipseg_live.core.status import HiddenReason, Prediction

NO_MATTES = Mattes(0, 0, own=False)
"""Mattes of a frame without any, or whose mattes are not kept."""
NO_PREDICTION = Prediction(index=-1, epoch=-1, version=0, ids=(), maps=np.zeros((0, 1, 1), np.float32))
"""Prediction without prompts, which belongs to no frame."""


@dataclass(frozen=True, slots=True)
class PlannedPrompt:
    """A prompt of a plan.

    Attributes:
        id: Id of the prompt, to which ``PromptStyle.against`` refers.
        key: Key that identifies the prompt over time; None for a prompt without content.
        label: Text of the prompt in data.
        style: Style of the prompt.
        name: Text of the prompt in effects; None for its number.
        visible: The prompt is used. If not, only its area is measured.
    """

    id: int
    key: Hashable | None
    label: str = ""
    style: PromptStyle = field(default_factory=PromptStyle)
    name: str | None = None
    visible: bool = True


@dataclass(frozen=True, slots=True)
class RenderPlan:
    """All that decides how the pipeline turns predictions into mattes and rendered frames.

    Attributes:
        prompts: Prompts in the order of their mattes.
        matte: Settings of the mattes.
        effects: Effects to draw; None if the frames are not drawn.
        cautious: As in ``MatteRequest``.
        complete: Each drawn prompt has a matte, which is empty without a prediction. If False, as in a live session,
            prompts without a prediction are left out, and an edited prompt keeps the mattes of its old content until
            the first prediction of the new one.
        version: Version of the prompts. Hiding effects do not rely on predictions of older versions.
        settings: Settings of the live session; None outside of one.
    """

    prompts: tuple[PlannedPrompt, ...] = ()
    matte: MatteSettings = field(default_factory=MatteSettings)
    effects: tuple[AnyEffect, ...] | None = None
    cautious: bool | None = None
    complete: bool = True
    version: int = 0
    settings: LiveSettings | None = None

    @property
    def shown(self) -> tuple[PlannedPrompt, ...]:
        """The visible prompts."""
        return tuple(prompt for prompt in self.prompts if prompt.visible)

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the prompts."""
        return tuple(prompt.id for prompt in self.prompts)

    @property
    def keys(self) -> tuple[Hashable, ...]:
        """The keys of the prompts."""
        return tuple(prompt.key for prompt in self.prompts)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels of the prompts that get a matte."""
        return labels_of(drawn_of(self.shown))

    @property
    def explain(self) -> bool:
        """True if an effect shows the decisions of edge refinement."""
        return any(isinstance(effect, EdgeView) for effect in self.effects or ())

    def look(self, drawn: Sequence[PlannedPrompt]) -> RenderSettings:
        """Return the settings of the renderer for the prompts that are drawn."""
        return RenderSettings(
            effects=self.effects or (),
            styles=tuple(prompt.style for prompt in drawn),
            names=tuple(
                f"prompt {number}" if prompt.name is None else prompt.name
                for number, prompt in enumerate(drawn, start=1)
            ),
        )

    def prediction(
        self, frame: Frame, maps: NDArray[np.float32], milliseconds: Mapping[str, float] | None = None
    ) -> Prediction:
        """Return the prediction of one frame for all prompts of the plan.

        Args:
            frame: Frame of the prediction.
            maps: float32 (prompts, h, w), 0..1.
            milliseconds: Milliseconds by stage of the engine.
        """
        stages = dict(milliseconds or {})
        return Prediction(frame.index, frame.epoch, self.version, self.ids, maps, keys=self.keys, milliseconds=stages)

    def no_prediction(self) -> Prediction:
        """Return a prediction that belongs to no frame: empty maps for all prompts of a complete plan, or none."""
        if not self.complete:
            return NO_PREDICTION
        maps = np.zeros((len(self.prompts), 1, 1), np.float32)
        return Prediction(-1, -1, self.version, self.ids, maps, keys=self.keys)


def drawn_of(prompts: Sequence[PlannedPrompt]) -> tuple[PlannedPrompt, ...]:
    """Return the prompts that get a matte. Negative and contrast prompts only change the mattes of others."""
    return tuple(prompt for prompt in prompts if prompt.style.role == "positive")


def labels_of(prompts: Sequence[PlannedPrompt]) -> tuple[Label, ...]:
    """Return the labels of prompts."""
    return tuple(Label(prompt.label, prompt.style.threshold) for prompt in prompts)


@dataclass(frozen=True, slots=True, eq=False)
class RenderedFrame:
    """A frame with its mattes and effects: what the window shows, and what all outputs take.

    Attributes:
        frame: Frame of the source, without effects.
        composed: uint8 (height, width, 3), the frame with its effects; the frame's own pixels if nothing is drawn.
        mattes: Mattes of the prompts in ``drawn_ids``.
        labels: Labels of the mattes.
        drawn_ids: Ids of the prompts with a matte.
        maps: float32 (prompts, h, w), 0..1, on the decoder's grid, one for each id of ``ids``: the newest prediction.
        ids: Ids of the prompts of the maps.
        map_areas: For each id, the share (0 to 1) of its map that reaches the threshold.
        presence: For each id, the presence of the prompt, 0 to 1; 0 without a matte.
        own: The maps are those of this frame.
        version: Version of the prompts of the maps.
        settings: Settings of the live session that the frame was rendered with; None outside of one.
        hidden: Reason for which a hiding effect hides the whole frame; None if it does not.
        problem: Message if the newest prediction cannot be used, or "".
        milliseconds: Milliseconds by stage.
        signal: HDR signal of the rendered frame, if it is kept.
        source_time: Time in seconds of the source whose audio a recording adds to the frame; None for silence.
    """

    frame: Frame
    composed: Pixels
    mattes: Mattes = NO_MATTES
    labels: tuple[Label, ...] = ()
    drawn_ids: tuple[int, ...] = ()
    maps: NDArray[np.float32] = field(default_factory=lambda: NO_PREDICTION.maps)
    ids: tuple[int, ...] = ()
    map_areas: tuple[float, ...] = ()
    presence: tuple[float, ...] = ()
    own: bool = False
    version: int = 0
    settings: LiveSettings | None = None
    hidden: HiddenReason | None = None
    problem: str = ""
    milliseconds: dict[str, float] = field(default_factory=dict)
    signal: Signal | None = None
    source_time: Fraction | None = None

    @classmethod
    def of(cls, frame: Frame) -> "RenderedFrame":
        """Return a frame without mattes and effects."""
        return cls(frame, frame.pixels, signal=frame.signal)

    @property
    def original(self) -> Pixels:
        """The pixels without effects."""
        return self.frame.pixels

    @property
    def index(self) -> int:
        """Number of the frame."""
        return self.frame.index

    @property
    def epoch(self) -> int:
        """Epoch of the frame."""
        return self.frame.epoch

    @property
    def time(self) -> Fraction:
        """Time of the frame in seconds."""
        return self.frame.time

    @property
    def file(self) -> Path | None:
        """Image file that holds the frame; None for a video or camera."""
        return self.frame.file

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.composed.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.composed.shape[0])

    @property
    def areas(self) -> tuple[float, ...]:
        """For each id, the share (0 to 1) of the frame that its mask covers.

        For a prompt without a mask, such as a hidden one, it is the share where its probability reaches its threshold.
        """
        masks = dict(zip(self.drawn_ids, self.mattes.each, strict=False))
        return tuple(
            masks[prompt_id].area if prompt_id in masks else area
            for prompt_id, area in zip(self.ids, self.map_areas, strict=True)
        )

    @property
    def output_frame(self) -> Frame:
        """The frame with its effects, as a frame."""
        return replace(self.frame, pixels=self.composed, signal=self.signal)
