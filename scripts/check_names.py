"""List public top-level names that several modules of the package define. One name should mean one thing.

    python scripts/check_names.py

Imports do not count, and neither do names that begin with an underscore. Exits with 1 if a name is not in ``INTENDED``.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "clipseg_live"
INTENDED = {
    "logger": "each module has its own",
    "main": "what a module does as a program",
    "evaluate": "the function of the Python interface, and the command",
    "export": "the function of the Python interface, and the command",
}


def defined(path: Path) -> Iterator[str]:
    """Yield the names that the top level of a module defines."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                yield from (each.id for each in ast.walk(target) if isinstance(each, ast.Name))


def shared_names(package: Path) -> dict[str, list[str]]:
    """Return the names that several modules define, with the paths of these modules."""
    modules: dict[str, set[str]] = defaultdict(set)
    for path in sorted(package.rglob("*.py")):
        for name in defined(path):
            if not name.startswith("_"):
                modules[name].add(str(path.relative_to(package)))
    return {name: sorted(paths) for name, paths in sorted(modules.items()) if len(paths) > 1}


def main() -> int:
    shared = shared_names(PACKAGE)
    for name, paths in shared.items():
        if name not in INTENDED:
            print(f"{name}: {', '.join(paths)}")
    for name in INTENDED.keys() - shared.keys():
        print(f"{name} is no longer shared: remove it from INTENDED")
    return 1 if shared.keys() != INTENDED.keys() else 0


if __name__ == "__main__":
    sys.exit(main())
