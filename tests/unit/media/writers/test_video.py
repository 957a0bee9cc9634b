"""Written video files: times, colours, sizes and audio are kept, and no incomplete file is visible."""

import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.frame import ColourInfo, Frame
from clipseg_live.media.images.writers import ImageWriter, open_sink
from clipseg_live.media.sources.video_file import VideoFileSource
from clipseg_live.media.writers.video import VideoWriter
from tests.helpers.clips import make_clip, numbered_image, packets, raw_times, read_all, source_frames, write_all
from tests.helpers.rendered import rendered

KINDS = [
    ("o.mp4", None), ("o.mov", None), ("o.mkv", None), ("o.webm", None), ("o.mp4", "vp9"), ("o.mkv", "ffv1"),
    ("o.mp4", "h265"), ("o.mov", "h265"), ("o.mkv", "h265"), ("o.mp4", "av1"), ("o.webm", "av1"), ("o.mov", "prores"),
    ("o.mkv", "prores"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "codec"), KINDS)
def test_times_and_rate_are_kept(tmp_path, name, codec):
    info, frames = read_all(VideoFileSource(make_clip(tmp_path / "i.mp4", rate=Fraction(30000, 1001), count=12)))
    write_all(VideoWriter(tmp_path / name, codec), info, frames)
    seen, back = read_all(VideoFileSource(tmp_path / name))
    exact = name.endswith(("mp4", "mov"))
    assert len(back) == 12 and seen.rate == Fraction(30000, 1001)
    for old, new in zip(frames, back, strict=True):
        assert old.time == new.time if exact else abs(old.time - new.time) <= Fraction(1, 1000)
    if exact:
        assert back[-1].duration == frames[-1].duration


def test_a_variable_rate_with_a_late_start_is_kept(tmp_path):
    stamps = [500, 540, 541, 900, 2000, 2040, 2041, 5000, 5001, 7000]
    info, frames = read_all(VideoFileSource(make_clip(tmp_path / "i.mp4", time_base=Fraction(1, 1000), stamps=stamps)))
    write_all(VideoWriter(tmp_path / "o.mp4"), info, frames)
    assert raw_times(tmp_path / "o.mp4") == [Fraction(stamp, 1000) for stamp in stamps]


@pytest.mark.parametrize(
    ("name", "codec", "tag", "pixels"),
    [("o.mp4", "h265", "hvc1", "yuv420p"), ("o.mov", "h265", "hvc1", "yuv420p"), ("o.mp4", "av1", "av01", "yuv420p"),
     ("o.mov", "prores", "apcn", "yuv422p10le")],
)  # fmt: skip
def test_new_codecs_have_compatible_tags_and_the_same_content(tmp_path, name, codec, tag, pixels):
    info, frames = source_frames(4, size=(47, 63), colour=ColourInfo(1, 1, 1, 1), pixel_aspect=Fraction(4, 3))
    writer = VideoWriter(tmp_path / name, codec)
    write_all(writer, info, frames)
    assert writer.padded is (codec == "h265")
    with av.open(str(tmp_path / name)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.codec_tag, context.pix_fmt, stream.sample_aspect_ratio) == (tag, pixels, Fraction(4, 3))
        assert (context.colorspace, context.color_range, context.color_primaries) == (1, 1, 1)
    back = read_all(VideoFileSource(tmp_path / name))[1]
    for old, new in zip(frames, back, strict=True):
        assert np.abs(new.pixels[:47, :63].astype(int) - old.pixels).mean() < 5


def test_ffv1_is_lossless_at_odd_sizes(tmp_path):
    info, frames = source_frames(3, size=(47, 63))
    write_all(VideoWriter(tmp_path / "o.mkv", "ffv1"), info, frames)
    back = read_all(VideoFileSource(tmp_path / "o.mkv"))[1]
    assert all(np.array_equal(old.pixels, new.pixels) for old, new in zip(frames, back, strict=True))


