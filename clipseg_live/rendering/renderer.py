"""The composer: draws the effects of a look over its frames."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import cv2

from clipseg_live.core.frame import Pixels
from clipseg_live.core.mattes import Mattes
from clipseg_live.core.settings import effects as values
from clipseg_live.core.settings.effects import PRIVATE, AnyEffect, in_order
from clipseg_live.core.settings.rendering import Look
from clipseg_live.rendering import annotations, background, inspection, privacy
from clipseg_live.rendering.backdrops import Backdrops
from clipseg_live.rendering.blending import Canvas

_DRAWN: dict[type[AnyEffect], Callable[[Canvas, Any], None]] = {
    values.Tint: annotations.tint,
    values.Outline: annotations.outline,
    values.Glow: annotations.glow,
    values.Labels: annotations.labels,
    values.Heatmap: inspection.heatmap,
    values.Raw: inspection.raw,
    values.MatteView: inspection.matte_view,
    values.Wipe: inspection.wipe,
    values.SideBySide: inspection.side_by_side,
    values.Spotlight: background.spotlight,
    values.Blur: background.blur,
    values.Desaturate: background.desaturate,
    values.Invert: background.invert,
    values.Pixelate: privacy.pixelate,
    values.BlackOut: privacy.black_out,
}


def use_one_thread() -> None:
    """Keep OpenCV, in this whole process, to the thread that calls it."""
    cv2.setNumThreads(1)


class EffectComposer:
    """Draws a look's effects one after the other, privacy first. For one thread at a time.

    The same input gives the same pixels, and nothing is written into it. Prompts beyond the look's styles get the
    colours of the palette in turn.
    """

    def __init__(self, look: Look) -> None:
        self._look, self._effects = look, in_order(look.effects)
        self._backdrops = Backdrops()

    def compose(self, pixels: Pixels, mattes: Mattes, time: Fraction = Fraction(0)) -> Pixels:
        """A new picture, uint8 (height, width, 3). mattes: of this frame. time: the frame's own, in seconds.

        Raises UsageError and SourceError for a cut-out's picture or video that is not there or cannot be read.
        """
        canvas = Canvas(pixels.copy(), pixels, mattes, self._look.styles, self._look.names, time)
        for effect in self._effects:
            if isinstance(effect, values.CutOut):
                background.cutout(canvas, effect, self._backdrops)
            else:
                _DRAWN[type(effect)](canvas, effect)
            if isinstance(effect, PRIVATE):
                canvas.original = canvas.picture.copy()
        return canvas.picture

    def close(self) -> None:
        """Close the videos behind cut-outs."""
        self._backdrops.close()
