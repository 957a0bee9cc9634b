"""docs/troubleshooting.md quotes messages exactly."""

import ast
import re
from functools import cache

import pytest

from tests.helpers.paths import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^### (.+)$", PAGE, flags=re.MULTILINE)


@cache
def literals() -> str:
    """Return all strings of the package, one per line. Values in them are "…"."""
    found = []
    for file in (ROOT / "clipseg_live").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def is_written(message: str) -> bool:
    """Return whether the parts of a message between values are in one string of the package."""
    parts = [re.escape(part) for part in re.split(r"\s*…\s*", message) if part]
    return re.search(r"[^\n]*?".join(parts), literals()) is not None


@pytest.mark.slow
def test_an_unknown_message_is_detected() -> None:
    assert is_written("… exists already: use --overwrite to replace it.")
    assert not is_written("… exists already: use --force to replace it.")


@pytest.mark.parametrize("message", QUOTED)
def test_quoted_messages_exist_in_the_package(message: str) -> None:
    assert is_written(message)
