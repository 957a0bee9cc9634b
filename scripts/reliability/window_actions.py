"""Do random things to the window, many times, and see that it holds; print a table of what was done.

    python scripts/reliability/window_actions.py [--actions 1000] [--seed 1] [--real]

Each window is made anew, is given STEPS actions (typing, dragging, keys, menus, dialogs, dropped files, messages,
states of source and worker), and is closed. After every action: no exception anywhere, no warning of Qt, the widgets
show the settings, the session has the same. A failure is shrunk to the fewest actions that show it. The session has no
devices, or is (--real) the real one, with the demo scene, a worker process with the model ``shapes``, recordings.
"""

import argparse
import gc
import multiprocessing
import os
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"  # before anything makes a QApplication
os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PySide6.QtCore import QStandardPaths

from clipseg_live.app.session import make_session
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.core.settings.live import LiveSettings, PromptRow, SourceSpec
from clipseg_live.gui.app import application
from tests.gui.conftest import FakeServices
from tests.helpers.gui.monkey import ACTIONS, ON_A_REAL_SESSION, Faults, Monkey, run_machine, window_machine

STEPS = 50
_WINDOWS_A_SEED = 20


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--actions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--real", action="store_true")
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", message=".*QDragEnterEvent")
    QStandardPaths.setTestModeEnabled(True)
    app = application()
    done: Counter[str] = Counter()
    windows, seed, began = 0, options.seed, time.monotonic()
    before, resident = _left(), 0
    with tempfile.TemporaryDirectory() as folder:

        def make(faults: Faults, numbers: list[int]) -> Monkey:
            nonlocal windows
            windows += 1
            place = Path(folder) / str(windows)
            return _real(place, faults, numbers) if options.real else Monkey(place, FakeServices().real, faults,
                                                                             numbers=numbers)  # fmt: skip

        while done.total() < options.actions:
            rest = -(-(options.actions - done.total()) // STEPS)
            machine = window_machine(make, ON_A_REAL_SESSION if options.real else ACTIONS, done)
            run_machine(machine, min(_WINDOWS_A_SEED, rest), STEPS, seed)
            seed += 1
            resident = resident or _resident()
    del app
    gc.collect()
    _print(done, windows, f"{options.seed} to {seed - 1}", time.monotonic() - began)
    print(f"\nLeft over: {sorted(_left() - before) or 'nothing'}. "
          f"Memory after the first {_WINDOWS_A_SEED} windows {resident} MB, at the end {_resident()} MB.")  # fmt: skip


def _real(folder: Path, faults: Faults, numbers: list[int]) -> Monkey:
    settings = LiveSettings(rows=(PromptRow(id=0, text="red circle"),), engine=EngineSettings(model="shapes"))
    session = make_session(settings)
    session.start()
    session.open(SourceSpec(name="demo:", width=320, height=180))
    return Monkey(folder, FakeServices().real, faults, session, numbers, settings)


def _left() -> set[str]:
    """Threads, processes and blocks of shared memory that are there now."""
    threads = {thread.name for thread in threading.enumerate() if not thread.name.startswith("hypothesis")}
    shared = {path.name for path in Path("/dev/shm").glob("clipseg-live-*")}
    return threads | shared | {f"process {process.pid}" for process in multiprocessing.active_children()}


def _resident() -> int:
    """Of this process, in MB; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) // 1024


def _print(done: Counter[str], windows: int, seeds: str, seconds: float) -> None:
    print(f"{done.total()} actions on {windows} windows, seeds {seeds}, {seconds:.0f} s: no failure.\n")
    print("| action | times |\n|---|--:|")
    for name, count in sorted(done.items()):
        print(f"| {name.replace('_', ' ')} | {count} |")


if __name__ == "__main__":
    main()
