"""Masks as data: JSON lines, or a folder of PNG images."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.errors import UsageError
from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import Label, Mattes, mask_of
from clipseg_live.core.protocols import FileOutput
from clipseg_live.core.settings.annotations import DEFAULT_ANNOTATIONS, AnnotationSettings
from clipseg_live.exporters.folder import FolderSink, slug
from clipseg_live.exporters.tables import JsonLinesMaskSink
from clipseg_live.media.images.icc_profiles import tagged_png


def open_mask_sink(
    path: str | Path,
    header: Mapping[str, Any],
    labels: Sequence[Label] = (),
    overwrite: bool = False,
    annotations: AnnotationSettings = DEFAULT_ANNOTATIONS,
) -> FileOutput:
    """Return the exporter for a path, not yet opened.

    It writes JSON lines for ``.jsonl`` and ``.ndjson``, and PNG images for a folder (a name without a suffix).

    Raises:
        UsageError: if the suffix is another one; other errors as for the exporters.
    """
    suffix = Path(path).suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return JsonLinesMaskSink(path, header, overwrite, rule=annotations.instances)
    if suffix and not Path(path).is_dir():
        raise UsageError(f"Masks cannot be written as {suffix}: use a name ending in .jsonl, or a folder.")
    return PngMaskSink(path, header, labels, overwrite)


class PngMaskSink(FolderSink):
    """Folder with one 8-bit grey PNG (0 or 255) for each frame and prompt, and ``index.json``.

    A file name joins the frame's name, the prompt's number from 1 and its text: ``000123_1-red-circle.png``. The index
    holds the header, the prompts, and the number, time, name and thresholds (by the prompts' names) of every frame.
    """

    ours = r"index\.json|\d{6,}_\d+-[^/]*\.png"

    @classmethod
    def listed(cls, index: Mapping[str, Any]) -> Iterator[str]:
        """Yield the paths of the mask files that the index lists."""
        for entry in index["frames"]:
            yield from (f"{entry['name']}_{name}.png" for name in entry["thresholds"])

    def _add(self, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> None:
        thresholds = {}
        stem = self._names.stem(frame)
        for number, label, matte in zip(self._categories.numbers(labels), labels, mattes.each, strict=True):
            name = self._name(number)
            self._put(f"{stem}_{name}.png", encode_png(mask_of(matte.alpha) * np.uint8(255)))
            thresholds[name] = label.threshold
        entry = {"frame": frame.index, "time": float(frame.time), "name": stem, "thresholds": thresholds}
        self._list("frames", entry)

    def _head(self) -> dict[str, Any]:
        prompts = [
            {"prompt": label.name, "threshold": label.threshold, "name": self._name(number)}
            for number, label in enumerate(self._categories.labels, start=1)
        ]
        return {"header": self._header, "prompts": prompts}

    def _name(self, number: int) -> str:
        return f"{number}-{slug(self._categories.labels[number - 1].name)}"


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """Return grey, BGR or BGRA, uint8, as a PNG file, with colours tagged as sRGB."""
    _, encoded = cv2.imencode(".png", picture)
    data = encoded.tobytes()
    return data if picture.ndim == 2 else tagged_png(data)
