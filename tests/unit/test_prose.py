"""The prose of the pages: short sentences, plain words, and valid lists."""

import re
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

PAGES = sorted(
    page
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    if page.name not in ("CHANGELOG.md", "command-line.md", "quality-tables.md")
)
LONGEST_AVERAGE = 20
"""Maximum mean number of words per sentence of a page."""
LONGEST = 40
"""Maximum number of words of a sentence."""
AVOIDED = (
    r"\banew\b", r"\bwholly\b", r"\blikewise\b", r"\bwhatever\b", r"\bis told\b", r"\bto be had\b", r"\bbe had\b",
    r"\ba package more\b", r"\bbelieved\b", r"\btaken (away|out)\b", r"\bsays a word\b", r"\bin its place\b",
    r"\bcannot be\.", r"\bfor want of\b", r"\ba person\b(?!\")", r"\bgo on\b", r"\bgoes on\b", r"\bput into effect\b",
    r"\bis no (picture|way|film|prediction)\b", r"\bFound and mended\b", r"\bthose of (itself|its own)\b",
)  # fmt: skip


def sentences(text: str) -> list[str]:
    """Return the sentences of a page: of paragraphs, list items and long table cells, without code and links."""
    text = re.sub(r"^( *)(```|~~~).*?^ *\2", "\n", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"^(#.*|\[[^\]]+\]: .*|::: .*|    [a-z_]+:.*|---|!!! \w+.*|=== .*)$", "", text, flags=re.MULTILINE)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])", r"\1", text)
    text = re.sub(r"`[^`]*`", "code", text)
    blocks: list[str] = []
    for paragraph in re.split(r"\n\s*\n|\n(?= *(?:[-*|]|\d+\.) ?)", text):
        if paragraph.lstrip().startswith("|"):
            blocks += [cell for cell in paragraph.split("|") if len(cell.split()) > 8]
        else:
            blocks.append(re.sub(r"^\s*(?:[-*]|\d+\.) ", "", paragraph))
    found = []
    for block in blocks:
        found += re.split(r"(?<=[.!?])[*\")]*\s+(?=[A-Z*\"(0-9]|code)", " ".join(block.split()))
    return [sentence for sentence in found if re.search(r"[a-z]", sentence)]


def words(sentence: str) -> int:
    """Return the number of words, without punctuation, arrows and list numbers."""
    return len(re.findall(r"[\w'’]+(?:[-./×:][\w'’]+)*", sentence))


def test_sentences_are_found() -> None:
    page = "# A title\n\nOne. Two words,\nnot three!\n\n- `code` here. And [a link](b.md)\n\n```sh\nno prose\n```\n"
    assert [words(sentence) for sentence in sentences(page)] == [1, 4, 2, 3]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_sentences_are_short(page: Path) -> None:
    found = sentences(page.read_text(encoding="utf-8"))
    average = sum(map(words, found)) / max(len(found), 1)
    assert average < LONGEST_AVERAGE, f"{average:.1f} words in a sentence"
    assert [sentence for sentence in found if words(sentence) > LONGEST] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lists_and_their_code_blocks_are_valid(page: Path) -> None:
    """Markdown of the site is stricter than GitHub's: an empty line before a list, four spaces before code in it."""
    text = re.sub(r"^( *)```.*?^ *```", r"\1```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"^(?! *(?:[-*]|\d+\.) |  +|#)\S.*\n(?:[-*]|\d+\.) .*", text, flags=re.MULTILINE) == []
    assert re.findall(r"^ {1,3}```", text, flags=re.MULTILINE) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_nonstandard_words_are_not_used(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert [match[0] for pattern in AVOIDED for match in re.finditer(pattern, text)] == []
