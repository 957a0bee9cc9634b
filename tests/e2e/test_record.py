"""``clipseg-live record`` as a process: its files, its end, and the files after a kill."""

import io
import json
import signal
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from scripts.reliability.judging import judge
from tests.e2e.conftest import Completed, scene, start
from tests.helpers.clips import make_clip
from tests.helpers.servers import HTTPHandler, Server

PATIENCE = 160.0
SMALL = ("demo:", "-p", "red circle", "--name", "r")


def lines_until(process: "subprocess.Popen[str]", words: str, *, of_errors: bool = False) -> None:
    """Read standard output or standard error up to a line with this text."""
    lines = process.stderr if of_errors else process.stdout
    assert lines is not None
    for line in lines:
        assert "secret" not in line
        if words in line:
            return
    raise AssertionError(process.stderr.read() if process.stderr else "")


def wait_end(process: "subprocess.Popen[str]") -> Completed:
    out, err = process.communicate(timeout=PATIENCE)
    return Completed(process.returncode, out, err)


def test_a_file_is_recorded_from_its_start_with_audio_and_data(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", count=90, rate=Fraction(30), sound=["aac"], sound_seconds=3.0)
    arguments = ("-p", "red circle", "--model", "shapes", "--name", "{source} {prompts}", "--into", tmp_path / "new")
    more = ("--track", "composed", "--track", "mattes", "--data", "jsonl")
    finished = wait_end(start(("record", clip, *arguments, *more), tmp_path))
    assert finished.code == 0, finished.err
    stem = "clip.mp4 red circle"
    names = [f"{stem} mattes.mp4", f"{stem}.jsonl", f"{stem}.mp4"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == names
    assert finished.out.splitlines()[-1] == f"Recorded {tmp_path / 'new' / stem}.mp4 and 2 more files."
    composed, mattes = judge(tmp_path / "new" / f"{stem}.mp4"), judge(tmp_path / "new" / f"{stem} mattes.mp4")
    assert composed.problems == mattes.problems == ()
    assert composed.seconds > 2.7 and (composed.frames, composed.seconds) == (mattes.frames, mattes.seconds)
    assert composed.sound_seconds is not None and mattes.sound_seconds is None
    assert abs(composed.sound_seconds - composed.seconds) < 0.1
    entries = [json.loads(line) for line in (tmp_path / "new" / f"{stem}.jsonl").read_text().splitlines()]
    assert {entry.get("prompt") for entry in entries} == {"red circle"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_recording(tmp_path: Path, number: int) -> None:
    process = start(("record", *SMALL), tmp_path, small=True)
    lines_until(process, "Recording 0:02")
    process.send_signal(number)
    finished = wait_end(process)
    assert finished.code == 0, finished.err
    assert [path.name for path in tmp_path.iterdir()] == ["r.mp4"]
    verdict = judge(tmp_path / "r.mp4")
    assert verdict.problems == () and verdict.seconds > 1.0
    assert (tmp_path / "r.mp4").read_bytes()[4:8] == b"ftyp" and b"moof" not in (tmp_path / "r.mp4").read_bytes()


def test_a_recording_survives_a_kill(tmp_path: Path) -> None:
    process = start(("record", *SMALL), tmp_path)
    lines_until(process, "Recording 0:02")
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert [path.name for path in tmp_path.iterdir()] == ["r.recording.mp4"]
    verdict = judge(tmp_path / "r.recording.mp4")
    assert verdict.problems == () and verdict.seconds > 1.0


def test_invalid_recordings_give_a_one_sentence_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for arguments, code, words in (
        (("demo:", "-p", "x", "--codec", "mpeg2"), 2, "is not a valid codec"),
        (("demo:", "-p", "x", "--name", "{nothing}"), 2, "{nothing} is not a placeholder"),
        (("demo:", "-p", "x", "--microphone", "a"), 2, "give --sound microphone as well"),
        (("demo:", "-p", "x", "--into", tmp_path / "file" / "x"), 1, "Nothing can be recorded in"),
        ((tmp_path / "none.mp4", "-p", "x"), 1, "There is no file"),
        (("demo:", "-p", "x", "--model", "rd64-refined"), 1, "could not be downloaded"),
    ):
        finished = wait_end(start(("record", *arguments), tmp_path))
        assert (finished.code, len(finished.err.splitlines())) == (code, 1) and words in finished.err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def truncated_clip(folder: Path) -> Path:
    """Return a truncated clip whose headers declare more frames."""
    whole = make_clip(folder / "clip.avi", count=60, noise=True, options={"g": "5", "bf": "0"})
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    return whole


def test_an_incomplete_recording_of_a_file_is_an_error_that_names_the_kept_file(tmp_path: Path) -> None:
    finished = wait_end(start(("record", truncated_clip(tmp_path), *SMALL[1:], "--model", "shapes"), tmp_path))
    assert finished.code == 1 and "Recorded" not in finished.out
    (sentence,) = finished.err.splitlines()
    assert "ends at 0:0" in sentence and sentence.endswith("; the recording before that is kept in r.mp4.")
    verdict = judge(tmp_path / "r.mp4")
    assert verdict.problems == () and verdict.frames > 5


def test_an_interruption_before_the_first_frame_is_an_error(tmp_path: Path) -> None:
    process = start(("record", *SMALL), tmp_path, small=True)
    lines_until(process, "Loading the model")
    process.send_signal(signal.SIGINT)
    finished = wait_end(process)
    sentence = "clipseg-live: Nothing was recorded: it was interrupted before the first frame with masks."
    assert (finished.code, finished.err.splitlines()) == (1, [sentence])
    assert list(tmp_path.iterdir()) == []


NO_PROCESSES = """
import errno
from multiprocessing.context import SpawnProcess
def start(process):
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
SpawnProcess.start = start
"""
ENDS = """
import os, sys
if "--multiprocessing-fork" in sys.argv:
    os._exit(5)
"""


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        (NO_PROCESSES, "keeps failing (the process cannot be started: Resource temporarily unavailable)"),
        (ENDS, "keeps failing (the process ended with code 5)"),
    ],
)
def test_a_failed_worker_is_an_error(tmp_path: Path, patch: str, words: str) -> None:
    finished = wait_end(start(("record", *SMALL), tmp_path, patch, small=True))
    assert finished.code == 1 and words in finished.err.splitlines()[-1] and "Traceback" not in finished.err
    assert finished.err.count(words) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


class SteadyCamera(HTTPHandler):
    """A network camera that shows the demo scene without motion."""

    def picture(self, number: int) -> bytes:
        written = io.BytesIO()
        Image.fromarray(scene().picture(0)).save(written, "JPEG", quality=95)
        return written.getvalue()


def test_a_lost_camera_and_its_return_are_reported(tmp_path: Path) -> None:
    with Server(SteadyCamera) as server:
        address = f"http://user:secret@127.0.0.1:{server.port}/live.mjpg"
        process = start(["record", address, "-p", "red circle", "--model", "shapes", "--name", "r"], tmp_path)
        lines_until(process, "Recording 0:01")
        server.kill()
        lines_until(process, "Reconnecting...", of_errors=True)
        server.start()
        lines_until(process, "is back.", of_errors=True)
        process.send_signal(signal.SIGINT)
        finished = wait_end(process)
    assert finished.code == 0 and "secret" not in finished.err
    assert judge(tmp_path / "r.mp4").problems == ()
