"""Elements of drawn images: named colours, outlines of named shapes, and their antialiased coverage."""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
"""A closed contour: float32 (points, 2), x to the right and y down."""
ShapeOutline = tuple[Points, ...]
"""Contours of one shape, filled by the even-odd rule: a second contour inside the first is a hole."""
Colour = tuple[float, float, float]
"""Red, green, blue, each in 0..1."""

NAMED_COLOURS = (
    "red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "brown", "white", "grey", "black",
)  # fmt: skip
SHAPE_NAMES = ("circle", "square", "triangle", "star", "ring", "cross", "heart", "diamond")
DISTRACTORS = ("bar", "pentagon", "crescent", "arrow", "blob", "semicircle", "trapezium", "zigzag")
"""Outlines of other shapes, which have a colour but no shape name."""

_SAMPLES = ((128 * 128, 8), (math.inf, 4))
"""Pairs of a maximum number of pixels, and the samples per pixel and direction up to this number."""
_SHIFT = 4
"""Number of fractional bits of the coordinates for OpenCV."""


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

TYPICAL: dict[str, Colour] = {
    "red": (0.90, 0.11, 0.14), "orange": (1.0, 0.55, 0.05), "yellow": (1.0, 0.88, 0.1),
    "green": (0.13, 0.68, 0.26), "cyan": (0.05, 0.85, 0.9), "blue": (0.12, 0.35, 0.92),
    "purple": (0.56, 0.2, 0.78), "pink": (1.0, 0.5, 0.74), "brown": (0.5, 0.29, 0.12),
    "white": (0.98, 0.98, 0.98), "grey": (0.55, 0.55, 0.56), "black": (0.05, 0.05, 0.05),
}  # fmt: skip


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


def _polar(angles: NDArray[Any], radii: NDArray[Any] | float) -> Points:
    return np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=-1).astype(np.float32)


def _regular(sides: int, turn: float = -math.pi / 2) -> Points:
    return _polar(turn + np.arange(sides) * 2 * math.pi / sides, 1.0)


def _star(points: int, inner: float) -> Points:
    angles = -math.pi / 2 + np.arange(2 * points) * math.pi / points
    return _polar(angles, np.where(np.arange(2 * points) % 2 == 0, 1.0, inner))


def _cross(arm: float) -> Points:
    a = arm / 2
    return np.array(
        [(-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a), (a, 1), (-a, 1), (-a, a), (-1, a), (-1, -a), (-a, -a)],
        dtype=np.float32,
    )


def _heart(kind: int, plumpness: float) -> Points:
    t = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    if kind == 0:  # the well-known trigonometric curve
        x = 16 * np.sin(t) ** 3
        y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
        return (np.stack([x * plumpness, y], axis=-1) / 16).astype(np.float32)
    if kind == 1:  # two half discs over a triangle
        half = np.linspace(math.pi, 2 * math.pi, 16)
        left = np.stack([-0.5 + 0.5 * np.cos(half), 0.5 * np.sin(half)], axis=-1)
        right = np.stack([0.5 + 0.5 * np.cos(half), 0.5 * np.sin(half)], axis=-1)
        tip = np.array([(0.86, 0.42), (0.0, 1.25), (-0.86, 0.42)])
        return (np.concatenate([left, right, tip]) * (plumpness, 1)).astype(np.float32)
    x = np.sign(np.sin(t)) * np.abs(np.sin(t)) ** 1.1  # a disc whose top is pulled down in the middle
    y = -np.cos(t) * 0.9 - 0.75 * np.sqrt(np.abs(x)) + 0.5
    return np.stack([x * plumpness, y], axis=-1).astype(np.float32)


def _crescent(bite: float) -> Points:
    t = np.linspace(-math.pi * 0.62, math.pi * 0.62, 24)
    outer = _polar(t, 1.0)
    ends = outer[-1], outer[0]
    s = np.linspace(0, 1, 20)[1:-1, None]
    inner = ends[0] * (1 - s) + ends[1] * s + np.stack([bite * np.sin(math.pi * s[:, 0]), 0 * s[:, 0]], axis=-1)
    return np.concatenate([outer, inner]).astype(np.float32)


def _rectangle(width: float, height: float) -> Points:
    w, h = width / 2, height / 2
    return np.array([(-w, -h), (w, -h), (w, h), (-w, h)], dtype=np.float32)


def shape_outline(shape: str) -> ShapeOutline:
    """Return the standard outline of a shape: upright, area 1, centred at the origin.

    Raises:
        KeyError: If the shape is unknown.
    """
    circle = _polar(np.linspace(0, 2 * math.pi, 64, endpoint=False), 1.0)
    plain: dict[str, ShapeOutline] = {
        "circle": (circle,),
        "square": (_rectangle(1, 1),),
        "triangle": (_regular(3),),
        "star": (_star(5, 0.45),),
        "ring": (circle, circle * 0.6),
        "cross": (_cross(0.62),),
        "heart": (_heart(0, 1.0),),
        "diamond": (np.array([(0, -1.15), (0.82, 0), (0, 1.15), (-0.82, 0)], dtype=np.float32),),
    }
    return _normalised(plain[shape])


