"""Masks as data: COCO run-length encoding in JSON lines, or a folder of PNG pictures."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.mattes import Matte, Mattes
from clipseg_live.core.ports import MaskSink
from clipseg_live.video.place import Place
from clipseg_live.video.resize import resize_map

Mask = NDArray[np.uint8]


def open_mask_sink(
    path: str | Path,
    header: Mapping[str, Any],
    prompts: Sequence[str],
    thresholds: Sequence[float],
    overwrite: bool = False,
) -> MaskSink:
    """The sink that ``path`` means, not yet opened: JSON lines for ``.jsonl`` and ``.ndjson``, PNG pictures for a
    folder (a name without a suffix). Raises UsageError for another suffix; otherwise as the sinks do."""
    suffix = Path(path).suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return JsonLinesMaskSink(path, header, prompts, thresholds, overwrite)
    if suffix and not Path(path).is_dir():
        raise UsageError(f"Masks cannot be written as {suffix}: use a name ending in .jsonl, or a folder.")
    return PngMaskSink(path, header, prompts, thresholds, overwrite)


class JsonLinesMaskSink:
    """One JSON object a line: the ``header`` first, then one for each frame and prompt.

    frame: its number; time: seconds; prompt; threshold; rle: ``{"size": [height, width], "counts": "..."}`` in
    COCO's compressed form; area: pixels; box: [x, y, width, height] of the mask, [0, 0, 0, 0] where it is empty;
    probability: mean inside the mask, null where it is empty; presence: 0 to 1, how surely it is in the picture. A mask
    is where the matte is at least one half.
    """

    def __init__(
        self,
        path: str | Path,
        header: Mapping[str, Any],
        prompts: Sequence[str],
        thresholds: Sequence[float],
        overwrite: bool = False,
    ) -> None:
        """Raises UsageError for a path that exists, SinkError for a folder that does not."""
        self.path = Path(path)
        self._header = dict(header)
        self._prompts, self._thresholds = _paired(prompts, thresholds)
        self._place = Place(path, overwrite)
        self._place.check()
        self._file: TextIO | None = None

    def open(self, info: SourceInfo) -> None:
        """Start the file beside its place and write the header. Raises SinkError."""
        working = self._place.begin()
        try:
            self._file = working.open("w", encoding="utf-8", newline="\n")
            self._line(self._header)
        except OSError as error:
            raise _failure(self.path, error) from error

    def write(self, frame: Frame, mattes: Mattes) -> None:
        """Add a frame with its mattes, one for each prompt. Raises SinkError."""
        _fits(self.path, mattes, len(self._prompts))
        for number, (prompt, threshold) in enumerate(zip(self._prompts, self._thresholds, strict=True)):
            probability = resize_map(mattes.maps[number], frame.height, frame.width)
            mask = mask_of(mattes.each[number])
            encoded = coco.encode(np.asfortranarray(mask))
            area = int(cv2.countNonZero(mask))
            entry = {
                "frame": frame.index,
                "time": float(frame.time),
                "prompt": prompt,
                "threshold": threshold,
                "rle": {"size": [frame.height, frame.width], "counts": encoded["counts"].decode("ascii")},
                "area": area,
                "box": [int(value) for value in cv2.boundingRect(mask)] if area else [0, 0, 0, 0],
                "probability": round(float(cv2.mean(probability, mask)[0]), 6) if area else None,
                "presence": round(mattes.presence[number], 4),
            }
            try:
                self._line(entry)
            except OSError as error:
                raise _failure(self.path, error) from error

    def finish(self) -> None:
        """Complete the file and move it to its place. Raises SinkError."""
        if self._file is None:
            raise SinkError(f"{self.path.name} is not open.")
        try:
            self._file.close()
        except OSError as error:
            raise _failure(self.path, error) from error
        self._file = None
        self._place.commit()

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
        self._file.write(json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n")


class PngMaskSink:
    """A folder with one 8-bit grey PNG (0 or 255) for each frame and prompt, and ``index.json``.

    Names are the frame's number, the prompt's number from 1 and its words: ``000123_1-red-circle.png``. The index
    holds the header, the prompts with their thresholds, and the number and time of every frame.
    """

    def __init__(
        self,
        folder: str | Path,
        header: Mapping[str, Any],
        prompts: Sequence[str],
        thresholds: Sequence[float],
        overwrite: bool = False,
    ) -> None:
        """Raises UsageError for a folder with anything in it (with ``overwrite``: anything but masks)."""
        self.path = Path(folder)
        self._header = dict(header)
        self._prompts, self._thresholds = _paired(prompts, thresholds)
        self._names = [f"{number}-{slug(prompt)}" for number, prompt in enumerate(self._prompts, start=1)]
        self._place = Place(folder, overwrite, folder=True)
        self._place.check()
        self._working: Path | None = None
        self._frames: list[dict[str, float]] = []

    def open(self, info: SourceInfo) -> None:
        """Start the folder beside its place. Raises SinkError."""
        self._working = self._place.begin()
        self._frames = []

    def write(self, frame: Frame, mattes: Mattes) -> None:
        """Add a frame with its mattes, one for each prompt. Raises SinkError."""
        _fits(self.path, mattes, len(self._prompts))
        folder = self._opened()
        for name, matte in zip(self._names, mattes.each, strict=True):
            _, data = cv2.imencode(".png", mask_of(matte) * np.uint8(255))
            self._put(folder / f"{frame.index:06}_{name}.png", data.tobytes())
        self._frames.append({"frame": frame.index, "time": float(frame.time)})

    def finish(self) -> None:
        """Write the index and move the folder to its place. Raises SinkError."""
        self._index()
        self._place.commit()
        self._working = None

    def abandon(self, keep_partial: bool = False) -> Path | None:
        """Stop: remove what was written, or keep it as ``FOLDER.partial``. Never raises."""
        kept = None
        if self._working is not None and keep_partial:
            try:
                self._index()
                kept = self._place.keep_partial()
            except SinkError:
                kept = None
        self._working = None
        self._place.discard()
        return kept

    def _index(self) -> None:
        index = {
            "header": self._header,
            "prompts": [
                {"prompt": prompt, "threshold": threshold, "name": name}
                for prompt, threshold, name in zip(self._prompts, self._thresholds, self._names, strict=True)
            ],
            "frames": self._frames,
        }
        text = json.dumps(index, ensure_ascii=False, indent=1)
        self._put(self._opened() / "index.json", text.encode())

    def _put(self, path: Path, data: bytes) -> None:
        try:
            path.write_bytes(data)
        except OSError as error:
            raise _failure(self.path, error) from error

    def _opened(self) -> Path:
        if self._working is None:
            raise SinkError(f"{self.path.name} is not open.")
        return self._working


def mask_of(matte: Matte) -> Mask:
    """uint8 (height, width), 1 where the matte is at least one half."""
    return (matte.alpha >= 128).view(np.uint8)


def slug(text: str) -> str:
    """A phrase as part of a file name: letters and digits of any script, joined by hyphens, at most 40."""
    return re.sub(r"[\W_]+", "-", text.casefold()).strip("-")[:40].strip("-") or "prompt"


def _paired(prompts: Sequence[str], thresholds: Sequence[float]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    if len(prompts) != len(thresholds):
        raise UsageError(f"There are {len(thresholds)} thresholds for {len(prompts)} prompts.")
    return tuple(prompts), tuple(float(threshold) for threshold in thresholds)


def _fits(path: Path, mattes: Mattes, prompts: int) -> None:
    if len(mattes.each) != prompts:
        raise SinkError(f"{len(mattes.each)} mattes do not fit {path.name}: {prompts} prompts need one each.")


def _failure(path: Path, error: OSError) -> SinkError:
    return SinkError(f"The masks could not be written to {path}: {error.strerror or error}.")
