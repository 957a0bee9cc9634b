"""Packages with entry points in a folder of a test, as pip would install them."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from clipseg_live.core.settings.data_formats import FORMAT_SPECS
from clipseg_live.core.settings.effects import EFFECT_KINDS
from clipseg_live.core.settings.source_schemes import SOURCE_SCHEMES
from tests.helpers.paths import ROOT


def install(
    folder: Path, name: str, entry_points: Mapping[str, Mapping[str, str]], source: str = "", version: str = "1.0"
) -> None:
    """Write a package's module and metadata.

    Args:
        folder: A folder of ``sys.path``.
        name: Name of the package, and of its module with underscores.
        entry_points: Objects ("module:name") by group and name.
        source: Source of the module; "" writes none.
        version: Version of the package.
    """
    module = name.replace("-", "_")
    metadata = folder / f"{module}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
    groups = (
        f"[{group}]\n" + "".join(f"{entry} = {value}\n" for entry, value in entries.items())
        for group, entries in entry_points.items()
    )
    (metadata / "entry_points.txt").write_text("\n".join(groups), "utf-8")
    if source:
        (folder / f"{module}.py").write_text(source, "utf-8")


def install_example(folder: Path, page: str) -> None:
    """Install the package of a page of ``docs/how-to``, from the two files on the page."""
    text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text("utf-8")
    (project,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (source,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    values = tomllib.loads(project)
    install(folder, values["project"]["name"], values["project"]["entry-points"], version=values["project"]["version"])
    (module,) = values["tool"]["setuptools"]["py-modules"]
    (folder / f"{module}.py").write_text(source, "utf-8")


def forget_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clear the registries of installed packages now and after the test."""
    for registry in (EFFECT_KINDS, FORMAT_SPECS, SOURCE_SCHEMES):
        monkeypatch.setattr(registry, "_entries", None)
        monkeypatch.setattr(registry, "_loaded", {})
        monkeypatch.setattr(registry, "_problems", {})
