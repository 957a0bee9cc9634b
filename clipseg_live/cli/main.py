"""Command line: the commands, and the output after errors and Ctrl-C."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from clipseg_live._version import __version__
from clipseg_live.cli.bench import bench
from clipseg_live.cli.commands import CommandGroup, LogLevel
from clipseg_live.cli.doctor import doctor
from clipseg_live.cli.evaluate import evaluate
from clipseg_live.cli.export.command import export
from clipseg_live.cli.index import index
from clipseg_live.cli.live import live
from clipseg_live.cli.models import group as models_group
from clipseg_live.cli.record import record
from clipseg_live.cli.search.command import search
from clipseg_live.cli.virtual_camera import virtual_camera
from clipseg_live.cli.watch import watch
from clipseg_live.core.system import logs, signals

logger = logging.getLogger(__name__)


class _Commands(CommandGroup):
    """All commands."""

    functions: ClassVar = {
        "live": live, "watch": watch, "virtual-camera": virtual_camera, "record": record, "export": export,
        "evaluate": evaluate, "index": index, "search": search, "bench": bench, "doctor": doctor,
        "models": models_group(),
    }  # fmt: skip
    former_names: ClassVar = {"camera": "virtual-camera"}


COMMANDS = (*_Commands.functions, *_Commands.former_names)

app = typer.Typer(
    name="clipseg-live",
    cls=_Commands,
    help="Segment cameras, videos and images by text, live. Without a command, the window opens.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


_INTERRUPTED = 130
"""Exit code of typer after Ctrl-C."""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"clipseg-live {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    log_level: LogLevel = None,
) -> None:
    if context.invoked_subcommand is None:
        live()


def run(arguments: Sequence[str]) -> int:
    """Run a command, and return its exit code: 0 done, 1 failed, 2 wrong usage."""
    from clipseg_live.core.errors import ClipsegLiveError

    logger.info("clipseg-live %s: %s", __version__, _command_of(arguments))
    logger.debug("Arguments: %s", list(arguments))
    try:
        with signals.raising():
            app(list(arguments), prog_name="clipseg-live")
    except SystemExit as exit_request:
        if exit_request.code == _INTERRUPTED:
            _say("Stopped.")
            return 1
        return exit_request.code if isinstance(exit_request.code, int) else 1
    except ClipsegLiveError as error:
        logger.warning("The command failed", exc_info=True)
        _say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _say("Stopped.")
        return 1
    except Exception as error:
        logger.exception("The command failed unexpectedly")
        _say(
            f"Unexpected error ({type(error).__name__}: {' '.join(str(error).split())[:200]}). "
            f"The log has the details: {logs.log_file() or 'run it again with --log-level debug'}"
        )
        return 1
    return 0


def log_folder() -> Path:
    """Return the folder of the log file."""
    from platformdirs import user_log_path

    return user_log_path("clipseg-live", appauthor=False)


def _command_of(arguments: Sequence[str]) -> str:
    """Return the command and the names of its options, without their values."""
    names = [argument.split("=")[0] for argument in arguments if argument.startswith("--")]
    return " ".join([next((argument for argument in arguments if argument in COMMANDS), "live"), *names])


def _say(sentence: str) -> None:
    from clipseg_live.core.addresses import redact

    print(f"clipseg-live: {redact(sentence)}", file=sys.stderr)  # noqa: T201
