"""Commands of the command line: groups of options as parameters, hidden names of options, and the layout of ``--help``.

A command is a function whose parameters may be dataclasses (``options.py``). Each field of such a dataclass is an
option: ``with_options`` gives the command one parameter for each field, and calls the function with the dataclasses.
"""

import copy
import functools
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, ClassVar, get_args, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

PROMPTS = "Prompts"
RESULT = "Output"
DATA = "Masks and data"
STYLE = "Effects"
MASK = "Mask settings"
INPUT = "Input"
VIRTUAL = "Virtual camera"
RECORDING = "Recording"
MODEL = "Model"
NETWORK = "Network streams"
OTHER = "Other options"

GROUPS = (PROMPTS, RESULT, DATA, STYLE, MASK, INPUT, VIRTUAL, RECORDING, MODEL, NETWORK, OTHER)
"""Order of the groups in ``--help``. An option without ``rich_help_panel`` belongs to the last group."""

FORMER_NAMES = {
    "--background-threshold": "--none-level",
    "--fill-holes": "--fill",
    "--min-area": "--smallest",
    "--motion-tracking": "--follow",
    "--overlap": "--together",
    "--placeholder": "--safe",
    "--resize-mode": "--fit",
    "--temporal": "--time",
}
"""Former names of options by their present names. They are accepted, but not shown."""
FORMER_FLAGS = {"--edges": ("--no-edges", "off")}
"""Former flags of options that now have a value: the flag, and the value that it stands for."""


def option(group: str, metavar: str | None, text: str, *names: str, default: str | None = None) -> Any:
    """Return the definition of an option, for ``Annotated``.

    Args:
        group: Group of the option in ``--help``.
        metavar: Placeholder of the value; None for a flag.
        text: Help text.
        *names: Names of the option; none for the name of the field.
        default: Text about the default value.
    """
    shown = True if default is None else default
    return typer.Option(*names, metavar=metavar, help=text, show_default=shown, rich_help_panel=group)


def with_options(**defaults: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that makes a command of a function, with ``--log-level`` and the options of its dataclasses.

    Args:
        **defaults: Texts about the default values of this command, by the name of the field, where they differ from
            those of the definitions.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        kinds = get_type_hints(function, include_extras=True)
        kinds.pop("return", None)

        @functools.wraps(function)
        def run(log_level: str | None = None, **values: Any) -> None:  # the callback of log_level has set the level
            function(**_collected(kinds, values))

        expanded = [
            each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in inspect.signature(function).parameters.values()
            for each in _expanded(parameter.replace(annotation=kinds[parameter.name]), defaults)
        ]
        log_level = inspect.Parameter("log_level", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=LogLevel)
        run.__signature__ = inspect.Signature([*expanded, log_level])  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*expanded, log_level)}
        return run

    return decorate


def _expanded(parameter: inspect.Parameter, defaults: dict[str, str]) -> Iterator[inspect.Parameter]:
    """Yield a parameter, or one parameter for each field if it is a dataclass."""
    kind = parameter.annotation
    if is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        for field in fields(kind):
            inner = parameter.replace(name=field.name, default=field.default, annotation=hints[field.name])
            yield from _expanded(inner, defaults)
    elif parameter.name in defaults:
        value, definition = get_args(kind)
        definition = copy.copy(definition)
        definition.show_default = defaults[parameter.name]
        yield parameter.replace(annotation=Annotated[value, definition])
    else:
        yield parameter


def _collected(kinds: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of parameters. The value of a dataclass is made of those of its fields."""
    return {
        name: _made(kind, values) if is_dataclass(kind) else values[name]
        for name, kind in kinds.items()
        if name in values or is_dataclass(kind)
    }


def _made(kind: Any, values: dict[str, Any]) -> Any:
    return kind(**_collected(get_type_hints(kind), values))


def use_log_level(name: str | None) -> str | None:
    """Apply ``--log-level``.

    Raises:
        UsageError: The level is unknown.
    """
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.system import logs

    if name is not None:
        if name.lower() not in logs.LEVELS:
            raise UsageError(f"{name!r} is not a log level: use {', '.join(logs.LEVELS)}.")
        logs.set_level(name.lower())
    return name


LogLevel = Annotated[
    str | None,
    typer.Option(
        "--log-level",
        metavar="LEVEL",
        help="Show log records of this level and above: debug, info, warning or error.",
        callback=use_log_level,
        is_eager=True,
    ),
]


class CommandGroup(TyperGroup):
    """Group of commands that are built when they are called, because each takes time for its options.

    Credentials of addresses are masked in errors about arguments.
    """

    functions: ClassVar[Mapping[str, "Callable[..., None] | typer.Typer"]] = {}
    """Functions of the commands, or groups, by name."""
    former_names: ClassVar[Mapping[str, str]] = {}
    """Present names of commands by their former names, which are accepted, but not shown."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.commands: dict[str, Any] = dict.fromkeys(self.functions)  # their names are suggested after a typing error

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        return list(self.functions)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; None if there is none of this name."""
        function = self.functions.get(self.former_names.get(cmd_name, cmd_name))
        if function is None:
            return None
        return _build_command(function, cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the name and the first sentence of each command."""
        texts = {
            name: self.get_command(ctx, name).help if isinstance(function, typer.Typer) else function.__doc__
            for name, function in self.functions.items()
        }
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first_sentence(text)) for name, text in texts.items()])

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Parse the arguments. Mask credentials in errors."""
        with _masked_errors():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Mask credentials in errors."""
        with _masked_errors():
            return super().invoke(ctx)


