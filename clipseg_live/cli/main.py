"""The command line: its commands, and what an error or Ctrl-C looks like."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from clipseg_live import __version__
from clipseg_live.cli.bench import bench
from clipseg_live.cli.camera import camera
from clipseg_live.cli.doctor import doctor
from clipseg_live.cli.export import export
from clipseg_live.cli.live import live
from clipseg_live.cli.models import models
from clipseg_live.cli.options import GroupedCommand
from clipseg_live.cli.record import record
from clipseg_live.cli.watch import watch

app = typer.Typer(
    name="clipseg-live",
    help="Type a word and see it segmented, live: cameras, videos and pictures. Without a command, the window opens.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


_INTERRUPTED = 130
"""What typer makes of Ctrl-C."""


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
) -> None:
    if context.invoked_subcommand is None:
        live()


app.command(cls=GroupedCommand)(live)
app.command(cls=GroupedCommand)(watch)
app.command(cls=GroupedCommand)(camera)
app.command(cls=GroupedCommand)(record)
app.command(cls=GroupedCommand)(export)
app.command(cls=GroupedCommand)(bench)
app.command(cls=GroupedCommand)(doctor)
app.command(cls=GroupedCommand)(models)


def run(arguments: Sequence[str]) -> int:
    """Run a command; the exit code: 0 done, 1 failed, 2 wrong usage. Set CLIPSEG_LIVE_DEBUG to see tracebacks."""
    from clipseg_live.core.errors import ClipsegLiveError

    try:
        app(list(arguments), prog_name="clipseg-live")
    except SystemExit as exit_request:
        if exit_request.code == _INTERRUPTED:
            _say("Stopped.")
            return 1
        return exit_request.code if isinstance(exit_request.code, int) else 1
    except ClipsegLiveError as error:
        if os.environ.get("CLIPSEG_LIVE_DEBUG"):
            raise
        _say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _say("Stopped.")
        return 1
    except Exception as error:
        if os.environ.get("CLIPSEG_LIVE_DEBUG"):
            raise
        _say(
            f"Something unexpected went wrong ({type(error).__name__}: {' '.join(str(error).split())[:200]}); "
            "set CLIPSEG_LIVE_DEBUG=1 to see where."
        )
        return 1
    return 0


def _say(sentence: str) -> None:
    print(f"clipseg-live: {sentence}", file=sys.stderr)  # noqa: T201
