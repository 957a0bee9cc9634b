"""``clipseg-live export`` as a process, with the built-in model."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from clipseg_live import Prompt, Segmenter
from scripts.training.truth import scene_truth
from tests.e2e.conftest import Completed, frames_of, packets_of, pictures_of, scene, start, times_of, write_clip

Run = Callable[..., Completed]
UNEVEN = [0, 20, 40, 55, 80, 100, 121, 140, 160, 200]


def assert_one_sentence(result: Completed, code: int, *words: str) -> None:
    assert result.code == code, result
    lines = result.err.strip().splitlines()
    assert len(lines) == 1, result.err
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in result.err


def hidden_files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(".")]


PLAIN = ("--effect", "tint", "--smoothing", "0", "--no-follow", "--no-edges")
"""Masks of the engine itself."""


def test_an_export_keeps_timing_and_audio_and_tints_the_object(clipseg_live: Run, tmp_path: Path) -> None:
    """Only the named object is coloured, and masks are those of the engine."""
    clip = write_clip(tmp_path / "ein Clip – 日本.mp4", UNEVEN, sound=True)
    options = ["-p", "red circle", "-p", "blue star", "--model", "shapes", "--opacity", "1", "--quality", "95"]
    result = clipseg_live(
        "export", clip, *options, "-o", "out.mp4", "--masks", "out.jsonl", "--colour", "#00ff00", *PLAIN, fresh=True
    )
    assert result.code == 0, result.err
    assert result.out.startswith("out.mp4: 10 frames in")
    assert result.err == ""
    assert hidden_files(tmp_path) == []

    assert times_of(tmp_path / "out.mp4") == times_of(clip) == [Fraction(time, 600) for time in UNEVEN]
    assert packets_of(tmp_path / "out.mp4") == packets_of(clip)
    before, after = frames_of(clip), pictures_of(tmp_path / "out.mp4")
    assert after[0].shape == before[0].shape == (192, 256, 3)

    assert json.loads((tmp_path / "out.jsonl.header.json").read_text())["model"] == "shapes"
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len({(line["frame"], line["prompt"]) for line in lines}) == 20
    segmenter = Segmenter.load("shapes", device="cpu")
    prompts = [Prompt.text("red circle"), Prompt.text("blue star")]
    for number in (0, 9):
        expected = segmenter.segment(before[number], prompts).masks(0.5)
        for which, prompt in enumerate(prompts):
            parts = [line for line in lines if (line["frame"], line["prompt"]) == (number, prompt.label)]
            found = np.any([coco.decode(line["rle"]) for line in parts], axis=0)
            assert sum(line["area"] for line in parts) == found.sum() > 0
            np.testing.assert_array_equal(found, expected[which])
            green = (after[number][..., 1] > 150) & (after[number][..., 0] < 90) & (after[number][..., 2] < 90)
            inside = Image.fromarray(found).resize((128, 96)).resize((256, 192))
            assert green[np.asarray(inside) & found].mean() > 0.8


def test_masks_match_the_ground_truth(clipseg_live: Run, tmp_path: Path) -> None:
    drawn = scene()
    for number in range(3):
        Image.fromarray(drawn.picture(10 * number)).save(tmp_path / f"picture {number}.png")
    result = clipseg_live(
        "export", "picture *.png", "-p", "red circle", "-p", "dog", "--model", "shapes", "-o", "out.mkv",
        "--masks", "masks", "--codec", "ffv1", "--effect", "cutout", "--sequence",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert len(pictures_of(tmp_path / "out.mkv")) == 3
    found = {path.name: np.asarray(Image.open(path)) > 0 for path in (tmp_path / "masks").glob("*.png")}
    assert len(found) == 6
    for name, mask in found.items():
        number = int(name.split("_")[0].removeprefix("picture "))  # masks are named after their images
        truth = scene_truth(drawn, 10 * number).mask("red circle")
        if "dog" in name:
            assert mask.mean() < 0.02
        else:
            assert (mask & truth).sum() / (mask | truth).sum() > 0.5


def test_images_odd_sizes_and_truncated_prompts_are_supported(clipseg_live: Run, tmp_path: Path) -> None:
    Image.fromarray(scene().picture(0)[:101, :77]).save(tmp_path / "odd.png")
    options = ["-p", "red " * 90, "--model", "shapes"]
    picture = clipseg_live("export", "odd.png", *options, "-o", "out.png")
    assert picture.code == 0, picture.err
    assert "77 tokens" in picture.err
    with Image.open(tmp_path / "out.png") as written:
        assert written.size == (77, 101)
    video = clipseg_live("export", "odd.png", "-p", "red", "--model", "shapes", "-o", "out.mp4", "--effect", "outline")
    assert video.code == 0, video.err
    assert "even" in video.err or "repeat" in video.err or "padded" in video.err
    assert pictures_of(tmp_path / "out.mp4")[0].shape == (102, 78, 3)


def test_a_damaged_video_is_reported(clipseg_live: Run, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "whole.mkv", [20 * number for number in range(40)])
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    result = clipseg_live("export", broken, "-p", "red circle", "--model", "shapes", "-o", "out.mp4")
    assert result.code == 0, result.err
    assert "broken.mkv ends at 0:0" in result.err and "frames before that point" in result.err
    assert 1 <= len(pictures_of(tmp_path / "out.mp4")) < 40
    assert list(tmp_path.glob("*.partial.*")) == []
    assert hidden_files(tmp_path) == []


def begin_long_export(folder: Path) -> "subprocess.Popen[str]":
    """Start a long export, and wait until its hidden file grows."""
    options = ["-p", "red circle", "--to", "3600", "--overwrite", "--codec", "ffv1"]
    process = start(["export", "demo:", *options, *PLAIN, "-o", "out.mkv"], folder, small=True)
    deadline, tick = time.monotonic() + 120, threading.Event()
    while not any(path.stat().st_size > 100_000 for path in hidden_files(folder)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        tick.wait(0.05)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stop_keeps_the_existing_file(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "out.mkv").write_bytes(b"precious")
    process = begin_long_export(tmp_path)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (tmp_path / "out.mkv").read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["out.mkv"]
    if number != signal.SIGKILL:
        assert process.returncode == 1
        assert hidden_files(tmp_path) == []
        assert "stopped" in err and "frames were exported" in err
        assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing.mp4", "-o", "a.mp4"], 1, ["missing.mp4"]),
        (["text.mp4", "-o", "a.mp4"], 1, ["text.mp4"]),
        (["empty.mp4", "-o", "a.mp4"], 1, ["empty.mp4"]),
        (["nothing", "-o", "a.mp4"], 1, ["nothing"]),
        (["clip.mp4", "-o", "clip.mp4", "--overwrite"], 2, ["clip.mp4", "input"]),
        (["clip.mp4", "-o", "text.mp4"], 2, ["text.mp4", "--overwrite"]),
        (["clip.mp4", "-o", "no/such/folder/a.mp4"], 1, ["no/such/folder"]),
        (["clip.mp4", "-o", "a.mp4", "--codec", "ffv1"], 2, ["ffv1", ".mkv"]),
        (["clip.mp4", "-o", "a.xyz"], 2, ["a.xyz"]),
        (["clip.mp4", "-o", "a.mp4", "--threshold", "2"], 2, ["2.0"]),
        (["clip.mp4", "-o", "a.mp4", "--threshold", "0.1", "--threshold", "0.2", "--threshold", "0.3"], 2, ["3", "1"]),
        (["clip.mp4", "-o", "a.mp4", "-p", "  "], 2, ["empty"]),
        (["clip.mp4", "-o", "a.mp4", "--from", "9"], 1, ["clip.mp4"]),
        (["clip.mp4", "-o", "a.mp4", "--from", "2", "--to", "1"], 2, ["after"]),
        (["clip.mp4", "-o", "a.mp4", "--model", "nonsense"], 2, ["nonsense", "shapes"]),
        (["clip.mp4", "-o", "a.mp4", "--model", "rd64"], 1, ["--model shapes"]),
        (["clip.mp4", "-o", "a.mp4", "--model", "nothing"], 1, ["nothing", "config.json"]),
        (["clip.mp4", "-o", "a.mp4", "--device", "cuda:9"], 2, ["cuda:9", "cpu"]),
        (["clip.mp4", "-o", "a.mp4", "--size", "100"], 2, ["100", "96"]),
        (["clip.mp4", "-o", "a.mp4", "--prompt-image", "text.mp4"], 1, ["text.mp4"]),
        (["clip.mp4", "-o", "a.mp4", "--prompt-embedding", "text.npy"], 1, ["text.npy"]),
        (["clip.mp4", "-o", "a.mp4", "--masks", "a.mp4"], 2, ["a.mp4"]),
        (["demo:x", "-o", "a.mp4"], 2, ["demo:"]),
        (["mine/*.png", "-o", "a.mp4", "--sequence", "--masks", "mine", "--overwrite"], 2, ["mine", "another folder"]),
        (["clip.mp4", "-o", "a.mp4", "--masks", "mine", "--overwrite"], 2, ["mine", "000001.png"]),
        (["pipe", "-o", "a.mp4"], 1, ["pipe", "named pipe"]),
        (["clip.mp4", "-o", f"{'x' * 300}.mp4"], 2, ["xxx", "name"]),
        (["wide.png", "-o", "a.mp4"], 2, ["wide.png", "16384", ".webm"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_invalid_input_gives_a_one_sentence_error(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    words: list[str],
) -> None:
    """Calls the function of the command in this process, for speed."""
    from clipseg_live.cli.main import run

    write_clip(tmp_path / "clip.mp4", [0, 20, 40])
    (tmp_path / "text.mp4").write_text("This is no video.\n" * 50)
    (tmp_path / "text.npy").write_text("no numbers")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "nothing").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "mine").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "mine" / "000001.png")
    Image.new("RGB", (16400, 2)).save(tmp_path / "wide.png")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    defaults = [] if "-p" in arguments else ["-p", "red circle"]
    defaults += [] if "--model" in arguments else ["--model", "shapes"]
    found = run(["export", *arguments, *defaults])
    assert_one_sentence(Completed(found, "", capsys.readouterr().err), code, *words)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "mine" / "000001.png").exists()
