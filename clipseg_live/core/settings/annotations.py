"""Settings of annotations, shared by all data formats that hold annotations."""

from typing import Annotated, Literal

from pydantic import Field

from clipseg_live.core.settings.base import Frozen

SegmentationForm = Literal["polygon", "rle"]
InstanceRule = Literal["component", "prompt"]


class AnnotationSettings(Frozen):
    """Settings of annotations in COCO, YOLO and JSON lines.

    Attributes:
        segmentation: Form of a COCO segmentation. Most readers of annotations with ``iscrowd`` 0 expect polygons. RLE
            is smaller.
        instances: "component" writes one annotation for each connected component of a prompt's mask (8 neighbours).
            "prompt" writes one annotation for the whole mask.
        split: Share of the images that are for training, split by source file. None: all images are for training.
        seed: Seed that selects the source files for validation.
    """

    segmentation: SegmentationForm = "polygon"
    instances: InstanceRule = "component"
    split: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    seed: int = 0


DEFAULT_ANNOTATIONS = AnnotationSettings()
