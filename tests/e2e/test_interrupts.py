"""Commands as processes: early signals, closed terminals and pipes, limited encodings, missing displays."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from scripts.reliability.interrupts import COMMANDS, Run, interrupt
from scripts.reliability.judging import judge
from tests.e2e.conftest import environment, start
from tests.e2e.test_record import PATIENCE, SMALL, lines_until, wait_end

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
OFFSCREEN = {"QT_QPA_PLATFORM": "offscreen"}
NOHUP = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"


@pytest.mark.parametrize("name", ["window", "watch", "record", "export"])
def test_signals_at_the_start_end_a_command_without_a_crash(name: str) -> None:
    runs: list[Run] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number, delay in zip(numbers, (0.5, 1.0, 1.5), strict=True):
        runs.append(interrupt(name, number, delay, OFFSCREEN))
    assert [run.problem for run in runs] == [""] * 3, runs
    assert all(run.code in COMMANDS[name][1] for run in runs)


@pytest.mark.parametrize("end", ["hangup", "closed"])
def test_a_closed_terminal_or_pipe_finishes_the_recording_and_its_data(tmp_path: Path, end: str) -> None:
    process = start(("record", *SMALL, "--data", "jsonl", "--data", "png"), tmp_path, small=True)
    lines_until(process, "Recording 0:01")
    if end == "hangup":
        process.send_signal(signal.SIGHUP)
    else:
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
        process.stdout = process.stderr = None
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r masks", "r.jsonl", "r.mp4"]
    verdict = judge(tmp_path / "r.mp4")
    assert verdict.problems == () and verdict.frames > 0
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    index = json.loads((tmp_path / "r masks" / "index.json").read_text())
    pictures = list((tmp_path / "r masks").glob("*.png"))
    told = {(line["frame"], line["prompt"]) for line in lines}
    assert len(told) == len(pictures) <= len(index["frames"])  # frames before the first mask have no record


def test_data_of_a_killed_recording_stays_visible(tmp_path: Path) -> None:
    process = start(("record", *SMALL, "--data", "jsonl", "--data", "coco"), tmp_path, small=True)
    lines_until(process, "Recording 0:01")
    process.kill()
    wait_end(process)
    names = ["r coco.recording", "r.recording.jsonl", "r.recording.mp4"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_a_closed_terminal_ends_and_keeps_a_recording(tmp_path: Path) -> None:
    mine, theirs = pty.openpty()
    with start(["record", *SMALL], tmp_path, small=True, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while b"Recording 0:01" not in seen:
            seen += os.read(mine, 4096)
        os.close(mine)
        process.wait(PATIENCE)
    assert process.returncode == 0 and [path.name for path in tmp_path.iterdir()] == ["r.mp4"]


def test_watch_ends_when_its_reader_closes_the_pipe(tmp_path: Path) -> None:
    with start(["watch", "demo:", "-p", "red circle"], tmp_path, small=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["prompt"] == "red circle"
        process.stdout.close()
        process.stdout = None
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and errors == ""


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_watch_writes_every_prompt_into_every_encoding(tmp_path: Path, encoding: str) -> None:
    prompts = ("猫", "🐈 café")
    arguments = ["watch", "demo:", "-p", prompts[0], "-p", prompts[1], "--frames", "1"]
    with start(arguments, tmp_path, small=True, variables={**environment(), "PYTHONIOENCODING": encoding}) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert [json.loads(line)["prompt"] for line in out.splitlines()] == list(prompts)
    assert out.isascii() == (encoding != "utf-8")


@pytest.mark.parametrize("arguments", [["models"], ["models", "--json"], ["--help"], ["export", "--help"]])
def test_limited_encodings_and_closed_outputs_are_not_errors(tmp_path: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "clipseg_live", *arguments]
    narrow = {
        **environment(),
        "LC_ALL": "C",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONUTF8": "0",
        "PYTHONIOENCODING": "ascii",
    }
    done = subprocess.run(command, cwd=tmp_path, env=narrow, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0 and done.stdout and done.stderr == b""
    closed = subprocess.run(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, timeout=PATIENCE,
        preexec_fn=lambda: os.close(1),
    )  # fmt: skip
    assert (closed.returncode, closed.stderr) == (0, b"")
    with start(arguments, tmp_path) as gone:
        assert gone.stdout is not None
        gone.stdout.close()
        gone.stdout = None
        _, errors = gone.communicate(timeout=PATIENCE)
    assert (gone.returncode, errors) == (0, "")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one display")
@pytest.mark.parametrize(
    "variables",
    [
        {"DISPLAY": ":4711"},
        {"DISPLAY": "no such display"},
        {"WAYLAND_DISPLAY": "nothing"},
        {"QT_QPA_PLATFORM": "nonsense"},
        {"QT_QPA_PLATFORM": "xcb", "DISPLAY": ":4711"},
        {"QT_QPA_PLATFORM": "wayland", "WAYLAND_DISPLAY": "/nothing", "XDG_RUNTIME_DIR": "/nowhere"},
    ],
)
def test_an_unavailable_display_gives_a_one_sentence_error(tmp_path: Path, variables: dict[str, str]) -> None:
    plain = {
        name: value
        for name, value in environment().items()
        if name not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM", "XDG_RUNTIME_DIR")
    }
    variables = {**plain, "CLIPSEG_LIVE_CONFIG": str(tmp_path), **variables}
    with start(["live", "--demo"], tmp_path, variables=variables) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1 and out == ""
    assert err.startswith("clipseg-live: Cannot open a window") and err.count("\n") == 1
    assert "clipseg-live watch" in err


def test_a_window_started_with_nohup_survives_its_terminal(tmp_path: Path) -> None:
    config = tmp_path / "settings"
    variables = {**environment(), **OFFSCREEN, "CLIPSEG_LIVE_CONFIG": str(config)}
    with start(
        ["live", "--demo"], tmp_path, NOHUP, small=True, variables=variables, stdout=subprocess.DEVNULL
    ) as process:
        tick = threading.Event()
        while not list(config.glob("*")) and process.poll() is None:  # written one second after the window is shown
            tick.wait(0.1)
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
