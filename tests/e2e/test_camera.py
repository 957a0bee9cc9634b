"""``clipseg-live camera`` as a process.

The virtual camera is a backend that this file registers with pyvirtualcam in the process, by Python's
``sitecustomize``.
"""

import json
import os
import pty
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.e2e.conftest import QUICK_ENGINE, Completed, environment, start, workers_of

pytest.importorskip("pyvirtualcam")

SIZE = (320, 180)
PATIENCE = 160.0
SAFE = (10, 200, 30)
SMALL = ("--width", "320", "--height", "180", "--rate", "15")

DEVICE = """
import atexit, json, multiprocessing, os, sys
import pyvirtualcam, pyvirtualcam.camera

class Device:
    def __init__(self, *, width, height, fps, fourcc, device, **others):
        if device not in (None, "fake:0"):
            raise RuntimeError(f"Device {device} does not exist.")
        self.file = open({path!r}, "wb", buffering=0)

    def send(self, frame):
        self.file.write(frame.tobytes())

    def close(self):
        self.file.close()

    def device(self):
        return "fake:0"

    def native_fourcc(self):
        return None

pyvirtualcam.camera.BACKENDS.clear()
pyvirtualcam.register_backend("fake", Device)

@atexit.register
def tell():
    if multiprocessing.parent_process() is None and sys.argv[0].endswith("__main__.py"):  # the application itself
        with open({path!r} + ".modules", "w") as file:
            json.dump([name for name in ("av", "torch", "PySide6", "transformers") if name in sys.modules], file)
"""


class Running:
    """The command, and the frames that its device received."""

    def __init__(self, folder: Path, process: "subprocess.Popen[str]", path: Path) -> None:
        self.folder, self.process, self.path = folder, process, path

    def frames(self) -> list[np.ndarray]:
        """uint8 (180, 320, 3) each."""
        data = self.path.read_bytes() if self.path.exists() else b""
        each = SIZE[0] * SIZE[1] * 3
        whole = len(data) // each
        return list(np.frombuffer(data[: whole * each], np.uint8).reshape(whole, SIZE[1], SIZE[0], 3))

    def newest(self) -> np.ndarray:
        """Return the last whole frame."""
        each = SIZE[0] * SIZE[1] * 3
        with self.path.open("rb") as file:
            count = self.path.stat().st_size // each
            file.seek(max(count - 1, 0) * each)
            return np.frombuffer(file.read(each), np.uint8)

    def read(self, words: str) -> list[str]:
        """Lines of standard output up to one with these words."""
        assert self.process.stdout is not None
        lines: list[str] = []
        for line in self.process.stdout:
            lines.append(line.rstrip("\n"))
            if words in line:
                return lines
        raise AssertionError((lines, self.process.stderr.read() if self.process.stderr else ""))

    def end(self, number: int = signal.SIGINT) -> Completed:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        return Completed(self.process.returncode, out, err)

    def modules(self) -> list[str]:
        return json.loads(Path(f"{self.path}.modules").read_text())


def start_camera(
    folder: Path, *arguments: object, fresh: bool = False, patch: str = "", **streams: object
) -> tuple["subprocess.Popen[str]", Path]:
    """Start the command. Return it and the file with the frames of its device."""
    site, path = folder / "site", folder / "sent"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(DEVICE.replace("{path!r}", repr(str(path))) + patch)
    variables = {**environment(), "PYTHONPATH": os.pathsep.join((str(site), str(Path(__file__).parents[2])))}
    return start(["camera", *arguments], folder, variables=variables, fresh=fresh, **streams), path


@contextmanager
def camera(folder: Path, *arguments: object, **options: Any) -> Iterator[Running]:
    process, path = start_camera(folder, *arguments, **options)
    with process:
        killer = threading.Timer(PATIENCE, process.kill)
        killer.start()
        try:
            yield Running(folder, process, path)
        finally:
            killer.cancel()
            killer.join()
            with suppress(ProcessLookupError):
                process.kill()


def red_pixels(frame: np.ndarray) -> int:
    """Return the pixels with the red of the demo scene's circle."""
    red, green, blue = (frame[..., channel].astype(int) for channel in range(3))
    return int(((red > 180) & (green < 110) & (blue < 110)).sum())


