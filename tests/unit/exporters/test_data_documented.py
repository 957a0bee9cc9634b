"""Examples of ``docs/data.md`` run on exported data."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from clipseg_live.core.settings.base import DATA_FORMATS
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.registry import open_data_sink
from tests.helpers.known_mattes import HEADER, LABELS, frames_with_mattes, write_frames
from tests.helpers.paths import ROOT

PAGE = (ROOT / "docs" / "data.md").read_text("utf-8")
NAMES = {
    "jsonl": "masks.jsonl", "csv": "found.csv", "png": "masks", "indexed": "indexed", "coco": "set", "yolo": "set-yolo",
    "npz": "maps",
    "mask-video": "mask.mkv", "alpha-prores": "cut.mov", "alpha-vp9": "cut.webm", "alpha-png": "cut",
    "animation-gif": "cut.gif",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("documented")
    info, frames, mattes = frames_with_mattes()
    for form, name in NAMES.items():
        write_frames(open_data_sink(form, place / name, DataOptions(HEADER, LABELS)), info, frames, mattes)
    return place


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # the examples are short
@pytest.mark.parametrize("example", examples("python"))
def test_an_example_runs(example: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    exec(compile(example, "docs/data.md", "exec"), {})


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="FFmpeg's program is not installed")
def test_the_commands_of_ffmpeg_run(folder: Path) -> None:
    (commands,) = [each for each in examples("sh") if each.startswith("ffmpeg")]
    for command in commands.splitlines():
        done = subprocess.run(command.split(), cwd=folder, capture_output=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, b""), command
        assert (folder / command.split()[-1]).stat().st_size > 100


def test_every_format_is_documented() -> None:
    assert len(examples("python")) >= 9
    for form in DATA_FORMATS:
        assert f"`{form}`" in PAGE
