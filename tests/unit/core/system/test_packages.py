"""Optional packages, and the command that installs them."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from clipseg_live.core.system import packages
from clipseg_live.core.system.packages import REQUIREMENTS, has_package, install_command, missing_package

PROJECT = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())["project"]


def test_requirements_are_those_of_the_project() -> None:
    listed = [
        *PROJECT["dependencies"],
        *(each for extra in PROJECT["optional-dependencies"].values() for each in extra),
    ]
    ranges = {requirement.partition(";")[0].strip() for requirement in listed}
    assert set(REQUIREMENTS.values()) <= ranges
    names = {re.split("[<>=]", requirement)[0].replace("-", "_") for requirement in REQUIREMENTS.values()}
    assert names == set(REQUIREMENTS)


@pytest.mark.parametrize("executable", [sys.executable, "/a folder/python"])
@pytest.mark.parametrize(("installed", "found"), [({"pip"}, None), (set(), "/usr/bin/uv"), (set(), None)])
def test_the_command_installs_for_the_running_python(
    monkeypatch: pytest.MonkeyPatch, executable: str, installed: set[str], found: str | None
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(packages, "has_package", lambda module: module in installed)
    monkeypatch.setattr(packages.shutil, "which", lambda name: found)
    words = shlex.split(install_command("mss"))
    assert executable in words and words[-1] == "mss>=10,<11", words
    assert words[-2] == (executable if found else "install")


def test_the_command_is_one_that_this_python_knows() -> None:
    words = shlex.split(install_command("mss"))
    if words[0] == sys.executable and "ensurepip" not in words:
        assert subprocess.run([*words[:-1], "--help"], capture_output=True, timeout=60).returncode == 0


def test_a_missing_package_is_one_sentence() -> None:
    assert missing_package("Screen capture", "mss").startswith(
        "Screen capture needs the package mss, which is not installed: run "
    )
    assert has_package("json") and not has_package("no_such_module") and not has_package("json.none.such")
