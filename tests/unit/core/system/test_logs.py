"""The log: records, hidden details, limits, and a file that several processes share."""

import logging
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from clipseg_live.core.errors import Failure, SourceError
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.core.settings.live import LiveSettings, PromptRow
from clipseg_live.core.system import log_format, logs
from clipseg_live.core.system.settings_log import SettingsLog, loggable

log = logging.getLogger("clipseg_live.test")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("CLIPSEG_LIVE_DEBUG", raising=False)
    with logs.installed(tmp_path / "log"):
        yield tmp_path / "log"


def log_text(folder: Path) -> str:
    return (folder / logs.FILE_NAME).read_text("utf-8")


def fail(error: Exception) -> None:
    try:
        raise error
    except Exception:
        log.exception("It failed")


def test_a_record_has_time_level_logger_thread_and_traceback(folder: Path) -> None:
    thread = threading.Thread(target=lambda: fail(KeyError("state")), name="clipseg-live compose secret.mp4")
    thread.start()
    thread.join()
    text = log_text(folder)
    assert "ERROR   clipseg_live.test [compose] It failed" in text
    assert "Traceback (most recent call last)" in text and "KeyError: 'state'" in text
    assert "secret" not in text


def _invalid(values: object) -> ValidationError:
    with pytest.raises(ValidationError) as found:
        LiveSettings.model_validate(values)
    return found.value


@pytest.mark.parametrize(
    "error",
    [
        SourceError("There is no file /home/me/zebra holiday.mp4."),
        Failure("The prompt 'zebra words' is too long."),
        FileNotFoundError(2, "No such file or directory", "zebra.mp4"),
        ValueError("cannot read '/home/me/zebra/clip.mp4'"),
        ValueError("cannot read /home/me/zebra.mp4: damaged"),
        ValueError(r"cannot read C:\Users\me\zebra.mp4"),
        OSError("cannot identify image file 'zebra.png'"),
        ValueError("http://user:zebra@host/stream failed"),
        _invalid({"rows": [{"id": "zebra", "text": "zebra" * 300}]}),
    ],
    ids=lambda error: type(error).__name__,
)
def test_private_details_are_logged_at_debug_level_only(folder: Path, error: Exception) -> None:
    try:
        try:
            raise error
        except Exception as cause:
            raise Failure("It is about zebra things.") from cause
    except Failure:
        log.exception("It failed")
    assert "zebra" not in log_text(folder)
    assert type(error).__name__ in log_text(folder)
    logs.set_level("debug")
    fail(error)
    assert ("zebra" in log_text(folder)) is ("user:zebra" not in str(error))  # credentials stay masked


def test_repeated_causes_are_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(log_format.time, "monotonic", lambda: clock[0])
    for _ in range(100):
        fail(KeyError("a"))
    log.warning("Something else")
    assert log_text(folder).count("KeyError") == 3 and "Something else" in log_text(folder)
    clock[0] = 61.0
    fail(KeyError("a"))
    assert log_text(folder).count("KeyError") == 4
    assert "It failed (97 similar records were suppressed)" in log_text(folder)


