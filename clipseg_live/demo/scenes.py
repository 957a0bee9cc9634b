"""Endless drawn scenes of coloured shapes that move, turn and hide one another.

A frame is a pure function of (seed, size, rate, settings, number). Any frame can be requested at any time, and the same
moment looks the same at every rate. Lengths are shares of ``sqrt(width × height)``, so that objects cover the same
share of the frame at every size and aspect ratio.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.errors import UsageError
from clipseg_live.core.frame import Pixels
from clipseg_live.demo.drawing import Colour, ShapeOutline, coverage, place_outline, shape_outline

Matrix = NDArray[np.float64]
"""An affine map of pixel coordinates, (2, 3). The centre of pixel (0, 0) is at (0.5, 0.5)."""

STAPLES = (("red", "circle"), ("blue", "star"), ("yellow", "heart"), ("green", "triangle"))
"""Objects of every scene, above all other objects. The prompts of the first example match these."""
EXTRAS = (
    ("purple", "ring"), ("orange", "diamond"), ("pink", "cross"), ("cyan", "square"), ("brown", "circle"),
    ("black", "star"), ("orange", "ring"), ("purple", "triangle"), ("pink", "heart"), ("cyan", "cross"),
    ("brown", "square"), ("green", "diamond"), ("blue", "ring"), ("grey", "cross"), ("red", "square"),
)  # fmt: skip
PAINT: dict[str, Colour] = {
    "red": (0.90, 0.22, 0.24), "orange": (0.98, 0.55, 0.13), "yellow": (0.99, 0.82, 0.16), "green": (0.14, 0.66, 0.38),
    "cyan": (0.13, 0.78, 0.87), "blue": (0.17, 0.40, 0.92), "purple": (0.56, 0.29, 0.84), "pink": (0.96, 0.52, 0.72),
    "brown": (0.50, 0.31, 0.16), "white": (0.98, 0.98, 0.98), "grey": (0.52, 0.53, 0.55), "black": (0.07, 0.07, 0.08),
}  # fmt: skip
_PAPERS = (
    ((0.957, 0.937, 0.898), (0.902, 0.859, 0.816)),
    ((0.925, 0.933, 0.957), (0.812, 0.839, 0.890)),
    ((0.945, 0.925, 0.949), (0.851, 0.816, 0.875)),
    ((0.922, 0.949, 0.929), (0.804, 0.859, 0.827)),
)
"""Backgrounds by seed: tint of the light corner and of the dark corner."""
_INWARD = 0.78
"""Factor on the distance of objects from the centre, so that their paths stay in the frame."""
_SWINGING = {"square": 18.0, "diamond": 8.0, "heart": 24.0}
"""Shapes that only swing, by degrees to either side. Rotated further, they would look like other shapes or fallen."""


@dataclass(frozen=True, slots=True)
class SceneSettings:
    """Content and motion of a scene.

    Attributes:
        objects: Number of objects (at least the four staples).
        speed: Factor on the speed of all objects.
        scale: Factor on the size of the objects.
        crowding: How much objects are moved to the centre, 0..1.
        drift: Amplitude of slow camera motion, as a share of the frame's side.
        shake: Amplitude of fast camera motion, as a share of the frame's side.
        light: Relative strength of changes of light.
        noise: Standard deviation of sensor noise, in levels of 255.
        texture: Contrast of the background pattern, 0..1.
        shadows: Objects cast soft shadows.
        cut_every: Seconds after which another scene follows; None for never.
    """

    objects: int = 8
    speed: float = 1.0
    scale: float = 1.0
    crowding: float = 0.0
    drift: float = 0.006
    shake: float = 0.0
    light: float = 0.03
    noise: float = 0.0
    texture: float = 0.35
    shadows: bool = True
    cut_every: float | None = None


SCENE_PRESETS: Mapping[str, SceneSettings] = {
    "calm": SceneSettings(),
    "still": SceneSettings(speed=0.0, drift=0.0, light=0.0),
    "fast": SceneSettings(speed=5.0),
    "shake": SceneSettings(shake=0.02),
    "occlusion": SceneSettings(objects=12, crowding=0.65),
    "cuts": SceneSettings(cut_every=2.0),
    "small": SceneSettings(objects=12, scale=0.42),
    "noise": SceneSettings(noise=14.0, light=0.15),
}


@dataclass(frozen=True, slots=True)
class _Actor:
    """Appearance of one object, and its path: sums of sines around a home, as functions of time only."""

    colour: str
    shape: str
    form: ShapeOutline
    side: float
    home: tuple[float, float]
    reach: tuple[float, float]
    pace: tuple[float, float]
    phase: tuple[float, float, float, float]
    turn: float
    swing: float


@dataclass(frozen=True, slots=True, eq=False)
class PlacedObject:
    """An object in a frame.

    Attributes:
        colour: Name of its colour.
        shape: Name of its shape.
        side: Side of a square of its area, as a share of ``sqrt(width × height)``, before it pulses.
        contours: Its outline in pixels.
        pose: (2, 3) map from its own coordinates to pixels.
    """

    colour: str
    shape: str
    side: float
    contours: ShapeOutline
    pose: Matrix


@dataclass(frozen=True, slots=True, eq=False)
class PlacedScene:
    """The objects and the camera of a frame.

    Attributes:
        seconds: Time since the start.
        part: Number of the part between cuts.
        camera: (2, 3) map from coordinates of the resting image to those of the frame.
        objects: Objects, from the lowest to the topmost.
    """

    seconds: float
    part: int
    camera: Matrix
    objects: tuple[PlacedObject, ...]


@dataclass(frozen=True)
class Scene:
    """An endless scene.

    Attributes:
        seed: Number of the scene.
        width: Width in pixels.
        height: Height in pixels.
        rate: Frames per second.
        settings: Content and motion.

    Raises:
        UsageError: If the size or the rate is not positive, or if the seed is negative.
    """

    seed: int = 0
    width: int = 1280
    height: int = 720
    rate: Fraction = Fraction(30)
    settings: SceneSettings = field(default_factory=SceneSettings)

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1 or self.rate <= 0 or self.seed < 0:
            raise UsageError(
                f"A demo scene of {self.width}×{self.height} at {self.rate} frames a second, seed {self.seed}, cannot "
                "be drawn: width, height and rate must be above 0, the seed 0 or more."
            )

    @cached_property
    def _unit(self) -> float:
        return math.sqrt(self.width * self.height)

    @cached_property
    def _casts(self) -> dict[int, tuple[_Actor, ...]]:
        return {}

    def picture(self, number: int) -> Pixels:
        """Draw frame ``number``: uint8 (height, width, 3) RGB."""
        placed = self.placed(number)
        canvas = self._backdrop(placed.part, placed.camera)
        for each in placed.objects:
            covered = coverage(each.contours, self.height, self.width)
            if covered is None:
                continue
            rows, columns, alpha = covered
            if self.settings.shadows:
                self._shade(canvas, rows, columns, alpha, each.side)
            _lay(canvas[rows, columns], alpha, PAINT[each.colour])
        return self._developed(canvas, number, placed.seconds)

    def placed(self, number: int) -> PlacedScene:
        """Return the positions of all objects and of the camera in frame ``number``."""
        seconds, part = self._moment(number)
        camera = self._camera(seconds)
        objects = []
        for actor in self._cast(part):
            pose = camera @ _square(self._pose(actor, seconds))
            contours = place_outline(actor.form, pose[:, :2], pose[0, 2], pose[1, 2])
            objects.append(PlacedObject(actor.colour, actor.shape, actor.side, contours, pose))
        return PlacedScene(seconds, part, camera, tuple(objects))

    def _moment(self, number: int) -> tuple[float, int]:
        """Return the seconds since the start, and the number of the part between cuts."""
        exact = Fraction(number) / self.rate
        part = 0 if self.settings.cut_every is None else math.floor(exact / Fraction(self.settings.cut_every))
        return float(exact), part

    def _cast(self, part: int) -> tuple[_Actor, ...]:
        cast = self._casts.get(part)
        if cast is None:
            self._casts.clear()  # only one part is shown at a time
            cast = self._casts[part] = _cast(
                np.random.default_rng([self.seed, part]), self.settings, self.width / self.height
            )
        return cast

    def _camera(self, seconds: float) -> Matrix:
        """Return the camera motion: a (2, 3) map from coordinates of the resting image to those of the frame."""
        s, x, y, angle = self.settings, 0.0, 0.0, 0.0
        if s.drift:
            t = seconds * s.speed
            x, y = s.drift * math.sin(0.43 * t), s.drift * math.sin(0.31 * t + 1)
        if s.shake:
            t = 2 * math.pi * seconds
            x += s.shake * (0.6 * math.sin(2.3 * t + 0.4) + 0.4 * math.sin(5.1 * t + 2))
            y += s.shake * (0.6 * math.sin(2.9 * t + 1.1) + 0.4 * math.sin(4.3 * t))
            angle = s.shake * 0.5 * math.sin(1.7 * t + 0.7)
        c, w = math.cos(angle), math.sin(angle)
        middle = self.width / 2, self.height / 2
        return np.array(
            [
                (c, -w, middle[0] - c * middle[0] + w * middle[1] + x * self._unit),
                (w, c, middle[1] - w * middle[0] - c * middle[1] + y * self._unit),
            ]
        )

    def _pose(self, actor: _Actor, seconds: float) -> Matrix:
        """Return the (2, 3) map from an object's own coordinates to the resting image."""
        t, p = seconds * self.settings.speed, actor.phase
        x = actor.home[0] + actor.reach[0] * math.sin(actor.pace[0] * t + p[0])
        y = actor.home[1] + actor.reach[1] * math.sin(actor.pace[1] * t + p[1])
        angle = actor.turn * t + p[2] if not actor.swing else actor.swing * math.sin(actor.turn * t + p[2])
        side = actor.side * (1 + 0.1 * math.sin(0.7 * t + p[3])) * self._unit
        c, s = side * math.cos(angle), side * math.sin(angle)
        return np.array([(c, -s, x * self.width), (s, c, y * self.height)])

    @cached_property
    def _margin(self) -> int:
        """Margin of the background beyond each border, in pixels, for the camera motion."""
        return math.ceil((self.settings.drift * 1.5 + self.settings.shake * 1.9) * self._unit)

    @cached_property
    def _papers(self) -> dict[int, Pixels]:
        return {}

    def _backdrop(self, part: int, camera: Matrix) -> Pixels:
        """Return the background as the camera sees it, as a new image to draw on."""
        paper = self._papers.get(part)
        if paper is None:
            self._papers.clear()
            paper = self._papers[part] = _paper(
                self.seed + part, self.height + 2 * self._margin, self.width + 2 * self._margin, self.settings.texture
            )
        if not self._margin:
            return paper.copy()
        # In OpenCV, (0, 0) is the centre of the first pixel.
        inner = camera @ _square(np.array([(1.0, 0.0, 0.5 - self._margin), (0.0, 1.0, 0.5 - self._margin)]))
        inner[:, 2] -= 0.5
        return cv2.warpAffine(
            paper, inner, (self.width, self.height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        ).astype(np.uint8, copy=False)

    def _shade(self, canvas: Pixels, rows: slice, columns: slice, alpha: NDArray[np.float32], side: float) -> None:
        """Draw the soft shadow of an object, below and to the right of it."""
        shift = max(1, round(0.1 * side * self._unit))
        blur = max(2, shift)
        top, left = max(0, rows.start + shift // 2 - blur), max(0, columns.start + shift // 3 - blur)
        bottom = min(self.height, rows.stop + shift // 2 + blur + 1)
        right = min(self.width, columns.stop + shift // 3 + blur + 1)
        if top >= bottom or left >= right:
            return
        shade = np.zeros((bottom - top, right - left), dtype=np.float32)
        y, x = rows.start + shift // 2 - top, columns.start + shift // 3 - left
        part = alpha[: max(0, shade.shape[0] - y), : max(0, shade.shape[1] - x)]
        shade[y : y + part.shape[0], x : x + part.shape[1]] = part
        shade = cv2.blur(cv2.blur(shade, (blur, blur)), (blur, blur))
        region = canvas[top:bottom, left:right]
        factor = cv2.merge([1 - 0.30 * shade, 1 - 0.29 * shade, 1 - 0.24 * shade])
        cv2.multiply(region, factor, dst=region, dtype=cv2.CV_8U)

    @cached_property
    def _grain(self) -> NDArray[np.int16]:
        shape = (self.height + 61, self.width + 61, 3)
        deviates = np.random.default_rng([self.seed, 77]).standard_normal(shape, dtype=np.float32)
        grain: NDArray[np.int16] = np.rint(deviates * self.settings.noise).astype(np.int16)
        return grain

    def _developed(self, canvas: Pixels, number: int, seconds: float) -> Pixels:
        """Apply changes of light and sensor noise."""
        s = self.settings
        if s.light:
            gain = 1 + s.light * (0.7 * math.sin(0.9 * seconds) + 0.3 * math.sin(2.3 * seconds + 1))
            warmth = s.light * 0.35 * math.sin(0.53 * seconds + 2)
            levels = np.arange(256)[:, None] * (np.array([1 + warmth, 1, 1 - warmth]) * gain)
            table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)[None]
            canvas = cv2.LUT(canvas, table).astype(np.uint8, copy=False)
        if s.noise:
            y, x = np.random.default_rng([self.seed, number, 5]).integers(0, 61, 2)
            grain = self._grain[y : y + self.height, x : x + self.width]
            canvas = cv2.add(canvas, grain, dtype=cv2.CV_8U).astype(np.uint8, copy=False)
        return canvas.reshape(self.height, self.width, 3)


def _cast(rng: np.random.Generator, settings: SceneSettings, aspect: float) -> tuple[_Actor, ...]:
    """Return the objects of one part, from the lowest to the topmost."""
    order = rng.permutation(len(EXTRAS))
    extras = [EXTRAS[order[i % len(EXTRAS)]] for i in range(max(0, settings.objects - len(STAPLES)))]
    looks = [*extras, *STAPLES]
    homes = _homes(rng, len(looks), aspect)
    return tuple(_actor(rng, look, home, settings) for look, home in zip(looks, homes, strict=True))


def _homes(rng: np.random.Generator, count: int, aspect: float) -> list[tuple[float, float, float, float]]:
    """Return positions of objects and the sizes of their cells, as shares of the frame. The last four are far apart."""
    columns = min(count, max(1, round(math.sqrt(count * aspect))))
    rows = math.ceil(count / columns)
    cells = [(r, c) for r in range(rows) for c in range(columns)]
    cells = [cells[i] for i in rng.permutation(len(cells))]
    chosen: list[tuple[int, int]] = []
    for _ in range(min(len(STAPLES), count)):
        free = [cell for cell in cells if cell not in chosen]
        apart = [min((math.dist(cell, other) for other in chosen), default=0.0) for cell in free]
        chosen.append(free[int(np.argmax(apart))])
    others = [cell for cell in cells if cell not in chosen][: count - len(chosen)]
    homes = []
    for row, column in [*others, *chosen]:
        x, y = rng.uniform(-0.12, 0.12, 2)
        homes.append(((column + 0.5 + x) / columns, (row + 0.5 + y) / rows, 1 / columns, 1 / rows))
    return homes


def _actor(
    rng: np.random.Generator, look: tuple[str, str], home: tuple[float, float, float, float], settings: SceneSettings
) -> _Actor:
    colour, shape = look
    x, y, width, height = home
    pull = _INWARD * (1 - settings.crowding)
    swing = math.radians(_SWINGING.get(shape, 0.0))
    direction = 1 if rng.random() < 0.5 else -1
    return _Actor(
        colour,
        shape,
        shape_outline(shape),
        float(rng.uniform(0.125, 0.175)) * settings.scale,
        (0.5 + pull * (x - 0.5), 0.5 + pull * (y - 0.5)),
        (float(rng.uniform(0.3, 0.55)) * width, float(rng.uniform(0.18, 0.36)) * height),
        (float(rng.uniform(0.35, 0.8)), float(rng.uniform(0.4, 0.9))),
        tuple(float(p) for p in rng.uniform(0, 2 * math.pi, 4)),  # type: ignore[arg-type]
        float(rng.uniform(0.8, 1.2)) if swing else direction * float(rng.uniform(0.15, 0.5)),
        swing,
    )


def _paper(seed: int, height: int, width: int, texture: float) -> Pixels:
    """Return a calm background: a diagonal gradient with large soft waves and a fine pattern of dots."""
    light, dark = (np.array(tint, dtype=np.float32) for tint in _PAPERS[seed % len(_PAPERS)])
    unit = math.sqrt(height * width)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    u, v = x / np.float32(width), y / np.float32(height)
    blend = 0.5 * u + 0.5 * v
    phase = np.float32(seed % 17)
    for k, (wave, level) in enumerate(((1.7, 0.34), (2.3, 0.60), (3.1, 0.84))):
        edge = level + 0.10 * np.sin(wave * 2 * u * np.float32(math.pi) * 0.6 + phase + k) - v
        blend += np.float32(0.45 * texture) * (1 / (1 + np.exp(np.clip(edge * np.float32(unit * 0.5), -30, 30))) - 0.5)
    pitch = max(6.0, unit / 42)
    away = np.hypot((x + 0.5) % pitch - pitch / 2, (y + 0.5) % pitch - pitch / 2)
    dots = 1 - np.float32(0.12 * texture) * np.clip(pitch * 0.07 + 0.5 - away, 0, 1)
    blend = np.clip(blend, 0, 1)[:, :, None]
    pixels = (light * (1 - blend) + dark * blend) * dots[:, :, None] * 255 + 0.5
    return np.asarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _lay(region: Pixels, alpha: NDArray[np.float32], tint: Colour) -> None:
    """Paint an object onto its part of the frame, in place, with a little light from the top left."""
    height, width = alpha.shape
    fall = np.linspace(1.05, 0.96, height, dtype=np.float32)[:, None]
    fall = fall + np.linspace(0.025, -0.025, width, dtype=np.float32)
    weight = alpha * 255
    layers = [cv2.multiply(fall, weight, scale=channel) for channel in tint]
    below = cv2.multiply(region, cv2.merge([1 - alpha] * 3), dtype=cv2.CV_32F)
    cv2.add(below, cv2.merge(layers), dst=region, dtype=cv2.CV_8U)


def _square(matrix: Matrix) -> Matrix:
    """Extend a (2, 3) matrix to (3, 3)."""
    return np.vstack([matrix, (0.0, 0.0, 1.0)])
