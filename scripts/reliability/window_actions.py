"""Perform random actions on the window, check it after each action, and print a table of the actions.

    python scripts/reliability/window_actions.py [--actions 1000] [--seed 1] [--real]

Each window gets STEPS actions and is closed: typing, dragging, keys, menus, dialogs, dropped files, messages, states of
source and worker. After every action there must be no exception and no warning of Qt, the widgets must show the
settings, and the session must have the same settings. A failure is reduced to the shortest sequence of actions. The
session is a fake without devices, or with --real the real one, with the demo scene, a worker process with the model
``shapes``, and recordings.
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
from tests.helpers.gui.monkey import ACTIONS, ACTIONS_ON_A_REAL_SESSION, Faults, Monkey, run_machine, window_machine

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
    before, resident = _resources(), 0
    with tempfile.TemporaryDirectory() as folder:

        def make(faults: Faults, numbers: list[int]) -> Monkey:
            nonlocal windows
            windows += 1
            window_folder = Path(folder) / str(windows)
            if options.real:
                return _real(window_folder, faults, numbers)
            return Monkey(window_folder, FakeServices().real, faults, numbers=numbers)

        while done.total() < options.actions:
            remaining_windows = -(-(options.actions - done.total()) // STEPS)
            machine = window_machine(make, ACTIONS_ON_A_REAL_SESSION if options.real else ACTIONS, done)
            run_machine(machine, min(_WINDOWS_A_SEED, remaining_windows), STEPS, seed)
            seed += 1
            resident = resident or _resident()
    del app
    gc.collect()
    _print(done, windows, f"{options.seed} to {seed - 1}", time.monotonic() - began)
    print(f"\nNot released: {sorted(_resources() - before) or 'nothing'}. "
          f"Memory after the first {_WINDOWS_A_SEED} windows {resident} MB, at the end {_resident()} MB.")  # fmt: skip


def _real(folder: Path, faults: Faults, numbers: list[int]) -> Monkey:
    settings = LiveSettings(rows=(PromptRow(id=0, text="red circle"),), engine=EngineSettings(model="shapes"))
    session = make_session(settings)
    session.start()
    session.open(SourceSpec(name="demo:", width=320, height=180))
    return Monkey(folder, FakeServices().real, faults, session, numbers, settings)


def _resources() -> set[str]:
    """Return the existing threads, processes and blocks of shared memory."""
    threads = {thread.name for thread in threading.enumerate() if not thread.name.startswith("hypothesis")}
    shared = {path.name for path in Path("/dev/shm").glob("clipseg-live-*")}
    return threads | shared | {f"process {process.pid}" for process in multiprocessing.active_children()}


def _resident() -> int:
    """Return the resident memory of this process in MB; 0 if it is not available."""
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
