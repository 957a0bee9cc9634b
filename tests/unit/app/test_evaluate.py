"""Evaluations are built from requests: models, precisions and prompts side by side."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from clipseg_live import UsageError, evaluate
from clipseg_live.app import evaluate as module
from clipseg_live.app.evaluate import EvaluationRequest, run_evaluation
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.evaluation.bootstrap import Interval
from clipseg_live.evaluation.prompt_table import ClassWords
from clipseg_live.model.preprocess import Preprocessing
from tests.helpers.colour_engine import ColourEngine
from tests.helpers.true_sets import drawn_images, write_folder, write_one_shot


class LoadedEngine(ColourEngine):
    """Engine that changes from int8 to float32 on its eighth frame, as if the masks differed there."""

    engine, device, size, fit, detail = "fake", "cpu", 48, "stretch", "off"

    def __init__(self, dtype: str) -> None:
        super().__init__()
        self.dtype = "float32" if dtype == "auto" else dtype
        self.preprocessing = Preprocessing(48, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

    @property
    def notices(self) -> tuple[str, ...]:
        return () if self.dtype == "int8" else ("A notice.",)

    def segment(self, pixels: np.ndarray, prompts: Sequence[Prompt]) -> Segmentation:
        found = super().segment(pixels, prompts)
        if self.calls == 8:
            self.dtype = "float32"
        return found


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[LoadedEngine]:
    """Return the engines that are loaded from now on."""
    engines: list[LoadedEngine] = []

    def load(files: object, settings: EngineSettings) -> LoadedEngine:
        engines.append(LoadedEngine(settings.dtype))
        return engines[-1]

    monkeypatch.setattr(
        module, "find_model", lambda settings: SimpleNamespace(name=settings.model, identity=lambda: "1")
    )
    monkeypatch.setattr(module, "loading_message", lambda files, settings: f"Loading {files.name}")
    monkeypatch.setattr(module, "load_engine", load)
    return engines


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "set", drawn_images(3))


def test_every_model_is_run_in_every_precision_with_every_variant(loaded: list[LoadedEngine], data: Path) -> None:
    engines = tuple(EngineSettings(model=model) for model in ("first", "second"))
    stages: list[str] = []
    request = EvaluationRequest(path=data, chosen=("red circle", "red circle=crimson"), engines=engines, pictures=2)
    result = run_evaluation(request, on_stage=stages.append)
    assert [(run.name.model, run.name.prompts) for run in result.runs] == [
        ("first", "red circle"), ("first", "crimson"), ("second", "red circle"), ("second", "crimson"),
    ]  # fmt: skip
    assert stages == ["Loading first", "Evaluating first on set", "Loading second", "Evaluating second on set"]
    assert [bool(each.picture) for each in result.runs[0].worst] == [True, True, False][: len(result.runs[0].worst)]
    assert result.runs[0].figures()["mIoU"] == result.runs[2].figures()["mIoU"]


def test_all_scores_of_a_run_have_the_precision_that_it_names(
    loaded: list[LoadedEngine], data: Path, tmp_path: Path
) -> None:
    sums = tmp_path / "sums.json"
    request = EvaluationRequest(path=data, engines=(EngineSettings(dtype="int8"),), sums=sums)
    first = run_evaluation(request)
    assert first.runs[0].name.dtype == "float32" and first.runs[0].notices == ("A notice.",)
    assert loaded[0].calls == 8 + 3
    run_evaluation(EvaluationRequest(path=data, sums=sums))
    assert loaded[1].calls == 0  # the sums are those of float32


def test_the_paper_resizes_with_aligned_corners_on_the_square_of_the_model(
    loaded: list[LoadedEngine], data: Path
) -> None:
    result = run_evaluation(EvaluationRequest(path=data, protocol="paper"))
    assert loaded[0].preprocessing.resampling == "bilinear-corners"
    assert result.runs[0].whole.scores.threshold == 0.3 and result.protocol == "paper"
    assert sum(run.whole.targets for run in result.runs) == 9


def test_classes_can_be_scored_only_where_they_are(loaded: list[LoadedEngine], data: Path) -> None:
    whole = run_evaluation(EvaluationRequest(path=data)).runs[0]
    present = run_evaluation(EvaluationRequest(path=data, present_only=True)).runs[0]
    absent = next(group.targets for group in whole.by_size if group.name == "absent")
    assert absent > 0 and present.whole.targets == whole.whole.targets - absent
    assert present.whole.scores.foreground_iou > whole.whole.scores.foreground_iou
    assert "absent" not in {group.name for group in present.by_size}


def test_runs_with_other_targets_have_no_difference(loaded: list[LoadedEngine], data: Path) -> None:
    tables = tuple((name, {name: ClassWords()}) for name in ("red circle", "blue star"))
    first, second, third = run_evaluation(EvaluationRequest(path=data, tables=(*tables, tables[0]))).runs
    assert not first.differences and not second.differences
    assert third.differences["mIoU"] == Interval(0, 0)


def test_examples_are_a_variant(loaded: list[LoadedEngine], tmp_path: Path) -> None:
    result = evaluate(write_one_shot(tmp_path, drawn_images(3)), models=["first"], by_example=True)
    assert [run.name.prompts for run in result.runs] == ["texts", "examples"]
    assert "IoU_FG" in result.runs[1].differences


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": "mine"}, "app or paper"),
        ({"threshold": 0.35}, "0.02, 0.04"),
        ({"threshold": float("nan")}, "cannot be scored"),
        ({"protocol": "paper", "engines": (EngineSettings(detail="tiles"),)}, "leave out"),
        ({"chosen": ("dog",)}, "'dog' is not a class"),
        ({"layout": "tar"}, "'tar' is not a layout"),
    ],
)
def test_invalid_requests_are_rejected_before_a_model_is_loaded(
    loaded: list[LoadedEngine], data: Path, changes: dict, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run_evaluation(EvaluationRequest(path=data, **changes))
    assert not loaded
