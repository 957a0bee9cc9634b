"""Links of README.md and CONTRIBUTING.md point to existing files and headings. test_site.py checks the other pages."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

HOMEPAGE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Homepage"]
OWN = (f"{HOMEPAGE}/blob/main/", f"{HOMEPAGE.replace('github.com', 'raw.githubusercontent.com')}/main/")
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_linked_files_and_headings_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", text, flags=re.MULTILINE):
        target = "".join(target)
        if target.startswith(OWN):
            target = target.removeprefix(next(own for own in OWN if target.startswith(own)))
            assert page.name == "README.md", "other pages link by relative paths"
        elif target.startswith("https://"):
            continue
        else:
            assert page.name != "README.md", f"{target} is dead on the package index, which shows README.md too"
        path, _, heading = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not heading or heading in headings(file.read_text(encoding="utf-8")), target


def headings(text: str) -> set[str]:
    """Return headings as GitHub names them in links."""
    found = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_every_reference_link_of_the_readme_is_defined_and_used() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    used = set(re.findall(r"\]\[([^\]]+)\]", text))
    defined = set(re.findall(r"^\[([^\]]+)\]: ", text, flags=re.MULTILINE))
    assert used == defined