@pytest.mark.parametrize(("name", "padded"), [("o.mp4", True), ("o.webm", False)])
def test_odd_sizes_are_padded_only_where_needed(tmp_path, name, padded):
    info, frames = source_frames(3, size=(47, 63))
    writer = VideoWriter(tmp_path / name, quality=95)
    write_all(writer, info, frames)
    back = read_all(VideoFileSource(tmp_path / name))[1][0].pixels
    assert writer.padded is padded and back.shape[:2] == ((48, 64) if padded else (47, 63))
    assert np.abs(back[:47, :63].astype(int) - frames[0].pixels).mean() < 5


@pytest.mark.parametrize("matrix", [1, 5, 9, 2])
@pytest.mark.parametrize("range_", [1, 2, 0])
def test_colours_and_tags_are_kept(tmp_path, matrix, range_):
    info, frames = source_frames(2, colour=ColourInfo(range_, matrix, 1, 1), pixel_aspect=Fraction(4, 3))
    write_all(VideoWriter(tmp_path / "o.mp4", quality=100), info, frames)
    seen, back = read_all(VideoFileSource(tmp_path / "o.mp4"))
    assert seen.colour.matrix == (6 if matrix == 2 else matrix)  # without tags: BT.601, as it is displayed
    assert seen.colour.range in (range_, 1 if range_ == 0 else range_)
    assert seen.pixel_aspect == Fraction(4, 3)
    assert np.median(np.abs(back[1].pixels.astype(int) - frames[1].pixels)) <= 2


@pytest.mark.parametrize(
    ("source", "sound", "target", "copied"),
    [
        ("i.mp4", "aac", "o.mp4", True), ("i.mp4", "aac", "o.mkv", True), ("i.mkv", "libopus", "o.webm", True),
        ("i.mkv", "flac", "o.mp4", True), ("i.mov", "pcm_s16le", "o.mp4", False),
        ("i.mov", "pcm_s16le", "o.mov", True), ("i.mp4", "libmp3lame", "o.webm", False),
    ],
)  # fmt: skip
def test_audio_is_copied_or_converted_with_a_notice(tmp_path, source, sound, target, copied):
    path = make_clip(tmp_path / source, sound=[sound, sound], count=15)
    info, frames = read_all(VideoFileSource(path))
    writer = VideoWriter(tmp_path / target)
    write_all(writer, info, frames)
    assert len(raw_times(tmp_path / target)) == 15
    for track in (0, 1):
        old, new = packets(path, track), packets(tmp_path / target, track)
        if copied:
            if target.endswith(".mkv"):  # without the priming samples of an encoder
                old = [(time, data) for time, data in old if time >= 0]
            assert [data for _, data in old] == [data for _, data in new] and not writer.notices
            assert new[0][0] == old[0][0] or not target.endswith((".mkv", ".webm"))
        length = new[-1][0] - new[0][0]
        assert abs(length - Fraction(1, 2)) < Fraction(1, 10)
    if not copied:
        assert len(writer.notices) == 2 and "converted to" in writer.notices[0]


@pytest.mark.slow
def test_a_range_cuts_audio_in_sync(tmp_path):
    path = make_clip(tmp_path / "i.mp4", sound=["aac"], count=60, sound_seconds=2)
    start, end = Fraction(1, 2), Fraction(3, 2)
    info, frames = read_all(VideoFileSource(path, start, end))
    write_all(VideoWriter(tmp_path / "o.mp4", start=start, end=end), info, frames)
    assert raw_times(tmp_path / "o.mp4") == [frame.time - start for frame in frames]
    wanted = [(time - start, data) for time, data in packets(path) if start <= time < end]
    seen = packets(tmp_path / "o.mp4")
    assert [data for _, data in seen] == [data for _, data in wanted]
    assert max(abs(a - b) for (a, _), (b, _) in zip(seen, wanted, strict=True)) <= Fraction(1, 48000)


def test_damaged_audio_does_not_stop_the_video(tmp_path):
    info, frames = source_frames(5)
    broken = tmp_path / "sound.mp4"
    broken.write_bytes(b"nothing" * 100)
    writer = VideoWriter(tmp_path / "o.mp4")
    info = type(info)(**{name: getattr(info, name) for name in info.__slots__} | {"audio_path": broken})
    write_all(writer, info, frames)
    assert len(raw_times(tmp_path / "o.mp4")) == 5 and "sound" in writer.notices[0]


