"""``clipseg-live export`` of several inputs as a process, with the built-in model."""

import os
import pty
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from tests.e2e.conftest import Completed, environment, pictures_of, start, times_of, workers_of, write_clip

Run = Callable[..., Completed]
SIZE = (96, 64)
OPTIONS = ("-p", "red circle", "--model", "shapes", "--smoothing", "0", "--no-follow", "--no-edges")
RECORD = ".clipseg-live-export.json"


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Return a folder with two videos and a truncated one between them."""
    folder = tmp_path / "in"
    folder.mkdir()
    write_clip(folder / "a.mp4", [0, 20, 45], size=SIZE)
    write_clip(folder / "c [new].mp4", [0, 20, 40, 60], size=SIZE)
    whole = (folder / "a.mp4").read_bytes()
    (folder / "b.mp4").write_bytes(whole[: len(whole) // 3])
    return folder


def until(holds: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline, tick = time.monotonic() + 150, threading.Event()
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        tick.wait(0.05)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != RECORD)


def test_a_failed_input_does_not_stop_the_batch_and_later_runs_resume(
    clipseg_live: Run, clips: Path, tmp_path: Path
) -> None:
    arguments = ["export", *sorted(clips.iterdir()), *OPTIONS, "--into", "out"]
    first = clipseg_live(*arguments, "--jobs", "2")
    assert first.code == 1, first
    lines = first.out.splitlines()
    assert lines[0].startswith("out/a.mp4: done, 3 frames in ")
    assert lines[1].startswith(f"{clips}/b.mp4: failed: b.mp4 ") and lines[1].endswith(".")
    assert lines[2].startswith("out/c [new].mp4: done, 4 frames in ")
    assert lines[3].startswith("3 inputs: 2 done, 1 failed; 7 frames in ")
    told = sorted(line.partition(": ")[2] for line in first.err.splitlines())
    assert told == sorted(lines[:3]), first.err
    assert sorted(line.partition(": ")[0] for line in first.err.splitlines()) == ["1 of 3", "2 of 3", "3 of 3"]
    assert names(tmp_path / "out") == ["a.mp4", "c [new].mp4"]
    assert times_of(tmp_path / "out" / "a.mp4") == [Fraction(time, 600) for time in (0, 20, 45)]
    assert [picture.shape for picture in pictures_of(tmp_path / "out" / "c [new].mp4")] == [(64, 96, 3)] * 4

    second = clipseg_live(*arguments)
    assert second.code == 1
    assert second.out.splitlines()[0] == "out/a.mp4: already finished"
    assert second.out.splitlines()[3].startswith("3 inputs: 2 already finished, 1 failed; ")

    third = clipseg_live(*arguments, "--threshold", "0.4")
    assert third.code == 1
    assert "out/a.mp4 was made with other settings" in third.out and "--overwrite" in third.out
    assert third.out.splitlines()[3].startswith("3 inputs: 3 failed; ")
    assert names(tmp_path / "out") == ["a.mp4", "c [new].mp4"]


def hidden_files(folder: Path) -> list[str]:
    return [name for name in names(folder) if name.startswith(".")]


def start_batch(folder: Path, jobs: int, *options: str) -> "subprocess.Popen[str]":
    """Start a batch with a short video and long ones, and wait until each job writes one."""
    write_clip(folder / "a.mp4", [0, 20], size=SIZE)
    long = ["demo:1", "demo:2"]
    arguments = ["export", "a.mp4", *long, *OPTIONS, "--into", "out", "--jobs", jobs, "--codec", "ffv1", *options]
    process = start([*arguments, "--suffix", ".mkv", "--to", "3600"], folder, small=True)
    out = folder / "out"

    def written() -> bool:
        hidden = [path for path in out.glob(".demo-*.partial-*") if path.stat().st_size > 100_000]
        return (out / "a.mkv").exists() and len(hidden) == jobs

    until(written, process)
    return process


def members_of(process: "subprocess.Popen[str]") -> list[int]:
    """Return the processes that a process has started."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(number) for number in found]


def is_there(number: int) -> bool:
    try:
        status = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def wait_ended(processes: list[int]) -> None:
    deadline, tick = time.monotonic() + 60, threading.Event()
    while any(map(is_there, processes)):
        assert time.monotonic() < deadline, "a process was left running"
        tick.wait(0.05)


