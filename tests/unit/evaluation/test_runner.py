"""Images are scored by their protocol, known sums are not computed again, and results are summarised."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from clipseg_live.core.errors import Failure, SinkError, UsageError
from clipseg_live.core.prompts import ImagePrompt, Prompt
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.evaluation.dataset import TrueMask, TrueSet
from clipseg_live.evaluation.prompt_table import ClassPrompt, PromptVariant, prompt_sets
from clipseg_live.evaluation.readers.registry import read_data_set
from clipseg_live.evaluation.reports.page import to_html
from clipseg_live.evaluation.reports.table import COLUMNS, to_csv
from clipseg_live.evaluation.runner import ScoringRules, compare, nearest, score_images, segment_prompts
from clipseg_live.evaluation.scores import count_levels
from clipseg_live.evaluation.summary import Evaluation, RunName, RunScores, summarise
from clipseg_live.evaluation.sums_file import SumsFile
from tests.helpers import transcription
from tests.helpers.colour_engine import GRID, ColourEngine
from tests.helpers.true_sets import PROMPTS, SIZE, Drawn, drawn_images, write_davis, write_folder, write_one_shot

APP = ScoringRules(0.5, None, "fake")


@pytest.fixture(scope="module")
def images() -> list[Drawn]:
    return drawn_images()


@pytest.fixture
def data(images: list[Drawn], tmp_path: Path) -> TrueSet:
    return read_data_set(write_folder(tmp_path / "set", images))


def scored(data: TrueSet, rules: ScoringRules = APP, sums: SumsFile | None = None, engine: object = None) -> list:
    return score_images(engine or ColourEngine(), data, prompt_sets(data.words), rules, sums or SumsFile())[0]


def test_sums_and_boundaries_are_those_of_the_maps_at_the_size_of_the_image(data: TrueSet, images: list[Drawn]) -> None:
    samples = []
    for image in images:
        maps = ColourEngine().segment(image.pixels, [Prompt.text(name) for name in data.words]).at()
        samples += [(plane, image.masks[name], name) for plane, name in zip(maps, data.words, strict=True)]
    results = scored(data)
    assert [(each.image, each.category) for each in results] == [
        (image.name, name) for image in images for name in data.words
    ]
    for found, (plane, true, _) in zip(results, samples, strict=True):
        difference = np.abs(found.sums.counts - count_levels(plane, true)).sum()
        assert difference <= 2  # both resize in float32, in another order
        assert found.sums.share == true.mean()
    result, _ = summarise(RunName("m", "d", "e"), RunScores.of(data, results), 0.5, first=None, worst=3)
    expected = transcription.scores(samples, 0.5)
    assert {name: result.figures()[name] for name in expected} == pytest.approx(expected, rel=1e-4)


def test_the_paper_compares_on_a_square_with_aligned_corners(images: list[Drawn]) -> None:
    (plane,) = ColourEngine().segment(images[0].pixels, [Prompt.text("red circle")]).probabilities
    true = images[0].masks["red circle"]
    counts, _ = compare(plane, TrueMask(true), ScoringRules(0.3, 64, "fake"))
    raised = functional.interpolate(torch.from_numpy(plane)[None, None], (64, 64), mode="bilinear", align_corners=True)
    small = functional.interpolate(torch.from_numpy(true)[None, None].float(), (64, 64), mode="nearest")
    assert counts.sum() == 64 * 64
    assert np.abs(counts - count_levels(raised[0, 0].numpy(), small[0, 0].numpy() > 0)).sum() <= 2
    for size in ((1, 1), (64, 64), (63, 200)):
        mask = np.random.default_rng(1).random(size) < 0.5
        wanted = functional.interpolate(torch.from_numpy(mask)[None, None].float(), (64, 64), mode="nearest")
        assert np.array_equal(nearest(mask, 64), wanted[0, 0].numpy() > 0)


@pytest.mark.parametrize("side", [None, 32])
def test_pixels_that_are_left_out_do_not_count(side: int | None) -> None:
    plane = np.full(GRID, 0.9, np.float32)
    true, valid = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    true[:60], valid[:60] = True, True
    counts, boundary = compare(plane, TrueMask(true, valid), ScoringRules(0.5, side, "fake"))
    assert counts[0].sum() == 0 and counts[1].sum() == (60 * 160 if side is None else 16 * 32)
    assert boundary == 1


def test_negatives_lower_a_map_as_in_the_program(images: list[Drawn]) -> None:
    red, negative = Prompt.text("red"), Prompt.text("red thing")
    plain, lowered, other = segment_prompts(
        ColourEngine(), images[0].pixels, [ClassPrompt(red), ClassPrompt(red, (negative,)), ClassPrompt(negative)], "x"
    )
    assert (lowered <= plain).all() and np.array_equal(lowered[other < 0.25], plain[other < 0.25])
    assert lowered[other > 0.75].max() == 0 and plain[other > 0.75].max() > 0


def test_known_sums_are_read_from_the_file_and_changed_images_are_computed_again(data: TrueSet, tmp_path: Path) -> None:
    path = tmp_path / "sums.json"
    engine = ColourEngine()
    first = scored(data, sums=SumsFile(path), engine=engine)
    assert engine.calls == len(data.images)
    assert scored(data, sums=SumsFile(path), engine=engine) == first and engine.calls == len(data.images)
    data.images[1].file.touch()
    assert scored(data, sums=SumsFile(path), engine=engine) == first and engine.calls == len(data.images) + 1
    for rules in (replace(APP, side=64), replace(APP, key="another"), replace(APP, threshold=0.3)):
        scored(data, rules, SumsFile(path), engine)
    assert engine.calls == 4 * len(data.images) + 1


def test_an_interrupted_evaluation_keeps_its_sums(data: TrueSet, tmp_path: Path) -> None:
    path = tmp_path / "sums.json"

    def stop(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    engine = ColourEngine()
    with pytest.raises(KeyboardInterrupt):
        score_images(engine, data, prompt_sets(data.words), APP, SumsFile(path), stop)
    scored(data, sums=SumsFile(path), engine=engine)
    assert engine.calls == len(data.images)


def test_other_files_are_not_replaced_by_sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notes.json"
    for content in ("", "{}", '{"format": "clipseg-live sums", "version": 2, "targets": {}}', '{"format": "x"'):
        path.write_text(content)
        with pytest.raises(UsageError, match=r"notes\.json is not a file of sums"):
            SumsFile(path)
        assert path.read_text() == content
    with pytest.raises(UsageError, match="existing folder"):
        SumsFile(tmp_path / "gone" / "sums.json")
    sums = SumsFile(tmp_path / "new.json")
    sums.add("key", scored_sums())

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("clipseg_live.evaluation.sums_file.replace_file", fail)
    with pytest.raises(SinkError, match=r"new\.json could not be written: No space"):
        sums.save()


def scored_sums() -> object:
    from clipseg_live.evaluation.sums_file import StoredSums

    return StoredSums(background=(0,) * 50, object=(0,) * 50, boundary=0.0, share=0.0)


def test_unusable_maps_and_vanished_images_end_the_evaluation(data: TrueSet) -> None:
    class Broken(ColourEngine):
        def segment(self, pixels: np.ndarray, prompts: Sequence[Prompt]) -> Segmentation:
            return Segmentation(np.full((len(prompts), 1, 1), np.nan, np.float32), tuple(prompts), pixels.shape[:2])

    with pytest.raises(Failure, match="no usable prediction for 000000"):
        scored(data, engine=Broken())
    data.images[2].file.unlink()
    with pytest.raises(Failure, match=r"000002\.png"):
        scored(data)


def test_videos_have_flicker_and_delay(tmp_path: Path) -> None:
    data = read_data_set(write_davis(tmp_path / "set", drawn_images(4, step=4)))
    sums = SumsFile(tmp_path / "sums.json")
    engine = ColourEngine()
    results = score_images(engine, data, prompt_sets(data.words), APP, sums)[0]
    flickers = [each.sums.flicker for each in results]
    assert flickers[0] is None and all(0 < value < 0.1 for value in flickers[1:])
    assert {each.sums.delay for each in results} == {0}
    data.images[3].file.touch()  # the frame before is needed, so the whole video is computed again
    again = score_images(engine, data, prompt_sets(data.words), APP, SumsFile(tmp_path / "sums.json"))[0]
    assert [each.sums.flicker for each in again] == flickers and engine.calls == 8
    result, _ = summarise(RunName("m", "d", "e"), RunScores.of(data, results), 0.5, first=None, worst=1)
    assert result.figures()["flicker"] == pytest.approx(100 * np.mean(flickers[1:])) and result.delay == 0


def test_an_example_is_the_next_image_of_the_class(images: list[Drawn], tmp_path: Path) -> None:
    data = read_data_set(write_one_shot(tmp_path, images))
    (texts,) = prompt_sets(data.words)
    seen: list[Prompt] = []

    class Spy(ColourEngine):
        def segment(self, pixels: np.ndarray, prompts: Sequence[Prompt]) -> Segmentation:
            seen.extend(prompts)
            return super().segment(pixels, prompts)

    by_example = PromptVariant("examples", texts.by_class, True)
    (results,) = score_images(Spy(), data, [by_example], APP, SumsFile())
    assert len(results) == 8 and all(isinstance(prompt, ImagePrompt) for prompt in seen)
    masks = [image.masks["blue star"] for image in images]
    assert [next(n for n, mask in enumerate(masks) if np.array_equal(mask, prompt.mask)) for prompt in seen[:4]] == [
        1, 2, 3, 0,
    ]  # fmt: skip
    single = replace(data, images=data.images[:1])
    with pytest.raises(Failure, match="'blue_star' is in fewer than two images"):
        score_images(ColourEngine(), single, [by_example], APP, SumsFile())


def evaluation(data: TrueSet) -> Evaluation:
    sets = prompt_sets(data.words, ("red circle", "red circle=crimson <disc>", "cyan square"))
    runs, first = [], None
    for prompts, targets in zip(sets, score_images(ColourEngine(), data, sets, APP, SumsFile()), strict=True):
        name = RunName("a<b>", "float32", "fake", prompts.name)
        run, resampled = summarise(
            name, RunScores.of(data, targets), 0.5, first=first, worst=20, notices=("A notice.",)
        )
        first = resampled if first is None else first
        runs.append(run)
    return Evaluation("set", "folder", "app", tuple(runs))


def test_results_are_sorted_by_class_size_and_overlap(data: TrueSet, images: list[Drawn]) -> None:
    result = evaluation(data)
    first, second = result.runs
    ious = [group.scores.foreground_iou for group in first.by_class]
    assert {group.name for group in first.by_class} == {"red circle", "cyan square"} and ious == sorted(ious)
    shares = [image.masks[name].mean() for image in images for name in ("red circle", "cyan square")]
    expected = {"absent": sum(share == 0 for share in shares), "small": sum(0 < share <= 0.01 for share in shares),
                "medium": sum(0.01 < share <= 0.1 for share in shares)}  # fmt: skip
    assert {group.name: group.targets for group in first.by_size} == {k: v for k, v in expected.items() if v}
    overlaps = [each.iou for each in first.worst]
    assert overlaps == sorted(overlaps) and overlaps[0] < overlaps[-1]
    assert not first.differences and set(second.differences) == {"mIoU", "IoU_FG", "IoU_BIN", "AP"}
    change = second.whole.scores.foreground_iou - first.whole.scores.foreground_iou
    assert second.differences["IoU_FG"].low <= change <= second.differences["IoU_FG"].high


def test_reports_hold_the_same_figures(data: TrueSet) -> None:
    result = evaluation(data)
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["mIoU"] == plain["runs"][0]["mIoU"] and plain["threshold"] == 0.5 and plain["protocol"] == "app"
    assert plain["runs"][0]["curves"]["mIoU"][24] == plain["mIoU"] and plain["runs"][0]["thresholds"][24] == 0.5
    header, *rows = to_csv(result).splitlines()
    assert header == ",".join(COLUMNS) and len(rows) == sum(1 + len(r.by_class) + len(r.by_size) for r in result.runs)
    assert f",all,all,8,0.50,{plain['mIoU']!r},{plain['IoU_FG']!r}," in rows[0]
    page = to_html(result)
    assert f"{plain['mIoU']:.2f}" in page and "a&lt;b&gt;" in page and "crimson &lt;disc&gt;" in page
    assert "<disc>" not in page and page.count("<svg") == 3 and "A notice." in page
    assert "http" not in page and "<script" not in page  # the page needs no other file


def test_phrases_are_classes_of_their_own(data: TrueSet) -> None:
    results = scored(data)
    whole = RunScores.of(replace(data, per_target=True), results)
    result, _ = summarise(RunName("m", "d", "e"), whole, 0.5, first=None, worst=0)
    ious = []
    for each in results:
        above, below = each.sums.counts[:, 25:].sum(axis=1), each.sums.counts[:, :25].sum(axis=1)
        if each.sums.share:
            ious.append(above[1] / (1 + above[1] + above[0] + below[1]))
    assert result.whole.scores.mean_iou == pytest.approx(np.mean(ious))
    assert PROMPTS[0] in {group.name for group in result.by_class}


def test_pictures_show_hits_false_and_missed_pixels() -> None:
    from clipseg_live.evaluation.reports import pictures

    mask, true = np.zeros((40, 60), bool), np.zeros((40, 60), bool)
    mask[:, :40], true[:, 20:] = True, True
    data = pictures.encode_overlay(np.full((40, 60, 3), 128, np.uint8), mask, true)
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)
    dominant = SimpleNamespace(false=shown[20, 10], hit=shown[20, 30], missed=shown[20, 50])
    assert dominant.false.argmax() == 0 and dominant.hit.argmax() == 1 and dominant.missed.argmax() == 2
