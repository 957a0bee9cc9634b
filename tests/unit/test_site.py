"""The documentation site builds without warnings and contains the generated parts."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mkdocs.exceptions import PluginError

import clipseg_live
from tests.helpers.paths import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
try:
    import site_hooks
    import site_parts
finally:
    sys.path.pop(0)


class StubPage:
    """The attributes of a page that a hook uses."""

    class file:
        src_uri = "page.md"


@pytest.mark.slow
def test_the_site_builds_and_has_every_public_name(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=150,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pages = "".join((tmp_path / name / "index.html").read_text(encoding="utf-8") for name in ("api", "settings"))
    for name in clipseg_live.__all__:
        if name != "__version__":
            assert re.search(rf'id="([\w.]+\.)?{name}"', pages, flags=re.IGNORECASE), name
    commands = (tmp_path / "command-line" / "index.html").read_text(encoding="utf-8")
    effects = (tmp_path / "effects" / "index.html").read_text(encoding="utf-8")
    assert 'id="export"' in commands and 'id="pixelate"' in effects
    assert "<!-- generated" not in pages + commands + effects
    assert "fonts.googleapis" not in pages  # no resource is loaded from another server


def test_every_field_of_the_settings_has_a_meaning() -> None:
    text = site_parts.settings()
    for model in site_parts.MODELS:
        section = text.split(f"## {model.__name__}\n", 1)[1].split("\n## ", 1)[0]
        rows = re.findall(r"^\| `(\w+)` \| \S.* \| \S.* \| \S.*\. \|$|^\| `(\w+)`", section, flags=re.MULTILINE)
        assert [whole for whole, _ in rows] == list(model.model_fields), model.__name__
    assert "PydanticUndefined" not in text


def test_every_preset_and_decision_is_listed() -> None:
    assert all(f"| {name} |" in site_parts.presets() for name in site_parts.PRESETS)
    pages = {page.name for page in (ROOT / "docs" / "decisions").glob("0*.md")}
    assert set(re.findall(r"\(([^)]+\.md)\)", site_parts.decisions())) == pages


def test_parts_are_inserted_and_unknown_ones_are_rejected() -> None:
    page = "before\n\n<!-- generated: presets -->\n\nafter"
    assert site_hooks.on_page_markdown(page, page=StubPage) == f"before\n\n{site_parts.presets()}\n\nafter"
    with pytest.raises(PluginError, match=r"page\.md asks for nothing"):
        site_hooks.on_page_markdown("<!-- generated: nothing -->", page=StubPage)


def test_bars_in_code_are_shown_without_a_backslash() -> None:
    shown = site_hooks.on_page_markdown("| `a\\|b` | c \\| d |\n\n`a\\|b`", page=StubPage)
    assert shown == "| `a|b` | c \\| d |\n\n`a\\|b`"


def test_folders_in_the_navigation_are_replaced_by_pages(tmp_path: Path) -> None:
    class Config:
        docs_dir = str(tmp_path)
        nav = [{"Part": ["one.md", "some-notes/", "some-notes/*", "absent/"]}]  # noqa: RUF012

    (tmp_path / "some-notes").mkdir()
    for name in ("b.md", "a.md", "index.md"):
        (tmp_path / "some-notes" / name).touch()
    pages = ["some-notes/index.md", "some-notes/a.md", "some-notes/b.md"]
    assert site_hooks.on_config(Config).nav == [{"Part": ["one.md", {"Some notes": pages}, *pages]}]
