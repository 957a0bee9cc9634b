"""The composer: draws the look of a session over its frames."""

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

    def compose(self, pixels: Pixels, probabilities: Maps) -> Pixels:
        """A new picture, uint8 (height, width, 3).

        probabilities: float32 (prompts, h, w), 0..1, on any grid that covers the picture; each is resized by itself, so
        that a hundred of them never lie at full size side by side.
        """
        styles = tuple(self._style(number) for number in range(len(probabilities)))
        picture = pixels.copy()
        EFFECTS[self.look.effect](picture, probabilities, self.look, styles)
        return picture

    def _style(self, number: int) -> PromptStyle:
        if number < len(self.look.styles):
            return self.look.styles[number]
        return PromptStyle(colour=PALETTE[number % len(PALETTE)])
