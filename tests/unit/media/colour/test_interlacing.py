"""Interlaced video compared with FFmpeg: deinterlacing, interlaced fields, and field flags."""

import json
import shutil
import subprocess
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest

from clipseg_live.core.errors import UsageError
from clipseg_live.core.frame import ColourInfo
from clipseg_live.core.settings.live import FrameTransform, SourceSpec
from clipseg_live.media.colour.conversion import FromVideo, ToVideo
from clipseg_live.media.colour.interlacing import Deinterlacer, FieldFlags, fields_of, weave_frames
from clipseg_live.media.sources.framing import FramedSource
from clipseg_live.media.sources.live_sources import open_live
from clipseg_live.media.sources.video_file import VideoFileSource
from clipseg_live.media.writers.recording import RecordingWriter
from clipseg_live.media.writers.video import VideoWriter
from tests.helpers.hdr_clips import run
from tests.helpers.rendered import rendered
from tests.helpers.servers import HTTPHandler, Server

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="FFmpeg's program is not installed")

HEIGHT, WIDTH, COUNT = 96, 128, 6
CODERS = {
    "a.mp4": ("yuv420p", "-c:v", "libx264", "-crf", "6", "-flags", "+ildct+ilme"),
    "a.ts": ("yuv420p", "-c:v", "mpeg2video", "-q:v", "2", "-flags", "+ildct+ilme"),
    "a.mov": ("yuv422p10le", "-c:v", "prores_ks", "-flags", "+ildct"),
    "a.mkv": ("yuv420p10le", "-c:v", "ffv1"),
}


def interlaced(path, order="tff"):
    """Return a moving test video of 50 fields per second, interlaced."""
    path.write_bytes(_interlaced(path.name, order))
    return path


@cache
def _interlaced(name, order):
    pixel_format, *codec = CODERS[name]
    first = "interleave_top" if order == "tff" else "interleave_bottom"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        run("-f", "lavfi", "-i", f"testsrc2=size={WIDTH}x{HEIGHT}:rate=50,format={pixel_format}", "-vf",
            f"tinterlace={first},setfield={order},setparams=colorspace=smpte170m:range=tv", "-frames:v", COUNT,
            *codec, "-top", int(order == "tff"), path)  # fmt: skip
        return path.read_bytes()


def frames_of(path, **options):
    source = VideoFileSource(path, **options)
    info = source.open()
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    source.close()
    return info, frames


def by_ffmpeg(path):
    """Return the deinterlaced frames, and those with interlaced fields."""
    flags = "flags=bicubic+accurate_rnd+full_chroma_int"
    raws = path.with_name("deinterlaced.raw"), path.with_name("woven.raw")
    outputs = [
        part
        for filters, raw in zip(("bwdif=mode=send_frame", "null"), raws, strict=True)
        for part in ("-vf", f"{filters},scale={flags}", "-f", "rawvideo", "-pix_fmt", "rgb24", raw)
    ]
    run("-i", path, *outputs)
    return [np.fromfile(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 3) for raw in raws]


@pytest.mark.slow
@pytest.mark.parametrize("order", ["tff", "bff"])
@pytest.mark.parametrize("name", CODERS)
def test_interlaced_video_is_deinterlaced(tmp_path, name, order):
    path = interlaced(tmp_path / name, order)
    info, frames = frames_of(path)
    wanted, woven = by_ffmpeg(path)
    assert info.fields is None and len(frames) == len(wanted) == COUNT
    assert [frame.time for frame in frames] == [frame.time for frame in frames_of(path, deinterlace="off")[1]]
    for frame, one, other in zip(frames[1:-1], wanted[1:-1], woven[1:-1], strict=True):
        assert difference(frame.pixels, one) < 0.5 < 1 < difference(frame.pixels, other)


def live_frames(name, **options):
    """Read a source like live commands."""
    source = open_live(SourceSpec(name=str(name), **options))
    source.open()
    try:
        return [source.read() for _ in range(COUNT - 1)]
    finally:
        source.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["file", "stream"])
