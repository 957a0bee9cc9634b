"""Questions about drawn images, for training and evaluation: phrases and image prompts with their expected masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.demo.language import Meaning
from scripts.training.drawn_images import DrawnImage, DrawnObject, draw_image, matching_parts
from scripts.training.outlines import NAMED_COLOURS, SHAPE_NAMES
from scripts.training.phrases import words

PRESENT = ("colour", "shape", "colour+shape", "size", "everything", "background")
ABSENT = ("absent colour", "absent shape", "absent colour+shape", "absent size", "unrelated")
MIXTURE = {
    "colour": 0.14, "shape": 0.26, "colour+shape": 0.22, "size": 0.15, "everything": 0.03, "background": 0.03,
    "absent colour": 0.03, "absent shape": 0.08, "absent colour+shape": 0.07, "absent size": 0.02, "unrelated": 0.04,
}  # fmt: skip
"""Share of each category of questions in training. Shapes are the hardest to learn and have the largest share."""

CONTEXT, DIMMED, BLUR = 0.1, 0.1, 0.015
"""Parameters of an image prompt with a mask or box. They match the engine (arXiv:2112.10003)."""


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt for one image.

    Attributes:
        category: Name of the category.
        phrase: The phrase; for an image prompt, the meaning of the image.
        meaning: Meaning of the phrase.
        expected: For the background and each object, whether it matches.
        image: The prepared image prompt, uint8 (size, size, 3); None for a text prompt.
    """

    category: str
    phrase: str
    meaning: Meaning
    expected: tuple[bool, ...]
    image: NDArray[np.uint8] | None = None


def meaning_for(category: str, objects: Sequence[DrawnObject], rng: np.random.Generator) -> Meaning | None:
    """Return a meaning of ``category`` that matches the objects, or matches none for an absent category.

    None if there is no such meaning.
    """
    if category in ("everything", "background"):
        return Meaning(category)  # type: ignore[arg-type]
    if category == "unrelated":
        return Meaning("nothing")
    named = [thing for thing in objects if thing.shape is not None]
    colours, shapes = {t.colour for t in objects}, {t.shape for t in named}
    if category == "absent colour":
        missing = [c for c in NAMED_COLOURS if c not in colours]
        return Meaning(colour=_one(missing, rng)) if missing else None
    if category == "absent shape":
        missing = [s for s in SHAPE_NAMES if s not in shapes]
        return Meaning(shape=_one(missing, rng)) if missing else None
    if category == "absent colour+shape":
        return _absent_pair(objects, sorted(colours), sorted(filter(None, shapes)), rng)
    thing = objects[int(rng.integers(len(objects)))] if objects else None
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
    objects: Sequence[DrawnObject], colours: list[str], shapes: list[str], rng: np.random.Generator
) -> Meaning | None:
    present = {(t.colour, t.shape) for t in objects}
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
    image: DrawnImage, category: str, rng: np.random.Generator, *, held_out: bool = False, synonyms: float = 0.3
) -> Question | None:
    """Return a question of ``category`` about an image; None if there is none."""
    for _ in range(6):
        meaning = meaning_for(category, image.objects, rng)
        if meaning is None:
            return None
        expected = matching_parts(image.objects, meaning)
        if expected is not None and any(expected) == (category in PRESENT):
            return Question(
                category, words(meaning, rng, held_out=held_out, synonyms=synonyms), meaning, tuple(expected)
            )
    return None


def ask_by_image(image: DrawnImage, rng: np.random.Generator, size: int) -> Question | None:
    """Return a question whose prompt is an image of a colour and shape; None if there is none.

    Mostly the colour and shape are present in the image. The prompt is cut out of the image, or drawn as another
    object.
    """
    named = [(i, t) for i, t in enumerate(image.objects) if t.shape is not None]
    if not named:
        return None
    index, thing = named[int(rng.integers(len(named)))]
    meaning = Meaning(colour=thing.colour, shape=thing.shape)
    if rng.random() < 0.15:
        meaning = (
            _absent_pair(
                image.objects,
                sorted({t.colour for t in image.objects}),
                sorted({str(t.shape) for _, t in named}),
                rng,
            )
            or meaning
        )
    if meaning.colour == thing.colour and meaning.shape == thing.shape and rng.random() < 0.45:
        prompt = prepare(image, index, rng, size)
    else:
        assert meaning.colour is not None
        # A small scene in which the object is as large as in a photograph of it.
        min_share = 0.02 if rng.random() < 0.7 else 0.15
        for _ in range(12):
            donor = draw_image(rng, size, size, smallest=min_share, largest=0.4, wish=(meaning.colour, meaning.shape))
            if donor.objects and (donor.objects[0].colour, donor.objects[0].shape) == (meaning.colour, meaning.shape):
                break
        else:
            return None
        prompt = prepare(donor, 0, rng, size)
    expected = matching_parts(image.objects, meaning)
    assert expected is not None
    phrase = f"{meaning.colour} {meaning.shape}"
    return Question("image" if any(expected) else "absent image", phrase, meaning, tuple(expected), prompt)


def prepare(image: DrawnImage, index: int, rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """Return an object as an image prompt: cut out by its mask or box, or as a plain crop.

    A cut-out is cropped, dimmed and blurred outside the object.
    """
    inside = image.owner == index + 1
    kind = rng.random()
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    if kind >= 0.75:
        margin = rng.uniform(0.02, 0.35)
        y, x = int((bottom - top) * margin) + 1, int((right - left) * margin) + 1
        crop = image.pixels[max(0, top - y) : bottom + y, max(0, left - x) : right + x]
        return cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR)
    if kind >= 0.4:
        inside = np.zeros_like(inside)
        inside[top:bottom, left:right] = True
    side = int(np.ceil(max(bottom - top, right - left) * (1 + 2 * CONTEXT)))
    y, x = (top + bottom - side) // 2, (left + right - side) // 2
    matrix = np.float32([[1, 0, -x], [0, 1, -y]])  # type: ignore[arg-type]
    square = cv2.warpAffine(image.pixels, matrix, (side, side))
    alpha = cv2.warpAffine(inside.astype(np.float32), matrix, (side, side))
    interpolation = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    square, alpha = (
        cv2.resize(square, (size, size), interpolation=interpolation),
        cv2.resize(alpha, (size, size), interpolation=interpolation),
    )
    blurred = cv2.GaussianBlur(square, (0, 0), BLUR * size)
    mixed = alpha[:, :, None] * square + (1 - alpha[:, :, None]) * (DIMMED * blurred)
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
