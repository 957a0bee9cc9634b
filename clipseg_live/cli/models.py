"""``clipseg-live models``: list, download and remove models, and clear the cache of converted ones."""

from typing import TYPE_CHECKING, Annotated

import typer

from clipseg_live.cli.commands import GroupedCommand, with_options

if TYPE_CHECKING:
    from rich.console import Console

    from clipseg_live.model.store.catalogue import CatalogueEntry
    from clipseg_live.model.store.converted import ConvertedModel

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name or short name of a model (see: clipseg-live models).")]


def models(
    context: typer.Context,
    json_output: Annotated[bool, typer.Option("--json", help="Print a list of models as JSON.")] = False,
) -> None:
    """List the known models and whether they are on this machine, without using the network."""
    if context.invoked_subcommand is not None:
        return
    import json
    import sys
    from dataclasses import asdict

    from rich.console import Console

    from clipseg_live.model.store.catalogue import catalogue, converted_folders

    entries = catalogue()
    if json_output:
        json.dump([asdict(entry) for entry in entries], sys.stdout, indent=2, default=str)
        sys.stdout.write("\n")
        return
    console = Console(highlight=False)
    for entry in entries:
        _print_entry(console, entry)
    _print_folders(console, converted_folders())
    console.print("--model takes a name, a short name, or any folder in the same format.", style="dim")


def fetch(
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Download all files again, even complete ones.")] = False,
) -> None:
    """Download the missing files of a model, and verify all of them.

    Damaged files are downloaded again. After an interruption, complete files are kept.
    """
    from rich.filesize import decimal

    from clipseg_live.model.store import loading

    fetched = loading.fetch_model(name, force=force)
    for damaged in fetched.repaired:
        typer.echo(f"{damaged} was damaged and has been downloaded again.", err=True)
    typer.echo(f"{fetched.files.name} is complete: {decimal(fetched.bytes)} in {fetched.files.folder}")


def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Delete a downloaded model from this machine. Its next use downloads it again."""
    import sys

    from rich.filesize import decimal

    from clipseg_live.core.errors import UsageError
    from clipseg_live.model.store import loading

    found = loading.find_removable(name)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(
                f"There is no terminal to ask for confirmation: repeat the command with --yes to delete {found.folder}."
            )
        if not typer.confirm(f"Delete {found.model.name} ({decimal(found.bytes)}) from {found.folder}?"):
            typer.echo("Nothing was deleted.")
            return
    loading.remove_model(found)
    typer.echo(f"{found.model.name} was deleted; {decimal(found.bytes)} are free again.")


def clear(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Name, short name or folder of a model; all without it.")
    ] = None,
) -> None:
    """Delete models that were converted for OpenVINO. Their next use converts them again."""
    from rich.filesize import decimal

    from clipseg_live.model.store import loading
    from clipseg_live.model.store.converted import remove_converted

    model = loading.known(name) if name is not None else None
    gone = remove_converted(model.name if model is not None else name)
    if not gone:
        typer.echo("There is no converted model to delete.")
        return
    for each in gone:
        typer.echo(f"The converted form of {each.model} was deleted; {decimal(each.bytes)} are free again.")


def group() -> typer.Typer:
    """Return the group with its commands."""
    commands = typer.Typer(
        invoke_without_command=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )
    commands.callback()(with_options()(models))
    for command in (fetch, remove, clear):
        commands.command(cls=GroupedCommand)(with_options()(command))
    return commands


def _print_entry(console: "Console", entry: "CatalogueEntry") -> None:
    from rich.filesize import decimal
    from rich.text import Text

    heading = Text(entry.name, style="bold")
    if entry.aliases:
        heading.append(f"  {', '.join(entry.aliases)}", style="not bold cyan")
    if entry.default:
        heading.append("  default", style="not bold green")
    console.print(heading)
    console.print(Text(f"  {entry.summary}"))
    console.print(_state(entry), soft_wrap=True)  # a wrapped path could not be copied
    if entry.converted_bytes:
        console.print(Text(f"  converted for OpenVINO, {decimal(entry.converted_bytes)}"))
    console.print()


def _print_folders(console: "Console", found: "tuple[ConvertedModel, ...]") -> None:
    from rich.filesize import decimal
    from rich.text import Text

    for each in found:
        console.print(Text(each.model, style="bold"), soft_wrap=True)
        console.print(Text(f"  a folder of yours, converted for OpenVINO, {decimal(each.bytes)}"))
        console.print()


def _state(entry: "CatalogueEntry") -> "object":
    from rich.filesize import decimal
    from rich.text import Text

    if entry.path is None:
        absent = (
            "missing from this installation"
            if entry.ships
            else "not on this machine; it is downloaded at its first use"
        )
        return Text(f"  {absent}", style="red" if entry.ships else "dim")
    state = Text("  ").append("complete" if entry.whole else "incomplete", style="green" if entry.whole else "yellow")
    state.append(f", {decimal(entry.bytes)}, ").append(str(entry.path), style="dim")
    if entry.problem is not None:
        state.append(f"\n  {entry.problem}", style="yellow")
    return state
