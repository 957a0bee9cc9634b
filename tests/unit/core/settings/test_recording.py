"""File names of recordings, and invalid recording settings."""

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live.core.errors import UsageError
from clipseg_live.core.settings.base import CODECS, DATA_FORMATS, validated
from clipseg_live.core.settings.recording import SUFFIXES, RecordingSettings, all_paths, file_stem

WHEN = datetime(2026, 11, 27, 8, 5, 9)


def test_pattern_fields_are_replaced() -> None:
    assert file_stem("clipseg-live {date} {time}", WHEN) == "clipseg-live 2026-11-27 08.05.09"
    assert file_stem("{source}: {prompts}", WHEN, ["a cup", " ", "hair"], "cam") == "cam- a cup, hair"
    assert file_stem("{prompts}", WHEN, []) == "no prompt"


@pytest.mark.slow
@given(st.text(max_size=60), st.lists(st.text(max_size=80), max_size=4), st.text(max_size=40))
def test_names_are_valid_file_names(
    tmp_path_factory: pytest.TempPathFactory, text: str, prompts: list[str], source: str
) -> None:
    stem = file_stem(text + "{prompts}{source}", WHEN, prompts, source)
    assert stem and not stem.startswith(".") and not set(stem) & set('<>:"/\\|?*\0\n')
    assert len(stem.encode()) <= 140
    (tmp_path_factory.getbasetemp() / f"{stem}.mp4").touch()


@pytest.mark.parametrize("reserved", ["con", "NUL", "com1.tar", "..", "", "   ", "..."])
def test_reserved_names_are_changed(reserved: str) -> None:
    assert file_stem(reserved, WHEN).startswith("clipseg-live")


def test_a_pattern_with_an_unknown_field_is_rejected() -> None:
    with pytest.raises(UsageError, match=r"\{camera\} is not a placeholder"):
        validated(RecordingSettings, pattern="{camera}")


def test_duplicate_tracks_are_rejected() -> None:
    with pytest.raises(UsageError, match="only once"):
        validated(RecordingSettings, tracks=("camera", "camera"))


def test_outputs_with_original_pixels_are_detected() -> None:
    assert not RecordingSettings(tracks=("composed", "mattes"), data=("jsonl", "npz", "mask-video")).untouched
    assert RecordingSettings(tracks=("camera",)).untouched and RecordingSettings(data=("alpha-vp9",)).untouched


def test_files_of_a_recording_have_different_names() -> None:
    assert set(SUFFIXES) == set(CODECS)
    settings = RecordingSettings(tracks=("composed", "camera", "mattes"), data=DATA_FORMATS)
    paths = all_paths(Path("there"), "a {b}", settings)
    assert len(set(paths)) == len(paths) == 3 + len(DATA_FORMATS)
    assert all(path.name.startswith("a {b}") for path in paths)
