"""The precision benchmark prints its table and writes the same values as JSON, here on a CPU with a small network."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from tests.helpers.paths import ROOT
from tests.helpers.tolerances import SAME_MAPS

PROGRAM = ROOT / "scripts" / "bench_gpu.py"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setattr(sys, "path", list(sys.path))  # the program adds its checkout
    specification = importlib.util.spec_from_file_location("bench_gpu", PROGRAM)
    assert specification is not None and specification.loader is not None
    program = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(program)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads do not pay off with a network this small
    yield program
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_a_row_is_printed_for_each_precision_and_prompt_count(
    program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = program.main(["--device", "cpu", "--quick", "--json", str(tmp_path / "figures.json")])
    head, titles, _, *table = capsys.readouterr().out.splitlines()
    assert head.startswith("cpu with ") and titles == program.line(program.TITLES)
    assert [(row["dtype"], row["prompts"]) for row in rows] == [
        (dtype, count) for dtype in ("float32", "float16", "bfloat16") for count in (1, 4, 16)
    ]
    assert table == [program.line(program.cells(row)) for row in rows]
    assert json.loads((tmp_path / "figures.json").read_text("utf-8"))["rows"] == rows
    for row in rows:
        assert row["max_difference"] < (SAME_MAPS if row["dtype"] == "float32" else 0.25)
        assert (row["largest_from_float32"] == 0) is (row["dtype"] == "float32")


@pytest.mark.slow
def test_a_precision_without_a_prediction_is_reported_in_its_row(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = program.in_precision

    def overflowing(full: object, dtype: torch.dtype) -> object:
        engine = real(full, dtype)
        engine.network._logits = lambda *_: torch.full((1, 64, 64), np.nan)
        return engine

    monkeypatch.setattr(program, "in_precision", overflowing)
    monkeypatch.setattr(program, "COUNTS", (1,))
    rows = program.main(["--device", "cpu", "--quick"])
    assert ["problem" in row for row in rows] == [False, True, True]
    assert "use --dtype float32" in capsys.readouterr().out
