"""The check for names that several modules define."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
try:
    import check_names
finally:
    sys.path.pop(0)


def test_shared_names_are_found(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "a.py").write_text("from x import imported\nA, B = 1, 2\n_PRIVATE = 1\ndef run(): ...\n")
    (tmp_path / "part" / "b.py").write_text("from x import imported\nB: int = 3\n_PRIVATE = 1\nclass run: ...\n")
    assert check_names.shared_names(tmp_path) == {"B": ["a.py", "part/b.py"], "run": ["a.py", "part/b.py"]}


@pytest.mark.parametrize(("intended", "code"), [({"B": ""}, 0), ({}, 1), ({"B": "", "C": ""}, 1)])
def test_only_intended_names_may_be_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, intended: dict[str, str], code: int
) -> None:
    for name in "ab":
        (tmp_path / f"{name}.py").write_text("B = 1\n")
    monkeypatch.setattr(check_names, "PACKAGE", tmp_path)
    monkeypatch.setattr(check_names, "INTENDED", intended)
    assert check_names.main() == code


@pytest.mark.slow
def test_the_package_has_no_other_shared_names() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "scripts" / "check_names.py")], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout
