"""Strings in the code of the package, to find where names are used."""

import ast
import re
from functools import cache

from tests.helpers.paths import ROOT

PACKAGE = ROOT / "clipseg_live"


@cache
def texts() -> dict[str, tuple[str, ...]]:
    """Return the strings in the code of each module, without docstrings."""
    by_module = {}
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings)
        by_module[path.relative_to(PACKAGE).as_posix()] = tuple(
            node.value for node in constants if isinstance(node.value, str)
        )
    return by_module


def modules_with(name: str) -> set[str]:
    """Return modules with a string that equals the name, or contains it if it has a hyphen."""
    mention = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
    return {
        module
        for module, values in texts().items()
        if any(value == name or ("-" in name and mention.search(value)) for value in values)
    }
