"""The benchmark of composition prints its tables, with and without the library that it compares with."""

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
    monkeypatch.setattr(module, "BESIDE", (480, 270))
    return module


@pytest.mark.slow
def test_without_supervision_it_says_how_to_get_it(program, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "supervision", None)
    threads = cv2.getNumThreads()
    program.main(["--rounds", "1", "--threads", "1"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[3] for row in rows if "160x90" in row] == ["1", "4", "16"] * 2
    assert " ".join(rows[-1]) == program.MISSING
    assert cv2.getNumThreads() == threads


def test_on_a_busy_machine_it_counts_its_own_time(program, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "supervision", None)
    seen = []
    monkeypatch.setattr(program, "print_ours", lambda rounds, clock: seen.append((cv2.getNumThreads(), clock)))
    program.main(["--busy", "--threads", "2"])
    program.main(["--threads", "2"])
    assert seen == [(1, time.thread_time), (2, time.perf_counter)]
    assert "1 thread(s), milliseconds of the processor: median" in capsys.readouterr().out


class Annotator:
    seen: ClassVar[list[np.ndarray]] = []

    def annotate(self, scene, detections):
        self.seen.append(detections.mask)
        return scene


@pytest.mark.slow
def test_supervision_is_given_the_very_same_masks(program, monkeypatch, capsys):
    fake = ModuleType("supervision")
    fake.__version__ = "9.9"
    fake.MaskAnnotator = fake.PolygonAnnotator = Annotator
    fake.Detections = SimpleNamespace
    fake.mask_to_xyxy = lambda masks: np.zeros((len(masks), 4))
    monkeypatch.setitem(sys.modules, "supervision", fake)
    monkeypatch.setattr(Annotator, "seen", [])
    program.main(["--rounds", "1", "--threads", "1"])
    out = capsys.readouterr().out
    assert "beside supervision 9.9, 480x270, 4 prompts" in out and program.MISSING not in out
    of_maps = next(mask for mask in Annotator.seen if mask is not Annotator.seen[0])
    for mask in (Annotator.seen[0], of_maps, Annotator.seen[-1]):
        assert mask.shape == (4, 270, 480) and mask.dtype == bool and 0.001 < mask.mean() < 0.5
    pictures, maps = program.example((480, 270), 4, 1.0)
    composer = EffectRenderer(RenderSettings(effects=(Tint(),), styles=program.styles(4)))
    changed = (composer.compose(pictures[0], program.hard_masks(pictures[0], maps)) != pictures[0]).any(axis=2)
    assert np.array_equal(changed, Annotator.seen[0].any(axis=0))
    # resized by OpenCV, which rounds in another way
    assert (Annotator.seen[0] != of_maps).mean() < 1e-5
    rows = [line[2:40].strip() for line in out.splitlines() if line.startswith(("  ours,", "  supervision,"))]
    assert rows == 2 * [
        f"{who}, {what}" for who in ("ours", "supervision") for what in ("masks ready-made", "from the maps")
    ]
