"""Renderer: draws the effects of the render settings over frames."""

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
    """Restrict OpenCV in this whole process to the calling thread."""
    cv2.setNumThreads(1)


class EffectRenderer:
    """Renderer that draws effects one after the other, privacy first. For one thread at a time.

    The same input gives the same pixels, and the input is not modified. Prompts without a style get the colours of the
    palette in turn.
    """

    def __init__(self, look: RenderSettings) -> None:
        self._look, self._effects = look, in_order(look.effects)
        self._backdrops = Backdrops()

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
        """Close the videos of backdrops."""
        self._backdrops.close()
