"""The detail benchmark prints its table and writes the same values as JSON."""

import importlib.util
import json

import pytest

from tests.helpers.paths import ROOT

PROGRAM = ROOT / "scripts" / "bench_detail.py"


@pytest.mark.slow
def test_json_matches_the_printed_rows(monkeypatch, capsys, tmp_path):
    specification = importlib.util.spec_from_file_location("bench_detail", PROGRAM)
    program = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(program)
    monkeypatch.setattr(program, "SCALES", (0.5,))
    monkeypatch.setattr(program, "PRESENT", program.PRESENT[:1])
    program.main(["--seeds", "2", "--json", str(tmp_path / "figures.json")])
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    rows = json.loads((tmp_path / "figures.json").read_text("utf-8"))
    assert [row[:2] for row in printed[1:-1]] == [[row["prompts"], row["detail"]] for row in rows]
    assert [row["detail"] for row in rows] == ["off", "zoom", "tiles"] * 2
    assert [row["passes"] for row in rows if row["detail"] != "zoom"] == [1, 5, 1, 5]
    assert sum(rows[0]["objects"]) == 2
    assert rows[0]["absent"] is not None and rows[3]["absent"] is None
