"""A COCO data set: pictures, and what is where on them."""

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import Label, Mattes
from clipseg_live.video.folder_sink import FolderSink
from clipseg_live.video.masks import measure
from clipseg_live.video.sequences import saved

JPEG_QUALITY = 95


class CocoSink(FolderSink):
    """``images/000123.jpg`` and ``annotations.json``.

    One annotation for each frame and prompt whose mask is not empty: segmentation (compressed run-length code), bbox,
    area, iscrowd 0, and beside COCO's own fields threshold, probability (mean inside) and presence. Categories are the
    prompts, from 1 in the order of their first appearance; an image's id is its frame's number.
    """

    ours = r"annotations\.json|images|images/\d{6,}\.jpg"
    index = "annotations.json"
    lists = ("images", "annotations", "categories")

    def _begin(self, info: object) -> None:
        (self._opened() / "images").mkdir()
        self._count = 0

    def _add(self, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> None:
        name = f"{frame.index:06}.jpg"
        self._put(f"images/{name}", jpeg_of(frame))
        time = float(frame.time)
        image = {"id": frame.index, "file_name": name, "width": frame.width, "height": frame.height, "time": time}
        self._list("images", image)
        for number, (category, label) in enumerate(zip(self._categories.numbers(labels), labels, strict=True)):
            measured = measure(frame, mattes, number)
            if measured.area:
                self._count += 1
                self._list("annotations", {
                    "id": self._count, "image_id": frame.index, "category_id": category,
                    "segmentation": measured.rle, "area": measured.area, "bbox": list(measured.box), "iscrowd": 0,
                    "threshold": label.threshold, "probability": measured.probability, "presence": measured.presence,
                })  # fmt: skip

    def _prompts_grew(self, first: int) -> None:
        for number, name in enumerate(self._categories.names[first:], start=first + 1):
            self._list("categories", {"id": number, "name": name, "supercategory": "prompt"})

    def _head(self) -> dict[str, Any]:
        return {"info": _info(self._header), "licenses": []}


def _info(header: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": f"{header.get('source', 'A recording')}, segmented by clipseg-live", "made_with": header}


def jpeg_of(frame: Frame) -> bytes:
    return saved(Image.fromarray(frame.pixels), "JPEG", quality=JPEG_QUALITY, subsampling=0)
