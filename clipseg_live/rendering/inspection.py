"""Effects for inspecting the model: heat map, raw maps, mattes, and comparison with the original."""

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from clipseg_live.core.frame import BytePlane
from clipseg_live.core.mattes import Decision
from clipseg_live.core.settings.effects import EdgeView, Heatmap, MatteView, Raw, SideBySide, Wipe
from clipseg_live.imaging.resize import resized_strips
from clipseg_live.rendering.blending import EffectCanvas, blend_over, draw_text

_FLOOR = 0.35
_CHIP, _INK = (18, 19, 22), (240, 241, 243)
_SCALE_PERCENT = 2.4
_DIM = 0.5
_DECISION_COLOURS = {
    "map": (200, 204, 210),
    "edges": (46, 120, 255),
    "colours": (255, 140, 0),
}
"""Names and colours of the decisions, in the order of ``Decision``."""


def draw_heatmap(canvas: EffectCanvas, effect: Heatmap) -> None:
    """Draw the highest probability of all prompts as a heat map, with a scale if the effect asks for it."""
    maps, (height, width) = canvas.mattes.maps, canvas.size
    if not len(maps):
        return
    strongest = maps[0] if len(maps) == 1 else np.max(maps, axis=0)
    colours, shares = _heat(effect.opacity)
    for rows, strip in resized_strips(strongest, height, width, slice(0, height), slice(0, width)):
        field = np.asarray(cv2.convertScaleAbs(strip, alpha=255.0), np.uint8).reshape(strip.shape)
        heat, share = cv2.applyColorMap(field, colours), cv2.LUT(field, shares)
        blend_over(canvas.picture[rows], np.asarray(heat, np.uint8), np.asarray(share, np.uint8))
    if effect.scale:
        legend, alpha = _legend(max(round(canvas.length(_SCALE_PERCENT)), 8))
        margin = alpha.shape[0] // 3
        draw_text(canvas, legend, alpha, margin, max(height - alpha.shape[0] - margin, 0))


