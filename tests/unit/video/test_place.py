"""Where results appear: whole or not at all, and nothing old is left lying about."""

import errno
import os
import time
from pathlib import Path

import pytest

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.video.place import Place, move_without_replacing


def test_the_file_appears_when_it_is_committed(tmp_path: Path) -> None:
    place = Place(tmp_path / "a.mp4", overwrite=False)
    place.begin().write_bytes(b"whole")
    assert not (tmp_path / "a.mp4").exists()
    place.commit()
    assert (tmp_path / "a.mp4").read_bytes() == b"whole"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


def test_what_a_killed_run_left_is_cleared_after_a_day(tmp_path: Path) -> None:
    old = tmp_path / ".a.partial-0123abcd.mp4"
    young = tmp_path / ".a.partial-4567abcd.mp4"
    others = [tmp_path / ".b.partial-0123abcd.mp4", tmp_path / ".a.partial-notes.mp4", tmp_path / "a.partial.mp4"]
    before = time.time() - 25 * 3600
    for path in (old, young, *others):
        path.touch()
        if path is not young:
            os.utime(path, (before, before))
    Place(tmp_path / "a.mp4", overwrite=False).begin()
    assert not old.exists()
    assert young.exists() and all(path.exists() for path in others)


def test_a_folder_that_a_killed_run_left_is_cleared_too(tmp_path: Path) -> None:
    old = tmp_path / ".masks.partial-0123abcd"
    (old / "inside").mkdir(parents=True)
    before = time.time() - 25 * 3600
    os.utime(old, (before, before))
    Place(tmp_path / "masks", overwrite=False, folder=True).begin()
    assert not old.exists()


def test_a_folder_without_permission_is_noticed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)  # root may write anywhere
    with pytest.raises(SinkError, match="may not be written to: change its permissions"):
        Place(tmp_path / "a.mp4", overwrite=False).check()


def test_what_appeared_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    place = Place(tmp_path / "a.mp4", overwrite=False)
    place.begin().write_bytes(b"new")
    (tmp_path / "a.mp4").write_bytes(b"theirs")
    with pytest.raises(SinkError, match="created by something else"):
        place.commit()
    place.discard()
    assert (tmp_path / "a.mp4").read_bytes() == b"theirs"
    with pytest.raises(UsageError, match="exists already"):
        place.check()


def test_a_disk_without_links_keeps_what_stands_there_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As sticks and many shares are."""

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
    assert not (tmp_path / "b.mp4").exists()  # nor an empty file in its place
