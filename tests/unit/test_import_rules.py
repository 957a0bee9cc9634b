"""The import rules hold, and each of them catches a violation."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

VIOLATIONS = [
    ("core/frame.py", "import clipseg_live.video.files", "Upper layers"),
    ("video/compose.py", "import clipseg_live.model.devices", "Upper layers"),
    ("model/devices.py", "import clipseg_live.pipeline.stage", "Upper layers"),
    ("pipeline/stage.py", "import clipseg_live.cli.main", "Upper layers"),
    ("pipeline/export.py", "import torch", "Only the model"),
    ("model/devices.py", "import cv2", "Only video and demo"),
    ("cli/main.py", "import PySide6", "Only the window"),
    ("video/writer.py", "import rich", "Only the command line"),
    ("core/settings.py", "import PIL", "The core holds"),
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


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "clipseg_live", tmp_path / "clipseg_live", ignore=shutil.ignore_patterns("*.safetensors"))
    return tmp_path


@pytest.mark.slow
def test_the_rules_hold(copy: Path) -> None:
    result = lint(copy)
    assert result.returncode == 0, result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("module", "line", "rule"), VIOLATIONS)
def test_a_planted_violation_breaks_its_rule(copy: Path, module: str, line: str, rule: str) -> None:
    path = copy / "clipseg_live" / module
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")
    result = lint(copy)
    assert result.returncode != 0
    broken = [text for text in result.stdout.splitlines() if text.endswith("BROKEN")]
    assert any(text.startswith(rule) for text in broken), result.stdout
