"""Privacy effects: pixelate and black out. They fail closed: a frame without its own mattes is hidden completely."""

from dataclasses import replace

import cv2
import numpy as np

from clipseg_live.core.frame import BytePlane
from clipseg_live.core.privacy import hides_whole
from clipseg_live.core.settings.effects import BlackOut, Pixelate
from clipseg_live.rendering.blending import EffectCanvas, union_of


def draw_pixelated(canvas: EffectCanvas, effect: Pixelate) -> None:
    """Pixelate the masked area, or the whole frame if it must be hidden."""
    height, width = canvas.size
    cell = max(round(canvas.length(effect.cell)), 2)
    rows, columns = -(-height // cell), -(-width // cell)
    hidden = _area_to_hide(canvas, effect.grow)
    if hidden is None:
        squares = np.ones((rows, columns), np.uint8)
    else:
        blocks = np.maximum.reduceat(hidden, np.arange(0, height, cell), axis=0)
        squares = np.maximum.reduceat(blocks, np.arange(0, width, cell), axis=1)
    if not squares.any():
        return
    padded = cv2.copyMakeBorder(
        canvas.picture, 0, rows * cell - height, 0, columns * cell - width, cv2.BORDER_REPLICATE
    )
    means = cv2.resize(padded, (columns, rows), interpolation=cv2.INTER_AREA)
    large = cv2.resize(means, (columns * cell, rows * cell), interpolation=cv2.INTER_NEAREST)
    mask = cv2.resize(squares, (columns * cell, rows * cell), interpolation=cv2.INTER_NEAREST)[:height, :width]
    np.copyto(canvas.picture, large.reshape(rows * cell, columns * cell, 3)[:height, :width], where=mask[..., None] > 0)


def draw_blacked_out(canvas: EffectCanvas, effect: BlackOut) -> None:
    """Fill the masked area with a colour, or the whole frame if it must be hidden."""
    hidden = _area_to_hide(canvas, effect.grow)
    if hidden is None:
        canvas.picture[:] = effect.colour
    else:
        canvas.picture[hidden > 0] = effect.colour


def _area_to_hide(canvas: EffectCanvas, grow: float) -> BytePlane | None:
    """Return the area to hide, uint8 (height, width), not 0 there, or None for the whole frame."""
    if hides_whole(canvas.mattes, len(canvas.styles)):
        return None
    mask = (union_of(replace(canvas.mattes, each=canvas.mattes.hiding)).alpha > 0).view(np.uint8)
    reach = int(np.ceil(canvas.length(grow)))
    if not reach or not mask.any():
        return np.asarray(mask, np.uint8)
    shrink = max(1, reach // 6)
    height, width = mask.shape
    rows = np.maximum.reduceat(mask, np.arange(0, height, shrink), axis=0)
    small = np.maximum.reduceat(rows, np.arange(0, width, shrink), axis=1)
    window = 2 * -(-reach // shrink) + 1
    wide = cv2.dilate(small, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (window, window)))
    wide = np.asarray(wide, np.uint8).reshape(small.shape)
    large: BytePlane = np.repeat(np.repeat(wide, shrink, axis=0), shrink, axis=1)[:height, :width]
    return large
