"""Scenes are deterministic, and their ground truth matches their frames."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from clipseg_live.core.errors import UsageError
from clipseg_live.demo.scenes import PAINT, SCENE_PRESETS, STAPLES, Scene, SceneSettings
from scripts.training.truth import SceneTruth, scene_truth

PLAIN = SceneSettings(drift=0.0, light=0.0, shadows=False)


def small(**changes: object) -> Scene:
    values: dict[str, object] = {"seed": 3, "width": 200, "height": 120, "settings": PLAIN}
    return Scene(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("preset", SCENE_PRESETS)
def test_a_frame_depends_only_on_its_number(preset: str) -> None:
    one, other = (Scene(5, 96, 64, settings=SCENE_PRESETS[preset]) for _ in range(2))
    forwards = [one.picture(n) for n in (0, 1, 70, 200)]
    backwards = [other.picture(n) for n in (200, 70, 1, 0)]
    for first, second in zip(forwards, reversed(backwards), strict=True):
        np.testing.assert_array_equal(first, second)
        assert first.dtype == np.uint8 and first.shape == (64, 96, 3)


def test_seeds_differ() -> None:
    assert np.abs(small(seed=1).picture(0).astype(int) - small(seed=2).picture(0)).mean() > 2


@pytest.mark.parametrize("preset", [name for name in SCENE_PRESETS if name != "noise"])  # noise is drawn per frame
def test_frames_at_the_same_time_are_equal_at_every_rate(preset: str) -> None:
    slow = Scene(2, 96, 64, Fraction(25), SCENE_PRESETS[preset])
    fast = Scene(2, 96, 64, Fraction(100), SCENE_PRESETS[preset])
    for n in (0, 9, 130):
        np.testing.assert_array_equal(slow.picture(n), fast.picture(4 * n))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (37, 53), (3, 200), (301, 5)])
def test_odd_sizes_are_supported(width: int, height: int) -> None:
    for preset in ("calm", "shake", "noise"):
        scene = Scene(1, width, height, settings=SCENE_PRESETS[preset])
        assert scene.picture(11).shape == (height, width, 3)
        truth = scene_truth(scene, 11)
        assert truth.background_matte.shape == (height, width)
        assert all(o.motion.shape == (height, width, 2) for o in truth.objects)


@pytest.mark.parametrize("values", [{"width": 0}, {"height": -1}, {"rate": Fraction(0)}, {"seed": -1}])
def test_invalid_scenes_are_rejected(values: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="cannot be drawn"):
        small(**values)


@pytest.mark.parametrize("preset", SCENE_PRESETS)
def test_mattes_sum_to_one(preset: str) -> None:
    truth = scene_truth(Scene(4, 160, 90, settings=SCENE_PRESETS[preset]), 45)
    mattes = np.stack([o.matte for o in truth.objects])
    assert mattes.dtype == np.float32 and mattes.min() >= 0
    np.testing.assert_allclose(mattes.sum(axis=0) + truth.background_matte, 1, atol=1e-5)
    masks = np.stack([o.mask for o in truth.objects])
    assert masks.sum(axis=0).max() == 1
    np.testing.assert_array_equal(masks, mattes > 0.5)


@pytest.mark.slow
def test_occluded_pixels_belong_to_the_upper_object() -> None:
    scene = Scene(0, 160, 90, settings=SCENE_PRESETS["occlusion"])
    spread = Scene(0, 160, 90, settings=SceneSettings(12))
    covered, apart = (
        sum(o.mask.sum() for n in range(0, 300, 30) for o in scene_truth(each, n).objects) for each in (scene, spread)
    )
    assert covered < 0.9 * apart


def test_pixels_fully_covered_by_an_object_have_its_colour() -> None:
    scene = small()
    for n in (0, 40, 90):
        picture, truth = scene.picture(n).astype(float), scene_truth(scene, n)
        for thing in truth.objects:
            inside = picture[thing.matte == 1]
            tint = np.array(PAINT[thing.colour]) * 255
            assert np.abs(inside - tint).max() <= 0.085 * 255 + 1, thing.colour
            assert len(inside) > 20 or thing.matte.max() < 1


def test_the_frame_is_the_blend_of_objects_by_their_mattes() -> None:
    scene = small()
    picture, truth = scene.picture(30).astype(np.float32), scene_truth(scene, 30)
    mixed = sum(o.matte[:, :, None] * np.array(PAINT[o.colour], np.float32) * 255 for o in truth.objects)
    mixed = mixed + truth.background_matte[:, :, None] * 232
    assert np.abs(mixed - picture).mean() < 9  # surfaces are shaded; a wrong matte would differ much more
    edges = (truth.background_matte > 0.1) & (truth.background_matte < 0.9)
    assert edges.sum() > 100 and np.abs(mixed - picture)[edges].mean() < 20


def warped(matte: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Return the later matte, warped back along the motion."""
    y, x = np.mgrid[0 : matte.shape[0], 0 : matte.shape[1]].astype(np.float32)
    return cv2.remap(matte, x + motion[..., 0], y + motion[..., 1], cv2.INTER_LINEAR)


