"""Effects that change the image itself: spotlight, blur, desaturate, invert and cut-out."""

import cv2
import numpy as np

from clipseg_live.core.frame import BytePlane, Pixels
from clipseg_live.core.settings.effects import Blur, CutOut, Desaturate, Invert, Spotlight
from clipseg_live.rendering.backdrops import Backdrops
from clipseg_live.rendering.blending import EffectCanvas, area_of, blend_over
from clipseg_live.rendering.foreground import cut_out_foreground

_LENS_SIDE = 180
"""Blur is computed at a size whose shorter side is about this many pixels."""


def draw_spotlight(canvas: EffectCanvas, effect: Spotlight) -> None:
    """Dim everything outside the masks."""
    dimmed = np.asarray(cv2.convertScaleAbs(canvas.picture, alpha=1 - effect.dim), np.uint8)
    _compose(canvas, dimmed.reshape(canvas.picture.shape))


def draw_desaturated(canvas: EffectCanvas, effect: Desaturate) -> None:
    """Desaturate everything outside the masks."""
    grey = cv2.cvtColor(cv2.cvtColor(canvas.picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    desaturated = cv2.addWeighted(grey, effect.amount, canvas.picture, 1 - effect.amount, 0)
    _compose(canvas, np.asarray(desaturated, np.uint8).reshape(canvas.picture.shape))


def draw_inverted(canvas: EffectCanvas, effect: Invert) -> None:
    """Invert the colours inside the masks."""
    for area in map(area_of, canvas.union.boxes):
        drawn = canvas.picture[area]
        blend_over(drawn, np.bitwise_not(drawn), canvas.union.alpha[area])


def draw_blurred(canvas: EffectCanvas, effect: Blur) -> None:
    """Blur the background, or the object if the effect asks for it."""
    alpha = canvas.union.alpha
    is_object_blurred = effect.what == "object"
    soft = _blur(canvas.picture, alpha if is_object_blurred else np.bitwise_not(alpha), canvas.length(effect.amount))
    if is_object_blurred:
        for area in map(area_of, canvas.union.boxes):
            blend_over(canvas.picture[area], soft[area], alpha[area])
    else:
        _compose(canvas, soft)


def draw_cutout(canvas: EffectCanvas, effect: CutOut) -> None:
    """Draw the masked area in front of a backdrop."""
    backdrop = canvas.keep(Backdrops).of(effect, canvas.size, canvas.time)
    drawn = backdrop.copy()
    for area in map(area_of, canvas.union.boxes):
        cut_out_foreground(canvas.picture[area], canvas.union.alpha[area], drawn[area])
    canvas.picture = drawn


def _compose(canvas: EffectCanvas, background: Pixels) -> None:
    """Draw the masked area in front of ``background``, and make the result the canvas's image."""
    for area in map(area_of, canvas.union.boxes):
        blend_over(background[area], canvas.picture[area], canvas.union.alpha[area])
    canvas.picture = background


def _blur(picture: Pixels, area: BytePlane, deviation: float) -> Pixels:
    """Return the image blurred where ``area``, uint8 (height, width), is not 0.

    Pixels elsewhere contribute no colour; otherwise they would glow.
    """
    height, width = area.shape
    shrink = max(1, min(min(height, width) // _LENS_SIDE, int(deviation // 2)))
    size = max(width // shrink, 1), max(height // shrink, 1)
    weight = cv2.resize(area, size, interpolation=cv2.INTER_AREA).reshape(size[::-1]) / np.float32(255)
    weight = np.repeat((weight + np.float32(1e-3))[..., None], 3, axis=2)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).reshape(weight.shape)
    sigma = max(deviation / shrink, 0.5)
    spread = [cv2.GaussianBlur(plane, (0, 0), sigma).reshape(weight.shape) for plane in (small * weight, weight)]
    mixed = (spread[0] / spread[1] + np.float32(0.5)).astype(np.uint8)
    large = cv2.resize(mixed, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.uint8).reshape(picture.shape)
