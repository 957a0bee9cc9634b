"""Folders with a file for each frame: transparent images, indexed masks and probability maps."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipseg_live.core.errors import SinkError
from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import Label, Mattes, mask_of
from clipseg_live.core.settings.base import PALETTE
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.folder import FolderSink
from clipseg_live.exporters.masks import encode_png
from clipseg_live.media.images.icc_profiles import srgb_tag
from clipseg_live.media.images.writers import check_side
from clipseg_live.rendering.blending import area_of, union_of
from clipseg_live.rendering.foreground import transparent

_MOST_INDEXED = 255


class AlphaSequence(FolderSink):
    """Folder of images of everything that drawn mattes cover, with straight alpha.

    Names are ``000123.png`` or ``000123.webp`` (lossless).
    """

    ours = r"index\.json|\d{6,}\.(png|webp)"

    def __init__(
        self,
        folder: str | Path,
        header: Mapping[str, Any],
        labels: Sequence[Label] = (),
        overwrite: bool = False,
        form: Literal["png", "webp"] = "png",
        live: bool = False,
    ) -> None:
        super().__init__(folder, header, labels, overwrite, live)
        self._form = form

    def _add(self, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> None:
        pixels = transparent(frame.pixels, union_of(mattes))
        name = f"{self._names.stem(frame)}.{self._form}"
        if self._form == "png":
            self._put(name, encode_png(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA), np.uint8)))
        else:
            self._put(
                name, encode_image(Image.fromarray(pixels), "WEBP", lossless=True, exact=True, method=1, quality=0)
            )
        self._list("frames", {"frame": frame.index, "time": float(frame.time), "file": name})

    def _head(self) -> dict[str, Any]:
        return {"header": self._header, "alpha": "straight"}


class IndexedSink(FolderSink):
    """Folder of indexed masks, ``000123.png``: 8-bit palette images with the number of the prompt, or 0 for none.

    Prompts are numbered from 1; later ones cover earlier ones. A pixel belongs to the mask where the matte is at least
    one half.
    """

    ours = r"index\.json|\d{6,}\.png"

    def _add(self, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> None:
        numbers = self._categories.numbers(labels)
        if max(numbers, default=0) > _MOST_INDEXED:
            raise SinkError(
                f"{self.path.name} supports at most {_MOST_INDEXED} prompts: use another folder for the rest."
            )
        values = np.zeros((frame.height, frame.width), np.uint8)
        for number, matte in zip(numbers, mattes.each, strict=True):
            for area in map(area_of, matte.boxes):
                values[area][mask_of(matte.alpha[area])] = number
        picture = Image.fromarray(values).convert("P")  # keeps the grey levels as indices
        picture.putpalette(indexed_palette().tobytes())
        name = f"{self._names.stem(frame)}.png"
        self._put(name, encode_image(picture, "PNG"))
        thresholds = {str(number): label.threshold for number, label in zip(numbers, labels, strict=True)}
        self._list("frames", {"frame": frame.index, "time": float(frame.time), "file": name, "thresholds": thresholds})

    def _head(self) -> dict[str, Any]:
        palette = indexed_palette()
        prompts = [
            {"value": number, "prompt": label.name, "threshold": label.threshold, "colour": palette[number].tolist()}
            for number, label in enumerate(self._categories.labels, start=1)
        ]
        return {"header": self._header, "prompts": prompts}


class MapsSink(FolderSink):
    """Folder of probability maps, ``000123.npz``, readable by ``numpy.load`` without pickles.

    Each file has these arrays:

    maps: float16 (prompts, h, w), 0 to 1, on the grid of the model, which covers the frame.
    prompts: names of the prompts.
    thresholds: float32 (prompts,).
    presence: float32 (prompts,).
    size: height and width of the frame.
    frame: index of the frame.
    time: time of the frame in seconds.
    """

    ours = r"index\.json|\d{6,}\.npz"

    def _add(self, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> None:
        memory = io.BytesIO()
        np.savez_compressed(
            memory,
            maps=mattes.maps.astype(np.float16),
            prompts=np.array([label.name for label in labels], dtype=np.str_),
            thresholds=np.array([label.threshold for label in labels], np.float32),
            presence=np.array(mattes.presence, np.float32),
            size=np.array([frame.height, frame.width]),
            frame=np.array(frame.index),
            time=np.array(float(frame.time)),
        )
        name = f"{self._names.stem(frame)}.npz"
        self._put(name, memory.getvalue())
        self._categories.numbers(labels)
        self._list("frames", {"frame": frame.index, "time": float(frame.time), "file": name})

    def _head(self) -> dict[str, Any]:
        return {"header": self._header, "prompts": self._categories.names}


def indexed_palette() -> NDArray[np.uint8]:
    """Return a palette, uint8 (256, 3): black, the colours of prompts, then others, all different."""
    numbers = np.arange(256)
    spread = np.zeros((256, 3), np.uint8)
    for bit in range(8):  # each bit of a number sets the highest free bit of one channel
        spread[:, bit % 3] |= ((numbers >> bit & 1) << (7 - bit // 3)).astype(np.uint8)
    spread[1 : len(PALETTE) + 1] = PALETTE
    return spread


def encode_image(picture: Image.Image, form: str, **options: Any) -> bytes:
    """Return an image as the bytes of a file, with colours tagged as sRGB."""
    if picture.mode in ("RGB", "RGBA"):
        options = srgb_tag(form) | options
    memory = io.BytesIO()
    check_side(form, *picture.size)
    picture.save(memory, form, **options)
    return memory.getvalue()


def open_alpha_png(path: Path, options: DataOptions) -> AlphaSequence:
    """Return the exporter of PNG images with alpha, not yet opened."""
    return AlphaSequence(path, options.header, options.labels, options.overwrite, "png", options.live)


def open_alpha_webp(path: Path, options: DataOptions) -> AlphaSequence:
    """Return the exporter of lossless WebP images with alpha, not yet opened."""
    return AlphaSequence(path, options.header, options.labels, options.overwrite, "webp", options.live)
