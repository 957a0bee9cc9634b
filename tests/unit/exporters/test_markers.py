"""Markers: timecodes, formats and texts with special characters."""

import csv
import io
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live.core.errors import UsageError
from clipseg_live.exporters.markers import Marker, timecode, write_markers

FILM = Fraction(24000, 1001)
MARKERS = [
    Marker("a dog", Fraction(10), Fraction(25, 2), "near"),
    Marker("a = b;|\n#c", Fraction(1), Fraction(2), colour=1),
]


@given(frames=st.integers(0, 30 * 3600 * 30), rate=st.sampled_from([Fraction(25), FILM, Fraction(30000, 1001)]))
def test_timecodes_count_frames(frames: int, rate: Fraction) -> None:
    hours, minutes, seconds, rest = map(int, timecode(frames / rate, rate).split(":"))
    nominal = round(rate)
    assert ((hours * 60 + minutes) * 60 + seconds) * nominal + rest == frames
    assert rest < nominal and seconds < 60 and minutes < 60


def test_an_edl_begins_at_one_hour_and_marks_durations(tmp_path: Path) -> None:
    write_markers(tmp_path / "a.EDL", MARKERS, FILM, "film | one")
    lines = (tmp_path / "a.EDL").read_bytes().decode().split("\r\n")
    assert lines[:2] == ["TITLE: film / one", "FCM: NON-DROP FRAME"]
    assert lines[3] == "001  001      V     C        01:00:01:00 01:00:01:01 01:00:01:00 01:00:01:01"
    assert lines[4] == " |C:ResolveColorBlue |M:a = b;/ #c |D:24"
    assert lines[6].startswith("002  001      V     C        01:00:10:00 ")
    assert lines[7] == " |C:ResolveColorRed |M:a dog |D:60"


def test_a_table_has_premieres_columns(tmp_path: Path) -> None:
    write_markers(tmp_path / "a.csv", MARKERS, Fraction(25), "film")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text(encoding="utf-8"), newline="")))
    assert [row["Marker Name"] for row in rows] == ["a = b;|\n#c", "a dog"]
    assert (rows[1]["In"], rows[1]["Out"], rows[1]["Duration"]) == ("00:00:10:00", "00:00:12:12", "00:00:02:12")
    assert rows[1]["Description"] == "near"


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the command-line program of FFmpeg is not installed")
@pytest.mark.slow
def test_ffmpeg_reads_the_chapters(tmp_path: Path) -> None:
    write_markers(tmp_path / "a.ffmetadata", MARKERS, Fraction(25), "film")
    call = ["ffmpeg", "-v", "error", "-i", "a.ffmetadata", "-f", "ffmetadata", "-"]
    found = subprocess.run(call, cwd=tmp_path, capture_output=True, check=True).stdout.decode()
    assert found.count("[CHAPTER]") == 2
    assert r"title=a \= b\;| \#c" in found and "title=film" in found
    assert "START=10000" in found and "END=12500" in found


def test_unknown_suffixes_and_existing_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="use the suffix"):
        write_markers(tmp_path / "a.xml", MARKERS, FILM, "film")
    (tmp_path / "a.edl").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        write_markers(tmp_path / "a.edl", MARKERS, FILM, "film")
    assert (tmp_path / "a.edl").read_text() == "mine"
    write_markers(tmp_path / "a.edl", [], FILM, "film", overwrite=True)
    assert (tmp_path / "a.edl").read_text().startswith("TITLE: film")
