"""``clipseg-live models``: the models that have a name, and what of them is on this machine."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from clipseg_live.model.catalogue import CatalogueEntry


def models(
    json_output: Annotated[bool, typer.Option("--json", help="Print a list of models as JSON.")] = False,
) -> None:
    """List the known models and what of them is on this machine (the network is not asked)."""
    import json
    import sys
    from dataclasses import asdict

    from rich.console import Console

    from clipseg_live.model.catalogue import catalogue

    entries = catalogue()
    if json_output:
        json.dump([asdict(entry) for entry in entries], sys.stdout, indent=2, default=str)
        sys.stdout.write("\n")
        return
    console = Console(highlight=False)
    for entry in entries:
        _print_entry(console, entry)
    console.print("--model takes a name, a short name, or any folder in the same format.", style="dim")


def _print_entry(console: "Console", entry: "CatalogueEntry") -> None:
    from rich.text import Text

    heading = Text(entry.name, style="bold")
    if entry.aliases:
        heading.append(f"  {', '.join(entry.aliases)}", style="not bold cyan")
    if entry.default:
        heading.append("  default", style="not bold green")
    console.print(heading)
    console.print(Text(f"  {entry.summary}"))
    console.print(_state(entry), soft_wrap=True)  # a path in pieces could not be copied
    console.print()


def _state(entry: "CatalogueEntry") -> "object":
    from rich.filesize import decimal
    from rich.text import Text

    if entry.path is None:
        absent = "missing from this installation" if entry.ships else "not on this machine; fetched at its first use"
        return Text(f"  {absent}", style="red" if entry.ships else "dim")
    state = Text("  ").append("whole" if entry.whole else "incomplete", style="green" if entry.whole else "yellow")
    state.append(f", {decimal(entry.bytes)}, ").append(str(entry.path), style="dim")
    if entry.problem is not None:
        state.append(f"\n  {entry.problem}", style="yellow")
    return state