def random_outline(shape: str, rng: np.random.Generator) -> ShapeOutline:
    """Return a random outline of a shape or of one of the DISTRACTORS: area 1, centred at the origin.

    It is rotated at random as far as it keeps its name.
    """
    turn = rng.uniform(0, 2 * math.pi)
    squeeze = (1.0, 1.0)
    contours: ShapeOutline
    if shape == "circle":
        contours = (_polar(np.linspace(0, 2 * math.pi, 48, endpoint=False), 1.0),)
        squeeze = (rng.uniform(0.87, 1.0), 1.0)
    elif shape == "square":
        side = rng.uniform(0.87, 1.15) if rng.random() < 0.5 else 1.0
        contours, turn = (_rectangle(side, 1),), math.radians(rng.uniform(-22, 22) * (rng.random() < 0.7))
    elif shape == "triangle":
        contours = (_random_triangle(rng),)
    elif shape == "star":
        points = int(rng.choice((5, 5, 5, 5, 6, 4)))
        contours = (_star(points, rng.uniform(0.36, 0.55) if points > 4 else rng.uniform(0.26, 0.42)),)
    elif shape == "ring":
        circle = _polar(np.linspace(0, 2 * math.pi, 48, endpoint=False), 1.0)
        contours, squeeze = (circle, circle * rng.uniform(0.42, 0.78)), (rng.uniform(0.88, 1.0), 1.0)
    elif shape == "cross":
        contours = (_cross(rng.uniform(0.36, 0.8)),)
        turn = rng.uniform(0, 2 * math.pi) if rng.random() < 0.5 else math.pi / 4 * rng.integers(2)
    elif shape == "heart":
        contours = (_heart(int(rng.integers(3)), rng.uniform(0.85, 1.15)),)
        turn = math.radians(rng.uniform(-40, 40)) if rng.random() < 0.75 else turn
    elif shape == "diamond":
        if rng.random() < 0.35:
            contours, turn = (_regular(4),), math.radians(rng.uniform(-10, 10))
        else:
            width = rng.uniform(0.48, 0.8)
            contours = (np.array([(0, -1), (width, 0), (0, 1), (-width, 0)], dtype=np.float32),)
            turn = math.radians(rng.uniform(-12, 12)) if rng.random() < 0.7 else turn
    else:
        contours = (_distractor(shape, rng),)
    matrix = _rotation(turn) * np.array(squeeze, dtype=np.float32)
    return tuple((c @ matrix.T).astype(np.float32) for c in _normalised(contours))


def _random_triangle(rng: np.random.Generator) -> Points:
    kind = rng.random()
    if kind < 0.45:
        return _regular(3)
    if kind < 0.8:
        height = rng.uniform(1.1, 2.4)
        return np.array([(0, -height / 2), (1, height / 2), (-1, height / 2)], dtype=np.float32)
    leg = rng.uniform(0.6, 1.6)
    return np.array([(0, 0), (leg, 0), (0, 1)], dtype=np.float32)


def _distractor(shape: str, rng: np.random.Generator) -> Points:
    if shape == "bar":
        return _rectangle(rng.uniform(2.6, 7), 1)
    if shape == "pentagon":
        return _regular(int(rng.choice((5, 5, 6))))
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
        return _polar(angles, np.maximum(radii, 0.15))
    if shape == "semicircle":
        return _polar(np.linspace(0, math.pi, 24), 1.0)
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


def _normalised(contours: ShapeOutline) -> ShapeOutline:
    """Scale contours to area 1, with the centroid of the first one at the origin."""
    moments = cv2.moments(contours[0])
    centre = np.array([moments["m10"], moments["m01"]], dtype=np.float32) / np.float32(moments["m00"])
    area = abs(moments["m00"]) - sum(cv2.contourArea(c) for c in contours[1:])
    return tuple(((c - centre) / math.sqrt(area)).astype(np.float32) for c in contours)


def place_outline(contours: ShapeOutline, matrix: NDArray[Any], x: float, y: float) -> ShapeOutline:
    """Transform contours.

    Args:
        contours: Contours of a shape.
        matrix: Linear map (2, 2).
        x: Shift to the right in pixels.
        y: Shift down in pixels.
    """
    shift = np.array([x, y], dtype=np.float32)
    return tuple((c @ np.asarray(matrix, dtype=np.float32).T + shift).astype(np.float32) for c in contours)


def coverage(contours: ShapeOutline, height: int, width: int) -> tuple[slice, slice, NDArray[np.float32]] | None:
    """Return the antialiased coverage of a shape in an image. Pixel (0, 0) covers x and y from 0 to 1.

    Args:
        contours: Contours of the shape in pixels.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Returns:
        Rows and columns of the part that the shape covers, and its float32 coverage 0..1. The coverage has 8×8 samples
        per pixel, 4×4 for large parts, and is unbiased on average. None if the shape is outside the image.
    """
    points = np.concatenate(contours)
    left, top = np.floor(points.min(axis=0)).astype(int)
    right, bottom = np.ceil(points.max(axis=0)).astype(int) + 1
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if left >= right or top >= bottom:
        return None
    fine = next(n for most, n in _SAMPLES if (bottom - top) * (right - left) <= most)
    samples = np.zeros(((bottom - top) * fine, (right - left) * fine), dtype=np.uint8)
    origin = np.array([left, top], dtype=np.float32)
    scaled = [((c - origin) * fine - 0.5) * (1 << _SHIFT) for c in contours]
    corners = [np.round(c).astype(np.int32) for c in scaled]
    cv2.fillPoly(samples, corners, 255, cv2.LINE_8, _SHIFT)
    # OpenCV fills every sample that the edge touches, but only half of these samples are inside.
    cv2.polylines(samples, corners, True, 128, 1, cv2.LINE_8, _SHIFT)
    small = cv2.resize(samples, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    return slice(top, bottom), slice(left, right), small.astype(np.float32) * np.float32(1 / 255)
