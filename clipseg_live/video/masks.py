"""Masks as data: COCO run-length encoding in JSON lines, or a folder of PNG pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.mattes import Label, Matte, Mattes
from clipseg_live.core.ports import MaskSink
from clipseg_live.video.folder_sink import FolderSink, failure, fits, slug, to_json
from clipseg_live.video.place import Place
from clipseg_live.video.profiles import tagged_png
from clipseg_live.video.resize import resize_map

Mask = NDArray[np.uint8]


def open_mask_sink(
    path: str | Path,
    header: Mapping[str, Any],
    labels: Sequence[Label] = (),
    overwrite: bool = False,
) -> MaskSink:
    """The sink that ``path`` means, not yet opened: JSON lines for ``.jsonl`` and ``.ndjson``, PNG pictures for a
    folder (a name without a suffix). Raises UsageError for another suffix; otherwise as the sinks do."""
    suffix = Path(path).suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return JsonLinesMaskSink(path, header, overwrite)
    if suffix and not Path(path).is_dir():
        raise UsageError(f"Masks cannot be written as {suffix}: use a name ending in .jsonl, or a folder.")
    return PngMaskSink(path, header, labels, overwrite)


class JsonLinesMaskSink:
    """One JSON object a line: the ``header`` first, then one for each frame and prompt.

    frame: its number; time: seconds; prompt; threshold; rle: ``{"size": [height, width], "counts": "..."}`` in
    COCO's compressed form; area: pixels; box: [x, y, width, height] of the mask, [0, 0, 0, 0] where it is empty;
    probability: mean inside the mask, null where it is empty; presence: 0 to 1, how surely it is in the picture. A mask
    is where the matte is at least one half.
    """

    def __init__(
        self, path: str | Path, header: Mapping[str, Any], overwrite: bool = False, live: bool = False
    ) -> None:
        """live: see ``data_sinks``. Raises UsageError for a path that exists, SinkError for a folder that does not."""
        self.path = Path(path)
        self._header, self._live = dict(header), live
        self.notices: list[str] = []
        self._place = Place(path, overwrite, visible=live)
        self._place.check()
        self._file: TextIO | None = None

    def open(self, info: SourceInfo) -> None:
        """Start the file beside its place and write the header. Raises SinkError."""
        working = self._place.begin()
        try:
            self._file = working.open("w", encoding="utf-8", newline="\n", buffering=1 if self._live else -1)
            self._line(self._header)
        except OSError as error:
            raise failure(self.path, error) from error

    def write(self, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> None:
        """Add a frame with its mattes, one for each label. Raises SinkError."""
        fits(self.path, mattes, labels)
        for number, label in enumerate(labels):
            measured = measure(frame, mattes, number)
            entry = {
                "frame": frame.index,
                "time": float(frame.time),
                "prompt": label.name,
                "threshold": label.threshold,
                "rle": measured.rle,
                "area": measured.area,
                "box": list(measured.box),
                "probability": measured.probability,
                "presence": measured.presence,
            }
            try:
                self._line(entry)
            except OSError as error:
                raise failure(self.path, error) from error

    def finish(self) -> None:
        """Complete the file and move it to its place. Raises SinkError."""
        if self._file is None:
            raise SinkError(f"{self.path.name} is not open.")
        try:
            self._file.close()
        except OSError as error:
            raise failure(self.path, error) from error
        self._place.commit()
        self._file = None

    def abandon(self, keep_partial: bool = False) -> Path | None:
        """Stop: remove what was written, or keep it as ``NAME.partial.jsonl``. Never raises."""
        file, self._file = self._file, None
        kept = None
        if file is not None:
            try:
                file.close()
                kept = self._place.keep_partial() if keep_partial else None
            except OSError:
                kept = None
        self._place.discard()
        return kept

    def _line(self, entry: Mapping[str, Any]) -> None:
        if self._file is None:
            raise SinkError(f"{self.path.name} is not open.")
        self._file.write(to_json(entry) + "\n")


class PngMaskSink(FolderSink):
    """A folder with one 8-bit grey PNG (0 or 255) for each frame and prompt, and ``index.json``.

    Names are the frame's number, the prompt's number from 1 and its words: ``000123_1-red-circle.png``. The index
    holds the header, the prompts, and the number, time and thresholds (by the prompts' names) of every frame.
    """

    ours = r"index\.json|\d{6,}_\d+-[^/]*\.png"

    def _add(self, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> None:
        thresholds = {}
        for number, label, matte in zip(self._categories.numbers(labels), labels, mattes.each, strict=True):
            name = self._name(number)
            self._put(f"{frame.index:06}_{name}.png", png_of(mask_of(matte) * np.uint8(255)))
            thresholds[name] = label.threshold
        self._list("frames", {"frame": frame.index, "time": float(frame.time), "thresholds": thresholds})

    def _head(self) -> dict[str, Any]:
        prompts = [
            {"prompt": label.name, "threshold": label.threshold, "name": self._name(number)}
            for number, label in enumerate(self._categories.labels, start=1)
        ]
        return {"header": self._header, "prompts": prompts}

    def _name(self, number: int) -> str:
        return f"{number}-{slug(self._categories.labels[number - 1].name)}"


@dataclass(frozen=True, slots=True)
class Measured:
    """A mask in numbers. rle: COCO's, compressed. area: pixels. box: x, y, width, height; zeros for an empty mask.
    probability: mean inside the mask, None where it is empty. presence: 0 to 1."""

    rle: Mapping[str, Any]
    area: int
    box: tuple[int, int, int, int]
    probability: float | None
    presence: float


def measure(frame: Frame, mattes: Mattes, number: int) -> Measured:
    """The mask of one of a frame's mattes."""
    mask = mask_of(mattes.each[number])
    area = int(cv2.countNonZero(mask))
    left, top, wide, high = (int(value) for value in cv2.boundingRect(mask)) if area else (0, 0, 0, 0)
    probability = None
    if area:
        inside = resize_map(mattes.maps[number], frame.height, frame.width)
        probability = round(float(cv2.mean(inside, mask)[0]), 6)
    encoded = coco.encode(np.asfortranarray(mask))
    rle = {"size": [frame.height, frame.width], "counts": encoded["counts"].decode("ascii")}
    return Measured(rle, area, (left, top, wide, high), probability, round(mattes.presence[number], 4))


def png_of(picture: NDArray[np.uint8]) -> bytes:
    """A PNG file of grey, BGR or BGRA, uint8. Colours are tagged as sRGB."""
    _, encoded = cv2.imencode(".png", picture)
    data = encoded.tobytes()
    return data if picture.ndim == 2 else tagged_png(data)


def mask_of(matte: Matte) -> Mask:
    """uint8 (height, width), 1 where the matte is at least one half."""
    return (matte.alpha >= 128).view(np.uint8)
