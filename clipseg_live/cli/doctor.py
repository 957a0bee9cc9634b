"""``clipseg-live doctor``: check versions, devices and codecs of this machine, and suggest how to make it faster."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from clipseg_live.cli.commands import with_options
from clipseg_live.core.system import logs

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console, RenderableType

    from clipseg_live.media.probe import EncoderProbe, FoundCamera
    from clipseg_live.model.benchmark import MatrixSpeed, Precision
    from clipseg_live.model.probe import Devices

PACKAGES = ("torch", "transformers", "openvino", "opencv-python", "av", "numpy", "pydantic")
APPLICATION = "clipseg-live"

_LABEL = 14

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Problem:
    """A message about a check that failed."""

    problem: str


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions of the program and of each package. None for a package that is missing."""

    clipseg_live: str
    python: str
    platform: str
    packages: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Codecs:
    """Version of FFmpeg, and the encoders."""

    ffmpeg: str
    encoders: "tuple[EncoderProbe, ...]"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that the program uses, with its size in bytes. None if it does not exist yet."""

    purpose: str
    path: "Path"
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """Results of all checks. A check that failed has a Problem in place of its result."""

    versions: Versions | Problem
    devices: "Devices | Problem"
    precision: "tuple[Precision, ...] | Problem"
    matrix_speed: "MatrixSpeed | Problem"
    codecs: Codecs | Problem
    cameras: "tuple[FoundCamera, ...] | Problem"
    caches: tuple[Folder, ...] | Problem
    faster: tuple[str, ...] | Problem
    log: tuple[str, ...]


@with_options()
def doctor(
    device: Annotated[
        str, typer.Option(metavar="NAME", help="Device on which precisions are compared: auto, cpu, cuda or mps.")
    ] = "auto",
    engine: Annotated[
        str, typer.Option(metavar="NAME", help="Engine whose precisions are compared: auto, torch or openvino.")
    ] = "auto",
    json_output: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check this machine: versions, devices, precision, codecs, cameras and caches, with advice on speed."""
    import json
    import sys
    from dataclasses import asdict

    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    # no automatic refresh: rich does not wait for the end of its refresh thread
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        report = examine(
            device, engine, lambda what: live.update(Text(f"Checking {what} ...", style="dim"), refresh=True)
        )
    if json_output:
        json.dump(asdict(report), sys.stdout, indent=2, default=str)
        sys.stdout.write("\n")
    else:
        show(report, Console(highlight=False))


def examine(device: str, engine: str, say: Callable[[str], None]) -> Report:
    """Do every check. A failed check does not affect the others.

    Args:
        device: Device on which precisions are compared.
        engine: Engine whose precisions are compared.
        say: Called with the name of each check.
    """

    def attempt(what: str, check: Callable[[], Found]) -> Found | Problem:
        say(what)
        try:
            return check()
        except Exception as error:  # a broken installation can raise any error; the report shows it
            logger.warning("Checking %s failed", what, exc_info=True)
            return Problem(" ".join(str(error).split()) or type(error).__name__)

    log = tuple(logs.recent_lines())  # before the checks add to it
    versions = attempt("versions", _versions)
    codecs = attempt("codecs", _codecs)
    cameras = attempt("cameras", _cameras)
    caches = attempt("caches", _caches)
    devices = attempt("devices", _devices)
    speed = attempt("speed", lambda: _speed(devices))
    precision = attempt("precision", lambda: _precision(device, engine))
    faster = attempt("advice", lambda: _advice(devices, speed, precision))
    return Report(versions, devices, precision, speed, codecs, cameras, caches, faster, log)


def _versions() -> Versions:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from clipseg_live._version import __version__

    packages: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    return Versions(__version__, platform.python_version(), platform.platform(), packages)


def _codecs() -> Codecs:
    from clipseg_live.media import probe

    return Codecs(probe.ffmpeg_version(), tuple(probe.probe_encoder(name) for name in probe.ENCODERS))


def _cameras() -> "tuple[FoundCamera, ...]":
    from clipseg_live.media import probe

    return probe.cameras()


def _caches() -> tuple[Folder, ...]:
    from platformdirs import user_cache_path, user_config_path

    from clipseg_live.model.store.hub import cache_folder, folder_bytes

    places = (
        ("models", cache_folder()),
        ("cache", user_cache_path(APPLICATION, appauthor=False)),
        ("settings", user_config_path(APPLICATION, appauthor=False)),
    )
    return tuple(Folder(purpose, path, folder_bytes(path) if path.is_dir() else None) for purpose, path in places)


def _devices() -> "Devices":
    from clipseg_live.model import probe

    return probe.find_devices()


def _speed(devices: "Devices | Problem") -> "MatrixSpeed":
    from clipseg_live.model import benchmark

    return benchmark.matrix_speed(None if isinstance(devices, Problem) else devices.cpu.cores)


def _precision(device: str, engine: str) -> "tuple[Precision, ...] | Problem":
    from clipseg_live.model import benchmark
    from clipseg_live.model.store import catalogue, loading

    shapes = next((entry for entry in catalogue.catalogue() if entry.name == loading.SHAPES_MODEL), None)
    if shapes is None or not shapes.whole:
        return Problem(
            f"The model {loading.SHAPES_MODEL} is missing from this installation, so precisions were not compared."
        )
    return benchmark.precisions(device, engine)


def _advice(
    devices: "Devices | Problem", speed: "MatrixSpeed | Problem", precision: "tuple[Precision, ...] | Problem"
) -> "tuple[str, ...] | Problem":
    from clipseg_live.model import probe

    if isinstance(devices, Problem):
        return Problem("The devices could not be examined, so there is no advice.")
    return probe.advice(
        devices,
        None if isinstance(speed, Problem) else speed,
        () if isinstance(precision, Problem) else precision,
    )


