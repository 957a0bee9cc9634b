"""Elements of drawn images: outlines of named shapes, and their antialiased coverage."""

import math
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

_SAMPLES = ((128 * 128, 8), (math.inf, 4))
"""Pairs of a maximum number of pixels, and the samples per pixel and direction up to this number."""
_SHIFT = 4
"""Number of fractional bits of the coordinates for OpenCV."""


def polar(angles: NDArray[Any], radii: NDArray[Any] | float) -> Points:
    """Return points at angles in radians and distances from the origin."""
    return np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=-1).astype(np.float32)


def regular(sides: int) -> Points:
    """Return a regular polygon with corners at distance 1, the first at the top."""
    return polar(-math.pi / 2 + np.arange(sides) * 2 * math.pi / sides, 1.0)


def star(points: int, inner: float) -> Points:
    """Return a star with tips at distance 1 and notches at distance ``inner``."""
    angles = -math.pi / 2 + np.arange(2 * points) * math.pi / points
    return polar(angles, np.where(np.arange(2 * points) % 2 == 0, 1.0, inner))


def cross(arm: float) -> Points:
    """Return an upright cross with arms of length 1 and width ``arm``."""
    a = arm / 2
    return np.array(
        [(-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a), (a, 1), (-a, 1), (-a, a), (-1, a), (-1, -a), (-a, -a)],
        dtype=np.float32,
    )


def heart(kind: int, plumpness: float) -> Points:
    """Return an upright heart: one of three curves, 0..2, stretched sideways by ``plumpness``."""
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


def rectangle(width: float, height: float) -> Points:
    """Return a rectangle around the origin."""
    w, h = width / 2, height / 2
    return np.array([(-w, -h), (w, -h), (w, h), (-w, h)], dtype=np.float32)


def shape_outline(shape: str) -> ShapeOutline:
    """Return the standard outline of a shape: upright, area 1, centred at the origin.

    Raises:
        KeyError: If the shape is unknown.
    """
    circle = polar(np.linspace(0, 2 * math.pi, 64, endpoint=False), 1.0)
    plain: dict[str, ShapeOutline] = {
        "circle": (circle,),
        "square": (rectangle(1, 1),),
        "triangle": (regular(3),),
        "star": (star(5, 0.45),),
        "ring": (circle, circle * 0.6),
        "cross": (cross(0.62),),
        "heart": (heart(0, 1.0),),
        "diamond": (np.array([(0, -1.15), (0.82, 0), (0, 1.15), (-0.82, 0)], dtype=np.float32),),
    }
    return normalised(plain[shape])


def normalised(contours: ShapeOutline) -> ShapeOutline:
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
