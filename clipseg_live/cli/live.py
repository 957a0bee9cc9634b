"""``clipseg-live live``: open the window. This is also the default command."""

import os
import sys
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipseg_live.cli.commands import OTHER, option, with_options
from clipseg_live.cli.settings import change_settings, load_base
from clipseg_live.cli.shared_options import (
    DrawingOptions,
    EngineOptions,
    FramingOptions,
    InputOptions,
    LiveOptions,
    MatteOptions,
    NetworkOptions,
    ReuseOptions,
    names_of,
)
from clipseg_live.cli.sources import source_spec
from clipseg_live.core.system import signals

if TYPE_CHECKING:
    from clipseg_live.core.settings.live import LiveSettings, SourceSpec

_KEPT = [
    option.name
    for group in (MatteOptions, EngineOptions, FramingOptions, DrawingOptions, ReuseOptions)
    for option in fields(group)
]
"""Fields of the options whose default is the value of the last run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowOptions:
    """Options of ``live`` alone."""

    demo: Annotated[
        bool,
        option(
            OTHER, None, "Open the demo scene with three prompts and the model shapes; so does demo: alone.", "--demo"
        ),
    ] = False


@with_options(**dict.fromkeys(_KEPT, "as in the last run"))
def live(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="camera:0, a file, an address (rtsp:// or http://), screen: or demo:; "
            "or a session file (.clipseg.json).",
            show_default="that of the last run, or the first camera",
        ),
    ] = None,
    *,
    segmentation: LiveOptions,
    reading: InputOptions,
    network: NetworkOptions,
    window: WindowOptions,
) -> None:
    """Open the window: a camera, video or stream with its masks, whose prompts and effects you edit while it runs."""
    with signals.ending():  # until the window handles signals itself
        code = _open_window(source, segmentation, reading, network, demo=window.demo)
    if code:
        raise typer.Exit(code)


def _open_window(
    source: str | None, options: LiveOptions, reading: InputOptions, network: NetworkOptions, *, demo: bool
) -> int:
    from clipseg_live.core.errors import Failure, UsageError
    from clipseg_live.core.session_file import is_session_name

    if source is not None and is_session_name(source):
        if options.prompts.session is not None:
            raise UsageError(f"{source} and {options.prompts.session} are two session files: give one.")
        options, source = replace(options, prompts=replace(options.prompts, session=Path(source))), None
    opening = [*names_of(reading), *names_of(network)]
    if source is None and opening:
        raise UsageError(f"{opening[0]} applies to one source: name the source as well.")
    spec: str | SourceSpec | None = source
    if source is not None and opening:
        spec = source_spec(source, reading, network)
    settings: LiveSettings | None = None
    if options.prompts.session is not None:
        settings = load_base(options, exclusive=False)
    elif demo or (source is not None and source.startswith("demo:")):
        from clipseg_live.demo.example import demo_settings

        demo, spec = True, spec or "demo:"
        settings = demo_settings()
    change = partial(change_settings, options)
    settings = None if settings is None else change(settings)
    if not has_display():
        raise Failure(
            "There is no display to open a window on: use clipseg-live watch SOURCE -p TEXT for data, or "
            "clipseg-live export INPUT -p TEXT -o OUT.mp4 for a video."
        )
    from clipseg_live.gui.app import run_window
    from clipseg_live.gui.state.preferences import preferences_path

    path = preferences_path()
    if demo:  # the demo does not change the stored preferences
        path = path.with_name("demo.json")
    return run_window(settings=settings, change=change, source=spec, path=path)


def has_display() -> bool:
    """Return whether Qt can open a window here."""
    if sys.platform != "linux":
        return True
    names = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    return any(os.environ.get(name) for name in names)
