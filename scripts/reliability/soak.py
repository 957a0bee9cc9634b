"""Record for a long time: in real time, or for hours on a simulated clock with the real threads and encoder.

    python -m scripts.reliability.soak real --minutes 30
    python -m scripts.reliability.soak simulated --hours 8

It prints a line every minute of real time, and a table row with the growth of memory at the end.
"""

import argparse
import io
import resource
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from clipseg_live.app import session as live
from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.core.settings.live import LiveSettings, PromptRow, SourceSpec
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.demo.scenes import Scene
from clipseg_live.runtime.session import Session
from scripts.reliability.actor import Actor
from scripts.reliability.judging import judge
from tests.helpers.live_engine import make_fake_engine
from tests.helpers.servers import HTTPHandler, Server

_AHEAD = Fraction(1)
"""Simulated time in seconds by which the source may be ahead of the recording."""


@dataclass(frozen=True, slots=True)
class Sample:
    """State at one time.

    Attributes:
        hours: Recorded time.
        megabytes: Resident memory of the application's process.
        dropped: Dropped frames.
    """

    hours: float
    megabytes: float
    dropped: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["real", "simulated"])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--rate", type=int, default=10, help="frames per second of the simulated camera")
    parser.add_argument("--size", default="1280x720", help="size of the camera in real time (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.kind == "real":
            real(Path(folder), options.minutes, options.size)
        else:
            simulated(Path(folder), options.hours, options.rate)


def real(folder: Path, minutes: float, size: str) -> None:
    """Record a network camera at 30 frames per second with the small model, in another process."""
    width, height = (int(side) for side in size.split("x"))
    scene = Scene(0, width, height, Fraction(30))
    SceneHandler.images = [_jpeg(scene.picture(number)) for number in range(0, 120, 2)]
    with Server(SceneHandler) as server:
        address = f"http://127.0.0.1:{server.port}/live.mjpg"
        actor = Actor(address, folder, "--engine", "shapes", "--seconds", str(60 * minutes + 600), part_seconds=600)
        actor.wait_recorded(0.1)
        began, first, samples = time.monotonic(), actor.now["seconds"], []
        while time.monotonic() < began + 60 * minutes and actor.process.poll() is None:
            time.sleep(10)
            now = actor.now
            samples.append(Sample(now["seconds"] / 3600, resident(actor.process.pid), now["dropped"]))
            if len(samples) % 6 == 0:
                rate, last = now["display"], samples[-1]
                print(f"{last.hours * 60:.1f} min, {last.megabytes:.0f} MB, {rate:.1f} fps", flush=True)
        elapsed, recorded = time.monotonic() - began, actor.now["seconds"] - first
        actor.stop()
    report("real rate", samples, recorded, [judge(path).problems for path in sorted(folder.iterdir())])
    print(f"recorded {recorded:.2f} s in {elapsed:.2f} s by the clock; left behind: {actor.left}")


class SceneHandler(HTTPHandler):
    """A network camera that shows the demo scene."""

    rate = 30.0
    images: ClassVar[list[bytes]] = []

    def picture(self, number: int) -> bytes:
        return self.images[number % len(self.images)]


def _jpeg(pixels: Pixels) -> bytes:
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "JPEG", quality=90)
    return written.getvalue()


def simulated(folder: Path, hours: float, rate: int) -> None:
    """Record a camera whose clock runs as fast as its frames are written, in this process."""
    camera = SimulatedCamera(rate)
    session = Session(
        LiveSettings(rows=(PromptRow(id=0, text="red"),), engine=EngineSettings(model="fake")),
        replace(live.session_tools(make_fake_engine), open_source=lambda spec: camera),
    )
    camera.written = lambda: session.status().recording.seconds
    session.start()
    session.open(SourceSpec(name="simulated"))
    while session.picture() is None:
        time.sleep(0.02)
    session.start_recording(folder, RecordingSettings(pattern="r", part_seconds=3600))
    camera.recording.set()
    samples: list[Sample] = []
    printed = time.monotonic()
    while (status := session.status().recording).seconds < hours * 3600 and status.active:
        time.sleep(1)
        samples.append(Sample(status.seconds / 3600, resident(None), status.dropped))
        if time.monotonic() > printed + 60:
            printed = time.monotonic()
            print(f"{samples[-1].hours:.2f} h, {samples[-1].megabytes:.0f} MB, {status.dropped} dropped", flush=True)
    recorded, clock = session.status().recording.seconds, float(camera.time)
    camera.recording.clear()  # in real time again
    session.stop_recording()
    while session.status().recording.active:
        time.sleep(0.05)
    left = session.stop()
    files = sorted(folder.iterdir())
    report("simulated clock", samples, recorded, [judge(path).problems for path in files])
    print(f"{len(files)} files; the camera's clock {clock:.2f} s, recorded {recorded:.2f} s; left behind: {left}")


class SimulatedCamera:
    """A live source of 160×90. A frame is available as soon as the recording is less than a second behind it."""

    live = True

    def __init__(self, rate: int) -> None:
        self.rate, self.number = rate, 0
        self.recording = threading.Event()
        self.written = lambda: 0.0
        self._origin = Fraction(0)
        self._tick = threading.Event()
        self._closed = False

    @property
    def time(self) -> Fraction:
        return Fraction(self.number, self.rate)

    def open(self) -> SourceInfo:
        return SourceInfo("simulated", 160, 90, Fraction(self.rate), Fraction(1, self.rate))

    def read(self) -> Frame:
        if not self.recording.is_set():
            self._tick.wait(1 / self.rate)
            self._origin = self.time
        else:
            for _ in range(4000):  # at most two seconds; after that the frame is late
                if self._closed or not self.recording.is_set():
                    break
                if self.time - self._origin < Fraction(self.written()) + _AHEAD:
                    break
                self._tick.wait(0.0005)
        pixels = np.zeros((90, 160, 3), np.uint8)
        pixels[:, self.number % 160 :] = (200, 30, self.number % 256)
        self.number += 1
        return Frame(pixels, self.number, self.time, Fraction(1, self.rate))

    def seek(self, time: Fraction) -> None: ...

    def controls(self) -> dict[str, float]:
        return {}

    def set_control(self, name: str, value: float) -> None: ...

    def close(self) -> None:
        self._closed = True


def resident(process_id: int | None) -> float:
    """Return the resident memory of a process in MB; of this process if the argument is None."""
    if process_id is None and not Path("/proc/self/statm").exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pages = int(Path(f"/proc/{process_id or 'self'}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def report(name: str, samples: list[Sample], recorded: float, problems: list[tuple[str, ...]]) -> None:
    """Print the row of the table. The growth is the slope of a line through the last four fifths."""
    late = samples[len(samples) // 5 :]
    slope = np.polyfit([each.hours for each in late], [each.megabytes for each in late], 1)[0] if len(late) > 2 else 0.0
    worst = max(each.megabytes for each in samples)
    descriptions = [problem for each in problems for problem in each]
    print("| soak | recorded | memory at first, at most | growth an hour | frames dropped | files, problems |")
    print("|---|--:|--:|--:|--:|---|")
    print(
        f"| {name} | {recorded / 3600:.2f} h | {late[0].megabytes:.0f}, {worst:.0f} MB | {slope:+.1f} MB "
        f"| {samples[-1].dropped} | {len(problems)}, {'; '.join(descriptions) or 'none'} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
