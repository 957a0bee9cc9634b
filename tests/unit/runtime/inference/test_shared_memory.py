"""Blocks of shared memory: allocation, transfer through a pipe, and release."""

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


def raise_no_space(*arguments: object, **options: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def refused(*arguments: object, **options: object) -> NoReturn:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.fixture(autouse=True)
def no_open_files() -> Iterator[None]:
    folder = Path("/proc/self/fd")
    before = len(list(folder.iterdir())) if folder.exists() else 0
    yield
    assert (len(list(folder.iterdir())) if folder.exists() else 0) == before


def transferred(block: SharedBlock) -> SharedBlock:
    """Return the block as another process receives it."""
    ours, theirs = Pipe()
    with ours, theirs:
        ours.send("before")
        block.send(ours)
        ours.send("after")
        assert theirs.recv() == "before"
        received = SharedBlock.receive(theirs, block.size)
        assert theirs.recv() == "after"
    return received


@pytest.mark.slow
@given(st.integers(1, 1 << 16), st.binary(min_size=1, max_size=64))
def test_both_processes_share_the_bytes(size: int, content: bytes) -> None:
    block = SharedBlock.create(size)
    other = transferred(block)
    part = content[:size]
    block.array((len(part),), np.uint8)[:] = np.frombuffer(part, np.uint8)
    block.close()
    assert other.array((len(part),), np.uint8).tobytes() == part
    other.array((size,), np.uint8)[:] = 7
    other.close()
    other.close()


def test_a_view_keeps_the_memory_of_a_closed_block() -> None:
    block = SharedBlock.create(100)
    view = block.array((100,), np.uint8)
    view[:] = 3
    block.close()
    assert view.sum() == 300


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=9))
def test_a_read_frame_is_kept_while_the_next_is_written(sizes: list[tuple[int, int]]) -> None:
    ours = FrameDoubleBuffer.create(9 * 9 * 3)
    theirs = FrameDoubleBuffer(transferred(ours.block))
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
@pytest.mark.parametrize("failure", [raise_no_space, refused])
def test_a_temporary_file_replaces_missing_memory_files(
    failure: Callable[..., NoReturn], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "memfd_create", failure)
    monkeypatch.setattr(shared_memory.tempfile, "tempdir", str(tmp_path))
    block = SharedBlock.create(5000)
    assert list(tmp_path.iterdir()) == []
    other = transferred(block)
    block.array((5000,), np.uint8)[:] = 9
    assert (other.array((5000,), np.uint8) == 9).all()
    block.close()
    other.close()


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="blocks are reserved on POSIX only")
@pytest.mark.parametrize("places", [1, 2])
def test_a_full_folder_is_skipped(places: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked: list[int] = []
    reserve = os.posix_fallocate

    def limited(descriptor: int, offset: int, length: int) -> None:
        asked.append(descriptor)
        if len(asked) <= places:
            raise_no_space()
        reserve(descriptor, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", limited)
    block = SharedBlock.create(5000)
    assert len(asked) == places + 1 and (tmp_path / "cache").exists() == (places == 2)
    block.array((5000,), np.uint8)[:] = 1
    block.close()


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="blocks are reserved on POSIX only")
def test_no_free_memory_gives_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "posix_fallocate", raise_no_space)
    with pytest.raises(OSError, match="No space left on device"):
        SharedBlock.create(5000)


def test_bytes_are_written_if_reservation_is_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(*arguments: object) -> NoReturn:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", cannot, raising=False)
    block = SharedBlock.create((1 << 20) + 5)
    assert not block.array((block.size,), np.uint8).any()
    block.close()


def test_the_end_of_the_other_process_is_detected() -> None:
    ours, theirs = Pipe()
    ours.close()
    with theirs, pytest.raises(EOFError):
        SharedBlock.receive(theirs, 100)