@pytest.mark.parametrize(("jobs", "number"), [(1, signal.SIGINT), (2, signal.SIGTERM)])
def test_a_stop_keeps_finished_results(clipseg_live: Run, tmp_path: Path, jobs: int, number: signal.Signals) -> None:
    process = start_batch(tmp_path, jobs)
    members = members_of(process) if jobs > 1 else []
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    wait_ended(members)
    lines = out.splitlines()
    assert lines[0].startswith("out/a.mkv: done, 2 frames")
    assert lines[1].startswith("demo:1: stopped: The export was stopped; ")
    assert lines[2].startswith("demo:2: stopped" if jobs == 2 else "demo:2: not started")
    assert err.splitlines()[-1] == (
        "clipseg-live: The export was stopped. The same command continues it."
    )  # fmt: skip
    assert "Traceback" not in err
    assert names(tmp_path / "out") == ["a.mkv"]
    before = (tmp_path / "out" / "a.mkv").stat().st_mtime_ns
    again = clipseg_live(
        "export", "a.mp4", *OPTIONS, "--into", "out", "--codec", "ffv1", "--suffix", "mkv", "--to", "3600"
    )
    assert again.code == 0
    assert again.out.startswith("out/a.mkv: already finished\n")
    assert (tmp_path / "out" / "a.mkv").stat().st_mtime_ns == before


def test_a_killed_process_costs_one_input_and_a_killed_parent_leaves_none(tmp_path: Path) -> None:
    process = start_batch(tmp_path, 2)
    members = members_of(process)
    exporting = workers_of(process)
    assert len(exporting) == 2
    os.kill(exporting[0], signal.SIGKILL)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("1 of 3: out/a.mkv: done")
    line = process.stderr.readline()
    assert "2 of 3: demo:" in line and "failed: the process was ended by signal 9." in line
    assert is_there(exporting[1])
    process.kill()
    process.communicate(timeout=30)
    wait_ended(members)
    assert [name for name in names(tmp_path / "out") if not name.startswith(".")] == ["a.mkv"]
    assert len(hidden_files(tmp_path / "out")) == 1  # of the killed process


def test_a_terminal_shows_a_total_bar_and_one_for_each_file(clips: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    arguments = ["export", "in", *OPTIONS, "--into", "out"]
    process = start(arguments, tmp_path, variables={**environment(), "TERM": "xterm"}, stderr=theirs)
    os.close(theirs)
    shown = b"".join(_read(ours)).decode()
    out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 1
    assert "3 inputs: 2 done, 1 failed" in out
    assert "of 3 files" in shown
    assert "c [new].mp4" in shown and "of 4 frames" in shown
    assert "b.mp4: failed: b.mp4 " in shown
    assert "Traceback" not in shown


def _read(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # its other end is closed
            return
        if not data:
            return
        yield data


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["a.mp4", "b.mp4", "-o", "c.mp4"], 2, ["2 inputs", "--into FOLDER"]),
        (["a.mp4", "b.mp4"], 2, ["2 inputs", "--into FOLDER"]),
        (["a.mp4"], 2, ["-o out.mp4", "--into"]),
        (["a.mp4", "-o", "c.mp4", "--into", "out"], 2, ["-o", "--into", "one of the two"]),
        (["a.mp4", "-o", "c.mp4", "--jobs", "2"], 2, ["--jobs", "--into"]),
        (["a.mp4", "-o", "c.mp4", "--suffix", ".mkv"], 2, ["--suffix", "--into"]),
        (["a.mp4", "--into", "out", "--jobs", "0"], 2, ["--jobs must be 1 or more"]),
        (["a.mp4", "--into", "out", "--masks", "out/a.jsonl"], 2, ["--masks jsonl", "out/a.jsonl"]),
        (["a.mp4", "--into", "out", "--suffix", ".xyz"], 2, [".xyz"]),
        (["a.mp4", "--into", "."], 2, ["a.mp4 is also an input"]),
        (["*.mp4", "--into", "."], 2, ["*.mp4 would also match the results"]),
        (["a.mp4", "--into", "a.mp4"], 2, ["a.mp4 is a file"]),
        (["a.mp4", "--into", "out", "--model", "nonsense"], 2, ["nonsense"]),
        (["a.mp4", "--into", "out", "--device", "cuda:9"], 2, ["cuda:9"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_usage_gives_a_one_sentence_error(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    words: list[str],
) -> None:
    """Calls the function of the command in this process, for speed."""
    from clipseg_live.cli.main import run

    for name in ("a.mp4", "b.mp4"):
        write_clip(tmp_path / name, [0, 20], size=SIZE)
    monkeypatch.chdir(tmp_path)
    options = [] if "--model" in arguments else ["--model", "shapes"]
    assert run(["export", *arguments, "-p", "red circle", *options]) == code
    told = capsys.readouterr()
    assert len(told.err.strip().splitlines()) == 1 and told.out == ""
    for word in words:
        assert word in told.err
    assert not list(tmp_path.glob("out/*.mp4"))
