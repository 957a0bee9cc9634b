"""Atomic output: results are complete or absent, and old temporary files are removed."""

import errno
import os
import socket
import time
from pathlib import Path

import pytest

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.media.atomic_output import AtomicOutput, move_without_replacing


def test_the_file_appears_when_it_is_committed(tmp_path: Path) -> None:
    place = AtomicOutput(tmp_path / "a.mp4", overwrite=False)
    place.begin().write_bytes(b"whole")
    assert not (tmp_path / "a.mp4").exists()
    place.commit()
    assert (tmp_path / "a.mp4").read_bytes() == b"whole"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


def test_temporary_files_of_a_killed_run_are_removed_after_a_day(tmp_path: Path) -> None:
    old = tmp_path / ".a.partial-0123abcd.mp4"
    young = tmp_path / ".a.partial-4567abcd.mp4"
    others = [tmp_path / ".b.partial-0123abcd.mp4", tmp_path / ".a.partial-notes.mp4", tmp_path / "a.partial.mp4"]
    before = time.time() - 25 * 3600
    for path in (old, young, *others):
        path.touch()
        if path is not young:
            os.utime(path, (before, before))
    AtomicOutput(tmp_path / "a.mp4", overwrite=False).begin()
    assert not old.exists()
    assert young.exists() and all(path.exists() for path in others)


def test_temporary_folders_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    old = tmp_path / ".masks.partial-0123abcd"
    (old / "inside").mkdir(parents=True)
    before = time.time() - 25 * 3600
    os.utime(old, (before, before))
    AtomicOutput(tmp_path / "masks", overwrite=False, folder=True).begin()
    assert not old.exists()


def test_a_folder_without_permission_is_rejected_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)  # root may write anywhere
    with pytest.raises(SinkError, match="is not writable: change its permissions"):
        AtomicOutput(tmp_path / "a.mp4", overwrite=False).check()


def test_a_file_created_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    place = AtomicOutput(tmp_path / "a.mp4", overwrite=False)
    place.begin().write_bytes(b"new")
    (tmp_path / "a.mp4").write_bytes(b"theirs")
    with pytest.raises(SinkError, match="another program created it"):
        place.commit()
    place.discard()
    assert (tmp_path / "a.mp4").read_bytes() == b"theirs"
    with pytest.raises(UsageError, match="exists already"):
        place.check()


def test_existing_files_are_kept_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on USB sticks and many network shares."""

    def refused(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    new, there = tmp_path / "new", tmp_path / "there"
    new.write_bytes(b"new")
    move_without_replacing(new, tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == b"new" and not new.exists()
    there.write_bytes(b"theirs")
    with pytest.raises(FileExistsError):
        move_without_replacing(tmp_path / "a.mp4", there)
    assert there.read_bytes() == b"theirs" and (tmp_path / "a.mp4").exists()
    with pytest.raises(FileNotFoundError):
        move_without_replacing(tmp_path / "gone", tmp_path / "b.mp4")
    assert not (tmp_path / "b.mp4").exists()  # no empty file is left


def _begun(path: Path, folder: bool) -> AtomicOutput:
    place = AtomicOutput(path, overwrite=True, folder=folder, ours="content")
    working = place.begin()
    (working / "content" if folder else working).write_bytes(b"whole")
    return place


def _content(path: Path) -> bytes:
    return (path / "content" if path.is_dir() else path).read_bytes()


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("obstacle", ["folder", "pipe", "link", "error"])
def test_a_complete_result_that_cannot_be_moved_is_kept_under_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: bool, obstacle: str
) -> None:
    path = tmp_path / ("set" if folder else "a.mp4")
    place = _begun(path, folder)
    if obstacle == "folder":
        (path / "theirs").mkdir(parents=True)
    elif obstacle == "pipe":
        os.mkfifo(path)
    elif obstacle == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        before = Path.rename

        def rename(self: Path, target: Path) -> Path:
            if Path(target) == path:
                raise OSError(errno.EBUSY, "Device or resource busy")
            return before(self, target)

        monkeypatch.setattr(Path, "rename", rename)
        monkeypatch.setattr(Path, "replace", rename)
    with pytest.raises(SinkError) as raised:
        place.commit()
    place.discard()
    kept = tmp_path / ("set.finished" if folder else "a.finished.mp4")
    assert raised.value.kept == kept
    assert str(kept) in str(raised.value)
    assert _content(kept) == b"whole"
    assert path.is_symlink() or path.is_fifo() or path.is_dir() or not path.exists()


def test_an_existing_folder_is_kept_if_it_cannot_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "set"
    path.mkdir()
    (path / "content").write_bytes(b"old")
    place = _begun(path, folder=True)
    before = Path.rename
    working = place.working

    def rename(self: Path, target: Path) -> Path:
        if self == working and Path(target) == path:
            raise OSError(errno.EBUSY, "Device or resource busy")
        return before(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(SinkError):
        place.commit()
    assert _content(path) == b"old"
    assert _content(tmp_path / "set.finished") == b"whole"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "link", "dangling", "link to device", "link to folder"])
def test_only_files_and_folders_are_replaced(tmp_path: Path, kind: str, folder: bool, overwrite: bool) -> None:
    path = tmp_path / ("set" if folder else "a.mp4")
    listener = socket.socket(socket.AF_UNIX)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        before = Path.cwd()
        os.chdir(tmp_path)  # the address of a socket is short
        listener.bind(path.name)
        os.chdir(before)
    elif kind == "device":
        path = Path("/dev/null")
    else:
        targets = {"link": tmp_path / "file", "dangling": tmp_path / "none", "link to device": Path("/dev/null")}
        (tmp_path / "file").write_bytes(b"theirs")
        (tmp_path / "folder").mkdir()
        path.symlink_to(targets.get(kind, tmp_path / "folder"))
    state = path.lstat()
    name = "named pipe" if kind == "pipe" else kind if kind in ("socket", "device") else "link"
    with pytest.raises(UsageError, match=f"is a {name}, which is never replaced"):
        AtomicOutput(path, overwrite, folder=folder, ours="content").begin()
    listener.close()
    assert path.lstat() == state
