"""Random phrases of the demo model's language for a meaning.

Sizes are shares of the image's area. Small is below 1.2 %, large is above 4 %, and sizes between are neither. Sizes
close to a limit have no clear answer: up to a third above 1.2 %, and up to a quarter below 4 %. The biggest and the
smallest object differ from all others by a factor of at least 1.4.
"""

import numpy as np

from clipseg_live.demo.language import (
    BACKGROUND_WORDS,
    COLOUR_WORDS,
    EVERYTHING,
    HELD_OUT_PLURAL,
    HELD_OUT_SINGULAR,
    LEXICON,
    LOOSE,
    PLURAL,
    SHAPE_WORDS,
    SINGULAR,
    SIZE_WORDS,
    THINGS,
    Meaning,
)
from scripts.training.outlines import NAMED_COLOURS, SHAPE_NAMES

SMALL, LARGE, RIVAL = 0.012, 0.04, 1.4

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
        noun = letters if letters not in LEXICON else "zzqx"
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


assert set(COLOUR_WORDS) == set(NAMED_COLOURS) and set(SHAPE_WORDS) == set(SHAPE_NAMES)
