"""Data of killed recordings is found, completed and renamed, for every format and time of the kill."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from clipseg_live.core.settings.base import DATA_FORMATS
from clipseg_live.core.settings.data_formats import find_format
from clipseg_live.core.settings.recording import data_path
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.folder import cut_to_whole_lines
from clipseg_live.exporters.masks import JsonLinesMaskSink
from clipseg_live.exporters.recovery import recover_interrupted
from clipseg_live.exporters.registry import open_data_sink
from clipseg_live.exporters.tables import cut_to_whole_rows
from clipseg_live.media.atomic_output import AtomicOutput, is_claimed
from tests.helpers.killed_writer import STEM
from tests.helpers.known_mattes import HEADER, LABELS, frames_with_mattes, write_frames
from tests.helpers.paths import ROOT
from tests.helpers.rendered import rendered

COUNT = 40
IN_MEMORY = "sheet"
"""The format that writes nothing to disk before its end."""
ON_DISK = [form for form in DATA_FORMATS if form != IN_MEMORY]
VIDEOS = ("alpha-prores", "alpha-vp9")
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks, and does not move open files")


def recovered(form: str, folder: Path) -> Path:
    name = find_format(form).file_name.replace("{}", STEM)
    path = Path(name)
    return folder / (
        f"{path.stem} (recovered){path.suffix}" if "." in find_format(form).file_name else f"{name} (recovered)"
    )


def age(folder: Path) -> None:
    """Make all files look old."""
    for entry in [*folder.rglob("*"), folder]:
        os.utime(entry, (1, 1))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which a process wrote every format until it was killed, after recovery."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-m", "tests.helpers.killed_writer", str(folder), str(COUNT)]
    root = ROOT
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "written\n"
        names = [entry.name for entry in folder.iterdir()]
        assert len(names) == len(DATA_FORMATS) and not [name for name in names if name.startswith(".")]
        age(folder)
        if sys.platform != "win32":
            assert recover_interrupted(folder) == [], "a process that lives lost its data"
        process.kill()
    age(folder)
    found = recover_interrupted(folder)
    assert sorted(path.name for path in found) == sorted(path.name for path in folder.iterdir())
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the same data without a kill."""
    folder = tmp_path_factory.mktemp("finished")
    for form in DATA_FORMATS:
        sink = open_data_sink(form, data_path(folder, STEM, form), DataOptions(HEADER, LABELS[:2], live=True))
        write_frames(sink, *frames_with_mattes(COUNT))
    return folder


@pytest.mark.slow
def test_every_format_is_recovered(killed: Path) -> None:
    assert sorted(killed.iterdir()) == sorted(recovered(form, killed) for form in ON_DISK)
    assert not [path for path in killed.rglob("*") if path.name.startswith(".") or "recording" in path.name]


@pytest.mark.slow
@pytest.mark.parametrize(
    "form", [form for form in ON_DISK if "." not in find_format(form).file_name and form != "mask-video"]
)
def test_recovered_folders_equal_finished_ones(form: str, killed: Path, finished: Path) -> None:
    ours, theirs = recovered(form, killed), data_path(finished, STEM, form)
    names = sorted(path.relative_to(theirs) for path in theirs.rglob("*"))
    assert sorted(path.relative_to(ours) for path in ours.rglob("*")) == names
    for name in names:
        if (theirs / name).is_file() and name.suffix != ".npz":  # archives contain the time of day
            assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_recovered_lines_equal_finished_ones(form: str, killed: Path, finished: Path) -> None:
    assert recovered(form, killed).read_bytes() == data_path(finished, STEM, form).read_bytes()


@pytest.mark.parametrize("form", ["animation-webp", "animation-gif"])
def test_recovered_animations_lack_at_most_the_last_frame(form: str, killed: Path) -> None:
    with Image.open(recovered(form, killed)) as picture:
        assert len(list(ImageSequence.Iterator(picture))) >= COUNT - 2


@pytest.mark.parametrize("form", VIDEOS)
def test_recovered_videos_lack_less_than_a_second(form: str, killed: Path) -> None:
    assert frames_of(recovered(form, killed)) > COUNT - 30


