"""Controls the process ``recorder.py`` and reads its reports."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Actor:
    """A recording process.

    Attributes:
        process: The process.
        now: Its last report.
        messages: Messages for the user.
        left: Threads and processes that the session did not end; None before its end.
        errors: Its standard error, after its end.
    """

    def __init__(self, source: str, folder: Path, *options: str, prefix: Sequence[str] = (), **settings: Any) -> None:
        command = [*prefix, sys.executable, "-m", "scripts.reliability.recorder", source, str(folder), *options]
        self.process = subprocess.Popen(
            [*command, "--settings", json.dumps({"pattern": "r", **settings})],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        self.now: dict[str, Any] = {"seconds": 0.0}
        self.messages: list[str] = []
        self.left: list[str] | None = None
        self.errors = ""
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._read_errors)]
        for thread in self._threads:
            thread.start()

    def wait(self, condition: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait for a condition, or for the end of the process.

        Raises:
            TimeoutError: If ``seconds`` pass first.
        """
        end = time.monotonic() + seconds
        with self._changed:
            while not condition() and self.process.poll() is None:
                self._changed.wait(0.2)
                if time.monotonic() > end:
                    raise TimeoutError(f"no change for {seconds:g} s; last: {self.now}, {self.messages[-2:]}")

    def wait_recorded(self, seconds: float) -> None:
        """Wait until ``seconds`` are recorded."""
        self.wait(lambda: self.now["seconds"] >= seconds, 60.0 + 10 * seconds)

    def kill(self) -> float:
        """Kill the process, like a crash. Return the recorded seconds of its last report."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self._join()
        return float(self.now["seconds"])

    def stop(self) -> None:
        """Ask the process to stop the recording, and wait for its end."""
        assert self.process.stdin is not None
        if self.process.poll() is None:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        self._join()

    def join(self, seconds: float) -> None:
        self.process.wait(seconds)
        self._join()

    def _join(self) -> None:
        self.process.wait(120)
        for thread in self._threads:
            thread.join(20)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            report = json.loads(line)
            with self._changed:
                if "message" in report:
                    self.messages.append(report["message"])
                elif "left" in report:
                    self.left = report["left"]
                else:
                    self.now = report
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors = self.process.stderr.read()


def settle(seconds: float) -> None:
    """Wait. Faults are injected at a random time."""
    time.sleep(seconds)
