"""Media files on which PyAV alone fails or crashes."""

import io
import json
import logging
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageOps

from clipseg_live.core.errors import SourceError
from clipseg_live.media.ffmpeg.container import has_running_clock
from clipseg_live.media.ffmpeg.guarded_av import layout_name, media_errors
from clipseg_live.media.sources import video_file
from clipseg_live.media.sources.registry import open_source
from clipseg_live.media.sources.video_file import VideoFileSource
from tests.helpers.clips import read_all
from tests.helpers.paths import DATA
from tests.helpers.surround import describe_channels, make_surround, tag_channels, tones

# Exports and records each source; a crash ends this process instead of the tests.
_PROGRAM = """
import json, sys
from pathlib import Path
from dataclasses import replace
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.media.writers.remux import remux_to_faststart
from clipseg_live.media.writers.recording import RecordingWriter
from clipseg_live.media.sources.registry import open_source
from clipseg_live.media.writers.video import VideoWriter

for name in sys.argv[1:]:
    for suffix, codec in ((".mp4", "h264"), (".mov", "h264"), (".webm", "vp9")):
        source = open_source(name)
        info = source.open()
        export = VideoWriter(f"{name}-export{suffix}", codec)
        record = RecordingWriter(f"{name}-record{suffix}", codec, encoder="software")
        for writer in (export, record):
            writer.open(info)
        count = 0
        while (frame := source.read()) is not None:
            rendered = RenderedFrame.of(frame)
            export.write(rendered)
            record.write(replace(rendered, source_time=frame.time))
            count += 1
        for writer in (export, record):
            writer.finish()
        remux_to_faststart(record.path)
        source.close()
        print(json.dumps([Path(name).name, suffix, count, export.notices, record.notices]), flush=True)
"""


def run_all(paths: list[Path]) -> dict[tuple[str, str], tuple[int, list[str], list[str]]]:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *map(str, paths)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    lines = map(json.loads, done.stdout.splitlines())
    return {(name, suffix): (count, export, record) for name, suffix, count, export, record in lines}


def sounds(path: Path) -> list[tuple[int, int]]:
    with av.open(str(path)) as container:
        return [(track.index, track.codec_context.layout.nb_channels) for track in container.streams.audio]


@pytest.mark.slow
def test_audio_of_any_layout_is_kept_or_omitted_with_a_notice(tmp_path):
    custom = {
        "seven": ("7.1", (1, 2, 3, 4, 10, 11, 5, 6)),
        "mixed": ("7.1", (3, 1, 2, 5, 6, 10, 11, 4)),
        "swapped": ("stereo", (2, 1)),
        "unknown": ("5.1", (0,) * 6),
    }
    paths = [
        describe_channels(make_surround(tmp_path / f"{name}.mov", [layout]), labels)
        for name, (layout, labels) in custom.items()
    ]
    paths.append(tag_channels(make_surround(tmp_path / "tag.mov", ["7.1"]), 128 << 16 | 8))
    plain = {"wide.mov": "7.1(wide)", "five.mkv": "5.1", "sixteen.mov": "hexadecagonal", "field.mkv": "ambisonic 2",
             "six.mp4": "6.1"}  # fmt: skip
    paths += [make_surround(tmp_path / name, [layout]) for name, layout in plain.items()]
    second = describe_channels(make_surround(tmp_path / "second.mov", ["7.1", "stereo"]), (1, 2, 3, 4, 10, 11, 5, 6))
    found = run_all([*paths, second])
    for path in [*paths, second]:
        for suffix in (".mp4", ".mov", ".webm"):
            count, *notices = found[path.name, suffix]
            assert count == 10
            for told, kind in zip(notices, ("export", "record"), strict=True):
                kept = len(sounds(path.with_name(f"{path.name}-{kind}{suffix}"))) if suffix != ".mov" else None
                left_out = sum("left out" in notice for notice in told)
                assert len(told) <= 2
                assert kept is None or kept + left_out == (2 if path is second else 1), (path.name, suffix, told)
    assert "9 channels" in found["field.mkv", ".mp4"][1][0]
    # Channels are in the order of FFmpeg's layout: side and back channels are exchanged.
    for name, wanted in (("seven", [1, 2, 3, None, 7, 8, 5, 6]), ("mixed", [2, 3, 1, None, 4, 5, 6, 7])):
        for suffix in ("export.mp4", "record.webm"):
            heard = tones(tmp_path / f"{name}.mov-{suffix}", 0, 8)
            assert [have for have, want in zip(heard, wanted, strict=True) if want] == [w for w in wanted if w]
    assert tones(tmp_path / "swapped.mov-export.mp4", 0, 2) == [2, 1]
    for kind in ("export", "record"):
        assert len(sounds(tmp_path / f"second.mov-{kind}.mp4")) == 2


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1", "7.1"])
def test_common_layouts_need_no_extra_process(tmp_path, monkeypatch, layout):
    path = make_surround(tmp_path / "plain.mov", [layout])
    other = describe_channels(make_surround(tmp_path / "custom.mov", ["stereo"]), (2, 1))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a process was started"))
    for each, called in ((path, False), (other, True)):
        with av.open(str(each)) as container:
            if called:
                with pytest.raises(pytest.fail.Exception):
                    layout_name(container.streams.audio[0], each)
            else:
                assert layout_name(container.streams.audio[0], each) == layout


