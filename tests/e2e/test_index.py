"""The commands index and search."""

import csv
import json
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from clipseg_live.index.chunks import list_chunks
from clipseg_live.index.store import IndexStore
from tests.e2e.conftest import Completed, start, write_clip

Run = Callable[..., Completed]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide two seconds of the demo scene, which always has a red circle and never a white heart."""
    return write_clip(tmp_path_factory.mktemp("clip") / "walk.mp4", range(0, 1200, 20))


@pytest.fixture
def video(clip: Path, tmp_path: Path) -> Path:
    path = tmp_path / "walk.mp4"
    os.link(clip, path)
    return path


def test_a_video_is_indexed_and_searched(clipseg_live: Run, video: Path) -> None:
    made = clipseg_live("index", video, "--model", "shapes", "--every", "0.5s")
    assert made.code == 0, made.err
    assert made.out.startswith(f"{video}.clipseg-index: 4 frames, ")
    assert "Indexing walk.mp4 to walk.mp4.clipseg-index: about" in made.err
    again = clipseg_live("index", video, "--model", "shapes")
    assert again.code == 0 and again.out.endswith("; complete already\n")

    found = clipseg_live("search", video, "a red circle", "a white heart", "--json")
    assert (found.code, found.err) == (0, "")
    (line,) = map(json.loads, found.out.splitlines())
    assert line["prompt"] == "a red circle" and line["file"] == str(video)
    assert (line["start"], line["end"], line["frames"]) == (0, 2, 4)
    assert line["presence"] > 0.9 and 0 < line["area"] < 0.2

    table = clipseg_live("search", video.parent, "a red circle", "--from", "0.5", "--to", "1.5", "--csv")
    assert table.code == 0
    (row,) = csv.DictReader(table.out.splitlines())
    assert (float(row["start"]), float(row["end"]), row["frames"]) == (0.5, 1.5, "2")
    files = clipseg_live("search", video, "a red circle", "--clips", "clips", "--sheet", "a.png", "--markers", "a.edl")
    assert files.code == 0 and files.err.splitlines()[:2] == ["a.png", "a.edl"]
    assert [path.suffix for path in (video.parent / "clips").iterdir()] == [".mp4"]
    nothing = clipseg_live("search", f"{video}.clipseg-index", "a white heart")
    assert (nothing.code, nothing.out) == (0, "Nothing was found in 4 frames.\n")


def test_one_bad_input_does_not_stop_the_others(clipseg_live: Run, video: Path, tmp_path: Path) -> None:
    (tmp_path / "b.mp4").write_bytes(b"no video")
    made = clipseg_live("index", tmp_path / "b.mp4", video, "--model", "shapes", "--compact", "--into", tmp_path / "x")
    assert made.code == 1
    assert "b.mp4 is not a video" in made.err and "Traceback" not in made.err
    assert [path.name for path in (tmp_path / "x").iterdir() if IndexStore(path).manifest.sources[0].frames] == [
        "walk.mp4.clipseg-index"
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("search", "walk.mp4", "a dog"), 2, "has no index: make one with clipseg-live index walk.mp4"),
        (("search", "walk.mp4"), 2, "There is no prompt"),
        (("search", "walk.mp4", "x", "--json", "--csv"), 2, "give one of them"),
        (("search", "walk.mp4", "x", "--accuracy", "best"), 2, "is not an accuracy"),
        (("search", "walk.mp4", "x", "--markers", "a.xml"), 2, "is not a file of markers"),
        (("index", "walk.mp4", "--every", "never"), 2, "does not say which frames"),
        (("index", "walk.mp4", "--bits", "3"), 2, "use --bits 16, 8 or 4"),
        (("index", "walk.mp4", "--bits", "8", "--compact"), 2, "leave out"),
        (("index", "nothing.mp4", "--model", "shapes"), 1, "cannot be read"),
    ],
)
def test_wrong_usage_is_one_sentence(clipseg_live: Run, video: Path, arguments: tuple, code: int, words: str) -> None:
    found = clipseg_live(*arguments)
    assert found.code == code and words in found.err and found.err.count("\n") == 1, found.err


def test_a_killed_index_opens_and_is_continued(clipseg_live: Run, tmp_path: Path) -> None:
    """The process is killed as soon as it has written a chunk, while it encodes the next one."""
    folder = tmp_path / "demo.clipseg-index"
    arguments = ("index", "demo:", "--every", "4")
    patch = "from clipseg_live.index import writer\nwriter.CHUNK_ENTRIES = 8\n"
    with start(arguments, tmp_path, patch, small=True) as process:
        while not (folder.is_dir() and len(list_chunks(folder)) >= 2):
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
            assert process.returncode is None, process.communicate()
        process.send_signal(signal.SIGKILL)
        process.communicate()
    count = len(IndexStore(folder).table)
    assert count >= 16 and count % 8 == 0
    made = clipseg_live(*arguments, small=True)
    assert made.code == 0, made.err
    assert int(made.out.split("; ")[1].split()[0]) == 60 - count
    assert IndexStore(folder).manifest.sources[0].frames == 60
