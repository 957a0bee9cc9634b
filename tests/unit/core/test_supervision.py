"""Results as ``supervision.Detections``; the tests use the real package if it is installed."""

import builtins
import sys
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest

from clipseg_live import Failure, Prompt, Segmentation, UsageError


@dataclass
class Detections:
    """The used fields of the real class."""

    xyxy: np.ndarray
    mask: np.ndarray
    confidence: np.ndarray
    class_id: np.ndarray
    data: dict


@pytest.fixture(params=["stand-in", "real"])
def package(request, monkeypatch) -> ModuleType:
    if request.param == "real":
        return pytest.importorskip("supervision")
    module = ModuleType("supervision")
    module.Detections = Detections
    monkeypatch.setitem(sys.modules, "supervision", module)
    return module


@pytest.fixture
def result() -> Segmentation:
    maps = np.full((3, 20, 30), 0.1, np.float32)
    maps[0, 2:8, 3:13] = 0.9
    maps[0, 2, 3] = 0.6
    maps[2, 19, 29] = 0.7
    return Segmentation(maps, tuple(map(Prompt.text, ("red mug", "nothing", "corner"))), (20, 30))


def test_detections_have_boxes_masks_and_classes(package, result):
    detections = result.to_supervision()
    assert isinstance(detections, package.Detections)
    assert detections.xyxy.tolist() == [[3, 2, 13, 8], [29, 19, 30, 20]]
    assert detections.mask.shape == (2, 20, 30) and detections.mask.dtype == bool
    assert np.array_equal(detections.mask, result.masks()[[0, 2]])
    assert detections.confidence == pytest.approx([(59 * 0.9 + 0.6) / 60, 0.7])
    assert detections.class_id.tolist() == [0, 2]
    assert detections.data["class_name"].tolist() == ["red mug", "corner"]


def test_threshold_selects_detections_and_empty_masks_give_none(package, result):
    assert result.to_supervision(threshold=0.8).class_id.tolist() == [0]
    empty = result.to_supervision(threshold=0.99)
    assert isinstance(empty, package.Detections)
    assert empty.xyxy.shape == (0, 4) and empty.mask.shape == (0, 20, 30) and len(empty.data["class_name"]) == 0
    with pytest.raises(UsageError, match="threshold"):
        result.to_supervision(threshold=2)


def test_missing_package_gives_an_error(result, monkeypatch):
    real = builtins.__import__

    def missing(name: str, *arguments: object, **keywords: object) -> object:
        if name == "supervision":
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(Failure, match='pip install "supervision>='):
        result.to_supervision()