def mjpeg(path: Path, orientation: int) -> Path:
    """Return MJPEG of a camera with EXIF in each frame."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:24, :32], pixels[:24, 32:], pixels[24:, :32] = (220, 40, 40), (40, 220, 40), (40, 40, 220)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", exif=exif, quality=95, subsampling=0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj444p"
        for number in range(3):
            packet = av.Packet(data.getvalue())
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base = Fraction(1, 10)
            container.mux(packet)
    path.with_suffix(".jpg").write_bytes(data.getvalue())
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_unknown_side_data_is_ignored_and_orientation_is_applied(tmp_path, orientation):
    path = mjpeg(tmp_path / "camera.avi", orientation)
    _, frames = read_all(VideoFileSource(path))
    with Image.open(path.with_suffix(".jpg")) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    assert len(frames) == 3
    assert frames[0].pixels.shape == upright.shape
    assert np.abs(frames[0].pixels.astype(int) - upright).mean() < 6


def test_the_base_view_of_a_spatial_video_plays():
    info, frames = read_all(VideoFileSource(DATA / "spatial.mov"))
    assert (info.width, info.height, len(frames)) == (320, 192, 28)


def test_unknown_format_flags_are_ignored(tmp_path):
    class Format:
        flags = 1 << 30 | 0x0200

    class Container:
        format = Format()

    assert has_running_clock(Container())


@pytest.mark.parametrize(
    "error",
    [ValueError("29 is not a valid Type"), RuntimeError("layout"), TypeError("x"), KeyError("x"), OverflowError("x"),
     AttributeError("x"), av.error.UndefinedError(1, "x"), UnicodeDecodeError("utf-8", b"x", 0, 1, "x")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_read_errors_are_one_sentence_and_logged_with_cause(tmp_path, monkeypatch, caplog, error):
    path = mjpeg(tmp_path / "camera.avi", 1)

    def fail(*_):
        raise error

    source = open_source(path)
    monkeypatch.setattr(video_file, "orientation_of", fail)
    with caplog.at_level(logging.WARNING), pytest.raises(SourceError, match=r"^camera\.avi cannot be decoded: .*\.$"):
        source.open()
    source.close()
    assert any(record.exc_info and record.exc_info[1] is error for record in caplog.records)
    with pytest.raises(SourceError, match="own sentence"), media_errors("another"):
        raise SourceError("own sentence")
