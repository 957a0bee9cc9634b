"""Annotations: parts of the mask of a prompt, with their measurements."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import Mattes, mask_of
from clipseg_live.core.settings.annotations import InstanceRule
from clipseg_live.exporters.datasets.polygons import Vertices, coco_polygons, corner_polygons
from clipseg_live.imaging.resize import resize_map

Mask = NDArray[np.uint8]

_EIGHT_NEIGHBOURS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """Annotation of a frame: a connected component, or the whole mask of a prompt.

    Attributes:
        part: uint8, 1 inside the mask and 0 outside, cropped to ``box``.
        box: x, y, width and height in pixels.
        size: height and width of the frame.
        area: pixels of the mask.
        probability: mean probability inside; 0 for an empty mask.
        presence: presence of the prompt, 0 to 1.
    """

    part: Mask
    box: tuple[int, int, int, int]
    size: tuple[int, int]
    area: int
    probability: float
    presence: float

    def rle(self) -> Mapping[str, Any]:
        """Return the mask in COCO's compressed run-length encoding."""
        x, y, width, height = self.box
        whole = np.zeros(self.size, np.uint8, order="F")
        whole[y : y + height, x : x + width] = self.part
        return {"size": list(self.size), "counts": coco.encode(whole)["counts"].decode("ascii")}

    def coco_polygons(self) -> list[Vertices]:
        """Return a polygon for each connected component, as pycocotools reads them."""
        return [polygon + self.box[:2] for polygon in coco_polygons(self.part)]

    def corner_polygons(self) -> list[Vertices]:
        """Return a polygon for each connected component, as ``cv2.fillPoly`` fills them."""
        return [polygon + self.box[:2] for polygon in corner_polygons(self.part)]


def annotations_of(frame: Frame, mattes: Mattes, number: int, rule: InstanceRule) -> list[Annotation]:
    """Return the annotations of one matte of a frame, from top to bottom; none for an empty mask.

    Args:
        frame: the frame.
        mattes: mattes of the frame.
        number: position of the matte.
        rule: see ``AnnotationSettings.instances``.
    """
    mask = mask_of(mattes.each[number].alpha).view(np.uint8)
    parts = _parts(mask, rule)
    if not parts:
        return []
    full_map = resize_map(mattes.maps[number], frame.height, frame.width)
    presence = float(round(mattes.presence[number], 4))
    annotations = []
    for part, (x, y, width, height) in parts:
        mean = cv2.mean(full_map[y : y + height, x : x + width], part)[0]
        area = int(cv2.countNonZero(part))
        size = frame.height, frame.width
        annotations.append(Annotation(part, (x, y, width, height), size, area, round(float(mean), 6), presence))
    return annotations


def empty_annotation(frame: Frame, mattes: Mattes, number: int) -> Annotation:
    """Return the annotation of a prompt that was not detected."""
    presence = float(round(mattes.presence[number], 4))
    return Annotation(np.zeros((0, 0), np.uint8), (0, 0, 0, 0), (frame.height, frame.width), 0, 0.0, presence)


def _parts(mask: Mask, rule: InstanceRule) -> list[tuple[Mask, tuple[int, int, int, int]]]:
    x, y, width, height = (int(value) for value in cv2.boundingRect(mask))
    if not width:
        return []
    cropped = np.ascontiguousarray(mask[y : y + height, x : x + width])
    if rule == "prompt":
        return [(cropped, (x, y, width, height))]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(cropped, connectivity=_EIGHT_NEIGHBOURS)
    parts = []
    for number in range(1, count):
        left, top, part_width, part_height = (int(value) for value in stats[number, :4])
        part = (labels[top : top + part_height, left : left + part_width] == number).view(np.uint8)
        parts.append((part, (x + left, y + top, part_width, part_height)))
    return sorted(parts, key=lambda item: (item[1][1], item[1][0], item[1][2:]))
