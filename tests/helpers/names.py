"""Where the package knows something by its name."""

import ast
import re
from functools import cache

from tests.helpers.paths import ROOT

PACKAGE = ROOT / "clipseg_live"


@cache
def texts() -> dict[str, tuple[str, ...]]:
    """Texts in the code of each module, without documentation."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in said)
        found[path.relative_to(PACKAGE).as_posix()] = tuple(
            node.value for node in constants if isinstance(node.value, str)
        )
    return found


def modules_with(name: str) -> set[str]:
    """Modules with a text that is the name, or, for a name with a hyphen, that mentions it."""
    mention = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
    return {
        module
        for module, values in texts().items()
        if any(value == name or ("-" in name and mention.search(value)) for value in values)
    }
