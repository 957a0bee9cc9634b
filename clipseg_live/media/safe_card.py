"""Placeholder image of a virtual camera: calm, dark, and without any camera content."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from clipseg_live.core.frame import Pixels
from clipseg_live.core.settings.base import RGB

TITLE = "One moment…"
CARD_TEXT = "The video will be back shortly."
_MIDDLE, _EDGE = (30, 34, 42), (13, 14, 17)
_TEXT, _QUIET, _ACCENT = (236, 238, 240), (150, 158, 168), (108, 178, 255)
_FINE = 4
"""Factor by which round shapes are drawn larger and then reduced."""


def placeholder_card(width: int, height: int) -> Pixels:
    """Return the placeholder as uint8 RGB (height, width, 3), read-only."""
    card = Image.fromarray(_ground(width, height))
    unit = min(width, height, width * 0.75) / 100
    middle, centre = width / 2, height / 2
    _dots(card, middle, centre - 11 * unit, unit)
    _text(card, TITLE, middle, centre + 1.5 * unit, 7.2 * unit, _TEXT)
    _text(card, CARD_TEXT, middle, centre + 10.5 * unit, 3.1 * unit, _QUIET)
    pixels = np.array(card)
    pixels.setflags(write=False)
    return pixels


def _ground(width: int, height: int) -> Pixels:
    """Return a background that is lighter in the middle; fixed noise prevents banding by encoders."""
    across, down = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    far = np.clip(np.hypot(across[None, :], down[:, None] * 0.9) / 1.25, 0, 1)[..., None] ** 1.4
    shade = np.array(_MIDDLE, np.float32) * (1 - far) + np.array(_EDGE, np.float32) * far
    grain = np.random.default_rng(1).random((height, width, 3), np.float32)
    ground: Pixels = (shade + grain).astype(np.uint8)
    return ground


def _dots(card: Image.Image, x: float, y: float, unit: float) -> None:
    """Draw three dots, from bright to faint, as a sign of progress."""
    radius, step, fine = 1.15 * unit, 4.6 * unit, _FINE
    size = max(round(2 * step + 4 * radius), 1), max(round(4 * radius), 1)
    corner = round(x - size[0] / 2), round(y - size[1] / 2)
    for number, share in enumerate((1.0, 0.55, 0.25)):
        mask = Image.new("L", (size[0] * fine, size[1] * fine))
        box = [side * fine for side in (number * step + radius, radius, number * step + 3 * radius, 3 * radius)]
        ImageDraw.Draw(mask).ellipse(box, round(255 * share))
        card.paste(_ACCENT, corner, mask.resize(size, Image.Resampling.LANCZOS))


def _text(card: Image.Image, text: str, x: float, y: float, size: float, colour: RGB) -> None:
    font = ImageFont.load_default(max(round(size), 6))
    ImageDraw.Draw(card).text((x, y), text, colour, font=font, anchor="mm")
