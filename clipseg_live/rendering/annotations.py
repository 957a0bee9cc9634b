"""Effects that mark objects: tint, outline, glow and labels."""

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from clipseg_live.core.frame import BytePlane
from clipseg_live.core.mattes import Box, Matte, mask_of, overlap
from clipseg_live.core.settings.base import RGB
from clipseg_live.core.settings.effects import Glow, Labels, Outline, Tint
from clipseg_live.imaging.buffers import SCRATCH
from clipseg_live.rendering.blending import (
    EffectCanvas,
    area_of,
    blend_evenly,
    blend_over,
    cover_with,
    draw_text,
    grow_box,
)
from clipseg_live.rendering.distance_field import blur_mask, distances, fill_small_masks, shrinkage
from clipseg_live.rendering.tiles import TILE, Tiles, TileSize

_HALO = 1.9
_FONT_PERCENT = 2.6


def draw_tints(canvas: EffectCanvas, effect: Tint) -> None:
    """Tint each mask in the colour of its prompt."""
    for matte, style in canvas.each():
        for drawn, alpha in canvas.parts(matte, 0, TILE):
            cover_with(drawn, alpha, style.colour, style.opacity)


def draw_outlines(canvas: EffectCanvas, effect: Outline) -> None:
    """Draw a line with a halo along the border of each mask."""
    width = max(round(canvas.length(effect.width)), 1)
    scale = shrinkage(width)
    tile = max(round(TILE[0] / scale), 1) * scale, max(round(TILE[1] / scale), 1) * scale
    for matte, style in canvas.each():
        keep, add = _line_tables(style.colour, style.opacity, width)
        for drawn, alpha in canvas.parts(matte, 3 * width + 3, tile):
            _draw_line(drawn, alpha, width, tile, keep, add)


def _draw_line(drawn: BytePlane, alpha: BytePlane, width: int, tile: TileSize, keep: BytePlane, add: BytePlane) -> None:
    """Draw a line along the border of a matte, in place; only the tiles on the border are processed."""
    mask = SCRATCH.take("mask", alpha.shape)
    cv2.threshold(alpha, 127, 255, cv2.THRESH_BINARY, dst=mask)
    field = blur_mask(mask, width)
    drawn_levels = np.flatnonzero(keep != 255)
    for tiles in Tiles.from_marks(field.marks(int(drawn_levels[0]), int(drawn_levels[-1])), tile, field.scale).chunks():
        part = tiles.extract(drawn)
        blend_evenly(part, fill_small_masks(tiles.extract(field.values), tiles.extract(mask)), keep, add)
        tiles.put(part, drawn)


@lru_cache(maxsize=64)
def _line_tables(colour: RGB, opacity: float, width: int) -> tuple[BytePlane, BytePlane]:
    """Return tables over the values of a field for ``blend_evenly``.

    Returns:
        The share of the image that is kept, uint8 (256,), and the colour that is added, uint8 (256, 1, 3).
    """
    distance = np.abs(distances(width))
    strength = min(1.0, 0.35 + opacity)
    line = np.clip(width * 0.85 + 0.5 - distance, 0, 1) * strength
    halo = np.clip(width * 0.85 + _HALO - distance, 0, 1) * 0.55 * strength
    line[0] = halo[0] = 0
    alphas = 1 - (1 - halo) * (1 - line)
    add = np.array(colour, float) * line[:, None]
    return (255 * (1 - alphas)).round().astype(np.uint8), add.round().astype(np.uint8).reshape(256, 1, 3)


def draw_glow(canvas: EffectCanvas, effect: Glow) -> None:
    """Draw a glow around each mask."""
    reach = max(canvas.length(effect.reach), 1.0)
    shrink = max(1, int(reach // 6))
    for matte, style in canvas.each():
        for box in matte.boxes:
            area = area_of(grow_box(box, int(2 * reach) + 2, canvas.size))
            alpha = matte.alpha[area]
            size = max(alpha.shape[1] // shrink, 1), max(alpha.shape[0] // shrink, 1)
            small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
            soft = cv2.GaussianBlur(small, (0, 0), reach / 2 / shrink, borderType=cv2.BORDER_REPLICATE)
            field = cv2.resize(soft, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(alpha.shape)
            outside = cv2.multiply(field, cv2.bitwise_not(alpha), scale=2 * effect.strength / 255)
            blend_over(canvas.picture[area], style.colour, np.asarray(outside, np.uint8).reshape(alpha.shape))


def draw_labels(canvas: EffectCanvas, effect: Labels) -> None:
    """Draw the name of each prompt above its largest part, with the presence if the effect asks for it."""
    size = max(round(canvas.length(_FONT_PERCENT)), 9)
    used_boxes: list[Box] = []
    for number, (matte, style) in enumerate(canvas.each()):
        name = canvas.names[number] if number < len(canvas.names) else f"prompt {number + 1}"
        text = name if len(name) <= 28 else name[:27] + "…"
        if effect.presence and number < len(canvas.mattes.presence):
            text += f"  {canvas.mattes.presence[number]:.2f}"
        box = _largest(matte)
        if box is None:
            continue
        chip, alpha = _chip(text, size, style.colour)
        height, width = alpha.shape
        x = min(max(box[0] + (box[2] - box[0] - width) // 2, 0), max(canvas.size[1] - width, 0))
        y = min(max(box[1] - height - size // 3, 0), max(canvas.size[0] - height, 0))
        while y + 2 * height < canvas.size[0] and any(
            overlap((x, y, x + width, y + height), area) for area in used_boxes
        ):
            y += height + 2
        used_boxes.append((x, y, x + width, y + height))
        draw_text(canvas, chip, alpha, x, y)


def _largest(matte: Matte) -> Box | None:
    """Return the box of the part with the largest area, or None for an empty matte."""
    sums = [int(cv2.countNonZero(mask_of(matte.alpha[area_of(box)]).view(np.uint8))) for box in matte.boxes]
    if not sums or max(sums) == 0:
        return None
    left, top, right, bottom = matte.boxes[int(np.argmax(sums))]
    x, y, wide, high = cv2.boundingRect(mask_of(matte.alpha[top:bottom, left:right]).view(np.uint8))
    return left + x, top + y, left + x + wide, top + y + high


@lru_cache(maxsize=128)
def _chip(text: str, size: int, colour: RGB) -> tuple[BytePlane, BytePlane]:
    """Return a dark rounded chip with a dot and a text: uint8 (h, w, 3), and its alpha, uint8 (h, w)."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    height, pad, dot = round(size * 1.7), round(size * 0.6), round(size * 0.55)
    width = int(right - left) + dot + 3 * pad
    factor = 4
    shape = Image.new("L", (width * factor, height * factor))
    ImageDraw.Draw(shape).rounded_rectangle((0, 0, width * factor - 1, height * factor - 1), height * factor // 3, 225)
    chip = Image.new("RGB", (width, height), (18, 19, 22))
    spot = Image.new("L", (width * factor, height * factor))
    x, y, r = (pad + dot / 2) * factor, height * factor / 2, dot * factor / 2
    ImageDraw.Draw(spot).ellipse((x - r, y - r, x + r, y + r), 255)
    chip.paste(colour, (0, 0), spot.resize((width, height), Image.Resampling.LANCZOS))
    baseline = (height - (bottom - top)) / 2 - top
    ImageDraw.Draw(chip).text((2 * pad + dot - left, baseline), text, (240, 241, 243), font=font)
    return np.asarray(chip), np.asarray(shape.resize((width, height), Image.Resampling.LANCZOS))