def test_each_recovered_mask_video_lacks_less_than_a_second(killed: Path) -> None:
    path = recovered("mask-video", killed)
    videos = [path] if path.is_file() else list(path.glob("*.mkv"))
    assert videos and all(frames_of(video) > COUNT - 30 for video in videos)


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_incomplete_lines_are_removed(data: st.DataObject) -> None:
    values = data.draw(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=3), max_size=5))
    separator = data.draw(st.sampled_from([b"", b","]))
    lines = [json.dumps(value, ensure_ascii=False).encode() for value in values]
    whole = b",\n".join(lines) if separator else b"".join(line + b"\n" for line in lines)
    size = data.draw(st.integers(0, len(whole)))
    path = Path(FOLDER) / "lines"
    path.write_bytes(whole[:size])
    assert cut_to_whole_lines(path, separator) == (path.stat().st_size > 0)
    kept = path.read_bytes()
    assert whole.startswith(kept)
    entries = json.loads(b"[" + kept + b"]") if separator else [json.loads(line) for line in kept.splitlines()]
    least = sum(size >= len((separator + b"\n").join(lines[: number + 1])) + 2 for number in range(len(lines)))
    assert entries == values[: len(entries)] and len(entries) >= least


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.text(max_size=6), min_size=2, max_size=3), min_size=1, max_size=5), st.data())
def test_incomplete_rows_are_removed(rows: list[list[str]], data: st.DataObject) -> None:
    """Including ends inside a quoted field with line breaks and quotes."""
    memory = io.StringIO()
    csv.writer(memory).writerows(rows)
    whole = memory.getvalue().encode("utf-8", "replace")
    size = data.draw(st.integers(0, len(whole)))
    path = Path(FOLDER) / "rows.csv"
    path.write_bytes(whole[:size])
    assert cut_to_whole_rows(path) == (path.stat().st_size > 0)
    with path.open(encoding="utf-8", newline="") as file:
        kept = list(csv.reader(file))
    with io.StringIO(whole.decode("utf-8"), newline="") as file:
        everything = list(csv.reader(file))
    assert kept == everything[: len(kept)]
    assert len(kept) == len(everything) if size == len(whole) else len(kept) < len(everything)


FOLDER = ""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    global FOLDER
    FOLDER = str(tmp_path)


@pytest.mark.parametrize("form", ["animation-webp", "animation-gif"])
def test_truncated_animations_are_repaired(form: str, tmp_path: Path) -> None:
    sink = open_data_sink(form, tmp_path / find_format(form).file_name.replace("{}", "a"), DataOptions(HEADER, LABELS))
    write_frames(sink, *frames_with_mattes(4))
    whole = sink.path.read_bytes()
    for size in range(20, len(whole), 97):
        path = tmp_path / f"b.recording{sink.path.suffix}"
        path.write_bytes(whole[:size])
        os.utime(path, (1, 1))
        for kept in recover_interrupted(tmp_path):
            with Image.open(kept) as picture:
                assert len(list(ImageSequence.Iterator(picture))) <= 4
            kept.unlink()
        path.unlink(missing_ok=True)


def test_names_with_dots_and_numbers_are_kept_and_nothing_is_replaced(tmp_path: Path) -> None:
    for name in ("a 1.2.recording", "a 1.2.recording-2", "b masks.recording-3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes(b"picture")
    for name in ("c.recording.jsonl", "c.recording-2.jsonl"):
        (tmp_path / name).write_text('{"frame": 0}\n{"fra')
    others = ["c (recovered).jsonl", "note.recording.txt", "recording", ".recording.jsonl", "d.recording.d"]
    for name in others:
        (tmp_path / name).write_text("mine")
    age(tmp_path)
    found = recover_interrupted(tmp_path)
    made = ["a 1.2 (recovered)", "a 1.2 (recovered 2)", "b masks (recovered)"]
    assert sorted(path.name for path in found) == sorted([*made, "c (recovered 2).jsonl", "c (recovered 3).jsonl"])
    assert (tmp_path / "c (recovered 2).jsonl").read_text() == '{"frame": 0}\n'
    assert all((tmp_path / name).read_text() == "mine" for name in others)


@posix
@pytest.mark.parametrize("folder", [False, True])
def test_an_output_locks_its_file_until_it_is_finished(folder: bool, tmp_path: Path) -> None:
    for end in (AtomicOutput.commit, AtomicOutput.discard, AtomicOutput.keep_partial):
        place = AtomicOutput(tmp_path / end.__name__, overwrite=False, folder=folder, visible=True)
        working = place.begin()
        assert is_claimed(working)
        end(place)
        assert not any(is_claimed(path) for path in tmp_path.iterdir())
    place = AtomicOutput(tmp_path / "dropped", overwrite=False, folder=folder, visible=True)
    working = place.begin()
    del place
    assert not is_claimed(working)


@posix
def test_data_that_is_still_written_is_not_recovered(tmp_path: Path) -> None:
    sink = JsonLinesMaskSink(tmp_path / "a.jsonl", HEADER, live=True)
    info, frames, mattes = frames_with_mattes(2)
    sink.open(info)
    sink.write(rendered(frames[0], mattes[0], LABELS))
    age(tmp_path)
    assert recover_interrupted(tmp_path) == []
    sink.write(rendered(frames[1], mattes[1], LABELS))
    sink.finish()
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 2 * len(LABELS)