def show(report: Report, console: "Console") -> None:
    """Print a report as text."""
    from rich.text import Text

    sections: tuple[tuple[str, Any, Callable[[Any], Any]], ...] = (
        ("Versions", report.versions, _version_lines),
        ("Devices", report.devices, _device_lines),
        ("Precision", report.precision, _precision_lines),
        ("Codecs", report.codecs, _codec_lines),
        ("Cameras", report.cameras, _camera_lines),
        ("Caches", report.caches, _cache_lines),
        ("Advice on speed", report.faster, _advice_lines),
        (f"Last lines of the log ({logs.log_file() or 'none'})", report.log, _log_lines),
    )
    for index, (title, found, lines_of) in enumerate(sections):
        if index:
            console.print()
        console.print(title, style="bold")
        for line in [_sentence(found.problem, "yellow")] if isinstance(found, Problem) else lines_of(found):
            console.print(line, soft_wrap=isinstance(line, Text))  # a wrapped path could not be copied
    if isinstance(report.matrix_speed, Problem):
        console.print(_sentence(f"The speed could not be measured: {report.matrix_speed.problem}", "yellow"))


def _version_lines(found: Versions) -> "list[RenderableType]":
    lines = [
        _line("clipseg-live", found.clipseg_live),
        _line("python", found.python),
        _line("platform", found.platform),
    ]
    for name, version in found.packages.items():
        lines.append(_line(name, version or "not installed", "" if version else "yellow"))
    return lines


def _device_lines(found: "Devices") -> "list[RenderableType]":
    from rich.filesize import decimal

    cpu = found.cpu
    lines = [
        _line("cpu", f"{cpu.name}, {_count(cpu.cores, 'core')}, {_count(cpu.threads, 'thread')} in PyTorch"),
        _line("instructions", ", ".join(cpu.instructions) or cpu.capability),
    ]
    for gpu in found.gpus:
        memory = "" if gpu.total_bytes is None else f", {decimal(gpu.total_bytes)}"
        free = "" if gpu.free_bytes is None else f" ({decimal(gpu.free_bytes)} free)"
        lines.append(_line(gpu.device, f"{gpu.name}{memory}{free}"))
    if not found.gpus:
        lines.append(_line("gpu", f"none that PyTorch (built for {found.build}) can use"))
    return [*lines, _line("--device auto", found.chosen), _line("--engine auto", found.engine)]


def _precision_lines(found: "tuple[Precision, ...]") -> "list[RenderableType]":
    lines: list[RenderableType] = []
    for one in found:
        if one.refusal is not None or one.largest is None or one.mean is None or one.milliseconds is None:
            lines.append(_line(one.dtype, one.refusal or "not measured", "yellow"))
            continue
        lines.append(_line(one.dtype, f"differs from float32 by {one.largest:.4f} at most, {one.mean:.5f} on average"))
        lines.append(
            _line(
                "",
                f"{one.milliseconds:.1f} ms a frame with {one.engine} on {one.device}, "
                f"float32 {one.float32_milliseconds:.1f} ms",
            )
        )
    return [*lines, _sentence("Probabilities of the model shapes for a drawn image and three prompts.", "dim")]


def _codec_lines(found: Codecs) -> "list[RenderableType]":
    working = [one for one in found.encoders if one.works]
    lines = [_line("ffmpeg", found.ffmpeg)]
    for kind in ("video", "audio"):
        names = ", ".join(one.name for one in working if one.kind == kind)
        lines.append(_line(kind, names or "no encoder works", "" if names else "yellow"))
    failed = (one for one in found.encoders if not one.works)
    return [*lines, *(_line(one.name, f"does not work: {one.problem}", "yellow") for one in failed)]


def _camera_lines(found: "tuple[FoundCamera, ...]") -> "list[RenderableType]":
    lines: list[RenderableType] = []
    for camera in found:
        refused = camera.readable is False
        where = f", {camera.path}" if camera.path else ""
        denied = " (this user may not open it: join the group video)" if refused else ""
        lines.append(_line(f"camera {camera.index}", f"{camera.name}{where}{denied}", "yellow" if refused else ""))
    return lines or [_sentence("No camera was found.", "dim")]


def _cache_lines(found: tuple[Folder, ...]) -> "list[RenderableType]":
    from rich.filesize import decimal
    from rich.text import Text

    lines: list[RenderableType] = []
    for one in found:
        kept = "nothing yet" if one.bytes is None else decimal(one.bytes)
        lines.append(Text.assemble((f"  {one.purpose:<{_LABEL}}  ", "dim"), f"{kept}, {one.path}"))
    return lines


def _advice_lines(found: tuple[str, ...]) -> "list[RenderableType]":
    return [_sentence(text) for text in found] or [_sentence("The checks found nothing to improve.", "dim")]


def _log_lines(found: tuple[str, ...]) -> "list[RenderableType]":
    from rich.text import Text

    return [Text(f"  {line}", style="dim") for line in found] or [_sentence("The log is empty.", "dim")]


def _line(label: str, value: str, style: str = "") -> "RenderableType":
    """Return a label and its value. A long value is continued below itself."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=0)
    grid.add_column(width=_LABEL)
    grid.add_column(overflow="fold")
    grid.add_row("", Text(label, style="dim"), Text(value, style=style))
    return grid


def _sentence(text: str, style: str = "") -> "RenderableType":
    from rich.padding import Padding
    from rich.text import Text

    return Padding(Text(text, style=style), (0, 0, 0, 2), expand=False)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
