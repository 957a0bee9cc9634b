"""Registries with parts of this package and of installed packages, which may be broken, incompatible or in conflict."""

import logging
import sys
from pathlib import Path

import pytest

from clipseg_live import plugins
from clipseg_live.core.settings.plugins import PluginError, Registry, check_interface
from tests.helpers.packages import install

GROUP = "clipseg_live.numbers"


def accepted(name: str, part: object) -> int:
    if not isinstance(part, int):
        raise PluginError("it is no number")
    check_interface(2 if part == 99 else 1)
    return part


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def registry() -> Registry[int]:
    return Registry(GROUP, "number", {"one": 1, "two": 2}, accepted)


def left_out(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_parts_of_packages_follow_built_in_parts(folder: Path, registry: Registry[int]) -> None:
    install(folder, "more-numbers", {GROUP: {"three": "more_numbers:THREE"}}, "THREE = 3\n")
    assert registry.names() == ("one", "two", "three")
    assert registry.get("three") == 3
    assert registry.all() == {"one": 1, "two": 2, "three": 3}
    assert registry.get("four") is None
    assert registry.refusal("four") == "use one of one, two, three"


def test_a_package_is_imported_at_the_first_use_of_its_part(folder: Path, registry: Registry[int]) -> None:
    install(folder, "lazy-numbers", {GROUP: {"lazy": "lazy_numbers:LAZY"}}, "LAZY = 5\n")
    assert registry.get("one") == 1 and registry._entries is None, "nothing is listed for parts of this package"
    assert "lazy" in registry.names() and "lazy_numbers" not in sys.modules
    assert registry.get("lazy") == 5 and "lazy_numbers" in sys.modules


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("PART = (\n", "SyntaxError: "),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("OTHER = 3\n", "AttributeError: module 'broken_{0}' has no attribute 'PART'"),
        ("PART = 'three'\n", "it is no number"),
        ("PART = 99\n", "it is made for interface 2, and this clipseg-live has 1"),
        ("", "ModuleNotFoundError: No module named 'broken_{0}'"),
    ],
)
def test_a_broken_part_is_omitted_with_one_warning(
    source: str,
    reason: str,
    folder: Path,
    registry: Registry[int],
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
) -> None:
    number = request.node.callspec.indices["source"]  # a separate module for each case
    module = f"broken_{number}"
    install(folder, module.replace("_", "-"), {GROUP: {"bad": f"{module}:PART", "good": "good_part:PART"}}, source)
    (folder / "good_part.py").write_text("PART = 7\n", "utf-8")
    for _ in range(3):
        assert registry.get("bad") is None
    assert registry.all() == {"one": 1, "two": 2, "good": 7} and registry.names() == ("one", "two", "good")
    (warning,) = left_out(caplog)
    assert warning.startswith(f"The number bad of broken-{number} 1.0 is left out: {reason.format(number)}")
    record = next(record for record in caplog.records if record.levelno == logging.WARNING)
    assert record.exc_info is not None
    assert registry.refusal("bad").startswith(f"that of broken-{number} 1.0 cannot be used, ")


def test_a_part_cannot_replace_another_one(
    folder: Path, registry: Registry[int], caplog: pytest.LogCaptureFixture
) -> None:
    install(folder, "clash-a", {GROUP: {"one": "clash_a:PART", "six": "clash_a:PART"}}, "PART = 6\n")
    install(folder, "clash-b", {GROUP: {"six": "clash_b:PART"}}, "PART = 66\n", version="2.1")
    assert registry.get("one") == 1 and registry.get("six") == 6
    assert left_out(caplog) == [
        "The number one of clash-a 1.0 is left out: this number is part of clipseg-live",
        "The number six of clash-b 2.1 is left out: clash-a 1.0 has one of the same name",
    ]


def test_built_in_parts_survive_damaged_package_metadata(
    registry: Registry[int], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: str) -> None:
        raise ValueError("damaged")

    monkeypatch.setattr("importlib.metadata.entry_points", fail)
    assert registry.all() == {"one": 1, "two": 2} and registry.get("three") is None
    assert left_out(caplog) == [f"The entry points {GROUP} cannot be listed"]


def test_public_names_for_packages_exist() -> None:
    assert all(getattr(plugins, name) is not None for name in plugins.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Sparkle'"):
        _ = plugins.Sparkle
