"""The composition benchmark prints its tables with and without supervision."""

import importlib.util
import sys
import time
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import cv2
import numpy as np
import pytest

from clipseg_live.core.settings.effects import Tint
from clipseg_live.core.settings.rendering import RenderSettings
from clipseg_live.rendering.renderer import EffectRenderer
from tests.helpers.paths import ROOT

PROGRAM = ROOT / "scripts" / "bench_compose.py"


@pytest.fixture
def program(monkeypatch):
    specification = importlib.util.spec_from_file_location("bench_compose", PROGRAM)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.setattr(module, "SIZES", ((160, 90),))
    monkeypatch.setattr(module, "COMPARISON_SIZE", (480, 270))
    return module


@pytest.mark.slow
def test_missing_supervision_is_reported(program, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "supervision", None)
    threads = cv2.getNumThreads()
    program.main(["--rounds", "1", "--threads", "1"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[3] for row in rows if "160x90" in row] == ["1", "4", "16"] * 2
    assert " ".join(rows[-1]) == program.MISSING
    assert cv2.getNumThreads() == threads


def test_busy_option_measures_thread_time(program, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "supervision", None)
    calls = []
    monkeypatch.setattr(program, "print_pipeline", lambda rounds, clock: calls.append((cv2.getNumThreads(), clock)))
    program.main(["--busy", "--threads", "2"])
    program.main(["--threads", "2"])
    assert calls == [(1, time.thread_time), (2, time.perf_counter)]
    assert "1 thread(s), milliseconds of processor time: median" in capsys.readouterr().out


class Annotator:
    masks: ClassVar[list[np.ndarray]] = []

    def annotate(self, scene, detections):
        self.masks.append(detections.mask)
        return scene


@pytest.mark.slow
def test_supervision_gets_the_same_masks(program, monkeypatch, capsys):
    fake = ModuleType("supervision")
    fake.__version__ = "9.9"
    fake.MaskAnnotator = fake.PolygonAnnotator = Annotator
    fake.Detections = SimpleNamespace
    fake.mask_to_xyxy = lambda masks: np.zeros((len(masks), 4))
    monkeypatch.setitem(sys.modules, "supervision", fake)
    monkeypatch.setattr(Annotator, "masks", [])
    program.main(["--rounds", "1", "--threads", "1"])
    out = capsys.readouterr().out
    assert "compared with supervision 9.9, 480x270, 4 prompts" in out and program.MISSING not in out
    of_maps = next(mask for mask in Annotator.masks if mask is not Annotator.masks[0])
    for mask in (Annotator.masks[0], of_maps, Annotator.masks[-1]):
        assert mask.shape == (4, 270, 480) and mask.dtype == bool and 0.001 < mask.mean() < 0.5
    frames, maps = program.example((480, 270), 4, 1.0)
    composer = EffectRenderer(RenderSettings(effects=(Tint(),), styles=program.styles(4)))
    changed = (composer.compose(frames[0], program.hard_masks(frames[0], maps)) != frames[0]).any(axis=2)
    assert np.array_equal(changed, Annotator.masks[0].any(axis=0))
    # OpenCV rounds differently when it resizes
    assert (Annotator.masks[0] != of_maps).mean() < 1e-5
    rows = [line[2:40].strip() for line in out.splitlines() if line.startswith(("  ours,", "  supervision,"))]
    assert rows == 2 * [
        f"{who}, {what}" for who in ("ours", "supervision") for what in ("prepared masks", "from the maps")
    ]