def draw_raw_maps(canvas: EffectCanvas, effect: Raw) -> None:
    """Draw the probability maps without refinement, each in the colour of its prompt."""
    maps, (height, width) = canvas.mattes.maps, canvas.size
    if not len(maps):
        return
    light = np.full((*maps.shape[1:], 3), 0.5, np.float32)
    for (_, style), probability in zip(canvas.each(), maps, strict=True):
        light += probability[..., None] * np.array(style.colour, np.float32)
    resized = cv2.resize(np.minimum(light, 255.0).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    canvas.picture = np.asarray(resized, np.uint8).reshape(height, width, 3)


def draw_mattes(canvas: EffectCanvas, effect: MatteView) -> None:
    """Draw the union of the mattes in grey."""
    canvas.picture = np.asarray(cv2.cvtColor(canvas.union.alpha, cv2.COLOR_GRAY2RGB), np.uint8).reshape(*canvas.size, 3)


def draw_edge_decisions(canvas: EffectCanvas, effect: EdgeView) -> None:
    """Draw borders over a dark grey frame, coloured by what decided about them. Later prompts lie on top."""
    decisions = canvas.mattes.decisions
    grey = cv2.cvtColor(canvas.picture, cv2.COLOR_RGB2GRAY)
    canvas.picture = np.asarray(cv2.cvtColor(cv2.convertScaleAbs(grey, alpha=_DIM), cv2.COLOR_GRAY2RGB), np.uint8)
    if decisions is not None and len(decisions):
        newest = decisions[0]
        for plane in decisions[1:]:
            newest = np.where(plane > Decision.NONE, plane, newest)
        colours = np.array([(0, 0, 0), *_DECISION_COLOURS.values()], np.uint8)
        alpha = np.where(newest > Decision.NONE, round(255 * effect.opacity), 0).astype(np.uint8)
        blend_over(canvas.picture, colours[newest], alpha)
    legend, alpha = _names_legend(max(round(canvas.length(_SCALE_PERCENT)), 8))
    margin = alpha.shape[0] // 3
    draw_text(canvas, legend, alpha, margin, max(canvas.size[0] - alpha.shape[0] - margin, 0))


def draw_wipe(canvas: EffectCanvas, effect: Wipe) -> None:
    """Draw the original to the left of a line, and the effects to the right."""
    width = canvas.size[1]
    line = min(max(round(effect.at * width), 0), width)
    canvas.picture[:, :line] = canvas.original[:, :line]
    half = max(round(canvas.length(0.2)), 1) // 2
    canvas.picture[:, max(line - half, 0) : line + half + 1] = 255


def draw_side_by_side(canvas: EffectCanvas, effect: SideBySide) -> None:
    """Draw the original and the effects next to each other at half size."""
    height, width = canvas.size
    both = np.zeros_like(canvas.picture)
    half_width, half_height = width // 2, max(height // 2, 1)
    if not half_width:
        return
    top = (height - half_height) // 2
    for left, picture in ((0, canvas.original), (width - half_width, canvas.picture)):
        small = cv2.resize(picture, (half_width, half_height), interpolation=cv2.INTER_AREA)
        both[top : top + half_height, left : left + half_width] = np.asarray(small, np.uint8).reshape(
            half_height, half_width, 3
        )
    canvas.picture = both


def heat_colours() -> BytePlane:
    """Return the colours of the heat map, uint8 (256, 3), RGB, for 256 probabilities from 0 to 1."""
    return _heat(1.0)[0][:, 0]


@lru_cache(maxsize=16)
def _heat(opacity: float) -> tuple[BytePlane, BytePlane]:
    """Return the colours of the perceptual map "inferno" and their alpha, for each of 256 probabilities."""
    levels = np.arange(256, dtype=np.uint8)[:, None]
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[:, :, ::-1]
    alphas = opacity + (1 - opacity) * opacity * np.linspace(-_FLOOR, 1 - _FLOOR, 256)
    return np.ascontiguousarray(colours), (255 * alphas).round().astype(np.uint8)


@lru_cache(maxsize=8)
def _names_legend(size: int) -> tuple[BytePlane, BytePlane]:
    """Return the names of the decisions with their colours on a dark chip: uint8 (h, w, 3), and its alpha."""
    font = ImageFont.load_default(size)
    height, pad, dot = round(size * 1.9), round(size * 0.7), size
    widths = [round(font.getlength(name)) for name in _DECISION_COLOURS]
    chip = Image.new("RGB", (sum(widths) + len(widths) * (dot + 2 * pad) + pad, height), _CHIP)
    pen, x = ImageDraw.Draw(chip), pad
    for (name, colour), width in zip(_DECISION_COLOURS.items(), widths, strict=True):
        pen.ellipse((x, (height - dot) // 2, x + dot, (height + dot) // 2), fill=colour)
        pen.text((x + dot + pad // 2, height // 2), name, _INK, font=font, anchor="lm")
        x += dot + width + 2 * pad
    return np.asarray(chip), _chip_alpha(*chip.size)


@lru_cache(maxsize=8)
def _legend(size: int) -> tuple[BytePlane, BytePlane]:
    """Return a bar from 0 to 1 on a dark chip: uint8 (h, w, 3), and its alpha, uint8 (h, w)."""
    font = ImageFont.load_default(size)
    height, bar, pad = round(size * 1.9), size * 9, round(size * 0.7)
    digit = int(font.getlength("0")) + pad
    width = bar + 2 * digit + 2 * pad
    chip = Image.new("RGB", (width, height), _CHIP)
    ramp = _heat(1.0)[0][np.linspace(0, 255, bar).round().astype(int), 0]
    thick = max(size * 2 // 3, 2)
    chip.paste(Image.fromarray(np.repeat(ramp[None], thick, axis=0)), (pad + digit, (height - thick) // 2))
    pen = ImageDraw.Draw(chip)
    for text, x in (("0", pad), ("1", pad + digit + bar + pad // 2)):
        left, top, _, bottom = font.getbbox(text)
        pen.text((x - left, (height - (bottom - top)) / 2 - top), text, _INK, font=font)
    return np.asarray(chip), _chip_alpha(width, height)


def _chip_alpha(width: int, height: int) -> BytePlane:
    """Return the alpha of a chip with round corners, uint8 (height, width)."""
    shape = Image.new("L", (width * 4, height * 4))
    ImageDraw.Draw(shape).rounded_rectangle((0, 0, width * 4 - 1, height * 4 - 1), height * 4 // 4, 225)
    return np.asarray(shape.resize((width, height), Image.Resampling.LANCZOS))
