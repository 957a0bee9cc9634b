"""Strips of consecutive frames at an object's edge, plain and ours, for ``bench_quality.py --pictures FOLDER``."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import quality_clips as clips
import quality_methods as methods

from clipseg_live.core.frame import Frame, Pixels

SIDE = 240
"""Side of the square of the frame that a cell shows, in pixels."""
CELL = 160
SHOWN = 5
BACKGROUND = np.array((30, 32, 38), np.float32)
"""Background colour of cut-out objects."""
SCENES = (("slow", 3), ("fast", 3), ("occlusion", 10), ("shake", 10), ("small", 10), ("noise", 10))


def write(folder: Path) -> None:
    """Write three images: scenes.webp, pasted.webp and panned.webp."""
    folder.mkdir(parents=True, exist_ok=True)
    seed = clips.REPORTED_SEEDS[0]
    scenes = [strip(clips.drawn(name, seed, 45), rate) for name, rate in SCENES]
    for name, rows in (
        ("scenes", scenes),
        ("pasted", [strip(clips.pasted(one, 45), 10) for one in clips.PHOTOGRAPHS]),
        ("panned", [strip(clips.panned(one, 45), 10) for one in clips.PHOTOGRAPHS]),
    ):
        path = folder / f"{name}.webp"
        image = np.vstack(rows)[..., ::-1]
        cv2.imwrite(str(path), image, [cv2.IMWRITE_WEBP_QUALITY, 85])
        print(path)


def strip(shots: Iterator[clips.Shot], rate: int) -> Pixels:
    """Return the frame, then its last frames cut out, first plain and then ours.

    The strip is uint8 (CELL, (1 + 2 × SHOWN) × CELL, 3), plus gaps.
    """
    oracle = methods.Oracle(1)

    def model(pixels: Pixels, mattes: methods.Planes) -> methods.Planes:
        return oracle(pixels, mattes[:1])

    plain, ours = methods.method("plain", 1), methods.Ours(1)
    cells: list[tuple[Pixels, Pixels, Pixels]] = []
    for number, (shot, predictions) in enumerate(methods.predicted(shots, model, clips.RATE // rate)):
        frame = Frame(shot.pixels, number, Fraction(number, clips.RATE))
        for maps, index in predictions:
            plain.take(maps, index)
            ours.take(maps, index)
        if number < clips.RATE // rate:
            ours.show(frame)
            continue
        mattes = [each.mattes(frame)[0] for each in (plain, ours)]
        rows, columns = _square_at_border(shot.mattes[0])
        crop = shot.pixels[rows, columns]
        cells.append((_small(crop), *(_small(_cut(crop, matte[rows, columns])) for matte in mattes)))
    last = cells[-2 * SHOWN :: 2]
    gap = np.full((CELL, 6, 3), 255, np.uint8)
    row = np.hstack([last[0][0], gap, *(cell[1] for cell in last), gap, *(cell[2] for cell in last)])
    return np.vstack([row, np.full((4, row.shape[1], 3), 255, np.uint8)])


def _square_at_border(matte: methods.Planes) -> tuple[slice, slice]:
    """Return a square at the top right of a matte's border, where defects are easiest to see."""
    ys, xs = np.nonzero(matte > 0.5)
    if not len(ys):
        ys, xs = np.array([matte.shape[0] // 2]), np.array([matte.shape[1] // 2])
    big = max(np.ptp(ys), np.ptp(xs)) > SIDE
    y, x = (
        (ys.min() + SIDE // 3, np.median(xs)) if big else (np.mean((ys.min(), ys.max())), np.mean((xs.min(), xs.max())))
    )
    top = int(np.clip(y - SIDE / 2, 0, matte.shape[0] - SIDE))
    left = int(np.clip(x - SIDE / 2, 0, matte.shape[1] - SIDE))
    return slice(top, top + SIDE), slice(left, left + SIDE)


def _cut(pixels: Pixels, matte: methods.Planes) -> Pixels:
    alpha = matte[..., None]
    return np.rint(pixels * alpha + BACKGROUND * (1 - alpha)).astype(np.uint8)


def _small(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.resize(pixels, (CELL, CELL), interpolation=cv2.INTER_AREA), np.uint8)
