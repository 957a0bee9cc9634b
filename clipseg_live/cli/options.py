"""Options that several commands share, and the groups of options in ``--help``."""

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from fractions import Fraction

    from clipseg_live.core.settings.live import SourceSpec

PROMPTS = "What to look for"
RESULT = "Where results go"
DATA = "Masks and data"
LOOK = "How it looks"
MATTES = "How masks are made"
MODEL = "The model"
PART = "Which part of the input"
VIRTUAL = "The virtual camera"
RECORDING_GROUP = "The recording"
NETWORK = "Streams from the network"
OTHER = "Other options"

GROUPS = (PROMPTS, RESULT, DATA, LOOK, MATTES, PART, VIRTUAL, RECORDING_GROUP, MODEL, NETWORK, OTHER)
"""Order of the groups in ``--help``. An option without ``rich_help_panel`` belongs to the last group."""

ONCE = "once for all prompts, or once for each in their order"


def refuse_session(given: str | list[str] | None) -> str | list[str] | None:
    """Return the sources of a command unchanged.

    Raises:
        UsageError: One of them is a session file.
    """
    for name in [given] if isinstance(given, str) else given or ():
        if name.lower().endswith(".json"):
            from clipseg_live.core.errors import UsageError
            from clipseg_live.core.session_file import is_session_name

            if is_session_name(name):
                raise UsageError(f"{name} is a session file: name a source, and the session with --session {name}.")
    return given


Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="camera:0, a file, an address (rtsp:// or http://), screen: or demo:.",
        callback=refuse_session,
    ),
]
RtspTransport = Annotated[
    str,
    typer.Option(
        "--rtsp-transport",
        metavar="NAME",
        help="What carries the pictures of an rtsp address: auto (tcp first, then udp), tcp or udp.",
        rich_help_panel=NETWORK,
    ),
]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure",
        help="Do not verify the certificate of an https, rtsps or rtmps address.",
        rich_help_panel=NETWORK,
    ),
]
DeinterlaceOption = Annotated[
    str,
    typer.Option(
        metavar="auto|off",
        help="Interlaced video: make whole frames, or leave both fields in each.",
        rich_help_panel=PART,
    ),
]
Sequence = Annotated[
    bool,
    typer.Option(
        "--sequence",
        help="The pictures of a folder or pattern are the frames of a film, not separate photos.",
        rich_help_panel=PART,
    ),
]
RateOption = Annotated[
    str | None,
    typer.Option(
        "--rate",
        metavar="NUMBER",
        help="With --sequence: frames per second, such as 30 or 30000/1001.",
        show_default="25",
        rich_help_panel=PART,
    ),
]
Prompts = Annotated[
    list[str] | None,
    typer.Option("--prompt", "-p", metavar="TEXT", help="What to look for; repeat for more.", rich_help_panel=PROMPTS),
]
SessionOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A session that was saved in the window, in place of prompts and look.",
        rich_help_panel=PROMPTS,
    ),
]
TrustSession = Annotated[
    bool,
    typer.Option(
        "--trust-session",
        help="Let the session use files outside its folder, or a model of its own.",
        rich_help_panel=PROMPTS,
    ),
]
Thresholds = Annotated[
    list[float] | None,
    typer.Option(
        metavar="0..1",
        help=f"The probability from which on a pixel counts: {ONCE}.",
        show_default="0.5",
        rich_help_panel=MATTES,
    ),
]
EffectOption = Annotated[
    str | None,
    typer.Option(
        metavar="EFFECTS",
        help='What is drawn: names joined by +, such as "spotlight+outline(width=0.4)"; see docs/effects.md.',
        show_default="tint+outline",
        rich_help_panel=LOOK,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Effects and masks for a purpose: default, broadcast, green screen, inspect, privacy or highlight.",
        show_default="default",
        rich_help_panel=LOOK,
    ),
]
SegmentationOption = Annotated[
    str | None,
    typer.Option(
        metavar="FORM",
        help="In coco: polygon (what most tools read) or rle (smaller).",
        show_default="polygon",
        rich_help_panel=DATA,
    ),
]
Instances = Annotated[
    str | None,
    typer.Option(
        metavar="RULE",
        help="In coco, yolo and jsonl: an annotation is a connected component or a whole prompt.",
        show_default="component",
        rich_help_panel=DATA,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A model's name or folder (see: clipseg-live models).",
        show_default="the published CLIPSeg; shapes for demo:",
        rich_help_panel=MODEL,
    ),
]


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


def takes_log_level(command: Callable[..., None]) -> Callable[..., None]:
    """Add the option ``--log-level`` to a command."""

    @functools.wraps(command)
    def with_level(*arguments: Any, log_level: str | None = None, **options: Any) -> None:
        command(*arguments, **options)  # the option's callback has set the level

    signature = inspect.signature(command)
    option = inspect.Parameter("log_level", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=LogLevel)
    with_level.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])  # type: ignore[attr-defined]
    with_level.__annotations__ = {**command.__annotations__, "log_level": LogLevel}
    return with_level


def sequence_rate(sequence: bool, rate: str | float | None = None) -> "Fraction | None":
    """Return the frame rate if images are a video, or None if they are not.

    Raises:
        UsageError: The rate is invalid, or it is given without ``--sequence``.
    """
    from pydantic import TypeAdapter, ValidationError

    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.settings.base import DEFAULT_SEQUENCE_RATE, SequenceRate

    if not sequence:
        if rate is not None:
            raise UsageError("--rate is for the pictures of a film: give --sequence as well.")
        return None
    if rate is None:
        return DEFAULT_SEQUENCE_RATE
    try:
        found: Fraction = TypeAdapter(SequenceRate).validate_python(rate)
    except (ValidationError, ZeroDivisionError) as error:
        raise UsageError(f"{rate!r} is not a rate: give frames per second, such as 25 or 30000/1001.") from error
    return found


def source_spec(
    name: str,
    rtsp_transport: str,
    insecure: bool,
    sequence: "Fraction | None" = None,
    *,
    deinterlace: str = "auto",
    film: bool = False,
) -> "SourceSpec":
    """Return the source of a command.

    Args:
        name: Name of the source.
        rtsp_transport: Transport of an RTSP address.
        insecure: Do not verify certificates.
        sequence: Frame rate if images are a video.
        deinterlace: "off" keeps both fields in the frames of interlaced videos.
        film: The command needs a video, not separate photos.

    Raises:
        UsageError: A value is invalid, or the source does not fit ``sequence`` or ``film``.
    """
    from clipseg_live.core.addresses import SourceName
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.settings.base import validated
    from clipseg_live.core.settings.live import SourceSpec
    from clipseg_live.core.system.paths import is_folder_or_pattern

    is_many = "://" not in name and is_folder_or_pattern(name)
    if sequence is not None and not is_many:
        raise UsageError(f"--sequence takes a folder or a pattern of pictures, which {SourceName(name)} is not.")
    if film and sequence is None and is_many:
        raise UsageError(f"{name} is a set of separate photos, not a film: add --sequence to make a film of them.")
    return validated(
        SourceSpec,
        name=SourceName(name),
        rtsp_transport=rtsp_transport,
        insecure=insecure,
        sequence=sequence,
        deinterlace=deinterlace,
    )


class MaskingGroup(TyperGroup):
    """Group of commands that masks the credentials of addresses in errors about arguments."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Parse the arguments. Mask credentials in errors."""
        with _masked_errors():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Mask credentials in errors."""
        with _masked_errors():
            return super().invoke(ctx)


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
    """A command whose ``--help`` shows its options in groups."""

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