def test_rendered_frames_are_sent_and_privacy_effects_are_never_bypassed(tmp_path: Path) -> None:
    """From the start, during the loading of the model, and until a kill of the worker and the end."""
    Image.new("RGB", (32, 18), SAFE).save(tmp_path / "safe.png")
    with camera(
        tmp_path, "demo:", "-p", "red circle", "--effect", "blackout", "--threshold", 0.2, "--safe", "safe.png", *SMALL
    ) as one:  # fmt: skip
        assert any("placeholder image" in line for line in one.read(": on"))
        os.kill(workers_of(one.process)[0], signal.SIGKILL)
        one.read("placeholder image")
        done = one.end(signal.SIGTERM)
    assert done.code == 0 and "frames sent in" in done.out and "Traceback" not in done.err
    frames = one.frames()
    safe = [bool(np.abs(frame.astype(int) - SAFE).max() < 3) for frame in frames]
    first = safe.index(False)
    assert first > 0 and any(safe[first:])
    assert all(red_pixels(frame) < 100 for frame in frames), "the red circle, of a thousand pixels and more, was seen"


def test_the_process_imports_neither_torch_nor_qt(tmp_path: Path) -> None:
    """In a new interpreter, from the start until masks are drawn."""
    half = Image.new("RGB", (64, 36), (200, 0, 0))
    half.paste((90, 90, 90), (0, 0, 32, 36))
    half.save(tmp_path / "red.png")
    arguments = ("red.png", "-p", "red", "--model", "shapes", "--effect", "blackout", *SMALL)
    with camera(tmp_path, *arguments, fresh=True, patch=QUICK_ENGINE) as one:
        one.read(": on")
        tick = threading.Event()
        while not one.newest().any():  # hidden completely until there are masks
            assert one.process.poll() is None
            tick.wait(0.1)
        done = one.end()
    assert done.code == 0, done.err
    assert one.modules() == ["av"]


def test_a_terminal_shows_one_updated_line(tmp_path: Path) -> None:
    mine, theirs = pty.openpty()
    process, path = start_camera(tmp_path, "demo:", "-p", "red circle", "--width", 320, "--height", 180, stderr=theirs)
    with process:
        os.close(theirs)
        seen = b""
        while b"fake:0, 320\xc3\x97180, 30 frames per second" not in seen:
            seen += os.read(mine, 4096)
        process.send_signal(signal.SIGINT)
        with suppress(OSError):  # the terminal is closed with its process
            while part := os.read(mine, 4096):
                seen += part
        out, _ = process.communicate(timeout=PATIENCE)
    os.close(mine)
    assert process.returncode == 0 and "frames sent in" in out and b"predictions and" in seen
    assert Running(tmp_path, process, path).frames()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["demo:"], 2, "There is no prompt"),
        (["demo:", "-p", "x", "--width", "640"], 2, "two sides"),
        (["demo:", "-p", "x", "--fit", "stretch"], 2, "fit"),
        (["demo:", "-p", "x", "--safe", "no.png"], 1, "no file no.png"),
        (["demo:", "-p", "x", "--effect", "sparkle"], 2, "is not an effect"),
        (["demo:", "-p", "x", "--preset", "sparkle"], 2, "no preset"),
        (["demo:", "-p", "x", "--session", "s.json"], 2, "not both"),
        (["demo:nothing", "-p", "x"], 2, "not a demo scene"),
        (["demo:", "-p", "x", "--device", "other", *SMALL], 1, "There is no virtual camera"),
        (["no.mp4", "-p", "x", "--model", "shapes"], 1, "no file"),
        (["demo:", "-p", "x", "--model", "no/such model"], 1, "model"),
        (["demo:", "-p", "x", "--model", "rd64-refined", *SMALL], 1, "could not be downloaded"),
    ],
)
def test_invalid_use_gives_a_one_sentence_error(tmp_path: Path, arguments: list[str], code: int, sentence: str) -> None:
    process, _ = start_camera(tmp_path, *arguments)
    with process:
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == code and sentence in errors and "Traceback" not in errors
    assert errors.count("\n") == 1, errors