def test_live_sources_are_deinterlaced_by_default(tmp_path, kind):
    path = interlaced(tmp_path / "a.ts")
    pages = {"/a.ts": ("video/mp2t", path.read_bytes())}
    with Server(type("Handler", (HTTPHandler,), {"pages": pages})) as server:
        name = path if kind == "file" else f"http://127.0.0.1:{server.port}/a.ts"
        whole, woven = live_frames(name), live_frames(name, deinterlace="off")
    wanted, unchanged = by_ffmpeg(path)
    for one, other, right, fields in list(zip(whole, woven, wanted, unchanged, strict=False))[1:]:
        assert difference(one.pixels, right) < 0.5
        assert difference(other.pixels, fields) < difference(other.pixels, right) / 2


def test_a_source_saved_by_an_older_version_is_deinterlaced():
    assert SourceSpec.model_validate_json('{"name": "a.mp4", "insecure": false}').deinterlace == "auto"


@pytest.mark.slow
def test_raw_dv_has_the_rate_of_its_frames(tmp_path):
    path = tmp_path / "a.dv"
    run("-f", "lavfi", "-i", "testsrc2=size=720x576:rate=25", "-frames:v", 3, "-pix_fmt", "yuv420p", path)
    info, frames = frames_of(path)
    assert info.rate == 25 and len(frames) == 3
    write(VideoWriter(tmp_path / "o.mp4", "h264", quality=95), info, frames)
    assert probe(tmp_path / "o.mp4")["streams"][0]["avg_frame_rate"] == "25/1"


def difference(one, other):
    """Return the difference of the luma, which needs no chroma interpolation."""
    return np.abs((one - other.astype(float)) @ (0.299, 0.587, 0.114)).mean()


def test_frames_without_a_flag_use_the_field_order_of_the_stream(tmp_path):
    path = interlaced(tmp_path / "a.mkv")
    with av.open(str(path)) as container:
        flagged = list(container.decode(video=0))
    bare = []
    for frame in flagged:
        copy = av.VideoFrame.from_ndarray(frame.to_ndarray(), frame.format.name)
        copy.pts, copy.time_base = frame.pts, frame.time_base
        bare.append(copy)
    assert not bare[0].interlaced_frame
    one, other = list(Deinterlacer(None).frames(iter(flagged))), list(Deinterlacer("tff").frames(iter(bare)))
    assert [frame.pts for frame in other] == [frame.pts for frame in bare]
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first.to_ndarray(), second.to_ndarray())


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_frame_is_returned_once(tmp_path, count):
    path = interlaced(tmp_path / "a.mkv")
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))[:count]
    stamps = [frame.pts for frame in frames]
    assert [frame.pts for frame in Deinterlacer(None).frames(iter(frames))] == stamps


def test_buffered_frames_are_returned_before_an_error(tmp_path):
    with av.open(str(interlaced(tmp_path / "a.mkv"))) as container:
        frames = list(container.decode(video=0))[:3]

    def broken():
        yield from frames
        raise OSError

    deinterlaced = Deinterlacer(None).frames(broken())
    assert [next(deinterlaced).pts for _ in frames] == [frame.pts for frame in frames]
    with pytest.raises(OSError):
        next(deinterlaced)


def test_progressive_frames_pass_unchanged():
    frames = [av.VideoFrame(16, 16, "yuv420p") for _ in range(3)]
    assert list(Deinterlacer(None).frames(iter(frames))) == frames


def two_colours(pixel_format, height=HEIGHT):
    """Return a frame whose fields have different colours, and the colours."""
    colours = (200, 40, 40), (40, 60, 210)
    pixels = np.empty((height, WIDTH, 3), np.uint8)
    pixels[0::2], pixels[1::2] = colours
    frame = ToVideo(pixel_format, ColourInfo(1, 6, 1, 1), interlaced=True)(pixels)
    return FieldFlags("tff")(frame), pixels


@pytest.mark.parametrize("height", [HEIGHT, 50, 7])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "yuv420p10le", "yuv422p"])
def test_chroma_is_never_mixed_across_fields(pixel_format, height):
    frame, pixels = two_colours(pixel_format, height)
    assert frame.interlaced_frame
    assert np.abs(FromVideo()(frame).astype(int) - pixels).max() <= 4
    for one, other in zip(weave_frames(fields_of(frame)).planes, frame.planes, strict=True):
        np.testing.assert_array_equal(samples(one), samples(other))


