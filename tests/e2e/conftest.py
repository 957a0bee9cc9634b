"""The command line as a process, and small videos with known content.

Most commands are forked from a server (``preloaded``). ``fresh`` starts a new interpreter.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from filelock import FileLock

from clipseg_live.demo.scenes import Scene
from clipseg_live.media.sources.registry import open_source
from clipseg_live.model.openvino import library
from clipseg_live.model.segmenter import Segmenter
from tests.e2e import preloaded

SIZE = (256, 192)
QUICK_ENGINE = """
from clipseg_live.app import session
from tests.helpers.live_engine import make_fake_engine
session.make_engine = session.make_exact_engine = make_fake_engine
"""
"""Patch for tests of new interpreters. Their worker processes do not import torch, which takes seconds."""

# A shell that starts the tests in its background has them ignore Ctrl-C, and every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Completed:
    code: int
    out: str
    err: str


def environment() -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "error", "COLUMNS": "200"}


@pytest.fixture(scope="session", autouse=True)
def server() -> None:
    """Provide the server. It lasts as long as the session, so it starts before all tests.

    Also convert the demo model, so that no command has to.
    """
    if sys.platform == "linux":
        preloaded.start_server()
    if library.is_installed():
        with FileLock(Path(os.environ["XDG_CACHE_HOME"]) / "clipseg-live-tests.lock"):
            Segmenter.load("shapes", device="cpu")


def start(
    arguments: Sequence[object],
    folder: Path,
    patch: str = "",
    *,
    fresh: bool = False,
    small: bool = False,
    variables: Mapping[str, str] | None = None,
    **streams: Any,
) -> subprocess.Popen[str]:
    """Start ``clipseg-live`` with these arguments.

    Args:
        arguments: Arguments of the command line.
        folder: Working folder.
        patch: Python code that runs first, in all processes.
        fresh: Start a new interpreter.
        small: Draw demo scenes of 320×180, for speed in tests that do not depend on the size.
        variables: Environment variables.
        streams: Arguments of ``Popen`` that replace the pipes.
    """
    variables = {**(environment() if variables is None else variables)}
    fresh = fresh or sys.platform != "linux"
    site = Path(__file__).parent / "small_demo"
    if patch:
        small_demo = (site / "sitecustomize.py").read_text() if small else ""
        site = folder / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(small_demo + patch)
    if patch or small:
        variables["PYTHONPATH"] = os.pathsep.join((str(site), str(Path(__file__).parents[2])))
    return (subprocess.Popen if fresh else preloaded.Command)(
        [sys.executable, "-m", "clipseg_live", *map(str, arguments)],
        cwd=folder,
        env=variables,
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
    )


def workers_of(process: "subprocess.Popen[str]") -> list[int]:
    """Return the child processes that ``multiprocessing`` started, without its resource tracker."""
    children: list[int] = []
    for task in Path(f"/proc/{process.pid}/task").glob("*/children"):
        children += [int(child) for child in task.read_text().split()]
    return [child for child in children if preloaded.WORKER in _names(child)]


def _names(process: int) -> str:
    return "".join(Path(f"/proc/{process}/{name}").read_text() for name in ("comm", "cmdline"))


@pytest.fixture
def clipseg_live(tmp_path: Path) -> Callable[..., Completed]:
    def run(*arguments: object, fresh: bool = False, small: bool = False) -> Completed:
        with start(arguments, tmp_path, fresh=fresh, small=small) as process:
            out, err = process.communicate(timeout=170)
        return Completed(process.returncode, out, err)

    return run


def scene() -> Scene:
    return Scene(0, *SIZE, Fraction(30))


def write_clip(
    path: Path,
    times: Sequence[int],
    *,
    base: Fraction = Fraction(1, 600),
    rate: Fraction = Fraction(30),
    sound: bool = False,
    size: tuple[int, int] = SIZE,
) -> Path:
    """Write frames of the demo scene at these times (in units of ``base``), optionally with a tone."""
    drawn = Scene(0, *size, Fraction(30))
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264rgb" if size[0] % 2 or size[1] % 2 else "libx264", rate=rate)
        video.width, video.height = size
        video.pix_fmt = "rgb24" if video.codec.name == "libx264rgb" else "yuv420p"
        video.codec_context.time_base = base
        video.options = {"crf": "12"}
        tone = container.add_stream("aac", rate=44100) if sound else None
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(drawn.picture(number), format="rgb24")
            frame.pts, frame.time_base = time, base
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if tone is not None:
            seconds = float(times[-1] * base)
            samples = np.sin(np.arange(int(44100 * seconds)) * 0.05).astype(np.float32)
            for begin in range(0, len(samples) - 1024, 1024):
                part = av.AudioFrame.from_ndarray(samples[None, begin : begin + 1024], format="fltp", layout="mono")
                part.sample_rate, part.pts, part.time_base = 44100, begin, Fraction(1, 44100)
                container.mux(tone.encode(part))
            container.mux(tone.encode())
    return path


def times_of(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def pictures_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def frames_of(path: Path) -> list[np.ndarray]:
    """Return the frames that the package's source reads."""
    source = open_source(path)
    source.open()
    try:
        return [frame.pixels for frame in iter(source.read, None)]
    finally:
        source.close()


def packets_of(path: Path) -> list[bytes]:
    """Return the audio packets."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]
