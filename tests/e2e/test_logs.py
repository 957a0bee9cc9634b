"""The log of commands and of the window, written by real processes."""

import os
import sys
from pathlib import Path

import pytest

from clipseg_live.core.system import logs
from tests.e2e.conftest import environment, start, write_clip


def run(folder: Path, *arguments: object, code: int = 0, **variables: str) -> str:
    """Run a command with its own log folder, and return the log."""
    with start(arguments, folder, variables={**environment(), "XDG_STATE_HOME": str(folder), **variables}) as process:
        _, errors = process.communicate(timeout=170)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    return (folder / "clipseg-live" / "log" / logs.FILE_NAME).read_text("utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="the log folder is moved by an XDG variable")
def test_the_log_of_an_export_has_no_prompts_and_no_paths(tmp_path: Path) -> None:
    write_clip(tmp_path / "zebra.mp4", range(0, 60, 20))
    common = ("-p", "red zebra", "--model", "shapes")
    text = run(tmp_path, "export", "zebra.mp4", *common, "-o", "zebra-out.mp4")
    assert "Export settings" in text and "'model': 'shapes'" in text
    text = run(tmp_path, "export", "missing zebra.mp4", *common, "-o", "x.mp4", code=1)
    assert "Traceback" in text and "SourceError" in text
    assert "zebra" not in text and str(tmp_path) not in text


@pytest.mark.skipif(sys.platform != "linux", reason="the log folder is moved by an XDG variable")
def test_records_of_export_processes_reach_the_log(tmp_path: Path) -> None:
    for name in "ab":
        write_clip(tmp_path / f"{name}.mp4", range(0, 60, 20))
    os.truncate(tmp_path / "b.mp4", 200)
    arguments = ("a.mp4", "b.mp4", "-p", "red circle", "--model", "shapes", "--into", "out", "--jobs", "2")
    text = run(tmp_path, "export", *arguments, code=1)
    assert "[clipseg-live export/MainThread] An export failed" in text
