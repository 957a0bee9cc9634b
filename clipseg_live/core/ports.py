"""The protocols through which pipeline, model, video and demo meet without importing one another."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.segmentation import Segmentation

Maps = NDArray[np.float32]
"""Probability maps: float32, shape (prompts, height, width), each value in 0..1."""


class FrameSource(Protocol):
    """Where frames come from. Made without touching the device or file; ``open`` does that."""

    def open(self) -> SourceInfo:
        """Open the file or device. Raises SourceError."""

    def read(self) -> Frame | None:
        """The next frame in order, or None after the last. Raises SourceError where the source breaks."""

    def close(self) -> None:
        """Give everything back; may be called at any time and more than once."""


class FrameSink(Protocol):
    """Where composed frames go. Nothing stands at ``path`` before ``finish`` has succeeded."""

    path: Path

    def open(self, info: SourceInfo) -> None:
        """Start the file beside its place, shaped like the source. Raises SinkError."""

    def write(self, frame: Frame) -> None:
        """Add one frame with its own timestamp. Raises SinkError (a full disk, say)."""

    def finish(self) -> None:
        """Complete the file and move it to its place. Raises SinkError."""

    def abandon(self, keep_partial: bool = False) -> Path | None:
        """Stop without finishing: remove what was written, or (keep_partial) complete it and keep it under
        its final name with ``.partial`` before the suffix. Returns the kept file. Never raises."""


class MaskSink(Protocol):
    """Where masks go as data, one call a frame."""

    path: Path

    def open(self, info: SourceInfo) -> None: ...

    def write(self, frame: Frame, probabilities: Maps) -> None:
        """``probabilities``: maps of the frame's own size, one per prompt."""

    def finish(self) -> None: ...

    def abandon(self, keep_partial: bool = False) -> Path | None: ...


class Engine(Protocol):
    """Segments one picture for several prompts; ``model.segmenter.Segmenter`` is the engine around CLIPSeg."""

    def segment(self, frame: Pixels, prompts: Sequence[Prompt]) -> Segmentation: ...


class Composer(Protocol):
    """Draws the look of a session. Stateless: the same input gives the same pixels."""

    def resize(self, maps: Maps, height: int, width: int) -> Maps:
        """Maps on the decoder's grid resized to the frame, bilinear with half-pixel centres."""

    def compose(self, pixels: Pixels, probabilities: Maps) -> Pixels:
        """A new picture: ``pixels`` (left untouched) with every prompt drawn; maps have the frame's size."""