def centre(matte: np.ndarray) -> np.ndarray:
    """Return the centre of mass, x and y, with the centre of the first pixel at (0.5, 0.5)."""
    y, x = np.mgrid[0 : matte.shape[0], 0 : matte.shape[1]] + 0.5
    return np.array([(x * matte).sum(), (y * matte).sum()]) / matte.sum()


def in_full_view(truth: SceneTruth, matte: np.ndarray) -> bool:
    """Return whether an object touches neither a border nor another object."""
    others = 1 - truth.background_matte - matte
    border = np.concatenate([matte[[0, -1]].ravel(), matte[:, [0, -1]].ravel()])
    return matte.max() == 1 and border.max() == 0 and (others * cv2.dilate(matte, np.ones((5, 5)))).max() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["calm", "fast", "shake", "still"])
def test_motion_leads_from_each_frame_to_the_next(preset: str) -> None:
    scene = Scene(0, 320, 180, settings=SCENE_PRESETS[preset])
    ways = []
    for n in (3, 25, 50, 77, 120, 163):
        now, then = scene_truth(scene, n), scene_truth(scene, n + 1)
        for first, second in zip(now.objects, then.objects, strict=True):
            if not in_full_view(now, first.matte) or not in_full_view(then, second.matte):
                continue
            back = warped(second.matte, first.motion)
            assert np.abs(back - first.matte).sum() / first.matte.sum() < 0.06  # interpolation softens the edge
            before, after = centre(first.matte), centre(second.matte)
            np.testing.assert_allclose(first.step @ np.array([*before, 1.0]), after, atol=0.1)
            ways.append(float(np.linalg.norm(after - before)))
    assert len(ways) >= 3
    assert np.mean(ways) > {"calm": 0.2, "fast": 1.0, "shake": 0.5, "still": -1}[preset]


def test_motion_of_the_background_is_the_cameras() -> None:
    scene = Scene(0, 320, 180, settings=SceneSettings(shake=0.02, light=0.0, texture=1.0))
    now, then = scene_truth(scene, 10), scene_truth(scene, 11)
    motion = now.background_motion
    assert np.abs(motion).max() > 0.5
    y, x = np.mgrid[0:180, 0:320].astype(np.float32)
    first, second = (scene.picture(n).astype(np.float32) for n in (10, 11))
    back = cv2.remap(second, x + motion[..., 0], y + motion[..., 1], cv2.INTER_LINEAR)
    free = cv2.erode(np.minimum(now.background_matte, then.background_matte), np.ones((41, 41))) > 0.999
    free[:12], free[-12:], free[:, :12], free[:, -12:] = False, False, False, False
    assert free.sum() > 2000
    assert np.abs(back - first)[free].mean() < 0.75 * np.abs(second - first)[free].mean()


def test_nothing_moves_in_a_still_scene() -> None:
    truth = scene_truth(small(settings=SCENE_PRESETS["still"]), 8)
    assert all(np.abs(o.motion).max() < 1e-6 for o in truth.objects)


def test_a_cut_is_marked_and_has_no_motion() -> None:
    scene = Scene(1, 96, 64, Fraction(10), SCENE_PRESETS["cuts"])
    before, inside = scene_truth(scene, 19), scene_truth(scene, 20)
    assert not before.continues and inside.continues
    assert np.isnan(before.objects[0].motion).all() and np.isnan(before.background_motion).all()
    change = np.abs(scene.picture(20).astype(int) - scene.picture(19)).mean()
    assert change > 5 * np.abs(scene.picture(21).astype(int) - scene.picture(20)).mean()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_the_standard_objects_are_nearly_always_visible(seed: int) -> None:
    scene = Scene(seed, 160, 90)
    frames = [scene_truth(scene, n) for n in range(0, 1800, 60)]
    for colour, shape in STAPLES:
        seen = [t.mask(f"{colour} {shape}").mean() > 0.006 for t in frames]
        assert np.mean(seen) >= 0.8, (colour, shape, np.mean(seen))


def masks_of(truth: SceneTruth, **wanted: str) -> np.ndarray:
    masks = [o.mask for o in truth.objects if all(getattr(o, k) == v for k, v in wanted.items())]
    return np.any(masks, axis=0) if masks else np.zeros_like(truth.background_matte, dtype=bool)


def test_phrases_find_their_masks() -> None:
    truth = scene_truth(Scene(0, 160, 90), 0)
    np.testing.assert_array_equal(truth.mask("the red circle"), masks_of(truth, colour="red", shape="circle"))
    np.testing.assert_array_equal(truth.mask("crimson discs"), masks_of(truth, colour="red", shape="circle"))
    np.testing.assert_array_equal(truth.mask("green"), masks_of(truth, colour="green"))
    np.testing.assert_array_equal(truth.mask("all stars"), masks_of(truth, shape="star"))
    np.testing.assert_array_equal(truth.mask("everything"), masks_of(truth))
    np.testing.assert_array_equal(truth.mask("background"), truth.background_matte > 0.5)
    assert not truth.mask("a dog").any()
    assert truth.mask("everything").any()
    with pytest.raises(ValueError, match="clearly"):
        truth.mask("large shapes")
