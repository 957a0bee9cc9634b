"""CSV tables, read back by Python's csv module."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from clipseg_live.core.mattes import Label
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.registry import open_data_sink
from clipseg_live.exporters.tables import CSV_COLUMNS
from tests.helpers.known_mattes import HEADER, frames_with_mattes, mask, mattes_of, write_frames

INFO, FRAMES, MATTES = frames_with_mattes()
LABELS = (Label("red circle", 0.5), Label('étoile "青", 😀\nnext line', 0.3), Label("=1+1", 1))


def test_csv_has_a_row_for_each_frame_and_prompt(tmp_path: Path) -> None:
    write_frames(open_data_sink("csv", tmp_path / "m.csv", DataOptions(HEADER, LABELS)), INFO, FRAMES, MATTES, LABELS)
    data = (tmp_path / "m.csv").read_bytes()
    assert data.endswith(b"\r\n") and data.startswith(",".join(CSV_COLUMNS).encode() + b"\r\n")
    assert json.loads((tmp_path / "m.csv.header.json").read_text("utf-8")) == HEADER
    with (tmp_path / "m.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    assert len(rows) == len(FRAMES) * len(LABELS)
    for number, row in enumerate(rows):
        frame, mattes, label = FRAMES[number // 3], MATTES[number // 3], LABELS[number % 3]
        wanted = mask(mattes.each[number % 3])
        assert (row["file"], int(row["frame"]), row["prompt"]) == (INFO.name, frame.index, label.name)
        assert float(row["time"]) == pytest.approx(float(frame.time)) and float(row["threshold"]) == label.threshold
        assert row["present"] == ("true" if wanted.any() else "false")
        assert int(row["area"]) == wanted.sum() and float(row["share"]) == pytest.approx(wanted.mean(), abs=1e-8)
        assert int(row["components"]) == ndimage.label(wanted, np.ones((3, 3)))[1]
        assert float(row["presence"]) == pytest.approx(mattes.presence[number % 3], abs=1e-4)
        box = [int(row[name]) for name in ("x", "y", "width", "height")]
        if wanted.any():
            down, across = np.nonzero(wanted)
            assert box == [across.min(), down.min(), np.ptp(across) + 1, np.ptp(down) + 1]
            assert 0 < float(row["probability"]) <= 1
        else:
            assert box == [0, 0, 0, 0] and float(row["probability"]) == 0


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_the_header_file_is_replaced_with_its_table(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"m.{form}"
    for version in ("1", "2"):
        sink = open_data_sink(form, path, DataOptions({"version": version}, LABELS, overwrite=version == "2"))
        write_frames(sink, INFO, FRAMES[:1], MATTES[:1], LABELS)
        assert json.loads((tmp_path / f"m.{form}.header.json").read_text("utf-8")) == {"version": version}
    path.unlink()
    write_frames(open_data_sink(form, path, DataOptions({"version": "3"})), INFO, FRAMES[:1], MATTES[:1], LABELS)
    assert json.loads((tmp_path / f"m.{form}.header.json").read_text("utf-8")) == {"version": "3"}


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_an_unwritable_header_is_reported(form: str, tmp_path: Path) -> None:
    (tmp_path / f"m.{form}.header.json").mkdir()
    sink = open_data_sink(form, tmp_path / f"m.{form}", DataOptions({"version": "1"}, LABELS))
    write_frames(sink, INFO, FRAMES, MATTES, LABELS)
    assert sink.path.exists()
    assert sink.notices == [f"m.{form}.header.json, which describes how m.{form} was made, could not be written."]


def test_a_prompt_missing_at_first_does_not_change_column_types(tmp_path: Path) -> None:
    """Readers infer the types of columns from the first lines."""
    info, frames, _ = frames_with_mattes(3, (8, 9))
    alphas = [np.zeros((8, 9), np.uint8), np.zeros((8, 9), np.uint8), np.full((8, 9), 255, np.uint8)]
    sink = open_data_sink("jsonl", tmp_path / "m.jsonl")
    write_frames(sink, info, frames, [mattes_of([alpha]) for alpha in alphas], [Label("a", 1)])
    lines = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert len({tuple((name, type(value)) for name, value in line.items()) for line in lines}) == 1
    assert [line["instance"] for line in lines] == [0, 0, 1]
