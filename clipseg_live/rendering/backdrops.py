"""Backdrops of cut-outs: a checkerboard, a colour, an image or a looped video."""

from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.core.frame import Frame, Pixels
from clipseg_live.core.settings.effects import CutOut
from clipseg_live.imaging.letterbox import cover
from clipseg_live.media.images.reader import read_image
from clipseg_live.media.sources.registry import open_source
from clipseg_live.media.sources.seekable import PlaybackSource

_CHECKS = ((38, 40, 46), (48, 51, 58))
_SHORTEST = Fraction(1, 100)


class Backdrops:
    """Backdrops of any size for the cut-outs of one renderer.

    Image files are read once, and videos as needed.
    """

    def __init__(self) -> None:
        self._images: dict[Path, Pixels] = {}
        self._scaled_images: dict[tuple[Path, tuple[int, int]], Pixels] = {}
        self._videos: dict[Path, _Loop] = {}

    def of(self, effect: CutOut, size: tuple[int, int], time: Fraction) -> Pixels:
        """Return the backdrop of an effect, uint8 (height, width, 3), not to be written to.

        Args:
            effect: the cut-out.
            size: height and width in pixels.
            time: time of the frame in seconds.

        Raises:
            UsageError: if the effect needs a file and has none.
            SourceError: if the file cannot be read.
        """
        if effect.backdrop == "colour":
            return np.full((*size, 3), effect.colour, np.uint8)
        if effect.backdrop == "checkerboard":
            return checkerboard(*size)
        if effect.file is None:
            raise UsageError(f"The {effect.backdrop} backdrop of a cut-out needs a file: choose one.")
        if effect.backdrop == "video":
            return _fill(self._video(effect.file).at(time), size)
        key = effect.file, size
        if key not in self._scaled_images:
            if effect.file not in self._images:
                self._images[effect.file] = read_image(effect.file)
            self._scaled_images = {key: _fill(self._images[effect.file], size)}
        return self._scaled_images[key]

    def close(self) -> None:
        """Close the videos."""
        for video in self._videos.values():
            video.close()
        self._videos.clear()

    def _video(self, path: Path) -> "_Loop":
        if path not in self._videos:
            self._videos[path] = _Loop(path)
        return self._videos[path]


class _Loop:
    """Video that is repeated, read by time."""

    def __init__(self, path: Path) -> None:
        self._source = PlaybackSource(lambda start: open_source(path, start=start))
        info = self._source.open()
        self._duration = max(info.duration or Fraction(0), Fraction(0))
        self._frame = self._read()
        if self._frame is None:
            self.close()
            raise SourceError(f"{path.name} contains no frames.")
        self._next_frame = self._read()

    def at(self, time: Fraction) -> Pixels:
        """Return the image shown at a time in seconds."""
        assert self._frame is not None
        moment = time % self._duration if self._duration > _SHORTEST else Fraction(0)
        if moment < self._frame.time or (self._next_frame is not None and moment > self._next_frame.time + 1):
            self._source.seek(moment)
            self._frame, self._next_frame = self._read() or self._frame, self._read()
        while self._next_frame is not None and self._next_frame.time <= moment:
            self._frame, self._next_frame = self._next_frame, self._read()
        return self._frame.pixels

    def close(self) -> None:
        self._source.close()

    def _read(self) -> Frame | None:
        return self._source.read()


@lru_cache(maxsize=4)
def checkerboard(height: int, width: int) -> Pixels:
    """Return a dark checkerboard, uint8 (height, width, 3), read-only."""
    cell = max(4, min(height, width) // 40)
    rows, columns = np.arange(height) // cell, np.arange(width) // cell
    board: Pixels = np.array(_CHECKS, np.uint8)[(rows[:, None] + columns[None, :]) % 2]
    board.setflags(write=False)
    return board


def _fill(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """Return the image scaled to fill (height, width), cropped around its centre."""
    return np.asarray(cover(picture, size[1], size[0]), np.uint8)
