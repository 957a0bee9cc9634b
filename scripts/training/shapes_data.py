"""Questions about drawn pictures: phrases, image prompts and where each is true. Used to train and to measure."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.training.drawn_images import DrawnImage, Thing, draw_image, wanted
from scripts.training.outlines import NAMED_COLOURS, SHAPE_NAMES
from scripts.training.phrases import Meaning, words

PRESENT = ("colour", "shape", "colour+shape", "size", "everything", "background")
ABSENT = ("absent colour", "absent shape", "absent colour+shape", "absent size", "unrelated")
MIXTURE = {
    "colour": 0.14, "shape": 0.26, "colour+shape": 0.22, "size": 0.15, "everything": 0.03, "background": 0.03,
    "absent colour": 0.03, "absent shape": 0.08, "absent colour+shape": 0.07, "absent size": 0.02, "unrelated": 0.04,
}  # fmt: skip
"""How often training asks each kind of question. Shapes are the hardest to learn and get the largest share."""

CONTEXT, DIMMED, BLUR = 0.1, 0.1, 0.015
"""How an image prompt with a mask or a box is prepared; the same as the engine does it (arXiv:2112.10003)."""


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt for one picture. answer: for the background and each thing, whether it is meant.
    picture: the prepared image prompt, uint8 (size, size, 3); its phrase then is what the image means."""

    category: str
    phrase: str
    meaning: Meaning
    answer: tuple[bool, ...]
    picture: NDArray[np.uint8] | None = None


def meaning_for(category: str, things: Sequence[Thing], rng: np.random.Generator) -> Meaning | None:
    """Something of ``category`` that is true (or, for an absent one, false) of the things; None if there is nothing."""
    if category in ("everything", "background"):
        return Meaning(category)  # type: ignore[arg-type]
    if category == "unrelated":
        return Meaning("nothing")
    named = [thing for thing in things if thing.shape is not None]
    colours, shapes = {t.colour for t in things}, {t.shape for t in named}
    if category == "absent colour":
        missing = [c for c in NAMED_COLOURS if c not in colours]
        return Meaning(colour=_one(missing, rng)) if missing else None
    if category == "absent shape":
        missing = [s for s in SHAPE_NAMES if s not in shapes]
        return Meaning(shape=_one(missing, rng)) if missing else None
    if category == "absent colour+shape":
        return _absent_pair(things, sorted(colours), sorted(filter(None, shapes)), rng)
    thing = things[int(rng.integers(len(things)))] if things else None
    if category == "colour":
        return Meaning(colour=thing.colour) if thing else None
    if category in ("size", "absent size"):
        size = str(rng.choice(("small", "large", "smallest", "biggest")))
        colour = thing.colour if thing and rng.random() < 0.6 else None
        shape = thing.shape if thing and rng.random() < 0.6 else None
        return Meaning("objects", colour, shape, size)  # type: ignore[arg-type]
    if not named:
        return None
    thing = named[int(rng.integers(len(named)))]
    return Meaning(shape=thing.shape) if category == "shape" else Meaning(colour=thing.colour, shape=thing.shape)


def _absent_pair(
    things: Sequence[Thing], colours: list[str], shapes: list[str], rng: np.random.Generator
) -> Meaning | None:
    present = {(t.colour, t.shape) for t in things}
    for _ in range(8):
        near_miss = rng.random() < 0.8
        colour = str(rng.choice(colours if near_miss and colours else NAMED_COLOURS))
        shape = str(rng.choice(shapes if near_miss and shapes and rng.random() < 0.5 else SHAPE_NAMES))
        if (colour, shape) not in present:
            return Meaning(colour=colour, shape=shape)
    return None


def _one(values: list[str], rng: np.random.Generator) -> str:
    return values[int(rng.integers(len(values)))]


def ask(
    picture: DrawnImage, category: str, rng: np.random.Generator, *, held_out: bool = False, synonyms: float = 0.3
) -> Question | None:
    """A question of ``category`` about the picture, or None where it has none to ask."""
    for _ in range(6):
        meaning = meaning_for(category, picture.things, rng)
        if meaning is None:
            return None
        answer = wanted(picture.things, meaning)
        if answer is not None and any(answer) == (category in PRESENT):
            return Question(category, words(meaning, rng, held_out=held_out, synonyms=synonyms), meaning, tuple(answer))
    return None


def ask_by_image(picture: DrawnImage, rng: np.random.Generator, size: int) -> Question | None:
    """A question whose prompt is a picture of a colour and shape: mostly one that the picture holds, cut out of it or
    drawn anew, as an object of its own."""
    named = [(i, t) for i, t in enumerate(picture.things) if t.shape is not None]
    if not named:
        return None
    index, thing = named[int(rng.integers(len(named)))]
    meaning = Meaning(colour=thing.colour, shape=thing.shape)
    if rng.random() < 0.15:
        meaning = (
            _absent_pair(
                picture.things,
                sorted({t.colour for t in picture.things}),
                sorted({str(t.shape) for _, t in named}),
                rng,
            )
            or meaning
        )
    if meaning.colour == thing.colour and meaning.shape == thing.shape and rng.random() < 0.45:
        prompt = prepare(picture, index, rng, size)
    else:
        assert meaning.colour is not None
        # A small scene of the wanted object, as large as a photograph of one thing would show it.
        least = 0.02 if rng.random() < 0.7 else 0.15
        for _ in range(12):
            donor = draw_image(rng, size, size, smallest=least, largest=0.4, wish=(meaning.colour, meaning.shape))
            if donor.things and (donor.things[0].colour, donor.things[0].shape) == (meaning.colour, meaning.shape):
                break
        else:
            return None
        prompt = prepare(donor, 0, rng, size)
    answer = wanted(picture.things, meaning)
    assert answer is not None
    phrase = f"{meaning.colour} {meaning.shape}"
    return Question("image" if any(answer) else "absent image", phrase, meaning, tuple(answer), prompt)


def prepare(picture: DrawnImage, index: int, rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """An object as an image prompt: by its mask or box (cropped, dimmed and blurred outside), or a plain crop."""
    inside = picture.owner == index + 1
    kind = rng.random()
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    if kind >= 0.75:
        margin = rng.uniform(0.02, 0.35)
        y, x = int((bottom - top) * margin) + 1, int((right - left) * margin) + 1
        crop = picture.pixels[max(0, top - y) : bottom + y, max(0, left - x) : right + x]
        return cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR)
    if kind >= 0.4:
        inside = np.zeros_like(inside)
        inside[top:bottom, left:right] = True
    side = int(np.ceil(max(bottom - top, right - left) * (1 + 2 * CONTEXT)))
    y, x = (top + bottom - side) // 2, (left + right - side) // 2
    matrix = np.float32([[1, 0, -x], [0, 1, -y]])  # type: ignore[arg-type]
    square = cv2.warpAffine(picture.pixels, matrix, (side, side))
    alpha = cv2.warpAffine(inside.astype(np.float32), matrix, (side, side))
    way = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    square, alpha = (
        cv2.resize(square, (size, size), interpolation=way),
        cv2.resize(alpha, (size, size), interpolation=way),
    )
    blurred = cv2.GaussianBlur(square, (0, 0), BLUR * size)
    mixed = alpha[:, :, None] * square + (1 - alpha[:, :, None]) * (DIMMED * blurred)
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
