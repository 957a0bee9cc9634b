"""Blocks of shared memory: where they come from, how they cross a pipe, and that nothing of them is left."""

import errno
import os
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live.runtime.inference import shared_memory
from clipseg_live.runtime.inference.shared_memory import FrameDoubleBuffer, SharedBlock


def full(*arguments: object, **options: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def refused(*arguments: object, **options: object) -> NoReturn:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.fixture(autouse=True)
def no_open_files() -> Iterator[None]:
    folder = Path("/proc/self/fd")
    before = len(list(folder.iterdir())) if folder.exists() else 0
    yield
    assert (len(list(folder.iterdir())) if folder.exists() else 0) == before


def crossed(block: SharedBlock) -> SharedBlock:
    """The block as another process has it."""
    ours, theirs = Pipe()
    with ours, theirs:
        ours.send("before")
        block.send(ours)
        ours.send("after")
        assert theirs.recv() == "before"
        received = SharedBlock.receive(theirs, block.size)
        assert theirs.recv() == "after"
    return received


@given(st.integers(1, 1 << 16), st.binary(min_size=1, max_size=64))
def test_both_sides_see_the_same_bytes(size: int, content: bytes) -> None:
    block = SharedBlock.create(size)
    other = crossed(block)
    part = content[:size]
    block.array((len(part),), np.uint8)[:] = np.frombuffer(part, np.uint8)
    block.close()
    assert other.array((len(part),), np.uint8).tobytes() == part
    other.array((size,), np.uint8)[:] = 7
    other.close()
    other.close()


def test_a_view_keeps_the_memory_after_its_block_was_closed() -> None:
    block = SharedBlock.create(100)
    view = block.array((100,), np.uint8)
    view[:] = 3
    block.close()
    assert view.sum() == 300


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=9))
def test_a_frame_that_is_read_stays_while_the_next_is_written(sizes: list[tuple[int, int]]) -> None:
    ours = FrameDoubleBuffer.create(9 * 9 * 3)
    theirs = FrameDoubleBuffer(crossed(ours.block))
    read = None
    for number, size in enumerate(sizes):
        slot = ours.write(np.full((*size, 3), number, np.uint8))
        assert read is None or (read == number - 1).all()
        read = theirs.frame(slot, *size)
        assert read.shape == (*size, 3) and (read == number).all()
    del read
    ours.close()
    theirs.close()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="there are no memory files")
@pytest.mark.parametrize("failure", [full, refused])
def test_without_memory_files_a_temporary_file_is_used(
    failure: Callable[..., NoReturn], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "memfd_create", failure)
    monkeypatch.setattr(shared_memory.tempfile, "tempdir", str(tmp_path))
    block = SharedBlock.create(5000)
    assert list(tmp_path.iterdir()) == []
    other = crossed(block)
    block.array((5000,), np.uint8)[:] = 9
    assert (other.array((5000,), np.uint8) == 9).all()
    block.close()
    other.close()


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="blocks are reserved on POSIX only")
@pytest.mark.parametrize("places", [1, 2])
def test_a_place_without_room_is_passed_over(places: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked: list[int] = []
    reserve = os.posix_fallocate

    def limited(descriptor: int, offset: int, length: int) -> None:
        asked.append(descriptor)
        if len(asked) <= places:
            full()
        reserve(descriptor, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", limited)
    block = SharedBlock.create(5000)
    assert len(asked) == places + 1 and (tmp_path / "cache").exists() == (places == 2)
    block.array((5000,), np.uint8)[:] = 1
    block.close()


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="blocks are reserved on POSIX only")
def test_without_room_anywhere_there_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left on device"):
        SharedBlock.create(5000)


def test_a_system_without_reservation_writes_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(*arguments: object) -> NoReturn:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", cannot, raising=False)
    block = SharedBlock.create((1 << 20) + 5)
    assert not block.array((block.size,), np.uint8).any()
    block.close()


def test_the_end_of_the_other_process_is_noticed() -> None:
    ours, theirs = Pipe()
    ours.close()
    with theirs, pytest.raises(EOFError):
        SharedBlock.receive(theirs, 100)
