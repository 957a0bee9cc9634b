"""Rules for every data format: atomic output, no overwriting, and the selection of frames."""

import json
import multiprocessing
import resource
import signal
from dataclasses import replace
from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.mattes import Label
from clipseg_live.core.settings.base import DATA_FORMATS
from clipseg_live.core.settings.data_formats import FORMAT_SPECS, find_format
from clipseg_live.exporters.alpha_video import AlphaPictureSink, AlphaVideoSink
from clipseg_live.exporters.animation import GifAnimation, WebpAnimation
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.datasets.categories import Categories
from clipseg_live.exporters.frame_files import AlphaSequence
from clipseg_live.exporters.registry import SelectedFrames, open_data_sink, open_transparent_sink
from clipseg_live.exporters.tables import HEADER_SUFFIX
from tests.helpers.fakes import FakeSink
from tests.helpers.known_mattes import HEADER, LABELS, frames_with_mattes, mattes_of, union, write_frames
from tests.helpers.rendered import rendered

INFO, FRAMES, MATTES = frames_with_mattes()
NAMES = {form: spec.file_name.replace("{} ", "").replace("{}", "all") for form, spec in FORMAT_SPECS.own.items()}
CASES = [*NAMES.items(), ("mask-video", "each"), ("mask-video", "masks.mp4")]
FOLDERS = [(form, name) for form, name in CASES if "." not in name]


def make_exporter(form: str, name: str, folder: Path, overwrite: bool = False):
    return open_data_sink(form, folder / name, DataOptions(HEADER, LABELS, overwrite))


def names_in(folder: Path) -> list[str]:
    """Return the names of results. A table has its header as a second file."""
    return sorted(each.name for each in folder.iterdir() if not each.name.endswith(HEADER_SUFFIX))


def index_of(form: str) -> str:
    return "annotations/instances_default.json" if form == "coco" else "index.json"


def test_every_format_has_a_test_case() -> None:
    assert {form for form, _ in CASES} == set(DATA_FORMATS)


@pytest.mark.parametrize(("form", "name"), CASES)
def test_output_is_atomic_and_replaced_only_with_overwrite(form: str, name: str, tmp_path: Path) -> None:
    sink = make_exporter(form, name, tmp_path)
    sink.open(INFO)
    for frame, mattes in zip(FRAMES, MATTES, strict=True):
        sink.write(rendered(frame, mattes, LABELS))
    assert not (tmp_path / name).exists()
    sink.finish()
    assert names_in(tmp_path) == [name] and sink.path == tmp_path / name and sink.notices == []
    with pytest.raises(UsageError, match="exists already"):
        make_exporter(form, name, tmp_path)
    write_frames(make_exporter(form, name, tmp_path, overwrite=True), INFO, FRAMES[:2], MATTES[:2])
    assert names_in(tmp_path) == [name]
    if (form, name) in FOLDERS:
        assert not list((tmp_path / name).rglob(".*")), "a list was left behind"
        (tmp_path / name / "thesis.doc").write_text("mine")
        with pytest.raises(UsageError, match=r"contains other files \(thesis\.doc\)"):
            make_exporter(form, name, tmp_path, overwrite=True)


@pytest.mark.parametrize(("form", "name"), CASES)
def test_abort_removes_output_or_keeps_a_valid_part(form: str, name: str, tmp_path: Path) -> None:
    for keep in (False, True):
        sink = make_exporter(form, name, tmp_path)
        sink.open(INFO)
        sink.write(rendered(FRAMES[0], MATTES[0], LABELS))
        kept = sink.abort(keep_partial=keep)
        stem, dot, suffix = name.partition(".")
        assert names_in(tmp_path) == ([f"{stem}.partial{dot}{suffix}"] if keep else [])
    assert kept == tmp_path / f"{stem}.partial{dot}{suffix}"
    if kept.is_dir():
        index = kept / index_of(form)
        assert len(json.loads(index.read_text("utf-8"))["images" if form == "coco" else "frames"]) == 1
    sink.abort()  # a second call is harmless


