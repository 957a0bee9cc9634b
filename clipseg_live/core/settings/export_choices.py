"""Choices of the export dialog, and the options of ``export --into`` that they stand for."""

from typing import Annotated, Literal

from pydantic import Field

from clipseg_live.core.settings.annotations import InstanceRule, SegmentationForm
from clipseg_live.core.settings.base import Codec, DataFormat, Frozen, SequenceRate
from clipseg_live.core.settings.rendering import HDRMode, TemporalMode

MaskKind = Literal["jsonl", "png"]
"""Formats of the masks next to each result."""


class ExportChoices(Frozen):
    """Options of ``export --into`` except its inputs, its times and the session file.

    Each field has the name and the meaning of the option. The defaults are those of the command.

    Attributes:
        suffix: Suffix of the results; None for .mp4 (.mov if they are transparent), and for photos their own.
        codec: Codec of videos; None for that of the suffix.
        quality: 0 (smallest) to 100 (best); None for the default.
        alpha: Write the cut-out with a transparent background.
        hdr: Convert HDR video to SDR, or keep it.
        temporal: Use later frames, or not.
        sequence: The images of a folder or pattern are the frames of one video.
        rate: Frames per second of that video; None for the default.
        masks: Files with masks next to each result.
        data: Data formats next to each result.
        every: Masks and data are written for every N-th frame.
        only_present: Masks and data are written only for frames in which a prompt is present.
        segmentation: Form of a segmentation in COCO.
        instances: What an annotation is.
        split: Share of the images for training; None for no division.
        seed: Number that selects the division.
        overwrite: Replace existing results.
        keep_partial: Keep the finished part of a result if the export is stopped.
        jobs: Number of inputs that are exported at the same time.
    """

    suffix: Annotated[str, Field(pattern=r"^\.[A-Za-z0-9]+$")] | None = None
    codec: Codec | None = None
    quality: Annotated[int, Field(ge=0, le=100)] | None = None
    alpha: bool = False
    hdr: HDRMode = "sdr"
    temporal: TemporalMode = "lookahead"
    sequence: bool = False
    rate: SequenceRate | None = None
    masks: MaskKind | None = None
    data: tuple[DataFormat, ...] = ()
    every: Annotated[int, Field(ge=1)] = 1
    only_present: bool = False
    segmentation: SegmentationForm = "polygon"
    instances: InstanceRule = "component"
    split: Annotated[float, Field(gt=0, lt=1)] | None = None
    seed: int = 0
    overwrite: bool = False
    keep_partial: bool = False
    jobs: Annotated[int, Field(ge=1, le=64)] = 1

    def arguments(self) -> list[str]:
        """Return the options as arguments of the command, without those that have their default."""
        arguments: list[str] = []
        for name, value in self:
            if value == type(self).model_fields[name].default or (name == "rate" and not self.sequence):
                continue
            option = f"--{name.replace('_', '-')}"
            if value is True:
                arguments.append(option)
            else:
                values = value if isinstance(value, tuple) else (value,)
                arguments += [word for each in values for word in (option, str(each))]
        return arguments
