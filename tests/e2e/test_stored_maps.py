"""``export --maps``, with ``shapes``."""

from collections.abc import Callable
from pathlib import Path

OPTIONS = ("demo:", "--to", "0.2", "--smoothing", 0)


def test_maps_are_saved_and_used_with_other_settings(clipseg_live: Callable, tmp_path: Path) -> None:
    prompts = "-p", "red circle", "-p", "blue star"
    first = clipseg_live("export", *OPTIONS, *prompts, "--maps", "set.npz", "--data", "csv:a.csv", small=True)
    assert first.code == 0 and "set.npz" not in first.err
    again = clipseg_live("export", *OPTIONS, *prompts, "--maps", "set.npz", "--data", "csv:b.csv", small=True)
    assert again.code == 0 and "are from set.npz; the model did not run" in again.err
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    other = clipseg_live(
        "export", *OPTIONS, "-p", "blue star", "--threshold", 0.9, "--edges", "off", "--maps", "set.npz",
        "--data", "csv:c.csv", small=True,
    )  # fmt: skip
    assert other.code == 0 and "the model did not run" in other.err
    assert (tmp_path / "c.csv").read_bytes() != (tmp_path / "a.csv").read_bytes()
    refused = clipseg_live(
        "export",
        *OPTIONS,
        "-p",
        "blue star",
        "--detail",
        "zoom",
        "--maps",
        "set.npz",
        "--data",
        "csv:d.csv",
        small=True,
    )
    assert refused.code == 2 and "other values of --detail" in refused.err and not (tmp_path / "d.csv").exists()