@pytest.mark.parametrize(("form", "name"), CASES)
def test_without_frames_a_set_is_empty_and_no_image_is_written(form: str, name: str, tmp_path: Path) -> None:
    sink = make_exporter(form, name, tmp_path)
    write_frames(sink, INFO, [], [])
    sets = {"jsonl", "csv", "png", "coco", "yolo", "indexed", "npz", "alpha-png", "alpha-webp"}
    if form in sets or name == "each":
        assert names_in(tmp_path) == [name] and sink.notices == []
    else:
        assert names_in(tmp_path) == []
        assert sink.notices == [f"{name} was not written because no prompt was detected."]


@pytest.mark.parametrize(("form", "name"), [*FOLDERS, ("jsonl", "m.jsonl")])
def test_the_number_of_mattes_must_match_the_labels(form: str, name: str, tmp_path: Path) -> None:
    sink = make_exporter(form, name, tmp_path)
    sink.open(INFO)
    with pytest.raises(SinkError, match=r"needs one matte for each of 2 prompts, but got 3"):
        sink.write(rendered(FRAMES[0], MATTES[0], LABELS[:2]))
    sink.abort()


@pytest.mark.parametrize(("form", "name"), CASES)
def test_a_closed_exporter_rejects_frames(form: str, name: str, tmp_path: Path) -> None:
    sink = make_exporter(form, name, tmp_path)
    with pytest.raises(SinkError, match="is not open"):
        sink.write(rendered(FRAMES[0], MATTES[0], LABELS))
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(("form", "name"), CASES)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 5)])
def test_any_size_and_sixteen_prompts_are_supported(
    form: str, name: str, size: tuple[int, int], tmp_path: Path
) -> None:
    info, frames, mattes = frames_with_mattes(3, size, prompts=16)
    labels = [Label(f"prompt {number}", 0.5) for number in range(16)]
    sink = make_exporter(form, name, tmp_path)
    write_frames(sink, info, frames, mattes, labels)
    assert names_in(tmp_path) in ([name], []) and (not sink.notices) == (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("form", "name", "way_out"),
    [
        ("jsonl", "m.txt", r"\.jsonl"),
        ("csv", "m.jsonl", r"\.csv"),
        ("alpha-prores", "a.mp4", r"\.mov"),
        ("alpha-vp9", "a.mov", r"\.webm"),
        ("animation-gif", "a.webp", r"\.gif"),
        ("sheet", "s.jpg", r"\.png"),
        ("mask-video", "m.doc", r"\.mkv"),
        ("video", "m.mp4", "use one of jsonl"),
    ],
)
def test_a_wrong_suffix_is_rejected_with_a_solution(form: str, name: str, way_out: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=way_out):
        make_exporter(form, name, tmp_path)
    with pytest.raises(SinkError, match="does not exist"):
        make_exporter("coco", "none/set", tmp_path)


def test_transparent_outputs_have_valid_suffixes(tmp_path: Path) -> None:
    kinds = {
        "a.mov": AlphaVideoSink, "a.WEBM": AlphaVideoSink, "a.webp": WebpAnimation, "a.gif": GifAnimation,
        "folder": AlphaSequence, "a.png": AlphaPictureSink,
    }  # fmt: skip
    for name, kind in kinds.items():
        assert type(open_transparent_sink(tmp_path / name, DataOptions(HEADER))) is kind
    with pytest.raises(UsageError, match=r"use a \.mov, .*or a folder"):
        open_transparent_sink(tmp_path / "a.mp4", DataOptions(HEADER))
    open_transparent_sink(tmp_path / "a.mov", DataOptions(HEADER), codec="prores")
    with pytest.raises(UsageError, match=r"h264 in a\.mov cannot be transparent: leave out --codec"):
        open_transparent_sink(tmp_path / "a.mov", DataOptions(HEADER), codec="h264")


