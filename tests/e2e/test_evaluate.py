"""``clipseg-live evaluate`` as a process and in Python, with ``shapes``, against a plain transcription."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

import clipseg_live as package
from clipseg_live import Segmenter
from clipseg_live.app.evaluate import EvaluationRequest, run_evaluation
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.model.pytorch.images import as_tensor
from tests.helpers import transcription
from tests.helpers.true_sets import PROMPTS, Drawn, drawn_images, write_export, write_folder, write_one_shot

SCORES = ("mIoU", "IoU_FG", "IoU_BIN", "AP")
ROUNDING = 1e-6
"""Largest difference of scores in percent, of the rounding of sums: no pixel differs."""


@pytest.fixture(scope="module")
def images() -> list[Drawn]:
    return drawn_images(3, (180, 240))


@pytest.fixture(scope="module")
def data(images: list[Drawn], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("true") / "drawn", images)


def app_samples(images: list[Drawn], segmenter: Segmenter) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Return the maps as the program gives them, at the size of the image."""
    samples = []
    for image in images:
        maps = segmenter.segment(image.pixels, PROMPTS).at()
        samples += [(plane, image.masks[name], name) for plane, name in zip(maps, PROMPTS, strict=True)]
    return samples


def paper_samples(images: list[Drawn], segmenter: Segmenter) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Return the maps by the published protocol, with torch and the network of transformers alone."""
    network, side = segmenter.network, segmenter.size
    embeddings = torch.from_numpy(np.array(segmenter.encode(PROMPTS)))
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in (
        segmenter.preprocessing.mean, segmenter.preprocessing.deviation))  # fmt: skip
    samples = []
    for image in images:
        pixels = functional.interpolate(
            as_tensor(image.pixels).float(), (side, side), mode="bilinear", align_corners=True
        )
        with torch.inference_mode():
            features = network.features((pixels / 255 - mean) / deviation)
            maps = torch.cat(list(network.probabilities(features, embeddings)))
        for plane, name in zip(maps, PROMPTS, strict=True):
            truth = torch.from_numpy(image.masks[name])[None, None].float()
            square = functional.interpolate(truth, (side, side), mode="nearest")[0, 0].bool()
            raised = functional.interpolate(plane[None, None], (side, side), mode="bilinear", align_corners=True)
            samples.append((raised[0, 0].numpy(), square.numpy(), name))
    return samples


@pytest.mark.parametrize(("protocol", "threshold", "engine"), [("app", 0.5, "auto"), ("paper", 0.3, "torch")])
def test_the_scores_are_those_of_the_transcription(
    protocol: str, threshold: float, engine: str, images: list[Drawn], data: Path, clipseg_live: Callable,
    tmp_path: Path,
) -> None:  # fmt: skip
    done = clipseg_live(
        "evaluate", data, "--model", "shapes", "--engine", engine, "--protocol", protocol, "--json", "--csv", "t.csv",
        "--html", "page.html",
    )  # fmt: skip
    assert done.code == 0 and done.err == "", done.err
    found = json.loads(done.out)
    segmenter = Segmenter.load("shapes", device="cpu", engine=engine)
    expected = transcription.scores((app_samples if protocol == "app" else paper_samples)(images, segmenter), threshold)
    assert found["protocol"] == protocol and found["threshold"] == threshold
    assert {name: found[name] for name in SCORES} == pytest.approx(expected, abs=ROUNDING)
    assert 50 < found["mIoU"] < 100 and expected["IoU_FG"] != pytest.approx(expected["mIoU"], abs=0.1)
    with (tmp_path / "t.csv").open(newline="") as file:
        first = next(csv.DictReader(file))
    assert {name: float(first[name]) for name in SCORES} == {name: found[name] for name in SCORES}
    page = (tmp_path / "page.html").read_text("utf-8")
    assert f"{found['mIoU']:.2f}" in page and 3 <= page.count("data:image/jpeg;base64,") <= 12
    if protocol == "paper":  # another number than that of the program's own resizing
        assert found["mIoU"] != pytest.approx(
            transcription.scores(app_samples(images, segmenter), 0.3)["mIoU"], abs=1e-3
        )


def test_models_and_prompts_are_compared_and_continue_from_their_sums(
    data: Path, clipseg_live: Callable, tmp_path: Path
) -> None:
    (tmp_path / "words.csv").write_text("class,words,templates,negatives\nred circle,crimson disc|red circle,the {},\n")
    arguments = (
        "evaluate", data, "-p", "red circle", "-p", "red circle=blue star", "--prompt-table", "words.csv",
        "--model", "shapes", "--sums", "sums.json", "--protocol", "paper",
    )  # fmt: skip
    done = clipseg_live(*arguments)
    assert done.code == 0 and done.err == "", done.err
    assert "1: shapes · float32 · red circle\n2: shapes · float32 · blue star\n3: shapes · float32 · words" in done.out
    stored = (tmp_path / "sums.json").stat().st_mtime_ns
    again = clipseg_live(*arguments, "--json")
    runs = json.loads(again.out)["runs"]
    assert (tmp_path / "sums.json").stat().st_mtime_ns == stored  # nothing was new
    assert runs[0]["mIoU"] > 60 > runs[1]["mIoU"] and runs[2]["mIoU"] > 60
    assert runs[1]["difference_intervals"]["mIoU"][1] < 0


def test_a_data_set_has_the_same_scores_in_every_layout(
    images: list[Drawn], data: Path, clipseg_live: Callable, tmp_path: Path
) -> None:
    """JPEG images of COCO and YOLO would differ, so their images are those of the folder."""
    expected = package.evaluate(data, models="shapes").to_dict()
    for form in ("coco", "yolo", "png"):
        write_export(form, tmp_path / form, images)
        for image in (tmp_path / form).glob("images/*.jpg"):
            image.unlink()
    for image in (data / "images").iterdir():
        shutil.copy(image, tmp_path / "yolo" / "images")
    coco = tmp_path / "coco" / "annotations" / "instances_default.json"
    coco.write_text(coco.read_text().replace(".jpg", ".png"))
    done = clipseg_live("evaluate", "coco", "--images", data / "images", "--model", "shapes", "--json")
    assert done.code == 0 and done.err == "", done.err
    others = [
        json.loads(done.out),
        package.evaluate(tmp_path / "yolo", models="shapes").to_dict(),
        run_evaluation(
            EvaluationRequest(path=tmp_path / "png", images=data / "images", engines=(EngineSettings(model="shapes"),))
        ).to_dict(),
    ]
    assert [each["layout"] for each in others] == ["coco", "yolo", "masks"]
    for other in others:
        assert [other[name] for name in SCORES] == pytest.approx([expected[name] for name in SCORES], abs=1e-9)


def test_errors_are_one_sentence(data: Path, clipseg_live: Callable, tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("mine")
    for arguments, code, message in (
        ((tmp_path / "nowhere",), 1, "nowhere"),
        ((data, "-p", "dog"), 2, "'dog' is not a class"),
        ((data, "--threshold", "0.33"), 2, "0.02, 0.04"),
        ((data, "--protocol", "mine"), 2, "'mine' is not a protocol"),
        ((data, "--protocol", "paper", "--detail", "tiles"), 2, "detail"),
        ((data, "--csv", "there.csv"), 2, "--overwrite"),
        ((data, "--csv", "a.x", "--html", "a.x"), 2, "same name"),
        ((data, "--sums", "there.csv"), 2, "not a file of sums"),
    ):
        done = clipseg_live("evaluate", *arguments, "--model", "shapes")
        assert done.code == code and message in done.err and done.err.count("\n") == 1, done.err
        assert done.out == ""
    assert (tmp_path / "there.csv").read_text() == "mine"


def test_python_gives_the_same_scores(images: list[Drawn], data: Path, tmp_path: Path) -> None:
    progress: list[tuple[int, int]] = []
    result = package.evaluate(
        data, {"red circle": ["red circle", "crimson disc"], "blue star": "blue star"}, models="shapes",
        on_progress=lambda done, total: progress.append((done, total)),
    )  # fmt: skip
    assert progress == [(number, 3) for number in range(1, 4)]
    (run,) = result.runs
    assert run.images == 3 and run.whole.targets == 6 and {group.name for group in run.by_class} == {
        "red circle", "blue star",
    }  # fmt: skip
    assert run.figures()["mIoU"] > 60
    shots = package.evaluate(write_one_shot(tmp_path, images), models="shapes", by_example=True)
    texts, examples = shots.runs
    assert (texts.name.prompts, examples.name.prompts) == ("texts", "examples")
    assert texts.whole.scores.mean_iou > 0.6 and examples.whole.scores.mean_iou > 0.3
    with pytest.raises(package.UsageError, match="words"):
        package.evaluate(data, {"red circle": 3}, models="shapes")  # type: ignore[dict-item]
    with pytest.raises(package.UsageError, match="None"):
        package.evaluate(None)  # type: ignore[arg-type]
