"""Format of an index: what was written is read again, and damage is an error."""

import json
import multiprocessing
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live.core.errors import Failure, UsageError
from clipseg_live.index import writer as writer_module
from clipseg_live.index.chunks import Chunk, Column, list_chunks
from clipseg_live.index.index import Index
from clipseg_live.index.lock import LOCK_NAME
from clipseg_live.index.manifest import MANIFEST_NAME, IndexManifest, InvalidIndex
from clipseg_live.index.store import IndexStore, seconds_of, storable_time, time_of
from clipseg_live.index.writer import open_writer
from tests.unit.index.conftest import RECIPE, SIZE, features, fill, source


def values_of(store: IndexStore) -> dict[Fraction, np.ndarray]:
    found = {}
    for batch in store.batches(store.table):
        for row, values in zip(batch.rows.tolist(), batch.values, strict=True):
            found[time_of(store.table[row])] = values
    return found


def test_frames_come_back_with_times_sizes_and_cuts(folder: Path) -> None:
    store = IndexStore(folder)
    assert seconds_of(store.table).tolist() == [0, 1, 2, 3, 4, 5]
    assert store.table[:, Column.CUT].tolist() == [0, 0, 1, 0, 0, 1]
    assert {(row[Column.HEIGHT], row[Column.WIDTH]) for row in store.table} == {SIZE}
    for time, values in values_of(store).items():
        np.testing.assert_array_equal(values, features(int(time)).values)
    assert store.manifest.sources[0].frames == 6
    assert [frame.time for frame in Index.open(folder).iterate()] == [0, 1, 2, 3, 4, 5]


@given(
    steps=st.lists(
        st.tuples(
            st.fractions(Fraction(1, 30), 5, max_denominator=90_000),  # sums may have parts of more than 64 bits
            st.booleans(),
            st.sampled_from([(2, 2), (1, 3)]),
            st.sampled_from([SIZE, (10, 10)]),
            st.integers(0, 1),
        ),
        min_size=1,
        max_size=12,
    ),
    chunk=st.integers(1, 4),
)
def test_any_sequence_of_frames_comes_back(steps: list, chunk: int) -> None:
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer_module, "CHUNK_ENTRIES", chunk)
        expected, time, last, path = {}, Fraction(0), None, Path(name) / "index"
        with open_writer(path, "shapes", RECIPE) as writer:
            numbers = [writer.add_source(source("a.mp4", "c0")), writer.add_source(source("b.mp4", "c1"))]
            for seed, (step, same, grid, size, number) in enumerate(steps):
                time += step
                repeated = same and last is not None and last.grid == grid
                made = features(seed, grid) if not repeated else features(0, grid, repeated=True)
                if repeated:
                    made = type(made)(last.values, grid, True)
                writer.append(numbers[number], time, size, made)
                expected[numbers[number], storable_time(time)] = size, made.values
                last = made
        found = {(frame.source, frame.time): (frame.frame_size, frame.values) for frame in Index.open(path).iterate()}
        assert found.keys() == expected.keys()
        for key, (size, values) in expected.items():
            assert found[key][0] == size
            np.testing.assert_array_equal(found[key][1], values)


@given(st.fractions(0, 10**6, max_denominator=10**40))
def test_times_are_exact_or_rounded_to_a_nanosecond(time: Fraction) -> None:
    stored = storable_time(time)
    assert max(stored.numerator, stored.denominator) < 1 << 63 and abs(stored - time) <= Fraction(1, 10**9)
    if time.denominator < 10**9:
        assert stored == time


def test_unchanged_frames_are_stored_once(tmp_path: Path) -> None:
    with open_writer(tmp_path / "index", "shapes", RECIPE) as writer:
        writer.add_source(source())
        writer.append(0, Fraction(0), SIZE, features(0))
        writer.append(0, Fraction(1), SIZE, features(0, repeated=True))
        writer.flush()
        writer.append(0, Fraction(2), SIZE, features(0, repeated=True))
        writer.append(0, Fraction(3), (9, 9), features(0, repeated=True))  # the same pixels, placed differently
    store = IndexStore(tmp_path / "index")
    assert [chunk.count for chunk in store.chunks.values()] == [1, 1]
    assert len(store.table) == 4
    assert all((values == features(0).values).all() for values in values_of(store).values())


