"""Renderer: draws the effects of the render settings over frames."""

import logging
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pkgutil import resolve_name
from typing import Any

import cv2
import numpy as np

from clipseg_live.core.errors import Failure
from clipseg_live.core.frame import Pixels
from clipseg_live.core.mattes import Mattes
from clipseg_live.core.privacy import hides_whole
from clipseg_live.core.settings.effects import EFFECT_KINDS, EffectSettings, in_order
from clipseg_live.core.settings.rendering import RenderSettings
from clipseg_live.rendering.blending import EffectCanvas

logger = logging.getLogger(__name__)

Drawing = Callable[[EffectCanvas, Any], None]
"""Draws an effect, given its settings, over a canvas."""


def use_one_thread() -> None:
    """Restrict OpenCV in this whole process to the calling thread."""
    cv2.setNumThreads(1)


class EffectRenderer:
    """Renderer that draws effects one after the other, privacy first. For one thread at a time.

    The same input gives the same pixels, and the input is not modified. Prompts without a style get the colours of the
    palette in turn.
    """

    def __init__(self, look: RenderSettings) -> None:
        self._look = look
        self._steps = [(effect, _import_drawing(type(effect))) for effect in in_order(look.effects)]
        self._kept: dict[Any, Any] = {}

    def compose(self, pixels: Pixels, mattes: Mattes, time: Fraction = Fraction(0)) -> Pixels:
        """Return a new image with the effects, uint8 (height, width, 3).

        Args:
            pixels: uint8 (height, width, 3), the frame.
            mattes: mattes of this frame.
            time: time of the frame in seconds.

        Raises:
            UsageError: if a cut-out has no file for its backdrop.
            SourceError: if the image or video of a cut-out is missing or cannot be read.
        """
        canvas = EffectCanvas(pixels.copy(), pixels, mattes, self._look.styles, self._look.names, time, self._kept)
        for effect, draw in self._steps:
            if EFFECT_KINDS.own.get(effect.kind) is type(effect):
                draw(canvas, effect)
            else:
                _draw_foreign(canvas, effect, draw)
            if effect.info.private:
                canvas.original = canvas.picture.copy()
        return canvas.picture

    def close(self) -> None:
        """Close what effects have kept, such as the videos of backdrops."""
        for kept in self._kept.values():
            if (close := getattr(kept, "close", None)) is not None:
                close()
        self._kept.clear()


def _draw_foreign(canvas: EffectCanvas, effect: EffectSettings, draw: Drawing) -> None:
    """Draw an effect of another package. A privacy effect draws over black where the whole frame must be hidden.

    Raises:
        Failure: If the effect changed the size or type of the image.
    """
    if effect.info.private and hides_whole(canvas.mattes, len(canvas.styles)):
        canvas.picture[:] = 0
    draw(canvas, effect)
    picture = canvas.picture
    if picture.shape != canvas.original.shape or picture.dtype != np.uint8:
        raise Failure(
            f"The effect {effect.info.title} changed the image to shape {picture.shape} and type {picture.dtype}."
        )


@cache
def _import_drawing(effect: type[EffectSettings]) -> Drawing:
    """Return the function that draws a kind of effect.

    Raises:
        Failure: If the function of another package cannot be imported.
    """
    try:
        drawing: Drawing = resolve_name(effect.info.drawing)
        if not callable(drawing):
            raise TypeError(f"{effect.info.drawing} is not a function")
    except Exception as error:  # another package, which may raise anything
        logger.exception("The drawing function %s cannot be imported", effect.info.drawing)
        raise Failure(f"The effect {effect.info.title} cannot be drawn: {type(error).__name__}, {error}.") from error
    return drawing
