"""Ground truth of the demo scenes: the mattes, masks and motion of every object in a frame."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipseg_live.demo.drawing import coverage
from clipseg_live.demo.language import Meaning, parse
from clipseg_live.demo.scenes import PAINT, Matrix, Scene
from scripts.training.drawn_images import DrawnObject, matching_parts


@dataclass(frozen=True, slots=True, eq=False)
class ObjectTruth:
    """Ground truth of one object in a frame.

    Attributes:
        colour: Name of its colour.
        shape: Name of its shape.
        matte: float32 (height, width), the share of each pixel's light that comes from this object: its antialiased
            coverage, reduced by the objects above it.
        mask: bool (height, width), where the matte is above one half.
        step: (2, 3) affine map of this frame's pixel coordinates to the next frame's, for every point of the object;
            NaN before a cut.
    """

    colour: str
    shape: str
    matte: NDArray[np.float32]
    mask: NDArray[np.bool_]
    step: Matrix

    @property
    def motion(self) -> NDArray[np.float32]:
        """True motion: float32 (height, width, 2), in pixels to the right and down, until the *next* frame.

        It is that of the point of the object at each pixel's centre. It is exact within the object, and extrapolated
        elsewhere.
        """
        return _field(self.step, *self.matte.shape)


@dataclass(frozen=True, slots=True, eq=False)
class SceneTruth:
    """Ground truth of one frame.

    Attributes:
        objects: Objects, from the lowest to the topmost.
        background_matte: Matte of the background, float32. All mattes have a sum of 1.
        camera: (2, 3) map of the background's pixel coordinates to the next frame's; NaN before a cut.
        continues: False before a cut, where no motion is defined.
    """

    objects: tuple[ObjectTruth, ...]
    background_matte: NDArray[np.float32]
    camera: Matrix
    continues: bool

    @property
    def background_motion(self) -> NDArray[np.float32]:
        """True motion of the background, float32 (height, width, 2), as in ``ObjectTruth.motion``."""
        return _field(self.camera, *self.background_matte.shape)

    def mask(self, phrase: str | Meaning) -> NDArray[np.bool_]:
        """Return the mask of a phrase of the demo language: bool (height, width).

        Sizes are visible shares.

        Args:
            phrase: Phrase, or its meaning.

        Raises:
            ValueError: If a size word has no clear answer in this frame.
        """
        meaning = parse(phrase) if isinstance(phrase, str) else phrase
        background = self.background_matte > 0.5
        visible = [o for o in self.objects if o.mask.any()]
        objects = [DrawnObject(o.colour, o.shape, float(o.mask.mean()), PAINT[o.colour]) for o in visible]
        chosen = matching_parts(objects, meaning)
        if chosen is None:
            raise ValueError(f"Nothing in this frame is clearly {phrase!r}.")
        mask = background if chosen[0] else np.zeros_like(background)
        for fits, thing in zip(chosen[1:], visible, strict=True):
            if fits:
                mask = mask | thing.mask
        return mask


def scene_truth(scene: Scene, number: int) -> SceneTruth:
    """Return the ground truth of frame ``number``, with the motion to the next frame."""
    now, then = scene.placed(number), scene.placed(number + 1)
    continues = now.part == then.part
    nowhere = np.full((2, 3), np.nan)
    remaining = np.ones((scene.height, scene.width), dtype=np.float32)
    objects = []
    for index, each in reversed(list(enumerate(now.objects))):
        matte = np.zeros_like(remaining)
        covered = coverage(each.contours, scene.height, scene.width)
        if covered is not None:
            rows, columns, alpha = covered
            matte[rows, columns] = alpha * remaining[rows, columns]
            remaining[rows, columns] *= 1 - alpha
        step = _between(each.pose, then.objects[index].pose) if continues else nowhere
        objects.append(ObjectTruth(each.colour, each.shape, matte, matte > 0.5, step))
    camera = _between(now.camera, then.camera) if continues else nowhere
    return SceneTruth(tuple(reversed(objects)), remaining, camera, continues)


def _between(now: Matrix, then: Matrix) -> Matrix:
    """Return the map from positions under ``now`` to positions under ``then``, each (2, 3)."""
    return then @ np.linalg.inv(np.vstack([now, (0.0, 0.0, 1.0)]))


def _field(step: Matrix, height: int, width: int) -> NDArray[np.float32]:
    x, y = np.arange(width) + 0.5, (np.arange(height) + 0.5)[:, None]
    right = (step[0, 0] - 1) * x + step[0, 1] * y + step[0, 2]
    down = step[1, 0] * x + (step[1, 1] - 1) * y + step[1, 2]
    return np.stack([right, down], axis=-1).astype(np.float32)