@pytest.mark.parametrize("change", ["cut short", "changed"])
def test_damage_at_any_byte_of_a_chunk_is_an_error(folder: Path, change: str) -> None:
    path = list_chunks(folder)[1]
    content = path.read_bytes()
    undetected = []
    for position in range(len(content)):
        if change == "changed":
            path.write_bytes(content[:position] + bytes([content[position] ^ 0x11]) + content[position + 1 :])
        else:
            path.write_bytes(content[:position])
        with suppress(InvalidIndex):
            Chunk(path).read([0, 1])
            undetected.append(position)
    assert undetected == []


@pytest.mark.parametrize("change", ["cut short", "changed"])
def test_damage_at_any_byte_of_the_manifest_is_an_error(folder: Path, change: str) -> None:
    path = folder / MANIFEST_NAME
    content, manifest = path.read_bytes(), IndexManifest.read(folder)
    for position in range(len(content)):
        damaged = content[:position]
        if change == "changed":
            damaged += bytes([content[position] ^ 0x11]) + content[position + 1 :]
        path.write_bytes(damaged)
        try:
            found = IndexManifest.read(folder)
        except (InvalidIndex, UsageError):
            continue
        assert found == manifest  # only white space was changed


def test_a_missing_chunk_is_an_error_and_is_made_again(folder: Path) -> None:
    list_chunks(folder)[1].unlink()
    with pytest.raises(InvalidIndex, match="2 of the 6 frames of a"):
        IndexStore(folder)
    with open_writer(folder, "shapes", RECIPE) as writer:
        assert writer.times(0) == {Fraction(time) for time in (0, 1, 4, 5)}
        fill(writer, 2, first=2)
        writer.finish(0)
    assert seconds_of(IndexStore(folder).table).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_damaged_chunk_is_removed_by_the_next_writer(folder: Path) -> None:
    path = list_chunks(folder)[2]
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    store = IndexStore(folder)  # the table is whole
    with pytest.raises(InvalidIndex, match="is damaged"):
        values_of(store)
    with open_writer(folder, "shapes", RECIPE) as writer:
        assert len(writer.notices) == 1 and path.name in writer.notices[0]
        assert not path.exists()
        fill(writer, 2, first=4)
        writer.finish(0)
    assert len(values_of(IndexStore(folder))) == 6


