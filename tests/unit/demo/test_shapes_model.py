"""The built-in model segments named objects in drawn images and demo scenes, and nothing else."""

import json

import numpy as np
import pytest

from clipseg_live.core.prompts import Prompt
from clipseg_live.demo.language import Meaning
from clipseg_live.demo.scenes import STAPLES, Scene
from clipseg_live.model.segmenter import Segmenter
from scripts.training.drawn_images import draw_image
from scripts.training.truth import scene_truth
from tests.helpers.paths import ROOT

FOLDER = ROOT / "clipseg_live" / "demo" / "shapes"


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.load("shapes", device="cpu", dtype="float32")


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    return float((found & truth).sum() / max(1, (found | truth).sum()))


def test_the_folder_is_small_and_complete() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 12_000_000
    config = json.loads((FOLDER / "config.json").read_text("utf-8"))
    assert config["model_type"] == "clipseg"
    assert "not CLIPSeg's quality" in (FOLDER / "README.md").read_text("utf-8")


@pytest.mark.slow
def test_colours_and_shapes_are_segmented(segmenter: Segmenter) -> None:
    rng = np.random.default_rng(31_337)
    scores = []
    for _ in range(20):
        picture = draw_image(rng, 224, 224, smallest=0.01)
        named = sorted({(t.colour, t.shape) for t in picture.objects if t.shape})
        if not named:
            continue
        maps = segmenter.segment(picture.pixels, [Prompt.text(f"{c} {s}") for c, s in named]).at(224, 224)
        for (colour, shape), found in zip(named, maps, strict=True):
            scores.append(overlap(found > 0.5, picture.mask(Meaning(colour=colour, shape=shape))))
    assert len(scores) > 30
    assert np.mean(scores) > 0.5


@pytest.mark.slow
def test_standard_objects_of_the_demo_scene_are_segmented(segmenter: Segmenter) -> None:
    scene, scores = Scene(0), []
    for number in (0, 75, 150):
        truth = scene_truth(scene, number)
        phrases = [f"{colour} {shape}" for colour, shape in STAPLES]
        maps = segmenter.segment(scene.picture(number), [Prompt.text(p) for p in phrases]).at(720, 1280)
        scores += [overlap(m > 0.5, truth.mask(p)) for m, p in zip(maps, phrases, strict=True)]
    assert np.mean(scores) > 0.6


@pytest.mark.slow
def test_absent_objects_have_empty_masks(segmenter: Segmenter) -> None:
    frame = Scene(0, 320, 180).picture(0)
    absent = ["a dog", "qwrtzp", "the wet street", "white square"]
    maps = segmenter.segment(frame, [Prompt.text(p) for p in absent]).at(180, 320)
    assert (maps > 0.5).mean() < 0.02


@pytest.mark.slow
def test_image_prompts_are_segmented(segmenter: Segmenter) -> None:
    scene = Scene(0, 640, 360)
    truth = scene_truth(scene, 0)
    crop = Prompt.image(scene.picture(0), mask=truth.mask("blue star"))
    later, then = scene.picture(90), scene_truth(scene, 90)
    found = segmenter.segment(later, [crop]).at(360, 640)[0] > 0.5
    assert overlap(found, then.mask("blue star")) > 0.4
