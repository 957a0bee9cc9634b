"""The composer: draws the effects of a look over its frames."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import cv2

from clipseg_live.core.frame import Pixels
from clipseg_live.core.mattes import Mattes
from clipseg_live.core.settings import effects as values
from clipseg_live.core.settings.effects import PRIVATE, AnyEffect, in_order
from clipseg_live.core.settings.rendering import RenderSettings
from clipseg_live.rendering import annotations, background, inspection, privacy
from clipseg_live.rendering.backdrops import Backdrops
from clipseg_live.rendering.blending import EffectCanvas

_DRAWN: dict[type[AnyEffect], Callable[[EffectCanvas, Any], None]] = {
    values.Tint: annotations.draw_tints,
    values.Outline: annotations.draw_outlines,
    values.Glow: annotations.draw_glow,
    values.Labels: annotations.draw_labels,
    values.Heatmap: inspection.draw_heatmap,
    values.Raw: inspection.draw_raw_maps,
    values.MatteView: inspection.draw_mattes,
    values.Wipe: inspection.draw_wipe,
    values.SideBySide: inspection.draw_side_by_side,
    values.Spotlight: background.draw_spotlight,
    values.Blur: background.draw_blurred,
    values.Desaturate: background.draw_desaturated,
    values.Invert: background.draw_inverted,
    values.Pixelate: privacy.draw_pixelated,
    values.BlackOut: privacy.draw_blacked_out,
}


def use_one_thread() -> None:
    """Keep OpenCV, in this whole process, to the thread that calls it."""
    cv2.setNumThreads(1)


class EffectRenderer:
    """Draws a look's effects one after the other, privacy first. For one thread at a time.

    The same input gives the same pixels, and nothing is written into it. Prompts beyond the look's styles get the
    colours of the palette in turn.
    """

    def __init__(self, look: RenderSettings) -> None:
        self._look, self._effects = look, in_order(look.effects)
        self._backdrops = Backdrops()

    def compose(self, pixels: Pixels, mattes: Mattes, time: Fraction = Fraction(0)) -> Pixels:
        """A new picture, uint8 (height, width, 3). mattes: of this frame. time: the frame's own, in seconds.

        Raises UsageError and SourceError for a cut-out's picture or video that is not there or cannot be read.
        """
        canvas = EffectCanvas(pixels.copy(), pixels, mattes, self._look.styles, self._look.names, time)
        for effect in self._effects:
            if isinstance(effect, values.CutOut):
                background.draw_cutout(canvas, effect, self._backdrops)
            else:
                _DRAWN[type(effect)](canvas, effect)
            if isinstance(effect, PRIVATE):
                canvas.original = canvas.picture.copy()
        return canvas.picture

    def close(self) -> None:
        """Close the videos behind cut-outs."""
        self._backdrops.close()
