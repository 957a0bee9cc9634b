"""A data set for YOLO's segmentation: pictures, and polygons beside them."""

import json
from collections.abc import Sequence
from typing import Any

from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import Label, Mattes
from clipseg_live.video.coco import jpeg_of
from clipseg_live.video.folder_sink import FolderSink
from clipseg_live.video.masks import mask_of
from clipseg_live.video.polygons import polygons_of


class YoloSink(FolderSink):
    """``images/000123.jpg``, ``labels/000123.txt``, ``data.yaml`` and ``index.json`` (header, numbers and times).

    A line of a label file is a connected part of a prompt's mask: the prompt's number from 0, then x and y of the
    polygon's corners, which are centres of pixels, over width and height. Holes are joined to the border by a cut of no
    width. A frame without anything has an empty file, as a background does.
    """

    ours = r"index\.json|data\.yaml|images|labels|images/\d{6,}\.jpg|labels/\d{6,}\.txt"

    def _begin(self, info: object) -> None:
        for name in ("images", "labels"):
            (self._opened() / name).mkdir()

    def _add(self, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> None:
        stem = f"{frame.index:06}"
        lines = []
        for category, matte in zip(self._categories.numbers(labels), mattes.each, strict=True):
            for polygon in polygons_of(mask_of(matte)):
                corners = ((polygon + 0.5) / (frame.width, frame.height)).ravel()
                lines.append(f"{category - 1} " + " ".join(f"{value:.6f}" for value in corners) + "\n")
        self._put(f"images/{stem}.jpg", jpeg_of(frame))
        self._put(f"labels/{stem}.txt", "".join(lines).encode("ascii"))
        self._list("frames", {"frame": frame.index, "time": float(frame.time)})

    def _prompts_grew(self, first: int) -> None:
        names = (f"  {number}: {json.dumps(name)}\n" for number, name in enumerate(self._categories.names))
        text = "train: images\nval: images\nnames:\n" + "".join(names)
        self._put("data.yaml", text.encode())

    def _head(self) -> dict[str, Any]:
        prompts = [{"prompt": label.name, "threshold": label.threshold} for label in self._categories.labels]
        return {"header": self._header, "prompts": prompts}
