"""Random images of coloured shapes with their exact masks, for training and measuring the demo model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.demo.drawing import Colour, ShapeOutline, coverage, place_outline, shape_outline
from clipseg_live.demo.language import Meaning
from scripts.training.outlines import (
    DISTRACTORS,
    NAMED_COLOURS,
    SHAPE_NAMES,
    hsv,
    lightness_distance,
    random_outline,
    random_tint,
)
from scripts.training.phrases import LARGE, RIVAL, SMALL

DrawingBoard = NDArray[np.float32]

ASPECTS = (1.0, 1.0, 1.0, 4 / 3, 16 / 9, 3 / 4, 9 / 16)
"""Aspect ratio of the scene before it is stretched to the image, as the square input of a network does."""
_MIN_COLOUR_DISTANCE = 30.0
"""Minimum L*a*b* distance between an object's tint and the background."""
_DISTRACTOR_SHARE = 0.008


@dataclass(frozen=True, slots=True)
class DrawnObject:
    """One object of an image.

    Attributes:
        colour: Name of its colour.
        shape: Name of its shape; None for an outline without a name.
        share: Share of the image in which it is visible, 0..1.
        tint: Its main colour.
    """

    colour: str
    shape: str | None
    share: float
    tint: Colour


@dataclass(frozen=True, slots=True, eq=False)
class DrawnImage:
    """A drawn image and its objects.

    Attributes:
        pixels: uint8 (height, width, 3) RGB.
        owner: uint8 (height, width): 0 for the background, k where ``objects[k - 1]`` is visible.
        objects: The objects.
    """

    pixels: NDArray[np.uint8]
    owner: NDArray[np.uint8]
    objects: tuple[DrawnObject, ...]

    def mask(self, meaning: Meaning) -> NDArray[np.bool_]:
        """Return the mask of a meaning: bool (height, width)."""
        return np.take(np.array(matching_parts(self.objects, meaning) or [False] * (len(self.objects) + 1)), self.owner)


def matching_parts(objects: Sequence[DrawnObject], meaning: Meaning) -> list[bool] | None:
    """Return which parts of an image a meaning selects.

    Args:
        objects: Objects of the image.
        meaning: Meaning of a phrase.

    Returns:
        One value for the background, then one for each object. None if the sizes give no clear answer.
    """
    if meaning.kind != "objects":
        return [meaning.kind == "background"] + [meaning.kind == "everything"] * len(objects)
    match = [meaning.colour in (None, thing.colour) and meaning.shape in (None, thing.shape) for thing in objects]
    if meaning.size in ("small", "large"):
        shares = [thing.share for thing, fits in zip(objects, match, strict=True) if fits]
        if any(SMALL < share < SMALL * 4 / 3 or LARGE * 0.75 < share < LARGE for share in shares):
            return None
        small = meaning.size == "small"
        match = [
            fits and (t.share < SMALL if small else t.share > LARGE) for t, fits in zip(objects, match, strict=True)
        ]
    elif meaning.size is not None and any(match):
        sign = 1 if meaning.size == "biggest" else -1
        order = sorted((sign * math.log(t.share), i) for i, t in enumerate(objects) if match[i])
        if len(order) > 1 and order[-1][0] - order[-2][0] < math.log(RIVAL):
            return None
        match = [i == order[-1][1] for i in range(len(objects))]
    return [False, *match]