@functools.cache  # the types of its options take most of the time of a call
def _build_command(function: "Callable[..., None] | typer.Typer", name: str) -> Any:
    if not isinstance(function, typer.Typer):
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        single.command(name, cls=GroupedCommand)(function)
        function = single
    command = get_command(function)
    command.name = name
    return command


def _first_sentence(text: str | None) -> str:
    return re.split(r"(?<=\.) ", " ".join((text or "").split()))[0]


@contextmanager
def _masked_errors() -> Iterator[None]:
    """Mask credentials in an error about arguments, because the command line parser quotes them."""
    try:
        yield
    except Exception as error:
        if isinstance(message := getattr(error, "message", None), str):
            from clipseg_live.core.addresses import redact

            error.message = redact(message)  # type: ignore[attr-defined]
        raise


class GroupedCommand(TyperCommand):
    """A command that accepts former names of its options, and whose ``--help`` shows its options in groups."""

    def make_parser(self, ctx: Any) -> Any:
        """Return the parser, which also accepts the former names that no present option has."""
        parser: Any = super().make_parser(ctx)
        taken = {name for param in self.params for name in (*param.opts, *param.secondary_opts)}
        for param in self.params:
            former = FORMER_NAMES.get(param.opts[0])
            if former is not None and former not in taken:
                renamed = copy.copy(param)
                renamed.opts = [former]
                renamed.secondary_opts = [former.replace("--", "--no-", 1)] if param.secondary_opts else []
                renamed.add_to_parser(parser, ctx)
            flag, value = FORMER_FLAGS.get(param.opts[0], ("", ""))
            if flag and flag not in taken:
                parser.add_option(param, [flag], param.name, "store_const", nargs=0, const=value)
        return parser

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the part of the usage line after the command's name: ``[OPTIONS] INPUT...``."""
        return ["[OPTIONS]", *(usage_of(param) for param in self.params if param.param_type_name == "argument")]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, each group under its name."""
        for title, parameters in grouped(self.get_params(ctx)):
            lines = [
                (names if param.param_type_name == "option" else usage_of(param), _plain_default(words))
                for param in parameters
                for names, words in [param.get_help_record(ctx)]
            ]
            with formatter.section(title):
                formatter.write_dl(lines)


def usage_of(argument: Any) -> str:
    """Return an argument as in a usage line: ``SOURCE``, ``[SOURCE]`` if it is optional, ``INPUT...``."""
    name = argument.metavar or argument.name.upper()
    name = f"{name}..." if argument.nargs == -1 else name
    return name if argument.required else f"[{name}]"


def grouped(parameters: Iterable[Any]) -> list[tuple[str, list[Any]]]:
    """Return the parameters of a command by group: arguments first, then groups in the order of ``GROUPS``.

    Raises:
        KeyError: An option has an unknown group.
    """
    groups: dict[str, list[Any]] = {"Arguments": [], **{title: [] for title in GROUPS}}
    for param in parameters:
        title = "Arguments" if param.param_type_name == "argument" else getattr(param, "rich_help_panel", None) or OTHER
        groups[title].append(param)
    alone = not any(groups[title] for title in GROUPS if title != OTHER)
    return [("Options" if alone and title == OTHER else title, members) for title, members in groups.items() if members]


def _plain_default(words: str) -> str:
    """Simplify default values: remove parentheses around their text, and write ``x>=1`` as ``1 or more``."""
    words = re.sub(r"\[default: \(([^)]*)\)", r"[default: \1", words)
    return re.sub(r"; x>=(\S+)\]$", r"; \1 or more]", words)