@pytest.mark.parametrize(
    ("name", "codec", "says"),
    [("o.webm", "h264", ".mp4"), ("o.mp4", "ffv1", ".mkv"), ("o.xyz", None, ".mp4"), ("o.avi", None, ".mkv"),
     ("o.mp4", "av7", "h264"), ("o.mp4", "prores", ".mov or .mkv"), ("o.webm", "h265", ".mp4"),
     ("o.mov", "av1", ".mp4")],
)  # fmt: skip
def test_invalid_settings_are_rejected_at_the_start(tmp_path, name, codec, says):
    with pytest.raises(UsageError, match=says):
        open_sink(tmp_path / name, codec=codec)


def test_an_existing_file_is_never_touched(tmp_path):
    path = tmp_path / "o.mp4"
    info, frames = source_frames(3)
    writer = VideoWriter(path)
    writer.open(info)
    writer.write(rendered(frames[0]))
    path.write_text("mine")
    with pytest.raises(SinkError, match="in the meantime"):
        writer.finish()
    writer.abort()
    assert path.read_text() == "mine"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["o.finished.mp4", "o.mp4"]
    assert len(raw_times(tmp_path / "o.finished.mp4")) == 1
    with pytest.raises(UsageError, match="--overwrite"):
        VideoWriter(path)
    write_all(VideoWriter(path, overwrite=True), info, frames)
    assert len(raw_times(path)) == 3


def test_abort_removes_the_file_or_keeps_a_playable_partial_one(tmp_path):
    info, frames = source_frames(8)
    for keep in (False, True):
        writer = VideoWriter(tmp_path / "o.mp4")
        writer.open(info)
        for frame in frames:
            writer.write(rendered(frame))
        assert not (tmp_path / "o.mp4").exists()
        kept = writer.abort(keep_partial=keep)
        assert writer.abort() is None
        assert [each.name for each in tmp_path.iterdir()] == (["o.partial.mp4"] if keep else [])
    assert kept == tmp_path / "o.partial.mp4" and len(raw_times(kept)) == 8


def test_unwritable_folders_give_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="does not exist"):
        VideoWriter(tmp_path / "none" / "o.mp4")
    with pytest.raises(SinkError, match="not a folder"):
        VideoWriter(tmp_path / "file" / "o.mp4")


@pytest.mark.slow
def test_a_full_disk_is_named(tmp_path):
    program = """
import resource, signal, sys, numpy as np
from fractions import Fraction
from clipseg_live.core.errors import SinkError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.media.writers.video import VideoWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
writer = VideoWriter(sys.argv[1], "ffv1")
writer.open(SourceInfo("x", 64, 48, Fraction(30), Fraction(1, 30)))
generator = np.random.default_rng(0)
try:
    for n in range(200):
        pixels = generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        writer.write(RenderedFrame.of(Frame(pixels, n, Fraction(n, 30))))
    writer.finish()
except SinkError as error:
    writer.abort()
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "o.mkv")], capture_output=True, text=True, timeout=60
    )
    assert "o.mkv is larger" in done.stdout, done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_single_frame_is_written(tmp_path):
    info, frames = source_frames(1)
    for name in ("o.png", "ö 例.webp"):
        write_all(open_sink(tmp_path / name), info, frames)
        from clipseg_live.media.images.reader import read_image

        assert np.array_equal(read_image(tmp_path / name), numbered_image(0))
    writer = ImageWriter(tmp_path / "two.png")
    writer.open(info)
    writer.write(rendered(frames[0]))
    with pytest.raises(SinkError, match="single image"):
        writer.write(rendered(Frame(numbered_image(1), 1, Fraction(1))))
    assert writer.abort() is None and not (tmp_path / "two.png").exists()
    with pytest.raises(UsageError, match="many frames"):
        ImageWriter(tmp_path / "two.png").open(source_frames(2)[0])


def test_mp4_has_its_index_at_the_start(tmp_path):
    write_all(VideoWriter(tmp_path / "o.mp4"), *source_frames(3))
    data = (tmp_path / "o.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