def samples(plane):
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "codec"), [("o.mp4", "h264"), ("o.mov", "prores"), ("o.mkv", "ffv1")])
@pytest.mark.parametrize("order", ["tff", "bff"])
def test_flags_are_kept_without_deinterlacing(tmp_path, name, codec, order):
    info, frames = frames_of(interlaced(tmp_path / "a.mp4", order), deinterlace="off")
    assert info.fields == order
    write(VideoWriter(tmp_path / name, codec, quality=95), info, frames)
    check_fields(tmp_path / name, order)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "codec"), [("o.mp4", "h264"), ("o.mov", "prores"), ("o.mkv", "ffv1")])
@pytest.mark.parametrize("order", ["tff", "bff"])
def test_recordings_keep_the_flags(tmp_path, name, codec, order):
    """Frames after the first use a faster preset with a new encoder."""
    info, frames = frames_of(interlaced(tmp_path / "a.mp4", order), deinterlace="off")
    writer = RecordingWriter(tmp_path / name, codec, encoder="software", quality=95)
    writer.open(replace(info, audio_path=None))
    for frame in frames:
        writer.write(rendered(frame))
        if frame is frames[0]:
            assert writer.speed_up() == (codec == "h264")
    writer.finish()
    check_fields(tmp_path / name, order)
    _, kept = frames_of(tmp_path / name, deinterlace="off")
    for frame, other in zip(frames, kept, strict=True):
        assert difference(frame.pixels, other.pixels) < 2.5


def test_a_recording_codec_without_fields_is_rejected(tmp_path):
    info, _ = frames_of(interlaced(tmp_path / "a.mp4"), deinterlace="off")
    with pytest.raises(UsageError, match="--deinterlace off"):
        RecordingWriter(tmp_path / "o.webm", "vp9").open(info)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(
    ("framing", "order"),
    [
        (FrameTransform(), "tff"),
        (FrameTransform(mirror=True), "tff"),
        (FrameTransform(crop=(0, 0.125, 1, 0.5)), "tff"),  # from row 12
        (FrameTransform(crop=(0, 0.115, 1, 0.5)), "bff"),  # from row 11
        (FrameTransform(turn=90), None),
        (FrameTransform(turn=180), None),
    ],
)
def test_framing_changes_the_field_order(tmp_path, framing, order):
    """After a crop by an odd number of rows, the first row belongs to the other field."""
    source = FramedSource(VideoFileSource(interlaced(tmp_path / "a.mp4"), deinterlace="off"), framing)
    assert source.open().fields == order
    source.close()


def check_fields(path, order):
    """Check the field order of a file and of each frame with ffprobe."""
    listed = probe(path)
    assert listed["streams"][0]["field_order"] in {"tff": ("tt", "tb"), "bff": ("bb", "bt")}[order]
    assert all(frame["interlaced_frame"] == 1 for frame in listed["frames"])
    assert all(frame["top_field_first"] == int(order == "tff") for frame in listed["frames"])


@pytest.mark.slow
def test_deinterlaced_video_is_progressive(tmp_path):
    info, frames = frames_of(interlaced(tmp_path / "a.mp4"))
    write(VideoWriter(tmp_path / "o.mov", "h264", quality=95), info, frames)
    told = probe(tmp_path / "o.mov")
    assert told["streams"][0]["field_order"] == "progressive"
    assert not any(frame["interlaced_frame"] for frame in told["frames"])


@pytest.mark.parametrize(("name", "codec"), [("o.mp4", "h265"), ("o.webm", None), ("o.mp4", "av1")])
def test_codecs_without_fields_are_rejected(tmp_path, name, codec):
    info, _ = frames_of(interlaced(tmp_path / "a.mp4"), deinterlace="off")
    with pytest.raises(UsageError, match="--deinterlace off"):
        VideoWriter(tmp_path / name, codec).open(info)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def write(writer, info, frames):
    writer.open(replace(info, audio_path=None))
    for frame in frames:
        writer.write(rendered(frame))
    writer.finish()


def probe(path):
    command = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_streams", "-show_frames", "-of",
               "json", str(path)]  # fmt: skip
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
