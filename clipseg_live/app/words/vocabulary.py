"""Words that a model knows, for suggestions and for asking a pixel. Importing this module loads no other library."""

import logging
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path

from clipseg_live.core.expressions.completion import is_atom
from clipseg_live.core.settings.base import BUILT_IN_MODEL
from clipseg_live.demo.language import COLOUR_WORDS, SHAPE_WORDS

logger = logging.getLogger(__name__)

OWN_WORDS = "words.txt"
"""Name of the user's own list, beside the preferences."""
MOST_WORDS = 2000
"""Largest number of words in a list; the rest is ignored."""
_LONGEST_WORD = 100
_LARGEST_FILE = 1 << 20


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


def words_to_ask(model: str, own: Path) -> tuple[str, ...]:
    """Return the words that "ask the pixel" tries.

    Args:
        model: Name of the model that runs.
        own: File with the user's own list, one word or phrase on each line, "#" for comments. It need not exist.

    Returns:
        The user's list if it can be read and is not empty, else that of the demo model, else a shipped list.
    """
    try:
        changed = own.stat().st_mtime_ns
    except OSError:  # there is none
        changed = None
    words = () if changed is None else _own_words(own, changed)
    return words or model_words(model) or _shipped_words()


@lru_cache(maxsize=2)
def _own_words(path: Path, changed: int) -> tuple[str, ...]:
    """Return the words in a file that was changed at this time; none if it cannot be read."""
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ValueError(f"{path} is larger than {_LARGEST_FILE} bytes")
        return _words_in(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        logger.warning("The own list of words cannot be read; the shipped one is used", exc_info=True)
        return ()


@cache
def _shipped_words() -> tuple[str, ...]:
    return _words_in((resources.files("clipseg_live.app.words") / "words.txt").read_text(encoding="utf-8"))


def _words_in(text: str) -> tuple[str, ...]:
    """Return the words in a list. Expressions are left out, because each word is asked as a plain text."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    words = [
        line for line in lines if line and not line.startswith("#") and len(line) <= _LONGEST_WORD and is_atom(line)
    ]
    return tuple(dict.fromkeys(words))[:MOST_WORDS]
