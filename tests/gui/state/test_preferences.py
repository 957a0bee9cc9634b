"""Preferences that are restored at the next start."""

import json
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from clipseg_live.core.settings.live import LiveSettings, PromptImage, SourceSpec
from clipseg_live.gui.state import preferences
from clipseg_live.gui.state.preferences import MOST_RECENT, Preferences, PreferencesStore


def test_all_preferences_are_restored(tmp_path: Path) -> None:
    path = tmp_path / "new" / "preferences.json"
    picture = PromptImage.of(np.arange(27, dtype=np.uint8).reshape(3, 3, 3))
    settings = LiveSettings()
    settings = settings.model_copy(update={"rows": (settings.new_row("mug", picture),)})
    kept = Preferences(settings=settings, geometry=preferences.encode_bytes(b"\x00\xff"), folder="/films")
    kept = kept.with_source(SourceSpec(name="camera:0", width=640, height=480, controls=(("gain", 3.0),)))
    assert preferences.save_preferences(path, kept) == ""
    assert preferences.load_preferences(path) == (kept, "")
    assert [entry.name for entry in path.parent.iterdir()] == ["preferences.json"]


def test_the_first_start_has_defaults_and_no_message(tmp_path: Path) -> None:
    assert preferences.load_preferences(tmp_path / "preferences.json") == (Preferences(), "")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe\x00", b'{"settings": {"smoothing": 7}}', b'{"recent": [{"nme": 1}]}']
)
def test_a_damaged_file_is_moved_aside_with_a_message(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "preferences.json"
    path.write_bytes(content)
    result, messages = preferences.load_preferences(path)
    aside = tmp_path / "preferences.damaged.json"
    assert result == Preferences() and str(aside) in messages
    assert aside.read_bytes() == content and not path.exists()


def test_fields_of_newer_versions_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "preferences.json"
    preferences.save_preferences(path, Preferences(folder="/films"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "something new": 1}))
    assert preferences.load_preferences(path) == (Preferences(folder="/films"), "")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such permissions on Windows")
def test_the_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "preferences.json"
    preferences.save_preferences(path, Preferences())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_failed_creation_of_the_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "could not be saved" in preferences.save_preferences(tmp_path / "file" / "preferences.json", Preferences())


def test_recent_sources_are_unique_newest_first_and_limited() -> None:
    kept = Preferences()
    for number in (*range(20), 15):
        kept = kept.with_source(SourceSpec(name=f"demo:{number}"))
    assert kept.recent[0].name == "demo:15" and len(kept.recent) == MOST_RECENT
    assert len({spec.name for spec in kept.recent}) == MOST_RECENT


def test_changes_are_saved_together_after_a_delay(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preferences, "SAVE_AFTER", 0.05)
    written: list[Preferences] = []
    monkeypatch.setattr(preferences, "save_preferences", lambda path, value: written.append(value) or "")
    preferences_store = PreferencesStore(tmp_path / "preferences.json", Preferences(), lambda text: None)
    for number in range(50):
        preferences_store.update(folder=str(number))
    preferences_store.update(folder="49")
    assert written == []
    qtbot.waitUntil(lambda: written != [], timeout=2000)
    preferences_store.write()
    assert written == [Preferences(folder="49")]


def test_a_failed_write_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    messages: list[str] = []
    preferences_store = PreferencesStore(tmp_path / "file" / "preferences.json", Preferences(), messages.append)
    preferences_store.update(folder="/films")
    preferences_store.write()
    assert len(messages) == 1 and "could not be saved" in messages[0]


def test_the_folder_can_be_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPSEG_LIVE_CONFIG", str(tmp_path))
    assert preferences.preferences_path() == tmp_path / "preferences.json"
    monkeypatch.delenv("CLIPSEG_LIVE_CONFIG")
    assert preferences.preferences_path().parent.name == "clipseg-live"


def test_damaged_window_geometry_is_ignored() -> None:
    assert preferences.decode_bytes(preferences.encode_bytes(b"abc")) == b"abc"
    assert preferences.decode_bytes("not base 64!") == b""


def test_addresses_are_saved_completely_and_shown_masked(tmp_path: Path) -> None:
    address = "rtsp://user:p]w#1@host/x?token=t"
    kept = Preferences().with_source(SourceSpec(name=address))
    assert preferences.save_preferences(tmp_path / "p.json", kept) == ""
    loaded, problem = preferences.load_preferences(tmp_path / "p.json")
    assert problem == "" and loaded == kept and loaded.recent[0].name.reveal() == address
    assert "p]w" not in repr(loaded) and "p]w" not in str(loaded.recent)


def test_settings_of_earlier_versions_are_loaded(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text('{"recent": [{"name": "rtsp://user:p]w@host/x", "controls": []}, {"name": "camera:0"}]}')
    loaded, problem = preferences.load_preferences(path)
    assert problem == "" and [spec.name for spec in loaded.recent] == ["rtsp://user:p]w@host/x", "camera:0"]


def test_a_change_that_could_not_be_saved_is_saved_with_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "preferences.json"
    preferences_store = PreferencesStore(path, Preferences(), lambda text: None)
    preferences_store.write()
    with monkeypatch.context() as patch:
        patch.setattr(preferences, "save_preferences", lambda path, value: "The disk is full.")
        preferences_store.update(folder="/videos")
        preferences_store.write()
    preferences_store.update(geometry="abc")
    preferences_store.write()
    assert preferences.load_preferences(path)[0].folder == "/videos"
