"""The import rules hold, and each of them detects a violation."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

VIOLATIONS = [
    ("core/frame.py", "import clipseg_live.media.sources.video_file", "Upper layers"),
    ("rendering/renderer.py", "import clipseg_live.model.pytorch.devices", "Upper layers"),
    ("model/pytorch/devices.py", "import clipseg_live.runtime.threads", "Upper layers"),
    ("runtime/threads.py", "import clipseg_live.cli.main", "Upper layers"),
    ("runtime/export.py", "import torch", "Only the model"),
    ("model/pytorch/devices.py", "import cv2", "Only the packages that touch pixels"),
    ("cli/main.py", "import PySide6", "Only the window"),
    ("media/writers/video.py", "import rich", "Only the command line"),
    ("core/settings/base.py", "import PIL", "The core holds"),
]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def copied(folder: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "clipseg_live", folder / "clipseg_live", ignore=shutil.ignore_patterns("*.safetensors"))
    return folder


@pytest.mark.slow
def test_the_rules_hold(tmp_path: Path) -> None:
    result = lint(copied(tmp_path))
    assert result.returncode == 0, result.stdout


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Lint a package with all violations, and return the report of broken rules."""
    folder = copied(tmp_path_factory.mktemp("violations"))
    for module, line, _ in VIOLATIONS:
        with (folder / "clipseg_live" / module).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
    result = lint(folder)
    assert result.returncode != 0
    return result.stdout.partition("Broken contracts")[2]


@pytest.mark.slow
@pytest.mark.parametrize(("module", "line", "rule"), VIOLATIONS)
def test_each_violation_breaks_its_rule(report: str, module: str, line: str, rule: str) -> None:
    importer = f"clipseg_live.{module.removesuffix('.py').replace('/', '.')}"
    sections = re.split(r"^(.+)\n-{5,}$", report, flags=re.MULTILINE)
    (told,) = [text for title, text in zip(sections[1::2], sections[2::2], strict=True) if title.startswith(rule)]
    assert f"{importer} -> {line.removeprefix('import ')} (l." in told, report
