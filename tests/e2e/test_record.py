"""``clipseg-live record`` as a process: what it writes, how it ends, and what is left after it was killed."""

import json
import signal
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from scripts.reliability.judging import judge
from tests.e2e.conftest import Finished, start
from tests.unit.video.clips import make_clip

PATIENCE = 160.0
SMALL = ("demo:", "-p", "red circle", "--name", "r")


def lines_until(process: "subprocess.Popen[str]", words: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(process.stderr.read() if process.stderr else "")


def ended(process: "subprocess.Popen[str]") -> Finished:
    out, err = process.communicate(timeout=PATIENCE)
    return Finished(process.returncode, out, err)


def test_a_file_is_recorded_from_its_beginning_with_sound_and_data(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", count=45, rate=Fraction(30), sound=["aac"], sound_seconds=1.5)
    arguments = ("-p", "red circle", "--model", "shapes", "--name", "{source} {prompts}", "--into", tmp_path / "new")
    more = ("--track", "composed", "--track", "mattes", "--data", "jsonl")
    finished = ended(start(("record", clip, *arguments, *more), tmp_path))
    assert finished.code == 0, finished.err
    stem = "clip.mp4 red circle"
    names = [f"{stem} mattes.mp4", f"{stem}.jsonl", f"{stem}.mp4"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == names
    assert finished.out.splitlines()[-1] == f"Recorded {tmp_path / 'new' / stem}.mp4 and 2 more files."
    composed, mattes = judge(tmp_path / "new" / f"{stem}.mp4"), judge(tmp_path / "new" / f"{stem} mattes.mp4")
    assert composed.problems == mattes.problems == ()
    assert composed.seconds > 1.2 and (composed.frames, composed.seconds) == (mattes.frames, mattes.seconds)
    assert composed.sound_seconds is not None and mattes.sound_seconds is None
    assert abs(composed.sound_seconds - composed.seconds) < 0.1
    entries = [json.loads(line) for line in (tmp_path / "new" / f"{stem}.jsonl").read_text().splitlines()]
    assert {entry.get("prompt") for entry in entries[1:]} == {"red circle"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_recording(tmp_path: Path, number: int) -> None:
    process = start(("record", *SMALL), tmp_path)
    lines_until(process, "Recording 0:02")
    process.send_signal(number)
    finished = ended(process)
    assert finished.code == 0, finished.err
    assert [path.name for path in tmp_path.iterdir()] == ["r.mp4"]
    verdict = judge(tmp_path / "r.mp4")
    assert verdict.problems == () and verdict.seconds > 1.0
    assert (tmp_path / "r.mp4").read_bytes()[4:8] == b"ftyp" and b"moof" not in (tmp_path / "r.mp4").read_bytes()


def test_what_was_recorded_before_a_kill_can_be_played(tmp_path: Path) -> None:
    process = start(("record", *SMALL), tmp_path)
    lines_until(process, "Recording 0:02")
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert [path.name for path in tmp_path.iterdir()] == ["r.recording.mp4"]
    verdict = judge(tmp_path / "r.recording.mp4")
    assert verdict.problems == () and verdict.seconds > 1.0


def test_what_cannot_be_recorded_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for arguments, code, words in (
        (("demo:", "-p", "x", "--codec", "mpeg2"), 2, "is not a possible codec"),
        (("demo:", "-p", "x", "--name", "{nothing}"), 2, "{nothing} means nothing"),
        (("demo:", "-p", "x", "--microphone", "a"), 2, "give --sound microphone as well"),
        (("demo:", "-p", "x", "--into", tmp_path / "file" / "x"), 1, "Nothing can be recorded in"),
        ((tmp_path / "none.mp4", "-p", "x"), 1, "There is no file"),
    ):
        finished = ended(start(("record", *arguments), tmp_path))
        assert (finished.code, len(finished.err.splitlines())) == (code, 1) and words in finished.err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
