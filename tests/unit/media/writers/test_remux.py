"""After a recording: conversion of fragmented files to plain ones, and recovery of interrupted recordings."""

import os
import shutil
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from clipseg_live.core.frame import ColourInfo
from clipseg_live.core.settings.recording import SUFFIXES
from clipseg_live.exporters.recovery import recover_interrupted
from clipseg_live.media.writers.recording import RecordingWriter
from clipseg_live.media.writers.remux import remux_to_faststart, truncate_to_last_fragment
from tests.helpers.clips import make_clip, packets, raw_times
from tests.helpers.recordings import (
    clicking_clip,
    clicks_in,
    decode_all_by_ffmpeg,
    flashes_in,
    frames_by_ffmpeg,
    played_frames,
    source,
    times_by_ffprobe,
    write,
)
from tests.helpers.rendered import rendered

FRAGMENTED = [codec for codec, suffix in SUFFIXES.items() if suffix in (".mp4", ".mov")]


def recording(path: Path, codec: str = "h264", sound: str = "aac") -> Path:
    clip = clicking_clip(path.parent / "clip.mov", sound)
    shown = [(frame, heard) for frame, heard in played_frames((40, Fraction(0)), (20, None), (30, Fraction(14, 10)))]
    info = source(audio_path=clip, pixel_aspect=Fraction(4, 3), colour=ColourInfo(1, 1, 1, 1))
    write(RecordingWriter(path, codec, encoder="software"), info, shown)
    clip.unlink()
    return path


@pytest.mark.slow
@pytest.mark.parametrize("codec", FRAGMENTED)
def test_a_plain_file_has_the_same_content(tmp_path: Path, codec: str) -> None:
    path = recording(tmp_path / f"a{SUFFIXES[codec]}", codec)
    before, fragments = fixed_content(path), path.read_bytes()
    assert remux_to_faststart(path) == ""
    assert fixed_content(path) == before and before[0][0] == 0
    data = path.read_bytes()
    assert b"moof" not in data and data.index(b"moov") < data.index(b"mdat")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    other = path.with_name(f"before{path.suffix}")
    other.write_bytes(fragments)
    one, same = decode_all_by_ffmpeg([(other, ()), (path, ())], (48, 64))
    assert len(one) and np.array_equal(one, same)