def test_an_image_is_cut_out(tmp_path: Path) -> None:
    info, frames, mattes = frames_with_mattes(1)
    sink = open_transparent_sink(tmp_path / "a.png", DataOptions(HEADER))
    write_frames(sink, info, frames, mattes)
    with Image.open(tmp_path / "a.png") as picture:
        assert np.array_equal(np.asarray(picture)[..., 3], union(mattes[0]))
    with pytest.raises(UsageError, match="is a single image"):
        open_transparent_sink(tmp_path / "b.png", DataOptions(HEADER)).open(INFO)


def _fill(folders: dict[bool, str], limit: int, answers) -> None:
    """In a child process, write with each format until a simulated full disk, and keep partial data or not."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    generator = np.random.default_rng(1)
    info, frames, _ = frames_with_mattes(1, (90, 120))
    noise = [replace(frames[0], pixels=generator.integers(0, 256, (90, 120, 3), dtype=np.uint8))] * 20
    noisy = mattes_of([generator.integers(0, 256, (90, 120), dtype=np.uint8) for _ in range(3)])
    noisy = replace(noisy, maps=generator.random((3, 200, 200), dtype=np.float32))
    for (keep, folder), (form, name) in product(folders.items(), CASES):
        sink = make_exporter(form, name, Path(folder))
        told, kept = "", None
        try:
            write_frames(sink, info, [replace(each, index=n) for n, each in enumerate(noise)], [noisy] * len(noise))
        except SinkError as error:
            told = str(error)
            kept = sink.abort(keep_partial=keep)
        inside = sorted(each.name for each in kept.rglob("*")) if kept is not None and kept.is_dir() else []
        answers.put((keep, form, name, told, names_in(Path(folder)), inside))
        if kept is not None:
            kept.rename(Path(folder).parent / f"{form}-{kept.name}")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[bool, Path], dict[tuple[bool, str, str], list]]:
    """Return the folders in which a child process filled the disk with each format, and its messages."""
    parents = {keep: tmp_path_factory.mktemp(f"keep-{keep}") for keep in (False, True)}
    for parent in parents.values():
        (parent / "full").mkdir()
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    child = context.Process(
        target=_fill, args=({keep: str(parent / "full") for keep, parent in parents.items()}, 1500, answers)
    )
    child.start()
    told = [answers.get(timeout=60) for _ in range(2 * len(CASES))]
    child.join(20)
    answers.close()
    answers.join_thread()
    return parents, {(keep, form, name): rest for keep, form, name, *rest in told}


@pytest.mark.slow
@pytest.mark.parametrize("keep", [False, True])
def test_a_full_disk_leaves_no_complete_looking_output(
    filled: tuple[dict[bool, Path], dict[tuple[bool, str, str], list]], keep: bool
) -> None:
    parents, told = filled
    for case in CASES:
        words, left, inside = told[keep, *case]
        stem, dot, suffix = case[1].partition(".")
        assert "could not be written" in words or "is larger than" in words or "could not be renamed" in words, (
            case,
            words,
        )
        assert left in ([], [f"{stem}.partial{dot}{suffix}"] if keep else []), case
        assert not [name for name in inside if name.startswith(".")], case
        if case in FOLDERS and keep:
            lists = {"frames.part", "images.part", "index.json", "instances_default.json"}
            assert left and lists & set(inside), case
    for path in parents[keep].rglob("*.*"):
        if path.suffix in (".png", ".jpg", ".webp", ".gif"):
            with Image.open(path) as picture:
                picture.load()  # the kept output is complete


@pytest.mark.slow
@given(st.lists(st.lists(st.sampled_from("abc"), max_size=4), max_size=8))
def test_prompts_keep_their_numbers(frames: list[list[str]]) -> None:
    categories = Categories([Label("a", 0.5)])
    known: dict[tuple[str, int], int] = {("a", 1): 1}
    for names in frames:
        numbers = categories.numbers([Label(name, 0.5) for name in names])
        assert len(set(numbers)) == len(names)
        for place, (name, number) in enumerate(zip(names, numbers, strict=True)):
            key = name, names[: place + 1].count(name)
            assert known.setdefault(key, number) == number
    assert sorted(known.values()) == list(range(1, len(known) + 1))
    assert len(set(categories.names)) == len(categories.names) == len(known)


def test_frames_are_selected_by_interval_and_presence() -> None:
    info, frames, mattes = frames_with_mattes(10)
    mattes[3] = replace(mattes[3], presence=(0.1, 0.2, 0.34))
    mattes[6] = replace(mattes[6], presence=(0.1, 0.2, 0.36))

    def chosen(every: int, only_present: bool) -> list[int]:
        sink = FakeSink()
        write_frames(SelectedFrames(sink, every, only_present, 0.35), info, frames, mattes)
        assert (sink.opened, sink.finished) == (1, 1)
        return [frame.index for frame in sink.frames]

    assert chosen(1, False) == list(range(10))
    assert chosen(3, False) == [0, 3, 6, 9]
    assert chosen(1, True) == [0, 1, 2, 4, 5, 6, 7, 8]  # the last mask is empty, the fourth has low presence
    assert chosen(3, True) == [0, 6]
    with pytest.raises(UsageError, match="--every must be 1 or more"):
        SelectedFrames(FakeSink(), 0)


@pytest.mark.parametrize(("form", "name"), CASES)
def test_output_that_cannot_be_moved_is_kept(form: str, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "whole"
    folder.mkdir()
    write_frames(make_exporter(form, name, folder), INFO, FRAMES, MATTES)
    sink = make_exporter(form, name, tmp_path)
    sink.open(INFO)
    for frame, mattes in zip(FRAMES, MATTES, strict=True):
        sink.write(rendered(frame, mattes, LABELS))
    if Path(name).suffix:
        sink.path.write_text("mine")
    else:
        sink.path.mkdir()
        (sink.path / "mine").touch()
    with pytest.raises(SinkError) as raised:
        sink.finish()
    kept = sink.abort(keep_partial=True)
    assert kept is not None and raised.value.kept == kept and str(kept) in str(raised.value)
    assert contents(kept) == contents(folder / name)
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(["whole", name, kept.name])


def contents(path: Path) -> dict[str, int]:
    """Return the sizes of a file, or of all files in a folder."""
    if path.is_file():
        return {"": path.stat().st_size}
    return {each.relative_to(path).as_posix(): each.stat().st_size for each in path.rglob("*") if each.is_file()}


@pytest.mark.parametrize("form", ["coco", "png", "yolo"])
def test_lists_are_kept_if_the_index_cannot_be_written(form: str, tmp_path: Path) -> None:
    sink = make_exporter(form, "r", tmp_path)
    sink.open(INFO)
    for frame, mattes in zip(FRAMES, MATTES, strict=True):
        sink.write(rendered(frame, mattes, LABELS))
    (working,) = tmp_path.iterdir()
    (working / index_of(form)).mkdir(parents=True)
    with pytest.raises(SinkError, match="could not be written"):
        sink.finish()
    kept = sink.abort(keep_partial=True)
    assert kept == tmp_path / "r.partial"
    lists = ("images", "annotations", "categories") if form == "coco" else ("frames",)
    for name in lists:
        entries = json.loads("[" + (kept / f"{name}.part").read_text("utf-8") + "]")
        assert len(entries) >= len(FRAMES if name != "categories" else LABELS)


def _content(path: Path) -> bytes:
    """Return the frames of a video, because Matroska files contain a random number, or the bytes of another file."""
    if path.suffix != ".mkv":
        return path.read_bytes()
    with av.open(str(path)) as container:
        return b"".join(frame.to_ndarray().tobytes() for frame in container.decode(video=0))


@pytest.mark.parametrize(("form", "name"), CASES)
def test_formats_with_original_pixels_are_marked(form: str, name: str, tmp_path: Path) -> None:
    """Videos with the same mattes and other pixels give the same files only in formats without original pixels."""
    written = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        frames = [replace(frame, pixels=frame.pixels if number else 255 - frame.pixels) for frame in FRAMES]
        write_frames(make_exporter(form, name, folder), INFO, frames, MATTES)
        written.append([_content(path) for path in sorted(folder.rglob("*")) if path.is_file()])
    assert (written[0] != written[1]) == (find_format(form).source_pixels)
