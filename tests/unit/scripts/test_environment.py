"""Logic of the scripts' virtual environment, without creating one."""

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers.paths import ROOT

SCRIPTS = ROOT / "scripts"


@pytest.fixture
def environment() -> ModuleType:
    specification = importlib.util.spec_from_file_location("_environment", SCRIPTS / "_environment.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_download_is_as_large_as_documented(environment: ModuleType) -> None:
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    for system, nvidia, size in (("Linux", False, "1.7 GB"), ("Linux", True, "5.5 GB"), ("Darwin", False, "1.7 GB")):
        assert environment.download_size(system=system, nvidia=nvidia) == size and f"about {size}" in page


@pytest.mark.parametrize(
    ("system", "nvidia", "reachable", "index"),
    [
        ("Linux", False, True, "cpu"),
        ("Linux", False, False, None),
        ("Linux", True, True, None),
        ("Windows", False, True, None),
        ("Windows", True, True, "cu126"),
        ("Darwin", False, True, None),
    ],
)
def test_the_build_of_torch_suits_the_machine(
    environment: ModuleType, system: str, nvidia: bool, reachable: bool, index: str | None
) -> None:
    found = environment.torch_arguments("2.13.0", system=system, nvidia=nvidia, reachable=reachable)
    assert found[0] == "torch==2.13.0"
    assert (found[-1].rsplit("/", 1)[-1] if len(found) > 1 else None) == index


def test_torch_is_pinned(environment: ModuleType) -> None:
    assert environment.constrained("torch") == "2.13.0"
    with pytest.raises(environment.EnvironmentProblem, match="no version of nonsense"):
        environment.constrained("nonsense")


def test_extras_need_their_own_stamp(environment: ModuleType, tmp_path: Path) -> None:
    python = environment.python_of(tmp_path)
    python.parent.mkdir()
    python.touch()
    plain, test = environment.stamps([]), environment.stamps(["test"])
    assert plain < test
    assert not environment.is_ready(tmp_path, plain)
    (tmp_path / environment._MARK).write_text("\n".join(plain))
    assert environment.is_ready(tmp_path, plain)
    assert not environment.is_ready(tmp_path, test)
    (tmp_path / environment._MARK).write_text("\n".join(test))
    assert environment.is_ready(tmp_path, plain) and environment.is_ready(tmp_path, test)
    python.unlink()
    assert not environment.is_ready(tmp_path, plain)


def test_stamps_change_with_the_requirements(
    environment: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_text("a")
    (tmp_path / "constraints.txt").write_text("b")
    before = environment.stamps([])
    (tmp_path / "constraints.txt").write_text("c")
    assert environment.stamps([]).isdisjoint(before)


def test_older_requirements_are_installed_again(
    environment: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed: list[str] = []
    python = environment.python_of(tmp_path / ".venv")
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "install_system_packages", lambda extras: None)
    monkeypatch.setattr(environment, "_works", lambda python: True)
    monkeypatch.setattr(
        environment, "_install", lambda python, extras: installed.append((tmp_path / "constraints.txt").read_text())
    )
    (tmp_path / "pyproject.toml").write_text("")
    for content in ("a", "a", "b", "a"):
        (tmp_path / "constraints.txt").write_text(content)
        environment.prepare()
    assert installed == ["a", "b", "a"]


def test_an_interrupted_installation_is_not_ready(
    environment: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = environment.python_of(tmp_path / ".venv")
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "install_system_packages", lambda extras: None)
    monkeypatch.setattr(environment, "_works", lambda python: True)
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "constraints.txt").write_text("a")
    monkeypatch.setattr(environment, "_install", lambda python, extras: None)
    environment.prepare()

    def interrupted(python: Path, extras: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(environment, "_install", interrupted)
    with pytest.raises(KeyboardInterrupt):
        environment.prepare(["test"])
    assert not environment.is_ready(tmp_path / ".venv", environment.stamps([]))


def test_an_old_python_is_rejected(environment: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "OLDEST_PYTHON", (9, 0))
    with pytest.raises(environment.EnvironmentProblem, match=r"Python 3\.11 or later is needed; this is 3\."):
        environment.prepare()


def test_missing_libraries_are_installed_as_root_and_named_otherwise(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(environment.platform, "system", lambda: "Linux")
    monkeypatch.setattr(environment.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(environment, "_loads", lambda library: library != "libGL.so.1")
    monkeypatch.setattr(environment, "run_quietly", ran.append)
    monkeypatch.setattr(environment.os, "geteuid", lambda: 1000)
    with pytest.raises(environment.EnvironmentProblem, match=r"sudo apt-get install .* libgl1$"):
        environment.install_system_packages()
    assert ran == []
    monkeypatch.setattr(environment.os, "geteuid", lambda: 0)
    environment.install_system_packages()
    assert [command[:2] for command in ran] == [["apt-get", "update"], ["apt-get", "install"]]
    assert ran[1][-1] == "libgl1"
    monkeypatch.setattr(environment.shutil, "which", lambda name: None if name == "Xvfb" else f"/usr/bin/{name}")
    assert environment.missing_packages() == ["libgl1"]
    assert environment.missing_packages(["test"]) == ["libgl1", "xvfb"]


def test_a_failed_command_shows_its_last_lines(environment: ModuleType) -> None:
    command = [environment.sys.executable, "-c", "print('cause'); raise SystemExit(3)"]
    with pytest.raises(environment.EnvironmentProblem, match="cause"):
        environment.run_quietly(command)


@pytest.mark.parametrize("script", ["run", "test"])
def test_scripts_have_a_description(script: str) -> None:
    path = SCRIPTS / script
    assert path.read_text().startswith("#!/usr/bin/env python3\n")
    assert os.access(path, os.X_OK)
    compile(path.read_text(), str(path), "exec")
