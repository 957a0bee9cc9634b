"""Frames with known mattes, for tests of data."""

from collections.abc import Sequence
from fractions import Fraction

import cv2
import numpy as np

from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.mattes import Label, Matte, Mattes
from tests.helpers.clips import source_frames
from tests.helpers.patterns import disc
from tests.helpers.rendered import rendered

HEADER = {"version": "0.1.0", "model": "shapes", "source": "drawn.mp4"}
LABELS = (Label("red circle", 0.5), Label('étoile/青 "x": 1', 0.3), Label("red circle", 0.9))


def frames_with_mattes(
    count: int = 4, size: tuple[int, int] = (37, 53), prompts: int = 3, rate: Fraction = Fraction(30000, 1001)
) -> tuple[SourceInfo, list[Frame], list[Mattes]]:
    """Return soft discs that move. That of the first prompt is empty on the second frame, all are empty on the last."""
    info, frames = source_frames(count, rate=rate, size=size)
    return info, frames, [_mattes(number, count, size, prompts) for number in range(count)]


def _mattes(number: int, count: int, size: tuple[int, int], prompts: int) -> Mattes:
    height, width = size
    alphas = []
    for prompt in range(prompts):
        x = (0.15 + 0.7 * prompt / max(prompts - 1, 1)) * width + number
        soft = cv2.GaussianBlur(disc(height, width, x, height / 2, height / 3), (0, 0), 1.2).reshape(size)
        alpha = (soft * 255 + 0.5).astype(np.uint8)
        if (number, prompt) == (1, 0) or (number == count - 1 and count > 1):
            alpha[:] = 0
        alphas.append(alpha)
    maps = np.random.default_rng(number).random((prompts, 11, 13), dtype=np.float32)
    return mattes_of(alphas, maps)


def mattes_of(alphas: Sequence[np.ndarray], maps: np.ndarray | None = None) -> Mattes:
    """Return mattes with these alphas and the tightest possible boxes."""
    height, width = alphas[0].shape
    maps = np.zeros((len(alphas), 2, 2), np.float32) if maps is None else maps
    each = []
    for alpha in alphas:
        x, y, wide, high = cv2.boundingRect(alpha)
        each.append(Matte(alpha, ((x, y, x + wide, y + high),) if wide else ()))
    return Mattes(height, width, tuple(each), maps, tuple(float(part.max()) for part in maps))


def union(mattes: Mattes) -> np.ndarray:
    return np.max([matte.alpha for matte in mattes.each], axis=0)


def mask(matte: Matte) -> np.ndarray:
    return matte.alpha >= 128


def write_frames(sink, info: SourceInfo, frames: Sequence[Frame], mattes: Sequence[Mattes], labels=LABELS) -> None:
    """Open a sink, write the frames and finish it."""
    sink.open(info)
    for frame, each in zip(frames, mattes, strict=True):
        sink.write(rendered(frame, each, labels[: len(each.each)]))
    sink.finish()
