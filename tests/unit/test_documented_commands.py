"""Commands in README.md and in docs use existing commands and options."""

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from clipseg_live.cli import main
from tests.helpers.paths import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OPTIONS_OF_SCRIPTS = {"--json", "--busy", "--quick"}
SHORTENED = {"NAME", "FILE", "TEXT", "INPUT", "SOURCE", "COMMAND"}


@cache
def options() -> dict[str, set[str]]:
    """Return the options of each command and subcommand that ``--help`` lists."""
    root: Any = get_command(main.app)
    found: dict[str, set[str]] = {}
    for name in root.list_commands(None):
        command = root.get_command(None, name)
        for path, each in [
            (name, command),
            *((f"{name} {part}", c) for part, c in getattr(command, "commands", {}).items()),
        ]:
            found[path] = {word for option in each.params for word in (*option.opts, *option.secondary_opts)} | {
                "--help"
            }
    return found


def commands(page: Path) -> list[str]:
    """Return the commands of a page, from shell blocks and from code in text."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line.strip() for block in blocks for line in re.sub(r"\\\n\s*", "", block).splitlines()]
    inline = re.findall(r"`([^`]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE))
    return [" ".join(each.split()) for each in (*lines, *inline) if re.match(r"\s*clipseg-live( |$)", each)]


def problem(command: str) -> str:
    """Return the error of a command; "" if it is valid."""
    words = shlex.split(command.split("|")[0], comments=True)[1:]
    if not words or words[0] in SHORTENED or words[0].startswith(("-", "{")) or words[0].endswith((".json", "}")):
        return ""
    path = " ".join(words[:2]) if " ".join(words[:2]) in options() else words[0]
    if path not in options():
        return f"there is no command {words[0]}"
    given = [word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    unknown = [word for word in given if word not in options()[path]]
    return f"{path} has no {unknown[0]}" if unknown else ""


def options_in_text(page: Path) -> set[str]:
    """Return options that stand alone in code in text, such as ``--data FORMAT``."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return set(re.findall(r"`(--[a-z]+(?:-[a-z]+)*)[^`]*`", text))


def test_commands_are_found_and_wrong_ones_detected() -> None:
    assert len(commands(ROOT / "README.md")) >= 10
    assert problem("clipseg-live export a.mp4 -p 'a dog' --data csv:a.csv # comment --not") == ""
    assert problem("clipseg-live models fetch rd64 | cat --what") == ""
    assert problem("clipseg-live exprot a.mp4") == "there is no command exprot"
    assert problem("clipseg-live watch demo: --jobs 2") == "watch has no --jobs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_exist(page: Path) -> None:
    assert [(command, problem(command)) for command in commands(page) if problem(command)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_options_in_the_text_of_a_page_exist(page: Path) -> None:
    assert options_in_text(page) - set.union(*options().values()) - OPTIONS_OF_SCRIPTS == set()
