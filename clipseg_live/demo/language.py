"""The language of the demo model: the words that it was trained with, and the meanings of phrases."""

import re
from dataclasses import dataclass
from typing import Literal

from clipseg_live.core.expressions.combinations import basic_prompts
from clipseg_live.core.prompts import Prompt, TextPrompt

SizeWord = Literal["small", "large", "smallest", "biggest"]
MeaningKind = Literal["objects", "everything", "background", "nothing"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """The objects that a phrase asks for.

    Attributes:
        kind: "objects" for those with the colour, shape and size, or one of the other kinds.
        colour: Colour of the objects; None for any.
        shape: Shape of the objects; None for any.
        size: Size of the objects; None for any.
    """

    kind: MeaningKind = "objects"
    colour: str | None = None
    shape: str | None = None
    size: SizeWord | None = None


COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("red", "crimson", "scarlet", "ruby", "cherry red", "bright red"),
    "orange": ("orange", "tangerine", "bright orange"),
    "yellow": ("yellow", "lemon", "golden", "bright yellow"),
    "green": ("green", "emerald", "lime green", "dark green"),
    "cyan": ("cyan", "turquoise", "aqua"),
    "blue": ("blue", "navy", "azure", "cobalt", "dark blue", "sapphire"),
    "purple": ("purple", "violet", "lilac", "mauve"),
    "pink": ("pink", "rose", "fuchsia", "rosy"),
    "brown": ("brown", "chocolate", "chestnut", "coffee"),
    "white": ("white", "ivory", "snow white"),
    "grey": ("grey", "gray", "silver", "ash grey"),
    "black": ("black", "ebony", "jet black"),
}
SHAPE_WORDS: dict[str, tuple[tuple[str, str], ...]] = {
    "circle": (("circle", "circles"), ("disc", "discs"), ("disk", "disks"), ("ball", "balls"), ("dot", "dots")),
    "square": (("square", "squares"), ("box", "boxes"), ("block", "blocks")),
    "triangle": (("triangle", "triangles"), ("triangular shape", "triangular shapes")),
    "star": (("star", "stars"), ("star shape", "star shapes"), ("pentagram", "pentagrams")),
    "ring": (("ring", "rings"), ("donut", "donuts"), ("doughnut", "doughnuts"), ("hoop", "hoops")),
    "cross": (("cross", "crosses"), ("plus", "pluses"), ("plus sign", "plus signs")),
    "heart": (("heart", "hearts"), ("heart shape", "heart shapes"), ("love heart", "love hearts")),
    "diamond": (("diamond", "diamonds"), ("rhombus", "rhombuses"), ("lozenge", "lozenges")),
}
"""Words of each shape with their plurals. The first word is the standard one, the others are synonyms."""
SIZE_WORDS: dict[str, tuple[str, ...]] = {
    "small": ("small", "little", "tiny"),
    "large": ("large", "big", "huge"),
    "smallest": ("smallest", "tiniest"),
    "biggest": ("biggest", "largest"),
}
THINGS = (("thing", "things"), ("object", "objects"), ("shape", "shapes"), ("item", "items"), ("figure", "figures"))
EVERYTHING = (
    "everything", "all shapes", "all objects", "all the shapes", "every object", "every shape", "anything",
    "all things", "shapes", "objects", "the objects", "all of them", "the foreground", "foreground",
)  # fmt: skip
BACKGROUND_WORDS = (
    "background",
    "the background",
    "empty space",
    "the backdrop",
    "backdrop",
    "what is behind",
    "no object",
)

