"""Words that a model knows, for suggestions. Importing this module loads no other library."""

from functools import cache

from clipseg_live.core.settings.base import BUILT_IN_MODEL
from clipseg_live.demo.language import COLOUR_WORDS, SHAPE_WORDS


@cache
def model_words(model: str) -> tuple[str, ...]:
    """Return words that are known to work with a model; none for models with an open vocabulary.

    Args:
        model: Name of the model that runs; "" before that.

    Returns:
        For the demo model, what its model card (``demo/shapes/README.md``) names: shapes, colours, and both together.
    """
    if model != BUILT_IN_MODEL:
        return ()
    both = (f"{colour} {shape}" for shape in SHAPE_WORDS for colour in COLOUR_WORDS)
    return (*SHAPE_WORDS, *COLOUR_WORDS, "background", "everything", *both)
