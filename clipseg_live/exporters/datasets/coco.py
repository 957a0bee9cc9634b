"""COCO data sets: images and their annotations."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import Label, Mattes
from clipseg_live.exporters.datasets.image_dataset import ImageFolderSink
from clipseg_live.exporters.datasets.instances import Annotation, annotations_of


class CocoSink(ImageFolderSink):
    """Folder with ``images/000123.jpg`` and ``annotations/instances_default.json``, the layout of datumaro and CVAT.

    Annotations have COCO's own fields (segmentation, bbox, area, iscrowd 0), and threshold, probability (mean inside)
    and presence. Categories are the prompts, numbered from 1 in the order of their first appearance. The id of an image
    is the index of its frame.
    """

    ours = r"annotations|annotations/instances_default\.json|images|images/\d{6,}\.(jpg|png)"
    index = "annotations/instances_default.json"
    lists = ("images", "annotations", "categories")

    @classmethod
    def listed(cls, index: Mapping[str, Any]) -> Iterator[str]:
        """Yield the paths of the images that the index lists."""
        for image in index["images"]:
            yield f"images/{image['file_name']}"

    def _begin(self, info: object) -> None:
        super()._begin(info)
        self._count = 0

    def _add(self, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> None:
        name = self._put_image(self._names.stem(frame), frame)
        time = float(frame.time)
        self._list("images", {
            "id": frame.index, "file_name": name, "width": frame.width, "height": frame.height, "time": time,
        })  # fmt: skip
        for number, (category, label) in enumerate(zip(self._categories.numbers(labels), labels, strict=True)):
            for instance in annotations_of(frame, mattes, number, self._annotations.instances):
                self._count += 1
                self._list("annotations", {
                    "id": self._count, "image_id": frame.index, "category_id": category,
                    "segmentation": self._segmentation(instance), "area": instance.area, "bbox": list(instance.box),
                    "iscrowd": 0, "threshold": label.threshold, "probability": instance.probability,
                    "presence": instance.presence,
                })  # fmt: skip

    def _segmentation(self, annotation: Annotation) -> Any:
        if self._annotations.segmentation == "rle":
            return annotation.rle()
        return [polygon.ravel().tolist() for polygon in annotation.coco_polygons()]

    def _write_prompts(self, first: int) -> None:
        for number, name in enumerate(self._categories.names[first:], start=first + 1):
            self._list("categories", {"id": number, "name": name, "supercategory": "prompt"})

    def _head(self) -> dict[str, Any]:
        return {"info": _info(self._header), "licenses": []}


def _info(header: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": f"{header.get('source', 'A recording')}, segmented by clipseg-live", "made_with": header}
