"""The language of the demo model: meanings of phrases, and random phrases for a meaning.

Sizes are shares of the image's area. Small is below 1.2 %, large is above 4 %, and sizes between are neither. Sizes
close to a limit have no clear answer: up to a third above 1.2 %, and up to a quarter below 4 %. The biggest and the
smallest object differ from all others by a factor of at least 1.4.
"""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from scripts.training.outlines import NAMED_COLOURS, SHAPE_NAMES

SizeWord = Literal["small", "large", "smallest", "biggest"]
MeaningKind = Literal["objects", "everything", "background", "nothing"]

SMALL, LARGE, RIVAL = 0.012, 0.04, 1.4


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

_UNRELATED_WORDS = """
    dog cat car person man woman child face hair hand eye tree house sky cloud grass water road street bicycle
    bus train truck boat plane bird horse cow sheep fish elephant bear zebra giraffe table chair sofa bed lamp
    window door wall floor ceiling book pen paper phone computer keyboard mouse screen cup mug bottle glass
    plate fork knife spoon bowl banana apple bread cake pizza sandwich carrot cheese egg milk tea beer wine
    shirt hat shoe glove coat bag umbrella watch clock camera guitar piano drum flag bridge mountain river sea
    beach sand snow rain fire smoke sun moon flower leaf wood stone metal garden field forest city building
    church castle tower shop market school hospital kitchen bathroom airport station engine wheel tyre helmet
    soldier doctor teacher player football tennis racket skateboard surfboard kite toothbrush scissors teddy
    vase plant sign light traffic bench mirror pillow blanket towel soap candle basket office desk printer cable
    battery robot rocket dinosaur dragon monkey lion tiger wolf fox rabbit squirrel frog snake spider butterfly
    bee ant nose mouth ear finger leg foot shoulder beard hello music love idea freedom tomorrow yesterday
    number letter word question answer happiness weather
"""
UNRELATED = tuple(_UNRELATED_WORDS.split())
HELD_OUT_UNRELATED = (
    "dolphin", "laptop", "tractor", "penguin", "violin", "strawberry", "newspaper", "ladder", "suitcase", "mushroom",
    "a man on a bicycle", "the wet street", "xqzzt", "blorpf", "running shoes", "a glass of juice",
)  # fmt: skip


def words(
    meaning: Meaning,
    rng: np.random.Generator,
    *,
    synonyms: float = 0.3,
    held_out: bool = False,
    plural: bool | None = None,
) -> str:
    """Return a random phrase with a given meaning.

    Args:
        meaning: Meaning of the phrase.
        rng: Random generator of words, template and number.
        synonyms: Probability of a synonym.
        held_out: Use templates and unrelated words that are never used in training.
        plural: Use the plural; None for a random choice.
    """
    if meaning.kind == "everything":
        return _pick(EVERYTHING, rng)
    if meaning.kind == "background":
        return _pick(BACKGROUND_WORDS, rng)
    if meaning.kind == "nothing":
        return unrelated(rng, held_out=held_out)
    alone = meaning.colour and not (meaning.shape or meaning.size or held_out or plural)
    if alone and rng.random() < 0.45:
        return _colour_alone(_word(COLOUR_WORDS[str(meaning.colour)], rng, synonyms), rng)
    if plural is None:
        plural = rng.random() < 0.35
    plural = plural and meaning.size not in ("smallest", "biggest")
    noun = _noun(meaning.shape, plural, rng, synonyms)
    noun = _described(meaning, noun, plural, rng, synonyms)
    if held_out:
        return _pick(HELD_OUT_PLURAL if plural else HELD_OUT_SINGULAR, rng).format(noun)
    wording = rng.random()
    if wording < 0.25:
        return " ".join([*(_pick(LOOSE, rng) for _ in range(int(rng.integers(1, 7)))), noun])
    return noun if wording < 0.5 else _pick(PLURAL if plural else SINGULAR, rng).format(noun)


def _noun(shape: str | None, plural: bool, rng: np.random.Generator, synonyms: float) -> str:
    if shape is None:
        return THINGS[int(rng.integers(len(THINGS)))][plural]
    known = SHAPE_WORDS[shape]
    return known[0 if rng.random() >= synonyms else int(rng.integers(1, len(known)))][plural]


def _described(meaning: Meaning, noun: str, plural: bool, rng: np.random.Generator, synonyms: float) -> str:
    if meaning.colour:
        colour = _word(COLOUR_WORDS[meaning.colour], rng, synonyms)
        form = rng.random()
        if form < 0.88:
            noun = f"{colour} {noun}"
        elif form < 0.92:
            noun = f"{noun} in {colour}"
        elif form < 0.96:
            noun = f"{noun} that {'are' if plural else 'is'} {colour}"
        else:
            noun = f"{colour} {'colored' if rng.random() < 0.5 else 'coloured'} {noun}"
    if meaning.size:
        noun = f"{_word(SIZE_WORDS[meaning.size], rng, 0.6)} {noun}"
    return noun


def _colour_alone(colour: str, rng: np.random.Generator) -> str:
    forms = (
        "{}", "{}", "{}", "{}", "something {}", "anything {}", "everything {}", "all that is {}", "the {} one",
        "what is {}", "{} color", "{} colour", "things that are {}", "the color {}", "the {} ones", "{} stuff",
    )  # fmt: skip
    return _pick(forms, rng).format(colour)


def unrelated(rng: np.random.Generator, *, held_out: bool = False) -> str:
    """Return a phrase about something that drawn scenes never show, or random letters."""
    if held_out:
        return _pick(HELD_OUT_UNRELATED, rng)
    kind = rng.random()
    if kind < 0.35:
        size = int(rng.integers(2, 10))
        letters = "".join(rng.choice(list("aaabcdeeefghiijklmnooopqrstuuvwxyz"), size=size))
        noun = letters if letters not in _KNOWN else "zzqx"
    else:
        noun = _pick(UNRELATED, rng)
    if kind > 0.93:
        noun = f"{noun} {_pick(UNRELATED, rng)}"
    if rng.random() < 0.2:
        noun = f"{_pick(NAMED_COLOURS, rng)} {noun}"
    if rng.random() < 0.1:
        noun = f"{noun}s"
    if rng.random() < 0.2:
        return " ".join([*(_pick(LOOSE, rng) for _ in range(int(rng.integers(1, 7)))), noun])
    return _pick(SINGULAR, rng).format(noun) if rng.random() < 0.5 else noun


def _word(choices: tuple[str, ...], rng: np.random.Generator, synonyms: float) -> str:
    return choices[0] if rng.random() >= synonyms else _pick(choices[1:], rng)


def _pick(choices: tuple[str, ...], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


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


_KNOWN = _lexicon()
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
            entry = _KNOWN.get(" ".join(tokens[:length]))
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


assert set(COLOUR_WORDS) == set(NAMED_COLOURS) and set(SHAPE_WORDS) == set(SHAPE_NAMES)