def draw_image(
    rng: np.random.Generator,
    height: int,
    width: int,
    *,
    smallest: float = 0.002,
    largest: float = 0.25,
    wish: tuple[str, str | None] | None = None,
    plain: bool = False,
) -> DrawnImage:
    """Draw a random image.

    Args:
        rng: Random generator.
        height: Height in pixels.
        width: Width in pixels.
        smallest: Minimum visible share of an object.
        largest: Maximum visible share of an object.
        wish: Colour and shape of the first object.
        plain: Omit noise, blur, changes of light and compression.
    """
    canvas, palette = _background(rng, height, width)
    owner = np.zeros((height, width), dtype=np.uint8)
    aspect = float(rng.choice(ASPECTS))
    count = 1 + int(10 * rng.random() ** 1.4)
    max_share = min(largest, 0.9 / count)
    appearances: list[tuple[str, str | None, Colour]] = []
    shadow = float(rng.uniform(0.15, 0.55)) if rng.random() < 0.25 else 0.0
    style = rng.random()
    for number in range(count):
        colour, shape = wish if wish is not None and number == 0 else _kind(rng, appearances)
        tint = _visible_tint(rng, colour, palette)
        if tint is None:
            continue
        low = smallest if shape is not None else max(smallest, _DISTRACTOR_SHARE)
        share = math.exp(rng.uniform(math.log(low * 1.15), math.log(max(max_share, low * 1.5))))
        form = random_outline(shape or str(rng.choice(DISTRACTORS)), rng)
        if _add(rng, canvas, owner, form, tint, share, aspect, len(appearances) + 1, (low, shadow, style)):
            appearances.append((colour, shape, tint))
    pixels = np.clip(canvas * 255 + 0.5, 0, 255).astype(np.uint8) if plain else _photographed(rng, canvas)
    return _make_image(pixels, owner, appearances)


def draw_grid(rng: np.random.Generator, height: int, width: int, *, variety: float = 1.0) -> DrawnImage:
    """Draw a regular grid of 4 to 16 objects, with which training learns shapes fastest.

    Args:
        rng: Random generator.
        height: Height in pixels.
        width: Width in pixels.
        variety: Probability of varied outlines, surfaces, background and light, 0..1.
    """
    if rng.random() < variety:
        canvas, palette = _background(rng, height, width)
    else:
        palette = [_background_tint(rng)]
        canvas = np.broadcast_to(np.array(palette[0], dtype=np.float32), (height, width, 3)).copy()
    owner = np.zeros((height, width), dtype=np.uint8)
    appearances: list[tuple[str, str | None, Colour]] = []
    side = int(rng.choice((2, 3, 3, 3) if height * width < 180 * 180 else (2, 3, 4, 4)))
    for row in range(side):
        for column in range(side):
            colour, shape = _kind(rng, appearances)
            tint = _visible_tint(rng, colour, palette)
            if tint is None:
                continue
            plain = shape is not None and rng.random() >= max(variety, 0.3)
            form = (
                shape_outline(shape) if plain and shape else random_outline(shape or str(rng.choice(DISTRACTORS)), rng)
            )
            x, y = (column + 0.5 + rng.uniform(-0.15, 0.15)) / side, (row + 0.5 + rng.uniform(-0.15, 0.15)) / side
            scale = rng.uniform(0.42, 0.72) * math.sqrt(height * width) / side
            covered = coverage(place_outline(form, np.eye(2) * scale, x * width, y * height), height, width)
            if covered is None:
                continue
            rows, columns, alpha = covered
            region = canvas[rows, columns]
            surface = _paint(rng, tint, alpha.shape[0], alpha.shape[1], rng.random() if rng.random() < variety else 0.0)
            region += alpha[:, :, None] * (surface - region)
            appearances.append((colour, shape, tint))
            owner[rows, columns][alpha > 0.5] = len(appearances)
    photographed = rng.random() < variety
    pixels = _photographed(rng, canvas) if photographed else np.clip(canvas * 255 + 0.5, 0, 255).astype(np.uint8)
    return _make_image(pixels, owner, appearances)


def _make_image(
    pixels: NDArray[np.uint8], owner: NDArray[np.uint8], appearances: list[tuple[str, str | None, Colour]]
) -> DrawnImage:
    """Return the image with its objects and their visible shares. Objects that are completely hidden are removed."""
    counts = np.bincount(owner.ravel(), minlength=len(appearances) + 1)
    visible = [k for k in range(len(appearances)) if counts[k + 1]]
    order = np.zeros(len(appearances) + 1, dtype=np.uint8)
    order[[k + 1 for k in visible]] = np.arange(1, len(visible) + 1)
    objects = tuple(
        DrawnObject(*appearances[k][:2], float(counts[k + 1] / owner.size), appearances[k][2]) for k in visible
    )
    return DrawnImage(pixels, order[owner], objects)


