"""``scripts/test``: arguments of pytest, environment, and summary."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers.paths import ROOT

SCRIPTS = ROOT / "scripts"


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    specification = importlib.util.spec_from_file_location("_checks", SCRIPTS / "_checks.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "_checks", module)  # dataclasses look for it
    specification.loader.exec_module(module)
    return module


def test_pytest_uses_several_processes_and_given_arguments_are_last(checks: ModuleType) -> None:
    assert checks.pytest_arguments([])[-5:] == [
        "-n",
        str(checks.processes()),
        "--dist=loadfile",
        "--no-loadscope-reorder",
        "--max-worker-restart=0",
    ]
    assert checks.pytest_arguments(["-x", "-k", "camera"])[-3:] == ["-x", "-k", "camera"]
    assert "-n" in checks.pytest_arguments(["-k", "camera"])


def test_quick_leaves_out_slow_tests(checks: ModuleType) -> None:
    found = checks.pytest_arguments(["--quick", "-x"])
    assert found[found.index("-m") + 1] == "not slow" and found[-1] == "-x" and "--quick" not in found
    assert "not slow" not in checks.pytest_arguments(["-x"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["tests/gui"],
        ["tests/unit/core/test_metrics.py::test_x"],
        ["-n", "5"],
        ["-n5"],
        ["--numprocesses=2"],
        ["--pdb"],
        ["--collect-only"],
        ["-k", "x", "tests/e2e"],
    ],
)
def test_selected_tests_or_processes_disable_parallel_options(checks: ModuleType, arguments: list[str]) -> None:
    found = checks.pytest_arguments(arguments)
    assert found[-len(arguments) :] == arguments and "--dist=loadfile" not in found


@pytest.mark.parametrize(
    ("cores", "processes", "quick"), [(1, 2, 1), (2, 3, 2), (3, 4, 3), (4, 4, 4), (6, 6, 6), (64, 8, 8)]
)
def test_number_of_processes_depends_on_cores(
    checks: ModuleType, monkeypatch: pytest.MonkeyPatch, cores: int, processes: int, quick: int
) -> None:
    monkeypatch.setattr(checks.os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert (checks.processes(), checks.processes(quick=True)) == (processes, quick)
    assert checks.pytest_arguments(["--quick"])[1:3] == ["-n", str(quick)]
    monkeypatch.delattr(checks.os, "sched_getaffinity")
    monkeypatch.setattr(checks.os, "cpu_count", lambda: cores)
    assert checks.processes() == processes
    monkeypatch.setattr(checks.os, "cpu_count", lambda: None)
    assert checks.processes() == 2


def test_pytest_environment_allows_bytecode_files(checks: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("OTHER", "2")
    found = checks.variables()
    assert "PYTHONDONTWRITEBYTECODE" not in found and found["OTHER"] == "2"


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Return a program that replaces Python. It prints the name of the check.

    It fails if a file with this name exists; the file contains the exit code.
    """
    program = tmp_path / "python"
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "from pathlib import Path\n"
        "first, second = sys.argv[1:3] if len(sys.argv) > 2 else (sys.argv[1], '')\n"
        "name = second if first == '-m' else 'import rules' if first == '-c' else 'names'\n"
        "print('output of', name)\n"
        "print('errors of', name, file=sys.stderr)\n"
        "code = Path(__file__).with_name(name)\n"
        "raise SystemExit(int(code.read_text()) if code.exists() else 0)\n"
    )
    program.chmod(0o755)
    return program


def run(python: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    code = f"import pathlib, sys, _checks; sys.exit(_checks.run(pathlib.Path({str(python)!r}), sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env={**os.environ, "PYTHONPATH": str(SCRIPTS)}, timeout=60, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def blocks(lines: Sequence[str]) -> dict[str, list[str]]:
    """Return the lines that follow each announcement of a check."""
    found: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("Checking: "):
            current = found.setdefault(line.removeprefix("Checking: "), [])
        else:
            current.append(line)
    return found


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a script stands in for Python")
@pytest.mark.parametrize("failing", [(), ("pytest",), ("mypy",), ("ruff", "import rules")])
def test_output_of_each_check_is_contiguous_and_failures_are_named(python: Path, failing: tuple[str, ...]) -> None:
    for name in failing:
        python.with_name(name).write_text("3")
    done = run(python, "--quick")
    assert done.returncode == (1 if failing else 0), done.stdout
    found = blocks(done.stdout.splitlines())
    assert list(found) == ["pytest", "ruff", "mypy", "names", "import rules"]
    times = found["import rules"].pop(2)
    seconds = {part.rsplit(" ", 2)[0]: int(part.split(" ")[-2]) for part in times.split(", ")}
    assert list(seconds) == ["ruff", "mypy", "names", "import rules", "pytest"] and max(seconds.values()) < 60
    assert found["import rules"][2:] == ([f"Failed: {', '.join(failing)}"] if failing else [])
    for name, lines in found.items():
        assert sorted(lines[:2]) == [f"errors of {name}", f"output of {name}"]