def test_frames_that_refer_to_a_lost_entry_are_lost_too(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    with open_writer(folder, "shapes", RECIPE) as writer:
        writer.add_source(source())
        writer.append(0, Fraction(0), SIZE, features(0))
        writer.flush()
        writer.append(0, Fraction(1), SIZE, features(0, repeated=True))
        writer.append(0, Fraction(2), SIZE, features(2))
    list_chunks(folder)[0].unlink()
    with pytest.raises(InvalidIndex, match="chunk 0 is missing"):
        IndexStore(folder)
    with open_writer(folder, "shapes", RECIPE) as writer:
        assert writer.times(0) == {Fraction(2)}
        fill(writer, 2)
        writer.finish(0)
    assert seconds_of(IndexStore(folder).table).tolist() == [0, 1, 2]


def test_readers_see_what_a_writer_appends(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    with open_writer(folder, "shapes", RECIPE) as writer:
        writer.add_source(source())
        reader = IndexStore(folder)
        assert len(reader.table) == 0
        for count in (1, 2, 3):
            fill(writer, 2, first=2 * count - 2)
            writer.flush()
            assert reader.refresh()
            assert len(values_of(reader)) == 2 * count
        assert not reader.refresh()
        writer.finish(0)
        assert reader.refresh() and reader.manifest.sources[0].frames == 6


def test_only_one_process_writes(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    with (
        open_writer(folder, "shapes", RECIPE),
        pytest.raises(Failure, match=f"by process {os.getpid()} on"),
        open_writer(folder, "shapes", RECIPE),
    ):
        pass
    with open_writer(folder, "shapes", RECIPE):  # the lock is free again
        pass
    assert (folder / LOCK_NAME).exists()


def _die(folder: Path) -> None:
    with open_writer(folder, "shapes", RECIPE) as writer:
        writer.add_source(source())
        fill(writer, 2)
        writer.flush()
        fill(writer, 1, first=2)
        (folder / ".chunk-000001.partial-00000000").write_bytes(b"half a chunk")
        os._exit(9)


@pytest.mark.slow
def test_a_killed_writer_loses_what_it_had_not_written(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    process = multiprocessing.get_context("fork").Process(target=_die, args=(folder,))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert seconds_of(IndexStore(folder).table).tolist() == [0, 1]
    with open_writer(folder, "shapes", RECIPE) as writer:
        assert writer.times(0) == {Fraction(0), Fraction(1)}
        assert not list(folder.glob(".*.partial-*"))


def test_foreign_and_newer_indexes_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not an index"):
        IndexStore(tmp_path / "nothing")
    other = tmp_path / "other"
    other.mkdir()
    (other / MANIFEST_NAME).write_text('{"format": "something"}')
    with pytest.raises(UsageError, match="is not an index of clipseg-live"):
        IndexStore(other)
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    (folder / MANIFEST_NAME).write_text(json.dumps({**manifest, "version": 99}))
    with pytest.raises(InvalidIndex, match="has version 99 of the format"):
        IndexStore(folder)


def test_a_folder_with_other_files_is_never_written(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="contains other files"), open_writer(tmp_path, "shapes", RECIPE):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weights": "1" * 64}, "the weights of the model"),
        ({"size": 64}, "--size"),
        ({"resize_mode": "aspect"}, "--resize-mode"),
        ({"dtype": "int8"}, "--dtype"),
        ({"storage": "8-bit"}, "--bits"),
    ],
)
def test_entries_of_another_recipe_are_never_mixed(folder: Path, changes: dict, words: str) -> None:
    with pytest.raises(InvalidIndex, match=words), open_writer(folder, "shapes", RECIPE.model_copy(update=changes)):
        pass


def test_changed_content_and_another_selection_are_refused(folder: Path) -> None:
    with open_writer(folder, "shapes", RECIPE) as writer:
        with pytest.raises(InvalidIndex, match="has changed since"):
            writer.add_source(source(content="c1"))
        with pytest.raises(InvalidIndex, match="at --every 1s"):
            writer.add_source(source(every="2s"))
        assert writer.add_source(source("moved.mp4")) == 0
        assert writer.manifest.sources[0].path == "/videos/moved.mp4"


def test_indexes_are_merged(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with open_writer(other, "shapes", RECIPE) as writer:
        writer.add_source(source("b.mp4", "c1"))
        fill(writer, 3, first=10)
        writer.finish(0)
    merged = Index.merge([folder, other, folder], tmp_path / "all")
    assert [each.name for each in merged.sources] == ["a.mp4", "b.mp4"]
    assert [each.frames for each in merged.sources] == [6, 3]
    for frame in merged.iterate():
        assert frame.source == (frame.time >= 10)
        np.testing.assert_array_equal(frame.values, features(int(frame.time)).values)
    with pytest.raises(UsageError, match="exists already"):
        Index.merge([folder], tmp_path / "all")
    with open_writer(tmp_path / "third", "shapes", RECIPE.model_copy(update={"size": 64})) as writer:
        writer.add_source(source("c.mp4", "c2"))
    with pytest.raises(InvalidIndex, match="differ in the size"):
        Index.merge([folder, tmp_path / "third"], tmp_path / "none")


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_a_read_only_folder_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(Failure, match="--into"), open_writer(tmp_path / "index", "shapes", RECIPE):
            pass
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "index"
    with open_writer(path, "shapes", RECIPE) as writer:
        writer.add_source(source())
        fill(writer, 1)
        monkeypatch.setattr("clipseg_live.index.chunks.replace_file", full)
        with pytest.raises(Failure, match="No space left on device"):
            writer.flush()
        monkeypatch.undo()  # there is space again
    assert len(IndexStore(path).table) == 1