def _kind(rng: np.random.Generator, appearances: list[tuple[str, str | None, Colour]]) -> tuple[str, str | None]:
    """Return the colour and shape of another object.

    It often shares one of them with an earlier object, so that both matter.
    """
    colour, shape = str(rng.choice(NAMED_COLOURS)), str(rng.choice(SHAPE_NAMES)) if rng.random() < 0.85 else None
    if appearances and rng.random() < 0.45:
        earlier = appearances[int(rng.integers(len(appearances)))]
        if rng.random() < 0.5:
            colour = earlier[0]
        else:
            shape = earlier[1]
    return colour, shape


def _visible_tint(rng: np.random.Generator, colour: str, palette: list[Colour]) -> Colour | None:
    for _ in range(3):
        tint = random_tint(colour, rng)
        if all(lightness_distance(tint, other) > _MIN_COLOUR_DISTANCE for other in palette):
            return tint
    return None


def _add(
    rng: np.random.Generator,
    canvas: DrawingBoard,
    owner: NDArray[np.uint8],
    form: ShapeOutline,
    tint: Colour,
    share: float,
    aspect: float,
    number: int,
    options: tuple[float, float, float],
) -> bool:
    """Draw one object where it does not hide others too much. Return whether a position was found."""
    height, width = owner.shape
    low, shadow, style = options
    side = math.sqrt(share * height * width)
    # Stretch the object as if a scene of this aspect ratio were stretched to the image. The area stays the same.
    stretch = math.sqrt(width / height / aspect)
    matrix = np.diag([side * stretch, side / stretch])
    for _ in range(5):
        contours = place_outline(form, matrix, rng.uniform(0.03, 0.97) * width, rng.uniform(0.03, 0.97) * height)
        covered = coverage(contours, height, width)
        if covered is None:
            continue
        rows, columns, alpha = covered
        solid = alpha > 0.5
        inside = int(solid.sum())
        if inside < max(low * height * width, 0.62 * share * height * width):
            continue
        before = owner[rows, columns][solid]
        hidden = np.bincount(before, minlength=number)
        if hidden[1:].any():
            total = np.bincount(owner.ravel(), minlength=number)
            left = total - hidden
            floor = np.maximum(0.55 * total, low * height * width)
            if (left[1:] < floor[1:])[hidden[1:] > 0].any() or rng.random() < 0.4:
                continue
        if shadow:
            _cast_shadow(canvas, rows, columns, alpha, shadow, side)
        region = canvas[rows, columns]
        paint = _paint(rng, tint, alpha.shape[0], alpha.shape[1], style)
        if style > 0.82 and side > 14:
            _stroke(rng, paint, contours, rows.start, columns.start, tint, side)
        region += alpha[:, :, None] * (paint - region)
        owner[rows, columns][solid] = number
        return True
    return False