def test_log_levels_select_records(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log.debug("one")
    log.info("two")
    logging.getLogger("PIL").info("other library")
    assert "two" in log_text(folder) and "one" not in log_text(folder) and "other" not in log_text(folder)
    assert capsys.readouterr().err == ""
    logs.set_level("warning")
    log.info("three")
    log.warning("four")
    shown = capsys.readouterr().err
    assert "four" in shown and "three" not in shown and "three" not in log_text(folder)
    monkeypatch.setenv("CLIPSEG_LIVE_DEBUG", "1")
    logs.set_level(None)
    log.debug("five")
    assert "five" in log_text(folder) and "five" in capsys.readouterr().err


def test_uncaught_exceptions_of_threads_are_logged(folder: Path) -> None:
    def broken() -> None:
        raise KeyError("nobody catches it")

    thread = threading.Thread(target=broken, name="clipseg-live broken")
    thread.start()
    thread.join()
    assert "[broken] Uncaught exception in a thread" in log_text(folder)
    assert "nobody catches it" in log_text(folder)


def test_uncaught_exceptions_are_shown_once_per_type(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[str] = []

    def broken() -> None:
        raise LookupError("again and again")

    with logs.uncaught_shown(shown.append):
        for _ in range(3):
            thread = threading.Thread(target=broken)
            thread.start()
            thread.join()
    assert shown == [f"An unexpected error occurred (LookupError). The log has the details: {folder / logs.FILE_NAME}"]
    assert capsys.readouterr().err == ""
    sys.excepthook(ZeroDivisionError, ZeroDivisionError(), None)
    assert "unexpected error occurred (ZeroDivisionError)" in capsys.readouterr().err


@pytest.mark.slow
def test_recent_lines_reach_into_the_rotated_file(folder: Path) -> None:
    for number in range(30):
        log.info("%d %s", number, "x" * 60_000)
    assert (folder / f"{logs.FILE_NAME}.1").exists()
    lines = logs.recent_lines(20)
    assert len(lines) == 20 and " 29 x" in lines[-1] and " 10 x" in lines[0]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5_000_000


@pytest.mark.parametrize("kind", ["a file is in the way", "none"])
def test_last_lines_are_kept_in_memory_without_a_file(tmp_path: Path, kind: str) -> None:
    (tmp_path / "log").write_text("")
    with logs.installed(tmp_path / "log" if kind != "none" else None):
        log.warning("remembered")
        assert logs.log_file() is None
        assert any("remembered" in line for line in logs.recent_lines())
    assert logs.recent_lines() == []


def test_hooks_and_handlers_are_restored_at_the_end(tmp_path: Path) -> None:
    before = sys.excepthook, threading.excepthook, sys.unraisablehook, list(logging.getLogger().handlers)
    with logs.installed(tmp_path):
        assert sys.excepthook is not before[0]
    assert before == (sys.excepthook, threading.excepthook, sys.unraisablehook, list(logging.getLogger().handlers))
    assert not any(name.startswith("CLIPSEG_LIVE_LOG") for name in os.environ)


@pytest.mark.slow
def test_two_processes_share_a_file_while_it_rotates(tmp_path: Path) -> None:
    code = """
import logging, sys
from pathlib import Path
from clipseg_live.core.system import log_format, logs

logs._FILE_BYTES //= 3
with logs.installed(Path(sys.argv[1])):
    for number in range(50):
        logging.getLogger("clipseg_live.x").info("%s %d %s", sys.argv[2], number, 9000 * "x")
"""
    running = [subprocess.Popen([sys.executable, "-c", code, tmp_path, name], stderr=subprocess.PIPE) for name in "ab"]
    for process in running:
        assert process.communicate(timeout=60)[1] == b"" and process.returncode == 0
    text = "".join(path.read_text("utf-8") for path in tmp_path.glob(f"{logs.FILE_NAME}*"))
    for name in "ab":
        assert f" {name} 49 x" in text
    assert all(len(line) < 9200 for line in text.splitlines())  # complete lines, never mixed


def _child(connection: "multiprocessing.connection.Connection", crash: bool) -> None:
    flush = logs.start_child(connection.send)
    log.info("hello from the child")
    fail(KeyError("child"))
    flush()
    if crash:
        import faulthandler

        faulthandler._sigsegv()
    connection.close()


@pytest.mark.slow
def test_records_and_crashes_of_a_child_process_reach_the_log(folder: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_child, args=(theirs, True), name="child")
    process.start()
    theirs.close()
    while True:
        try:
            logs.handle(ours.recv())
        except EOFError:
            break
    process.join(60)
    logs.collect_crashes()
    ours.close()
    text = log_text(folder)
    assert "[child/MainThread] hello from the child" in text
    assert "KeyError: 'child'" in text
    assert "A process crashed" in text and "Segmentation fault" in text and "test_logs.py" in text
    assert (folder / logs.CRASH_FILE_NAME).read_text() == ""
    process.close()


def test_settings_are_logged_without_private_details(folder: Path) -> None:
    settings = LiveSettings(
        rows=(PromptRow(id=0, text="my private cup"),), engine=EngineSettings(model="/home/me/private/model")
    )
    values = str(loggable(settings))
    assert "private" not in values and "'threshold': 0.5" in values and "'dtype': 'auto'" in values
    logs.set_level("debug")
    assert "my private cup" in str(loggable(settings))


def test_settings_changes_are_logged_once_a_second(folder: Path) -> None:
    changes = SettingsLog(log)
    settings = LiveSettings()
    changes.put(settings)
    for number in range(50):
        settings = settings.model_copy(update={"matte": settings.matte.model_copy(update={"smoothing": number / 100})})
        changes.put(settings)
    assert log_text(folder).count("Settings") == 1
    changes.flush(now=float("inf"))
    assert log_text(folder).count("Settings changed") == 1 and "'smoothing': 0.49" in log_text(folder)
    assert "'mode'" not in log_text(folder).splitlines()[-1]


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("The model folder /home/jane doe/zebra project has no config.json", "The model folder <path>"),
        ('QFile, "/home/jane/zebra.mp4": not open', "QFile, <path>: not open"),
        ('bad: "file:/tmp/o\'brien dir/holiday zebra.mp4"', "bad: <path>"),
        ("height / 2 at 30000/1001, http://host/stream", "height / 2 at 30000/1001, http://host/stream"),
    ],
)
def test_paths_in_messages_are_masked(folder: Path, message: str, kept: str) -> None:
    log.warning("%s", message)
    assert kept in log_text(folder) and "zebra" not in log_text(folder)
    logs.set_level("debug")
    log.warning("again: %s", message)
    assert message in log_text(folder)


@pytest.mark.slow
def test_logging_during_a_message_does_not_deadlock() -> None:
    code = """
import logging, threading
from clipseg_live.core.system import logs

sending, sent = threading.Lock(), []

def send(record):
    with sending:
        sent.append(record.getMessage())

flush = logs.start_child(send)
with sending:
    logging.getLogger("clipseg_live.x").warning("within")
flush()
print(sent)
"""
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert finished.stdout == "['within']\n"