def fixed_content(path: Path) -> tuple[object, ...]:
    """Return everything that the conversion must not change."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        tags = video.codec_context
        colours = (
            tags.colorspace,
            tags.color_range,
            tags.color_primaries,
            tags.color_trc,
            tags.codec_tag,
            tags.width,
        )
        aspect = video.sample_aspect_ratio
        packets = [(p.stream.index, p.pts * p.time_base, bytes(p)) for p in container.demux() if p.size]
    return (
        raw_times(path), sorted(packets), colours, aspect, flashes_in(path), clicks_in(path), times_by_ffprobe(path),
    )  # fmt: skip


def full(path: Path) -> SimpleNamespace:
    return SimpleNamespace(free=1000)


def test_the_file_is_kept_and_reported_without_disk_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recording(tmp_path / "a.mp4")
    before = path.read_bytes()
    monkeypatch.setattr(shutil, "disk_usage", full)
    assert "needs 67 MB of free disk" in remux_to_faststart(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_conversion_can_be_cancelled_at_any_time(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.mp4")
    before = path.read_bytes()
    asked = []
    assert remux_to_faststart(path, lambda: asked.append(1) or False) == ""
    total = len(asked)
    path.write_bytes(before)
    for last in (1, total // 3, total - 1):
        assert remux_to_faststart(path, _after(last)) == ""
        assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def _after(count: int) -> Callable[[], bool]:
    interrupted_recording = iter(range(count))
    return lambda: next(interrupted_recording, None) is None


def test_a_file_that_cannot_be_converted_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"nothing at all" * 50)
    assert remux_to_faststart(path).startswith("a.mp4 is playable but remains fragmented: it could not be converted")
    assert path.read_bytes() == b"nothing at all" * 50 and list(tmp_path.iterdir()) == [path]
    assert "could not be converted" in remux_to_faststart(tmp_path / "none.mp4")
    other = make_clip(tmp_path / "b.mkv")
    before = other.read_bytes()
    assert remux_to_faststart(other) == "" and other.read_bytes() == before


def test_a_file_that_is_still_written_is_not_changed(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.mp4")
    calls = []

    def change_file() -> bool:
        calls.append(1)
        if len(calls) == 20:
            os.utime(path, (1, 1))
        return False

    assert "another program is writing to it" in remux_to_faststart(path, change_file)
    assert b"moof" in path.read_bytes()


def interrupted_recording(path: Path, seconds: float = 60) -> Path:
    """Return an interrupted recording that was last written some time ago."""
    writer = RecordingWriter(path.with_name("x" + path.suffix), encoder="software", codec="ffv1")
    writer.open(source())
    for frame, _ in played_frames((20, None)):
        writer.write(rendered(frame))
    shutil.copy(writer.working, path)
    writer.abort()
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


def test_interrupted_recordings_are_recovered(tmp_path: Path) -> None:
    first = interrupted_recording(tmp_path / "talk.recording.mkv")
    data = first.read_bytes()
    shutil.copy2(first, tmp_path / "talk.recording-2.mkv")
    living = interrupted_recording(tmp_path / "now.recording.mkv", seconds=5)
    broken = tmp_path / "b.recording.mp4"
    broken.write_bytes(b"\0" * 100)
    os.utime(broken, (1, 1))
    others = [
        interrupted_recording(tmp_path / "talk.mkv"),
        interrupted_recording(tmp_path / "my.recording of.mkv"),
        tmp_path / "a.recording.txt",
    ]
    others[-1].write_text("mine")
    os.utime(others[-1], (1, 1))
    found = recover_interrupted(tmp_path)
    assert [each.name for each in found] == ["talk (recovered).mkv", "talk (recovered 2).mkv"]
    assert found[0].read_bytes() == data and len(raw_times(found[0])) > 5
    assert all(each.exists() for each in (living, broken, *others)) and len(list(tmp_path.iterdir())) == 7
    assert recover_interrupted(tmp_path) == [] and recover_interrupted(tmp_path / "none") == []


@pytest.mark.slow
def test_an_incomplete_end_is_truncated(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.recording.mp4")
    whole = path.read_bytes()
    starts = [at - 4 for at in _places(whole, b"moof")]
    for cut in (starts[2] + 3, starts[2] + 60, starts[3] - 1):
        path.write_bytes(whole[:cut])
        truncate_to_last_fragment(path)
        assert path.read_bytes() == whole[: starts[2]]
    assert len(frames_by_ffmpeg(path, (48, 64)))
    os.utime(path, (1, 1))
    assert [each.name for each in recover_interrupted(tmp_path)] == ["a (recovered).mp4"]
    kept = tmp_path / "a (recovered).mp4"
    assert remux_to_faststart(kept) == "" and b"moof" not in kept.read_bytes()


@pytest.mark.slow
def test_an_incomplete_end_of_matroska_is_truncated(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.recording.mkv")
    whole = path.read_bytes()
    size = whole.index(b"\x18\x53\x80\x67") + 4
    whole = whole[:size] + b"\x01" + 7 * b"\xff" + whole[size + 8 :]  # unknown while it is written
    starts = _places(whole, b"\x1f\x43\xb6\x75")
    for cut in (starts[2] + 2, starts[2] + 60, starts[3] - 1):
        path.write_bytes(whole[:cut])
        truncate_to_last_fragment(path)
        assert path.read_bytes() == whole[: starts[2]]
    assert len(frames_by_ffmpeg(path, (48, 64)))
    for other in (b"", b"\x1a\x45", whole[:30], b"no container at all"):
        path.write_bytes(other)
        truncate_to_last_fragment(path)
        assert path.read_bytes() == other


def _places(data: bytes, name: bytes) -> list[int]:
    found, at = [], data.find(name)
    while at >= 0:
        found.append(at)
        at = data.find(name, at + 1)
    return found


def test_incomplete_plain_copies_are_removed(tmp_path: Path) -> None:
    old, young = tmp_path / ".a.plain-0123abcd.mp4", tmp_path / ".b.plain-0123abcd.mov"
    others = [tmp_path / name for name in ("a.plain-0123abcd.mp4", ".a.plain-notes.mp4", ".a.plain-0123abcd.txt")]
    before = time.time() - 2 * 3600
    for path in (old, young, *others):
        path.touch()
        if path is not young:
            os.utime(path, (before, before))
    assert recover_interrupted(tmp_path) == []
    assert not old.exists() and young.exists() and all(path.exists() for path in others)


@pytest.mark.slow
def test_the_index_fits_irregular_packets(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    options = {"movflags": "+empty_moov+default_base_moof+frag_discont", "frag_duration": "300000"}
    with av.open(str(path), "w", container_options=options) as output:
        tracks = [output.add_stream("mjpeg", rate=30) for _ in range(2)]
        for track in tracks:
            track.width, track.height, track.pix_fmt, track.time_base = 16, 16, "yuvj420p", Fraction(1, 90000)
        output.start_encoding()
        for number in range(5000):
            for track in tracks[: 1 + number % 2]:
                packet = av.Packet(bytes(100 + number % 7))
                packet.stream, packet.time_base = track, Fraction(1, 90000)
                packet.pts = packet.dts = number * 3000 + number % 5 * 100
                packet.is_keyframe = number % 3 == 0
                output.mux(packet)
    before = [packets(path, stream, "video") for stream in (0, 1)]
    assert remux_to_faststart(path) == "" and [packets(path, stream, "video") for stream in (0, 1)] == before
    data = path.read_bytes()
    assert b"moof" not in data and data.index(b"moov") < data.index(b"mdat")
