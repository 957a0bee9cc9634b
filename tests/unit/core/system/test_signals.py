"""Signal handlers: no signal is lost, and none ends a process at the wrong time."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clipseg_live.core.system import signals
from tests.helpers.paths import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals that are sent to processes")
NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP] if sys.platform != "win32" else []


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def python(code: str, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", f"import os, signal\nfrom clipseg_live.core.system import signals\n{code}"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, **options,
    )  # type: ignore[call-overload,no-any-return]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS)
def test_only_the_first_signal_is_raised(number: int) -> None:
    before = [signal.getsignal(each) for each in NUMBERS]
    cleaned = False
    with pytest.raises(KeyboardInterrupt), signals.raising():  # noqa: PT012
        try:
            send(number)
            threading.Event().wait(10)
        finally:
            for each in NUMBERS:
                send(each)
            cleaned = True
    assert cleaned and [signal.getsignal(each) for each in NUMBERS] == before


def test_nested_contexts_keep_the_first_signal() -> None:
    with signals.raising():
        with pytest.raises(KeyboardInterrupt), signals.raising():
            send(signal.SIGINT)
        send(signal.SIGTERM)


class Dropped:
    def __del__(self) -> None:
        send(signal.SIGINT)


class ExtensionFileLoader:
    """Has the name of the class that initialises extension modules."""

    def exec_module(self) -> None:
        send(signal.SIGINT)


@pytest.mark.parametrize("make", [Dropped, lambda: ExtensionFileLoader().exec_module()])
def test_a_signal_during_an_import_is_raised_afterwards(make: object) -> None:
    went_on, began = False, time.monotonic()
    with pytest.raises(KeyboardInterrupt), signals.raising():  # noqa: PT012
        make()  # type: ignore[operator]
        went_on = True
        threading.Event().wait(60)
    assert went_on and time.monotonic() - began < 30, "it did not interrupt a blocking call"


def test_noted_signals_raise_nothing_and_wake_an_event_loop() -> None:
    with signals.noted() as request:
        assert not request.is_set
        send(signal.SIGTERM)
        readable, _, _ = select.select([request], [], [], 10)
        assert readable and request.is_set
        send(signal.SIGINT)


def test_other_threads_have_no_handlers_and_no_errors() -> None:
    def use() -> bool:
        with signals.raising(), signals.noted() as request, signals.held_back():
            return request.is_set

    before = signal.getsignal(signal.SIGINT)
    with ThreadPoolExecutor() as pool:
        assert pool.submit(use).result() is False
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_during_the_start_ends_the_process_with_one_sentence(number: int) -> None:
    done = python(f"signals.begin()\nos.kill(os.getpid(), {int(number)})\nprint('still there')")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "clipseg-live: Stopped.\n")


@pytest.mark.slow
def test_nohup_is_respected() -> None:
    kinds = "signals.end_at_once(3)", "context = signals.raising(); context.__enter__()"
    for kind in (*kinds, "context = signals.noted(); context.__enter__()"):
        done = python(
            f"{kind}\nos.kill(os.getpid(), signal.SIGHUP)\nprint('still there')",
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        )
        assert (done.returncode, done.stdout) == (0, "still there\n"), done.stderr


@pytest.mark.slow
def test_a_caught_interrupt_in_executed_code_does_not_end_the_process_later() -> None:
    done = python(
        "try:\n    with signals.raising():\n"
        "        exec('os.kill(os.getpid(), signal.SIGINT)\\nfor _ in range(100): pass')\n"
        "except KeyboardInterrupt:\n    print('caught')"
    )
    assert (done.returncode, done.stdout) == (0, "caught\n"), done.stderr


def test_child_processes_are_not_interrupted_with_their_parent() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGINT); os.kill(os.getpid(), signal.SIGHUP); print('alive')"
    with signals.held_back(), subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b"alive\n")
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & set(NUMBERS)


@pytest.mark.slow
def test_a_worker_process_ignores_signals_from_its_start(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        "import multiprocessing, signal\n"
        "from clipseg_live import __main__\n"
        "from clipseg_live.core.system import signals\n"
        "def child():\n"
        "    print(all(signal.getsignal(number) == signal.SIG_IGN for number in signals.SIGNALS), flush=True)\n"
        "if __name__ == '__main__':\n"
        "    process = multiprocessing.get_context('spawn').Process(target=child)\n"
        "    process.start()\n"
        "    process.join()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