SINGULAR = (
    "{}", "{}", "{}", "{}", "a {}", "the {}", "one {}", "a photo of a {}", "a picture of a {}", "an image of the {}",
    "find the {}", "segment the {}", "show the {}", "show me the {}", "this {}", "that {}", "a photo of the {}",
    "find a {}", "select the {}", "mark the {}", "look for the {}", "the {} please", "i want the {}",
    "highlight the {}", "there is a {}", "a drawing of a {}", "where is a {}", "can you find the {}", "my {}",
    "only the {}", "just the {}", "the {} in the picture", "a {} on the background", "this is a {}", "point at the {}",
    "could you mark the {}", "i see a {}", "give me the {}", "detect the {}", "cut out the {}", "track the {}",
)  # fmt: skip
PLURAL = (
    "{}", "{}", "{}", "{}", "the {}", "all {}", "all the {}", "some {}", "many {}", "these {}", "those {}",
    "a photo of {}", "find all {}", "segment the {}", "show all the {}", "show me {}", "select all {}",
    "where are {}", "mark the {}", "look for {}", "any {}", "i want all the {}", "highlight all {}", "just the {}",
    "every one of the {}", "can you find all the {}", "only {}", "there are {}", "pictures of {}", "detect all {}",
)  # fmt: skip
_LOOSE_WORDS = """
    please can could would will you i we they want need like to see show me us find look for where is are here there now
    also and then the a this that picture image photo scene of in on it them again let get tell select mark only just am
    looking pick out every each both what which do does have has with at by hey ok so maybe try
"""
LOOSE = tuple(_LOOSE_WORDS.split())
"""Words without a meaning, which may precede the other words in any order."""
HELD_OUT_SINGULAR = (
    "can you show me the {}", "where is the {}", "please find the {}", "i am looking for a {}", "the {} in this image",
    "could you select the {}", "a photograph of the {}", "please segment a {}", "point to the {}", "there is the {}",
)  # fmt: skip
HELD_OUT_PLURAL = (
    "can you show me all the {}", "where are the {}", "please find all {}", "i am looking for {}", "both of the {}",
    "could you select the {}", "photographs of {}", "please segment all the {}",
)  # fmt: skip
"""Templates that are never used in training. ``scripts/training/evaluate_shapes.py`` measures them separately."""


def _lexicon() -> dict[str, tuple[str, str | None]]:
    """Return all words and pairs of words with a meaning, with their field and value of ``Meaning``."""
    lexicon: dict[str, tuple[str, str | None]] = {}
    for colour, names in COLOUR_WORDS.items():
        lexicon.update((name, ("colour", colour)) for name in names)
    for shape, pairs in SHAPE_WORDS.items():
        lexicon.update((word, ("shape", shape)) for pair in pairs for word in pair)
    for size, names in SIZE_WORDS.items():
        lexicon.update((name, ("size", size)) for name in names)
    lexicon.update((word, ("shape", None)) for pair in THINGS for word in pair)
    return lexicon


LEXICON = _lexicon()
"""All words and pairs of words with a meaning, with their field and value of ``Meaning``."""
_FILLING = "in that is are colored coloured color colour something anything everything ones stuff what"
_FILLERS = frozenset(
    word
    for template in (*SINGULAR, *PLURAL, *HELD_OUT_SINGULAR, *HELD_OUT_PLURAL, _FILLING, _LOOSE_WORDS)
    for word in template.replace("{}", " ").split()
)


def parse(phrase: str) -> Meaning:
    """Return the meaning of a phrase; ``nothing`` if a word is unknown or contradicts another one."""
    tokens = re.findall(r"[\w]+", phrase.lower())
    text = " ".join(tokens)
    if text in EVERYTHING:
        return Meaning("everything")
    if text in BACKGROUND_WORDS:
        return Meaning("background")
    fields: dict[str, str] = {}
    thing = False
    while tokens:
        for length in (2, 1):
            entry = LEXICON.get(" ".join(tokens[:length]))
            if entry is not None:
                break
        else:
            if tokens[0] not in _FILLERS:
                return Meaning("nothing")
            tokens = tokens[1:]
            continue
        name, value = entry
        thing = thing or value is None
        if value is not None and fields.setdefault(name, value) != value:
            return Meaning("nothing")
        tokens = tokens[length:]
    if not fields:
        return Meaning("everything") if thing else Meaning("nothing")
    return Meaning("objects", fields.get("colour"), fields.get("shape"), fields.get("size"))  # type: ignore[arg-type]


def is_known(prompt: Prompt) -> bool:
    """Return whether the demo model was trained with the words of a prompt. Images and embeddings count as known."""
    texts = (each.phrase for each in basic_prompts(prompt) if isinstance(each, TextPrompt))
    return all(parse(text) != Meaning("nothing") for text in texts)
