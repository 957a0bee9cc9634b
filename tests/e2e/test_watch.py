"""``clipseg-live watch`` and session files, as processes."""

import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clipseg_live.core.session_file import save_session
from clipseg_live.core.settings.base import EngineSettings, PromptStyle
from clipseg_live.core.settings.effects import Tint
from clipseg_live.core.settings.live import FrameTransform, LiveSettings, PromptRow
from tests.e2e.conftest import SIZE, Completed, frames_of, start, write_clip

Run = Callable[..., Completed]
SHAPES = EngineSettings(model="shapes")


def test_watch_prints_the_positions_of_objects(clipseg_live: Run) -> None:
    done = clipseg_live("watch", "demo:", "-p", "red circle", "-p", "purple ring", "--frames", 3, fresh=True)
    assert (done.code, done.err) == (0, "")
    entries = [json.loads(line) for line in done.out.splitlines()]
    assert [entry["prompt"] for entry in entries] == ["red circle", "purple ring"] * 3
    first = entries[0]
    assert first["present"] and 0 < first["area"] < 0.2 and first["probability"] > 0.5
    x, y, width, height = first["box"]
    assert 0 <= x < x + width <= 1280 and 0 <= y < y + height <= 720
    assert width * height / (1280 * 720) >= first["area"] - 1e-6
    assert [entry["time"] for entry in entries[::2]] == sorted(entry["time"] for entry in entries[::2])


def test_watch_prints_every_frame_of_a_file(clipseg_live: Run, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a b ü.mp4", [0, 20, 40, 100, 120])
    done = clipseg_live("watch", clip, "-p", "circle", "--model", "shapes", "--threshold", "0.4")
    assert (done.code, done.err) == (0, "")
    entries = [json.loads(line) for line in done.out.splitlines()]
    assert [entry["time"] for entry in entries] == pytest.approx([0, 1 / 30, 1 / 15, 1 / 6, 0.2], abs=1e-5)


def test_watch_measures_masks_as_data_do(clipseg_live: Run, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", [0, 20])
    common = [clip, "-p", "red circle", "--model", "shapes", "--threshold", "0.4"]
    watched = clipseg_live("watch", *common)
    plain = ["--smoothing", "0", "--no-motion-tracking", "--no-edges", "--temporal", "causal", "--instances", "prompt"]
    exported = clipseg_live("export", *common, *plain, "--data", f"jsonl:{tmp_path / 'a.jsonl'}")
    assert (watched.code, exported.code) == (0, 0)
    for line, row in zip(watched.out.splitlines(), (tmp_path / "a.jsonl").read_text().splitlines(), strict=True):
        entry, annotation = json.loads(line), json.loads(row)
        assert entry["present"] and entry["box"] == annotation["box"] and entry["presence"] == annotation["presence"]
        assert entry["area"] == pytest.approx(annotation["area"] / (SIZE[0] * SIZE[1]), abs=1e-6)
        assert entry["probability"] == pytest.approx(annotation["probability"], abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["watch", "demo:"], 2, "There is no prompt"),
        (["watch", "no.mp4", "-p", "x", "--model", "shapes"], 1, "no file"),
        (["watch", "demo:nothing", "-p", "x"], 2, "not a demo scene"),
        (["watch", "camera:77", "-p", "x", "--model", "shapes"], 1, "camera"),
        (["watch", "demo:", "-p", "x", "--threshold", "2"], 2, "not a valid threshold"),
        (["watch", "demo:", "--session", "no.json"], 1, "no session file"),
        (["export", "demo:", "--session", "no.json", "-p", "x", "-o", "x.mp4"], 2, "not both"),
    ],
)
def test_invalid_use_gives_a_one_sentence_error(
    clipseg_live: Run, arguments: list[str], code: int, sentence: str
) -> None:
    done = clipseg_live(*arguments)
    assert done.code == code and done.out == ""
    assert sentence in done.err and done.err.count("\n") == 1 and "Traceback" not in done.err


def test_ctrl_c_ends_watch(tmp_path: Path) -> None:
    with start(["watch", "demo:", "-p", "red circle"], tmp_path, small=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["prompt"] == "red circle"
        process.send_signal(signal.SIGINT)
        killer = threading.Timer(20, process.kill)
        killer.start()
        _, errors = process.communicate()
        killer.cancel()
        killer.join()
    assert process.returncode == 1 and errors == "clipseg-live: Stopped.\n"


def test_a_missing_display_names_other_commands(clipseg_live: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    for arguments in ([], ["live", "demo:"]):
        done = clipseg_live(*arguments)
        assert done.code == 1 and "no display" in done.err and "clipseg-live watch" in done.err


def test_a_session_file_can_be_exported(clipseg_live: Run, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "in.mp4", [0, 20, 40])
    style = PromptStyle(colour=(0, 255, 0), threshold=0.4, opacity=0.8)
    rows = (
        PromptRow(id=4, text="red circle", style=style),
        PromptRow(id=1, text="blue star", visible=False),
        PromptRow(id=2, text="  "),
    )
    settings = LiveSettings(rows=rows, effects=(Tint(),), engine=SHAPES)
    save_session(tmp_path / "s.json", settings)
    save_session(tmp_path / "turned.json", settings.model_copy(update={"framing": FrameTransform(turn=90)}))
    by_session = clipseg_live("export", clip, "--session", "s.json", "-o", "s.mkv", "--codec", "ffv1")
    by_options = clipseg_live(
        "export", clip, "-p", "red circle", "--colour", "#00ff00", "--threshold", "0.4", "--opacity", "0.8",
        "--model", "shapes", "--effect", "tint", "-o", "o.mkv", "--codec", "ffv1",
    )  # fmt: skip
    turned = clipseg_live("export", clip, "--session", "turned.json", "-o", "t.mkv", "--codec", "ffv1")
    assert (by_session.code, by_options.code, turned.code) == (0, 0, 0), by_session.err + turned.err
    wanted, found = frames_of(tmp_path / "o.mkv"), frames_of(tmp_path / "s.mkv")
    assert len(found) == 3 and all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))
    assert frames_of(tmp_path / "t.mkv")[0].shape == (256, 192, 3)
