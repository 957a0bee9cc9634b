"""Generated parts of the documentation site, from the definitions of commands and effects.

    python scripts/make_docs.py         # prints the page of the command line

``site_hooks.py`` inserts them when the site is built.
"""

import inspect
import re
import textwrap
from typing import Any

from typer.main import get_command

from clipseg_live.cli import main as command_line
from clipseg_live.cli.commands import grouped, usage_of
from clipseg_live.core.settings.effects import KINDS, EffectSettings

WIDTH = 120

HEAD = """\
# The command line

{summary}

Every command lists its options with `--help`. This page is written from the same definitions.

| command | what it does |
|---|---|
{commands}

An error ends in one sentence on standard error, with exit code 2 for wrong usage and 1 for a failure. Ctrl-C ends every
command; its result is finished or removed. The log file has the traceback: `clipseg-live doctor` names the file and
shows its last lines. `--log-level debug` or `CLIPSEG_LIVE_DEBUG=1` shows records on standard error.
"""

SHARED = """\
## Shared options

{names} have all of these options. Where an option takes one value for each prompt, repeat it:
`-p hair -p mug --threshold 0.4 --threshold 0.6`.
"""
SHARING = ("live", "watch", "virtual-camera", "record", "export")
"""Commands that segment a source. Their common options are in one section."""


def main() -> None:
    print(page())


def page() -> str:
    """Return the whole page, as Markdown."""
    commands = all_commands()
    shared = shared_options(commands)
    listed = [
        f"| [`{name}`](#{name}) | {_cell(_first_sentence(_description(each)))} |" for name, each in commands.items()
    ]
    summary = _one_line(command_line.app.info.help or "")
    parts = [HEAD.format(summary=summary, commands="\n".join(listed)), shared_section(shared)]
    for name, each in commands.items():
        parts.append(section(name, each, shared if name in SHARING else {}))
        parts += [section(f"{name} {part}", command, {}) for part, command in getattr(each, "commands", {}).items()]
    return "\n".join(parts)


def effect_sections() -> str:
    """Return a section for each effect."""
    return "\n".join(effect_section(kind, effect) for kind, effect in KINDS.items())


def effect_section(kind: str, effect: type[EffectSettings]) -> str:
    """Return the section of an effect: its description, an image, and a table of its options."""
    lines = [f"## {kind}", "", f"![{kind}](pictures/effects/{kind}.webp)", "", _one_line(effect.__doc__ or "")]
    fields = [(name, field) for name, field in effect.model_fields.items() if name != "kind"]
    if fields:
        lines += ["", "| option | default | what it does |", "|---|---|---|"]
        lines += [f"| `{name}` | `{field.default}` | {_cell(field.description or '')} |" for name, field in fields]
    return "\n".join([*lines, ""])


def all_commands() -> dict[str, Any]:
    """Return the commands by name."""
    root: Any = get_command(command_line.app)
    return {name: root.get_command(None, name) for name in root.list_commands(None)}


def shared_options(commands: dict[str, Any]) -> dict[str, Any]:
    """Return the options that all commands of ``SHARING`` have, by their table row without the default."""
    options = [{_key(each): each for each in commands[name].params if not _is_argument(each)} for name in SHARING]
    common = set.intersection(*(set(each) for each in options))
    return {key: option for key, option in options[-1].items() if key in common}


def shared_section(shared: dict[str, Any]) -> str:
    """Return the section of the shared options."""
    names = [f"`{name}`" for name in SHARING]
    lines = [_paragraphs(SHARED.format(names=f"{', '.join(names[:-1])} and {names[-1]}")), ""]
    for title, parameters in grouped(shared.values()):
        lines += [*_table(f"### {title}", parameters), ""]
    return "\n".join(lines)


def section(name: str, command: Any, shared: dict[str, Any]) -> str:
    """Return the section of a command: what it does, how it is called, and a table for each group of its options.

    Args:
        name: Name of the command.
        command: The command.
        shared: Options that are left out.
    """
    usage = " ".join(["clipseg-live", name, *map(usage_of, _arguments(command)), "[OPTIONS]"])
    lines = [f"## {name}", "", _wrapped(_linked(_description(command))), "", "```sh", usage, "```", ""]
    lines += _other_defaults(command, shared)
    for title, parameters in grouped(each for each in command.params if _key(each) not in shared):
        if title == "Arguments":
            lines += [_argument_line(each) for each in parameters]
        else:
            lines += _table(f"### {name}: {title[0].lower()}{title[1:]}", parameters)
        lines.append("")
    return "\n".join(lines)


def _other_defaults(command: Any, shared: dict[str, Any]) -> list[str]:
    """Return a sentence about the shared options, with the defaults of the command that differ from theirs."""
    if not shared:
        return []
    names: dict[str, list[str]] = {}
    for option in command.params:
        if _key(option) in shared and _default(option) != _default(shared[_key(option)]):
            names.setdefault(_default(option), []).append(f"`{option.opts[0]}`")
    others = "; ".join(f"{', '.join(options)}: {default}" for default, options in names.items())
    sentence = "It also has the [shared options](#shared-options)" + (
        f", with other defaults: {others}." if others else "."
    )
    return [_wrapped(sentence), ""]


def _table(heading: str, options: list[Any]) -> list[str]:
    head = [heading, "", "| option | value | default | what it does |", "|---|---|---|---|"]
    return [*head, *(_row(each) for each in options)]


def _key(option: Any) -> str:
    return repr((option.opts, option.secondary_opts, option.metavar, option.help))


def _is_argument(parameter: Any) -> bool:
    return parameter.param_type_name == "argument"


def _arguments(command: Any) -> list[Any]:
    return [each for each in command.params if _is_argument(each)]


def _argument_line(argument: Any) -> str:
    default = argument.show_default if isinstance(argument.show_default, str) else ""
    line = f"`{usage_of(argument)}`: {_linked(argument.help)}" + (f" Default: {default}." if default else "")
    return _wrapped(line)


def _row(option: Any) -> str:
    names = " ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    value = "" if option.is_flag else f"`{option.metavar or option.name.upper()}`"
    return f"| {names} | {_cell(value)} | {_cell(_default(option))} | {_cell(_linked(option.help or ''))} |"


def _default(option: Any) -> str:
    """Return the text about the default; "" for a switch that is off and for a value that is absent."""
    if isinstance(option.show_default, str):
        return option.show_default
    if option.is_flag or option.default is None or option.default == []:
        return ""
    return str(option.default)


def _linked(text: str) -> str:
    """Return the text with pages as links and options as code."""
    text = re.sub(r"docs/(\w[\w-]*)\.md", r"[\1](\1.md)", text)
    return re.sub(r"(?<![\w-])(--[a-z]+(?:-[a-z]+)*)", r"`\1`", text)


def _description(command: Any) -> str:
    return _one_line(inspect.cleandoc(command.help or ""))


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=\.) ", text)[0]


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _paragraphs(text: str) -> str:
    return "\n\n".join(
        part if part.startswith("#") else _wrapped(_one_line(part)) for part in text.strip().split("\n\n")
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
