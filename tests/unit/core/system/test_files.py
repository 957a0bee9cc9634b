"""Atomic replacement of files, and damaged files that are moved aside."""

import os
import stat
import sys
from pathlib import Path

import pytest

from clipseg_live.core.system.files import replace_file, set_aside


@pytest.mark.parametrize("content", ["grün\n", b"\x00\xff"])
def test_the_content_is_written_without_temporary_files(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / ".hidden.json"
    path.write_text("old")
    replace_file(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert os.listdir(tmp_path) == [path.name]


def test_a_failure_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "settings.json"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, "new")
    assert path.read_text() == "old" and os.listdir(tmp_path) == [path.name]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_private_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        for private, mode in ((True, 0o600), (False, 0o644)):
            replace_file(tmp_path / f"{private}", "", private=private)
            assert stat.S_IMODE((tmp_path / f"{private}").stat().st_mode) == mode
    finally:
        os.umask(umask)


def test_damaged_files_get_different_names(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    for name in ("settings.damaged.json", "settings.damaged-2.json"):
        path.write_text(name)
        assert set_aside(path) == tmp_path / name
        assert (tmp_path / name).read_text() == name and not path.exists()