def _paint(rng: np.random.Generator, tint: Colour, height: int, width: int, style: float) -> DrawingBoard:
    """Return the surface of an object (height, width, 3): flat, shaded, or lightly textured in its own tint."""
    base = np.array(tint, dtype=np.float32)
    kind = rng.random() if style > 0.35 else 0.0
    if kind < 0.35:
        return np.broadcast_to(base, (height, width, 3)).copy()
    strength = np.float32(rng.uniform(0.06, 0.2))
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    if kind < 0.6:
        angle = rng.uniform(0, 2 * math.pi)
        field = x * np.float32(math.cos(angle)) + y * np.float32(math.sin(angle))
    elif kind < 0.78:
        field = 1 - 1.6 * np.hypot(x + np.float32(0.35), y + np.float32(0.35))
    elif kind < 0.9:
        angle, waves = rng.uniform(0, math.pi), rng.uniform(4, 14)
        field = np.sign(np.sin((x * np.float32(math.cos(angle)) + y * np.float32(math.sin(angle))) * np.float32(waves)))
    else:
        grains = rng.standard_normal((max(2, height // 4), max(2, width // 4)), dtype=np.float32)
        field = cv2.resize(grains, (width, height), interpolation=cv2.INTER_LINEAR)
    paint: DrawingBoard = base * (1 + strength * field)[:, :, None]
    if max(tint) < 0.2:
        paint = base + 0.2 * strength * field[:, :, None]
    return np.clip(paint, 0, 1)


def _stroke(
    rng: np.random.Generator,
    paint: DrawingBoard,
    contours: ShapeOutline,
    top: int,
    left: int,
    tint: Colour,
    side: float,
) -> None:
    """Draw a thin edge inside the object: darker, lighter, black or white. It is part of the object."""
    factor = rng.choice((0.55, 0.75, 1.3))
    edge = tuple(min(1.0, c * factor) for c in tint)
    if rng.random() < 0.3:
        edge = (0.04, 0.04, 0.04) if rng.random() < 0.6 else (0.97, 0.97, 0.97)
    thickness = max(1, round(side * rng.uniform(0.02, 0.07)))
    points = [np.round((c - (left, top) - 0.5) * 16).astype(np.int32) for c in contours]
    cv2.polylines(paint, points, True, edge, thickness, cv2.LINE_AA, 4)


def _cast_shadow(
    canvas: DrawingBoard, rows: slice, columns: slice, alpha: NDArray[np.float32], strength: float, side: float
) -> None:
    height, width = canvas.shape[:2]
    shift = max(1, round(side * 0.09))
    bottom, right = min(height, rows.stop + 2 * shift), min(width, columns.stop + 2 * shift)
    shade = np.zeros((bottom - rows.start, right - columns.start), dtype=np.float32)
    part = alpha[: shade.shape[0] - shift, : shade.shape[1] - shift]
    shade[shift : shift + part.shape[0], shift : shift + part.shape[1]] = part
    shade = cv2.GaussianBlur(shade, (0, 0), max(0.5, shift * 0.7))
    canvas[rows.start : bottom, columns.start : right] *= 1 - strength * shade[:, :, None]


def _background_tint(rng: np.random.Generator) -> Colour:
    kind = rng.random()
    if kind < 0.2:
        return hsv(rng.uniform(0, 360), rng.uniform(0, 0.06), rng.uniform(0.9, 1))
    if kind < 0.3:
        return hsv(rng.uniform(0, 360), rng.uniform(0, 0.6), rng.uniform(0, 0.15))
    if kind < 0.5:
        return hsv(rng.uniform(0, 360), rng.uniform(0, 0.12), rng.uniform(0.15, 0.9))
    if kind < 0.75:
        return hsv(rng.uniform(0, 360), rng.uniform(0.1, 0.45), rng.uniform(0.2, 1))
    return hsv(rng.uniform(0, 360), rng.uniform(0.3, 1), rng.uniform(0.2, 1))


def _background(rng: np.random.Generator, height: int, width: int) -> tuple[DrawingBoard, list[Colour]]:
    """Return a background and its tints."""
    first = _background_tint(rng)
    kind = rng.random()
    if kind < 0.32:
        return np.broadcast_to(np.array(first, dtype=np.float32), (height, width, 3)).copy(), [first]
    second = _background_tint(rng)
    nearness = rng.uniform(0.1, 0.6) if rng.random() < 0.75 else 1.0
    second = (
        first[0] + nearness * (second[0] - first[0]),
        first[1] + nearness * (second[1] - first[1]),
        first[2] + nearness * (second[2] - first[2]),
    )
    middle = tuple((a + b) / 2 for a, b in zip(first, second, strict=True))
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    if kind < 0.52:
        angle = rng.uniform(0, 2 * math.pi)
        field = x * math.cos(angle) + y * math.sin(angle) if rng.random() < 0.7 else np.hypot(x - 0.5, y - 0.5)
        low, high = float(field.min()), float(field.max())
        field = (field - low) / max(high - low, 1e-6)
    elif kind < 0.72:
        field = _noise(rng, height, width)
    elif kind < 0.86:
        field = _pattern(rng, x, y)
    else:
        third = np.array(_background_tint(rng), dtype=np.float32) * 0.4 + np.array(first, dtype=np.float32) * 0.6
        blend = _noise(rng, height, width)[:, :, None]
        base = np.array(first, np.float32) * (1 - blend) + np.array(second, np.float32) * blend
        blend = np.clip(_noise(rng, height, width) * 4 - 1.5, 0, 1)[:, :, None]
        return base * (1 - blend) + third * blend, [first, second, middle, tuple(map(float, third))]  # type: ignore[list-item]
    weight = field.astype(np.float32)[:, :, None]
    canvas = np.array(first, np.float32) * (1 - weight) + np.array(second, np.float32) * weight
    return canvas, [first, second, middle]  # type: ignore[list-item]


def _noise(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """Return value noise of three octaves, 0..1."""
    field = np.zeros((height, width), dtype=np.float32)
    cells, weight = int(rng.integers(2, 7)), 1.0
    for _ in range(3):
        grid = rng.random((cells, cells), dtype=np.float32)
        field += np.float32(weight) * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        cells, weight = cells * 2, weight * rng.uniform(0.25, 0.6)
    low, high = float(field.min()), float(field.max())
    return (field - low) / max(high - low, 1e-6)


def _pattern(rng: np.random.Generator, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a pattern of stripes, checks, dots or a grid, 0..1."""
    angle, waves = rng.uniform(0, math.pi), rng.uniform(12, 90)
    u = (x * math.cos(angle) + y * math.sin(angle)) * waves
    v = (y * math.cos(angle) - x * math.sin(angle)) * waves
    kind = int(rng.integers(4))
    if kind == 0:
        field = np.sin(u)
    elif kind == 1:
        field = np.sin(u) * np.sin(v)
    elif kind == 2:
        field = np.sin(u) + np.sin(v) - 1.2
    else:
        field = np.maximum(np.cos(u), np.cos(v)) - 0.93
    return np.clip(field * 6 + 0.5, 0, 1)


def _photographed(rng: np.random.Generator, canvas: DrawingBoard) -> NDArray[np.uint8]:
    """Return the scene as uint8, with random camera effects: light, colour cast, blur, noise and compression.

    Each effect is applied only sometimes.
    """
    if rng.random() < 0.2:
        height, width = canvas.shape[:2]
        light = cv2.resize(rng.uniform(0.8, 1.12, (2, 2)).astype(np.float32), (width, height))
        canvas = canvas * light[:, :, None]
    if rng.random() < 0.6:
        gain = rng.uniform(0.85, 1.1) * rng.uniform(0.95, 1.05, 3)
        canvas = np.clip(canvas, 0, 1) ** np.float32(rng.uniform(0.82, 1.22)) * gain.astype(np.float32)
        canvas = (canvas - 0.5) * np.float32(rng.uniform(0.85, 1.1)) + np.float32(0.5)
    if rng.random() < 0.25:
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.35, 0.9)).astype(np.float32, copy=False)
    if rng.random() < 0.4:
        shape = canvas.shape if rng.random() < 0.5 else (*canvas.shape[:2], 1)
        canvas = canvas + np.float32(rng.uniform(0.005, 0.05)) * rng.standard_normal(shape, dtype=np.float32)
    pixels: NDArray[np.uint8] = np.clip(canvas * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(45, 96))]
        pixels = np.asarray(cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], cv2.IMREAD_COLOR), np.uint8)
    return pixels
