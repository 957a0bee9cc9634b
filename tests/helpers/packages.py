"""Packages with entry points, as pip would install them, in a folder of a test."""

from collections.abc import Mapping
from pathlib import Path


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
