"""The composer: draws the look of a session over its frames."""

import cv2

from clipseg_live.core.frame import Pixels
from clipseg_live.core.ports import Maps
from clipseg_live.core.look import Look
from clipseg_live.core.settings import PALETTE, PromptStyle
from clipseg_live.video.effects import EFFECTS, Layer


def use_one_thread() -> None:
    """Keep OpenCV, in this whole process, to the thread that calls it."""
    cv2.setNumThreads(1)


class OverlayComposer:
    """Draws one effect with one style per prompt, later prompts above earlier ones. For one thread at a time.

    A mask is where the probability reaches the style's threshold. The same input gives the same pixels, and nothing is
    written into it; what was made of the last maps is kept, so that further frames with the very same array are cheap.
    Prompts beyond the styles get the colours of the palette in turn.
    """

    def __init__(self, look: Look) -> None:
        self.look = look
        self._made: tuple[Maps, tuple[int, int], Layer] | None = None

    def compose(self, pixels: Pixels, probabilities: Maps) -> Pixels:
        """A new picture, uint8 (height, width, 3).

        probabilities: float32 (prompts, h, w), 0..1, on any grid that covers the picture; an array that is passed in
        again must not have been changed.
        """
        return self._layer(probabilities, (pixels.shape[0], pixels.shape[1])).over(pixels)

    def _layer(self, probabilities: Maps, size: tuple[int, int]) -> Layer:
        if self._made is None or self._made[0] is not probabilities or self._made[1] != size:
            styles = tuple(self._style(number) for number in range(len(probabilities)))
            made = EFFECTS["+".join(effect.kind for effect in self.look.effects)](probabilities, self.look, styles, *size)
            # What can still be written to may be changed before it is seen again.
            self._made = None if probabilities.flags.writeable else (probabilities, size, made)
            return made
        return self._made[2]

    def _style(self, number: int) -> PromptStyle:
        if number < len(self.look.styles):
            return self.look.styles[number]
        return PromptStyle(colour=PALETTE[number % len(PALETTE)])
