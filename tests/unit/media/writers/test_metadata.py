"""Titles, flags, chapters, subtitles and timecode of a source, checked in exports by ffmpeg and ffprobe."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import pytest

from clipseg_live.media.writers.metadata import shifted_timecode
from tests.helpers.clock_jumps import export, export_all, ffmpeg

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program is not installed")

TARGETS = ".mkv", ".mp4", ".mov", ".webm"
SUBTITLES = """1
00:00:00,500 --> 00:00:01,500
Hello world

2
00:00:02,000 --> 00:00:03,500
Zwei Zeilen,
mit ü

3
00:00:04,200 --> 00:00:04,800
The end

"""
TAGS = """;FFMETADATA1
title=My film
artist=Me
location=+48.1000+011.5000/
creation_time=2020-02-03T04:05:06.000000Z
[CHAPTER]
TIMEBASE=1/1000
START=0
END=2000
title=One
[CHAPTER]
TIMEBASE=1/1000
START=2000
END=5000
title=Two
"""


def make(folder: Path, suffix: str, subtitles: str, *more: str) -> Path:
    """Write a video with two audio tracks and two subtitle tracks."""
    (folder / "in.srt").write_text(SUBTITLES)
    (folder / "tags.txt").write_text(TAGS)
    path = folder / f"in{suffix}"
    text, tags = str(folder / "in.srt"), str(folder / "tags.txt")
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=5", "-f", "lavfi", "-i", "sine=d=5", "-i", text, "-i", tags,
        "-map", "0", "-map", "1", "-map", "1", "-map", "2", "-map", "2", "-map_metadata", "3", "-map_chapters", "3",
        "-c:v", "libx264", "-c:a", "aac" if suffix != ".webm" else "libopus", "-c:s", subtitles,
        "-metadata:s:a:0", "language=deu", "-metadata:s:a:0", "title=Ton", "-metadata:s:a:1", "language=eng",
        "-metadata:s:s:0", "language=fra", "-metadata:s:s:1", "title=Full", "-disposition:a:0", "0",
        "-disposition:a:1", "default", "-disposition:s:1", "default+forced", *more, str(path),
    )  # fmt: skip
    return path


def probe(path: Path) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-show_chapters", "-of", "json", str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    return found


def texts_of(paths: Sequence[Path], tracks: Sequence[int] = (0, 1)) -> list[list[str]]:
    """Return the texts of the subtitle tracks of each file, with one run of ffmpeg.

    Only subtitle packets are read, because others would change its times.
    """
    with tempfile.TemporaryDirectory() as folder:
        inputs = [part for path in paths for part in ("-discard:v", "all", "-discard:a", "all", "-i", str(path))]
        outputs = [
            part
            for number in range(len(paths))
            for track in tracks
            for part in ("-map", f"{number}:s:{track}", "-f", "srt", f"{folder}/{number}-{track}")
        ]
        ffmpeg("-copyts", *inputs, *outputs)
        return [
            [Path(folder, f"{number}-{track}").read_text(encoding="utf-8").replace("\r", "") for track in tracks]
            for number in range(len(paths))
        ]


class Exported(NamedTuple):
    """An export of a film, its notices, the texts of its subtitle tracks, and those of the film."""

    path: Path
    notices: list[str]
    texts: list[str]
    before: list[str]


@pytest.fixture(scope="module", params=[(".mkv", "srt"), (".mkv", "ass"), (".mp4", "mov_text")], ids="-".join)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    """Export a film with subtitles of a codec to all containers."""
    folder = tmp_path_factory.mktemp("film")
    source, targets = make(folder, *request.param), [folder / f"out{suffix}" for suffix in TARGETS]
    notices = export_all(source, targets)
    before, *texts = texts_of([source, *targets])
    found = [Exported(*each, before) for each in zip(targets, notices, texts, strict=True)]
    return dict(zip(TARGETS, found, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_metadata_is_kept(exported: dict[str, Exported], target: str) -> None:
    path, notices, texts, before = exported[target]
    assert not [notice for notice in notices if "converted" not in notice]
    found = probe(path)
    tags = {key.lower(): value for key, value in found["format"]["tags"].items()}
    assert tags["title"] == "My film" and tags["artist"] == "Me" and "+48.1" in tags["location"]
    assert tags["creation_time"].startswith("2020-02-03T04:05:06")
    chapters = [(each["start_time"], each["end_time"], each["tags"]["title"]) for each in found["chapters"]]
    assert chapters == [("0.000000", "2.000000", "One"), ("2.000000", "5.000000", "Two")]
    sound = [each for each in found["streams"] if each["codec_type"] == "audio"]
    assert [each["disposition"]["default"] for each in sound] == [0, 1]
    assert [each["tags"]["language"] for each in sound] == ["ger" if target == ".mov" else "deu", "eng"]
    with av.open(str(path)) as container:
        metadata = container.streams.audio[0].metadata
    if (path.parent / "in.mkv").exists():
        assert "Ton" in (metadata.get("title"), metadata.get("name"))
    written = [each for each in found["streams"] if each["codec_type"] == "subtitle"]
    assert len(written) == 2 and written[0]["tags"]["language"] == "fra"
    if target != ".mov":  # which has no such flag
        assert [each["disposition"]["forced"] for each in written] == [0, 1]
    assert all("Zwei Zeilen" in text for text in texts) and texts == before


RANGED = ".mkv", ".mp4", ".mov"


@pytest.fixture(scope="module")
def ranged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[str], str]]:
    """Export a part of a film with a timecode. Return each export with its notices and first subtitles."""
    folder = tmp_path_factory.mktemp("range")
    source = make(folder, ".mov", "mov_text", "-timecode", "01:02:03:04")
    targets = [folder / f"out{suffix}" for suffix in RANGED]
    notices = export_all(source, targets, Fraction(1), Fraction(9, 2))
    texts = [text for (text,) in texts_of(targets, [0])]
    return dict(zip(RANGED, zip(targets, notices, texts, strict=True), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("target", RANGED)
def test_a_range_shifts_and_cuts_metadata(ranged: dict[str, tuple[Path, list[str], str]], target: str) -> None:
    path, notices, text = ranged[target]
    assert notices == []
    assert [block.splitlines()[1] for block in text.strip().split("\n\n")] == [
        "00:00:00,000 --> 00:00:00,500",
        "00:00:01,000 --> 00:00:02,500",
        "00:00:03,200 --> 00:00:03,500",
    ]
    found = probe(path)
    chapters = [(each["start_time"], each["end_time"]) for each in found["chapters"]]
    assert chapters == [("0.000000", "1.000000"), ("1.000000", "3.500000")]
    tags = {key.lower(): value for key, value in found["streams"][0]["tags"].items()}
    assert tags["timecode"] == "01:02:04:04"


@pytest.mark.slow
def test_a_matroska_timecode_is_kept(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=1", "-c:v", "libx264", "-timecode", "01:02:03:04", str(source))
    for target in (".mkv", ".mp4"):
        path = tmp_path / f"out{target}"
        assert export(source, path) == []
        assert probe(path)["streams"][0]["tags"].get("timecode" if target == ".mp4" else "TIMECODE") == "01:02:03:04"


@pytest.mark.slow
def test_a_data_track_next_to_chapters_is_reported(tmp_path: Path) -> None:
    film, data, source = make(tmp_path, ".mov", "mov_text"), tmp_path / "positions", tmp_path / "positions.mov"
    data.write_bytes(bytes(range(200)))
    ffmpeg(
        "-i", str(film), "-f", "data", "-i", str(data), "-map", "0:v", "-map", "1:d", "-map_chapters", "0",
        "-c", "copy", "-tag:d", "gpmd", str(source),
    )  # fmt: skip
    assert export(source, tmp_path / "out.mkv") == ["Not kept from positions.mov in .mkv: data track 1."]


@pytest.mark.slow
def test_titles_of_tracks_survive_mp4(tmp_path: Path) -> None:
    first, second = tmp_path / "first.mp4", tmp_path / "second.mkv"
    export(make(tmp_path, ".mkv", "srt"), first)
    export(first, second)
    tracks = [each for each in probe(second)["streams"] if each["codec_type"] in ("audio", "subtitle")]
    assert [each["tags"].get("title") for each in tracks] == ["Ton", None, None, "Full"]


@pytest.mark.slow
def test_dropped_tracks_are_reported_in_one_sentence(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    cover = tmp_path / "cover.png"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48", "-frames:v", "1", str(cover))
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=1", "-f", "lavfi", "-i", "testsrc2=s=32x32:r=25:d=1",
        "-map", "0", "-map", "1", "-c:v", "libx264", "-metadata", "shelf=7", "-attach", str(cover),
        "-metadata:s:t", "mimetype=image/png", str(source),
    )  # fmt: skip
    (notice,) = export(source, tmp_path / "out.mp4")
    assert notice == "Not kept from in.mkv in .mp4: metadata SHELF, video track 1 (h264), the cover picture."


@pytest.mark.parametrize(
    ("code", "frames", "rate", "after"),
    [
        ("01:02:03:04", 25, Fraction(25), "01:02:04:04"),
        ("23:59:59:24", 1, Fraction(25), "00:00:00:00"),
        ("00:00:59;29", 1, Fraction(30000, 1001), "00:01:00;02"),
        ("00:09:59;29", 1, Fraction(30000, 1001), "00:10:00;00"),
        ("00:00:00;00", 17982, Fraction(30000, 1001), "00:10:00;00"),
        ("00:00:00;00", 107892, Fraction(30000, 1001), "01:00:00;00"),
        ("00:00:59;59", 1, Fraction(60000, 1001), "00:01:00;04"),
        ("10:00:00:00", 24, Fraction(24000, 1001), "10:00:01:00"),
    ],
)
def test_a_timecode_is_shifted(code: str, frames: int, rate: Fraction, after: str) -> None:
    assert shifted_timecode(code, frames, rate) == after
    assert shifted_timecode("no code", frames, rate) is None
