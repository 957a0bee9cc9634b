"""Random colours and outlines of the drawn images that the shapes model is trained on."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.demo.drawing import (
    Colour,
    Points,
    ShapeOutline,
    cross,
    heart,
    normalised,
    polar,
    rectangle,
    regular,
    star,
)

NAMED_COLOURS = (
    "red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "brown", "white", "grey", "black",
)  # fmt: skip
SHAPE_NAMES = ("circle", "square", "triangle", "star", "ring", "cross", "heart", "diamond")
DISTRACTORS = ("bar", "pentagon", "crescent", "arrow", "blob", "semicircle", "trapezium", "zigzag")
"""Outlines of other shapes, which have a colour but no shape name."""


@dataclass(frozen=True, slots=True)
class Tints:
    """A range of hue, saturation and value in which a colour has its name.

    Attributes:
        hue: Range in degrees; may exceed 360.
        saturation: Range, 0..1.
        value: Range, 0..1.
    """

    hue: tuple[float, float]
    saturation: tuple[float, float]
    value: tuple[float, float]


TINTS: dict[str, tuple[Tints, ...]] = {
    "red": (Tints((350, 369), (0.66, 1), (0.6, 1)), Tints((346, 351), (0.78, 1), (0.6, 0.95))),
    "orange": (Tints((19, 40), (0.74, 1), (0.84, 1)),),
    "yellow": (Tints((47, 63), (0.6, 1), (0.86, 1)),),
    "green": (Tints((84, 156), (0.42, 1), (0.35, 1)),),
    "cyan": (Tints((171, 191), (0.5, 1), (0.7, 1)),),
    "blue": (Tints((205, 246), (0.58, 1), (0.5, 1)), Tints((225, 243), (0.7, 1), (0.38, 0.55))),
    "purple": (Tints((262, 292), (0.4, 0.95), (0.42, 0.95)), Tints((290, 301), (0.5, 1), (0.38, 0.66))),
    "pink": (Tints((318, 343), (0.22, 0.75), (0.88, 1)), Tints((340, 356), (0.18, 0.42), (0.93, 1))),
    "brown": (Tints((14, 33), (0.5, 0.95), (0.28, 0.58)),),
    "white": (Tints((0, 360), (0, 0.05), (0.93, 1)),),
    "grey": (Tints((0, 360), (0, 0.08), (0.38, 0.72)),),
    "black": (Tints((0, 360), (0, 0.3), (0, 0.12)),),
}
"""Ranges of each named colour. Tints in the gaps between them have no clear name and are never used for objects."""


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """Convert hue, saturation and value to RGB (Smith, 1978).

    Args:
        hue: Any number of degrees.
        saturation: 0..1.
        value: 0..1.
    """
    sixth = (hue % 360) / 60

    def channel(offset: float) -> float:
        k = (offset + sixth) % 6
        return value - value * saturation * max(0.0, min(k, 4 - k, 1))

    return channel(5), channel(3), channel(1)


def random_tint(colour: str, rng: np.random.Generator) -> Colour:
    """Return a random tint that has the name ``colour``."""
    boxes = TINTS[colour]
    box = boxes[int(rng.integers(len(boxes)))] if rng.random() < 0.5 else boxes[0]
    return hsv(rng.uniform(*box.hue), rng.uniform(*box.saturation), rng.uniform(*box.value))


def lightness_distance(one: Colour, other: Colour) -> float:
    """Return the perceived distance of two colours: Euclidean distance in CIE L*a*b* (CIE 1976)."""
    pair = np.array([[one, other]], dtype=np.float32)
    lab = cv2.cvtColor(pair, cv2.COLOR_RGB2LAB)[0]
    return float(np.linalg.norm(lab[0] - lab[1]))


def _crescent(bite: float) -> Points:
    t = np.linspace(-math.pi * 0.62, math.pi * 0.62, 24)
    outer = polar(t, 1.0)
    ends = outer[-1], outer[0]
    s = np.linspace(0, 1, 20)[1:-1, None]
    inner = ends[0] * (1 - s) + ends[1] * s + np.stack([bite * np.sin(math.pi * s[:, 0]), 0 * s[:, 0]], axis=-1)
    return np.concatenate([outer, inner]).astype(np.float32)


def random_outline(shape: str, rng: np.random.Generator) -> ShapeOutline:
    """Return a random outline of a shape or of one of the DISTRACTORS: area 1, centred at the origin.

    It is rotated at random as far as it keeps its name.
    """
    turn = rng.uniform(0, 2 * math.pi)
    squeeze = (1.0, 1.0)
    contours: ShapeOutline
    if shape == "circle":
        contours = (polar(np.linspace(0, 2 * math.pi, 48, endpoint=False), 1.0),)
        squeeze = (rng.uniform(0.87, 1.0), 1.0)
    elif shape == "square":
        side = rng.uniform(0.87, 1.15) if rng.random() < 0.5 else 1.0
        contours, turn = (rectangle(side, 1),), math.radians(rng.uniform(-22, 22) * (rng.random() < 0.7))
    elif shape == "triangle":
        contours = (_random_triangle(rng),)
    elif shape == "star":
        points = int(rng.choice((5, 5, 5, 5, 6, 4)))
        contours = (star(points, rng.uniform(0.36, 0.55) if points > 4 else rng.uniform(0.26, 0.42)),)
    elif shape == "ring":
        circle = polar(np.linspace(0, 2 * math.pi, 48, endpoint=False), 1.0)
        contours, squeeze = (circle, circle * rng.uniform(0.42, 0.78)), (rng.uniform(0.88, 1.0), 1.0)
    elif shape == "cross":
        contours = (cross(rng.uniform(0.36, 0.8)),)
        turn = rng.uniform(0, 2 * math.pi) if rng.random() < 0.5 else math.pi / 4 * rng.integers(2)
    elif shape == "heart":
        contours = (heart(int(rng.integers(3)), rng.uniform(0.85, 1.15)),)
        turn = math.radians(rng.uniform(-40, 40)) if rng.random() < 0.75 else turn
    elif shape == "diamond":
        if rng.random() < 0.35:
            contours, turn = (regular(4),), math.radians(rng.uniform(-10, 10))
        else:
            width = rng.uniform(0.48, 0.8)
            contours = (np.array([(0, -1), (width, 0), (0, 1), (-width, 0)], dtype=np.float32),)
            turn = math.radians(rng.uniform(-12, 12)) if rng.random() < 0.7 else turn
    else:
        contours = (_distractor(shape, rng),)
    matrix = _rotation(turn) * np.array(squeeze, dtype=np.float32)
    return tuple((c @ matrix.T).astype(np.float32) for c in normalised(contours))


def _random_triangle(rng: np.random.Generator) -> Points:
    kind = rng.random()
    if kind < 0.45:
        return regular(3)
    if kind < 0.8:
        height = rng.uniform(1.1, 2.4)
        return np.array([(0, -height / 2), (1, height / 2), (-1, height / 2)], dtype=np.float32)
    leg = rng.uniform(0.6, 1.6)
    return np.array([(0, 0), (leg, 0), (0, 1)], dtype=np.float32)


def _distractor(shape: str, rng: np.random.Generator) -> Points:
    if shape == "bar":
        return rectangle(rng.uniform(2.6, 7), 1)
    if shape == "pentagon":
        return regular(int(rng.choice((5, 5, 6))))
    if shape == "crescent":
        return _crescent(rng.uniform(0.45, 0.9))
    if shape == "arrow":
        head, shaft = rng.uniform(0.8, 1.3), rng.uniform(0.2, 0.5)
        return np.array(
            [(-1.4, -shaft), (0, -shaft), (0, -1), (head, 0), (0, 1), (0, shaft), (-1.4, shaft)], dtype=np.float32
        )
    if shape == "blob":
        angles = np.linspace(0, 2 * math.pi, 40, endpoint=False)
        radii = np.ones_like(angles)
        for k in (2, 3, 4):
            radii += rng.uniform(0.12, 0.3) * np.sin(k * angles + rng.uniform(0, 6.3))
        return polar(angles, np.maximum(radii, 0.15))
    if shape == "semicircle":
        return polar(np.linspace(0, math.pi, 24), 1.0)
    if shape == "trapezium":
        top = rng.uniform(0.3, 0.6)
        return np.array([(-top, -0.55), (top, -0.55), (1.2, 0.55), (-1.2, 0.55)], dtype=np.float32)
    if shape == "zigzag":
        return np.array(
            [(0.3, -1.2), (-0.7, 0.2), (-0.05, 0.2), (-0.4, 1.2), (0.7, -0.2), (0.05, -0.2)], dtype=np.float32
        )
    raise KeyError(shape)


def _rotation(angle: float) -> NDArray[np.float32]:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([(c, -s), (s, c)], dtype=np.float32)
