"""Hooks of MkDocs: they complete the navigation and write the generated parts of pages.

A page asks for a generated part with a comment on a line of its own, ``<!-- generated: NAME -->``. The parts are
``GENERATED``. ``mkdocs.yml`` names this file; ``mkdocs build --strict`` runs it.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "scripts"))

import make_docs  # noqa: E402
import site_parts  # noqa: E402
from mkdocs.exceptions import PluginError  # noqa: E402

GENERATED: dict[str, Callable[[], str]] = {
    "command-line": lambda: make_docs.page().partition("\n")[2],  # the page has its title already
    "effects": make_docs.effect_sections,
    "settings": site_parts.settings,
    "decisions": site_parts.decisions,
    "presets": site_parts.presets,
}
_TABLE_ROW = re.compile(r"^\|.*\|$", re.MULTILINE)
_MARK = re.compile(r"^<!-- generated: ([\w-]+) -->$", re.MULTILINE)


def on_config(config: Any) -> Any:
    """Replace folders in the navigation by their pages, by name. Folders without pages are left out.

    "FOLDER/" becomes a group of its own, "FOLDER/*" the pages alone.
    """
    docs = Path(config.docs_dir)
    config.nav = [{title: _expanded(entries, docs) for title, entries in section.items()} for section in config.nav]
    return config


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Insert the generated parts of a page, and adapt its tables."""

    def part(match: re.Match[str]) -> str:
        if match[1] not in GENERATED:
            raise PluginError(f"{page.file.src_uri} asks for {match[1]}; there are {', '.join(GENERATED)}")
        return GENERATED[match[1]]()

    return _TABLE_ROW.sub(_unescaped, _MARK.sub(part, markdown))


def _unescaped(row: re.Match[str]) -> str:
    """Return a row of a table without backslashes before bars in code: GitHub needs them, MkDocs would show them."""
    return re.sub(r"`[^`]*`", lambda code: code[0].replace("\\|", "|"), row[0])


def _expanded(entries: list[str], docs: Path) -> list[str | dict[str, Any]]:
    expanded: list[str | dict[str, Any]] = []
    for entry in entries:
        folder, slash, rest = entry.rpartition("/")
        if not slash or rest not in ("", "*"):
            expanded.append(entry)
            continue
        files = sorted((docs / folder).glob("*.md"), key=lambda file: (file.name != "index.md", file.name))
        pages = [file.relative_to(docs).as_posix() for file in files]
        if rest == "*":
            expanded += pages
        elif pages:
            expanded.append({folder.replace("-", " ").capitalize(): pages})
    return expanded
