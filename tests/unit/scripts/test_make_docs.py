"""The generated page of the command line is complete and matches the definitions."""

import importlib.util
from types import ModuleType
from typing import Any, get_args

import pytest
from typer.main import get_command

from clipseg_live.cli import main
from clipseg_live.core.settings.base import CODECS, DATA_FORMATS, DETAILS, RESIZE_MODES
from clipseg_live.core.settings.effects import KINDS
from clipseg_live.core.settings.presets import PRESETS
from clipseg_live.core.settings.rendering import TemporalMode
from tests.helpers.paths import ROOT


@pytest.fixture(scope="module")
def program() -> ModuleType:
    specification = importlib.util.spec_from_file_location("make_docs", ROOT / "scripts" / "make_docs.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def options_of(command: str) -> dict[str, Any]:
    root: Any = get_command(main.app)
    return {each.name: each for each in root.get_command(None, command).params}


@pytest.mark.slow
def test_page_has_every_command_and_option_with_a_description(program: ModuleType) -> None:
    page = program.page()
    shared = page.split("\n## Shared options\n", 1)[1].split("\n## ", 1)[0]
    for name, command in program.all_commands().items():
        section = page.split(f"\n## {name}\n", 1)[1].split("\n## ", 1)[0]
        section += shared if name in program.SHARING else ""
        for option in command.params:
            assert option.help and option.help.endswith((".", ")")), f"{name}: {option.name}"
            if option.param_type_name == "option":
                assert all(f"`{each}`" in section for each in (*option.opts, *option.secondary_opts))
                assert option.is_flag or option.metavar, f"{name} {option.opts[0]}: say what its value is"


def test_page_names_defaults_that_differ(program: ModuleType) -> None:
    page = " ".join(program.page().split())
    assert "with other defaults: `--smoothing`: 0; `--motion-tracking`: no; `--edges`: off." in page


@pytest.mark.parametrize(
    ("option", "names"),
    [
        ("codec", CODECS),
        ("preset", PRESETS),
        ("data", DATA_FORMATS),
        ("detail", DETAILS),
        ("resize_mode", RESIZE_MODES),
        ("temporal", get_args(TemporalMode)),
    ],
)
def test_help_names_every_choice(option: str, names: Any) -> None:
    text = options_of("export")[option].help
    assert [name for name in names if name not in text] == []


def test_every_effect_has_a_section_with_its_options(program: ModuleType) -> None:
    sections = program.effect_sections()
    for kind, effect in KINDS.items():
        section = sections.split(f"## {kind}\n", 1)[1].split("\n## ", 1)[0]
        assert f"![{kind}](pictures/effects/{kind}.webp)" in section
        assert [f"| `{name}` |" in section for name in effect.model_fields if name != "kind"].count(False) == 0


def test_the_program_prints_the_page(program: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    program.main()
    assert capsys.readouterr().out == program.page() + "\n"
