"""The composer: brings probability maps to the frame's size and draws the look of a session."""

import cv2
import numpy as np

from clipseg_live.core.frame import Pixels
from clipseg_live.core.ports import Maps
from clipseg_live.core.settings import PALETTE, Look, PromptStyle
from clipseg_live.video.effects import EFFECTS


class OverlayComposer:
    """Draws one effect with one style per prompt, later prompts above earlier ones.

    A mask is where the probability reaches the style's threshold. Stateless, and never writes into its input.
    Prompts beyond the styles get the colours of the palette in turn.
    """

    def __init__(self, look: Look) -> None:
        self.look = look

    def resize(self, maps: Maps, height: int, width: int) -> Maps:
        """Maps float32 (prompts, h, w) resized to (prompts, height, width): bilinear, half-pixel centres."""
        if maps.shape[1:] == (height, width):
            return maps
        resized = np.empty((len(maps), height, width), np.float32)
        for source, target in zip(maps, resized, strict=True):
            cv2.resize(source, (width, height), dst=target, interpolation=cv2.INTER_LINEAR)
        return resized

    def compose(self, pixels: Pixels, probabilities: Maps) -> Pixels:
        """A new picture, uint8 (height, width, 3); probabilities: float32 (prompts, height, width), 0..1."""
        height, width = pixels.shape[:2]
        if probabilities.ndim != 3 or probabilities.shape[1:] != (height, width):
            raise ValueError(f"maps of shape {probabilities.shape} do not fit a picture of {height} by {width}")
        styles = tuple(self._style(number) for number in range(len(probabilities)))
        picture = pixels.copy()
        EFFECTS[self.look.effect](picture, probabilities, styles)
        return picture

    def _style(self, number: int) -> PromptStyle:
        if number < len(self.look.styles):
            return self.look.styles[number]
        return PromptStyle(colour=PALETTE[number % len(PALETTE)])
