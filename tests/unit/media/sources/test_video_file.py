"""Video files: timestamps, orientation, colours, ranges and damaged files."""

import os
from fractions import Fraction

import av
import numpy as np
import pytest

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.media.sources.video_file import VideoFileSource
from tests.helpers.clips import HEIGHT, WIDTH, make_clip, numbered_image, raw_times, read_all
from tests.helpers.hdr_clips import run


def is_close(seen, wanted, tolerance=6):
    """Return whether images are equal up to compression, except at borders of colours."""
    difference = np.abs(seen.astype(int) - wanted)
    return np.median(difference) <= tolerance and np.mean(difference) <= 2 * tolerance


def test_trailing_data_does_not_damage_a_file(tmp_path):
    path = make_clip(tmp_path / "a.mp4", count=12)
    path.write_bytes(path.read_bytes() + b"\xff\xd8\xff appended by some camera " * 40)
    _, frames = read_all(VideoFileSource(path))
    assert len(frames) == 12


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.ts", "ünïcode 例 %03d: x.mp4"])
def test_frames_have_the_times_of_the_container(tmp_path, name):
    path = make_clip(tmp_path / name, rate=Fraction(30000, 1001), count=12)
    info, frames = read_all(VideoFileSource(path))
    raw = raw_times(path)
    zero = raw[0] if name.endswith(".ts") else 0
    assert [frame.time for frame in frames] == [time - zero for time in raw]
    assert [frame.index for frame in frames] == list(range(12))
    assert info.rate == Fraction(30000, 1001) and (info.width, info.height) == (WIDTH, HEIGHT)
    assert all((frame.time / info.time_base).denominator == 1 for frame in frames)
    assert info.audio_path is None and info.pixel_aspect == 1
    for number, frame in enumerate(frames):
        assert frame.pixels.dtype == np.uint8 and frame.pixels.flags.c_contiguous
        assert is_close(frame.pixels, numbered_image(number))


def test_files_are_opened_only_by_open_and_closed_at_any_time(tmp_path):
    source = VideoFileSource(tmp_path / "missing.mp4")
    source.close()
    make_clip(tmp_path / "missing.mp4")
    source.open()
    source.close()
    source.close()
    assert source.read() is None
    assert len(read_all(source)[1]) == 10


def test_variable_rate_and_late_start_are_kept(tmp_path):
    stamps = [450, 900, 930, 4000, 4001, 4500, 9000, 9100, 9200, 12000]
    path = make_clip(tmp_path / "v.mp4", time_base=Fraction(1, 1000), stamps=stamps)
    _info, frames = read_all(VideoFileSource(path))
    assert [frame.time for frame in frames] == [Fraction(stamp, 1000) for stamp in stamps]
    assert frames[3].duration == Fraction(1, 1000)


# Quarter turns and mirrorings with their effect on a frame (np.rot90 turns counter-clockwise).
TURNS = {
    (0, False, False): lambda p: p,
    (90, False, False): lambda p: np.rot90(p),
    (180, False, False): lambda p: np.rot90(p, 2),
    (270, False, False): lambda p: np.rot90(p, 3),
    (0, True, False): lambda p: p[:, ::-1],
    (0, False, True): lambda p: p[::-1],
    (90, True, False): lambda p: np.rot90(p)[:, ::-1],
    (270, True, False): lambda p: np.rot90(p, 3)[:, ::-1],
}


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_rotated_videos_are_upright(tmp_path, turn):
    path = make_clip(tmp_path / "r.mp4", count=3, rotation=turn, sample_aspect_ratio=Fraction(4, 3))
    info, frames = read_all(VideoFileSource(path))
    wanted = TURNS[turn](numbered_image(1))
    assert (info.height, info.width) == wanted.shape[:2] == frames[1].pixels.shape[:2]
    assert is_close(frames[1].pixels, wanted)
    assert info.pixel_aspect == (Fraction(3, 4) if turn[0] % 180 else Fraction(4, 3))


@pytest.mark.parametrize("matrix", [1, 5, 6, 9, 2])
@pytest.mark.parametrize("range_", [1, 2])
@pytest.mark.parametrize("size", [(48, 64), (720, 64)], ids=["sd", "hd"])
def test_colour_matrix_and_range_are_used(tmp_path, matrix, range_, size):
    """Known samples are decoded with the formula of ITU-T H.273."""
    luma, cb, cr = 120, 90, 180
    path = tmp_path / "c.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv444p"
        context = stream.codec_context
        context.colorspace, context.color_range = matrix, range_
        planes = np.stack([np.full(size, value, np.uint8) for value in (luma, cb, cr)])
        frame = av.VideoFrame.from_ndarray(planes, "yuv444p")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    info, frames = read_all(VideoFileSource(path))
    meant = matrix if matrix != 2 else (1 if size[0] >= 720 else 6)
    red, blue = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}[meant]
    y, u, v = (luma - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    if range_ == 2:
        y, u, v = luma / 255, (cb - 128) / 255, (cr - 128) / 255
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    wanted = np.clip(np.array([r, g, b]) * 255, 0, 255)
    assert np.abs(frames[0].pixels[20, 20] - wanted).max() <= 2
    assert info.colour.matrix == matrix and info.colour.range == range_


@pytest.mark.parametrize("pixel_format", ["gray", "yuv420p10le", "yuv444p", "yuv422p", "bgr0", "yuva420p", "gbrp16le"])
def test_other_sample_formats_are_read(tmp_path, pixel_format):
    path = make_clip(tmp_path / "f.mkv", codec="ffv1", pixel_format=pixel_format, count=2, options={"crf": "0"})
    _, frames = read_all(VideoFileSource(path))
    wanted = numbered_image(1)
    if pixel_format == "gray":
        wanted = np.repeat((wanted @ [0.299, 0.587, 0.114])[..., None], 3, axis=2)
    assert is_close(frames[1].pixels, wanted)


def test_alpha_is_composited_on_black(tmp_path):
    path = tmp_path / "alpha.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 16, 16, "bgra"
        rgba = np.full((16, 16, 4), 200, np.uint8)
        rgba[:, :8, 3], rgba[:, 8:, 3] = 0, 128
        container.mux(stream.encode(av.VideoFrame.from_ndarray(rgba, "rgba").reformat(format="bgra")))
        container.mux(stream.encode(None))
    _, frames = read_all(VideoFileSource(path))
    assert (frames[0].pixels[:, :8] == 0).all()
    assert np.abs(frames[0].pixels[:, 8:].astype(int) - 100).max() <= 1


@pytest.mark.parametrize("name", ["s.mp4", "s.mkv", "s.ts"])
@pytest.mark.parametrize(
    ("start", "end"), [(None, "0.5"), ("0.5", None), ("0.31", "0.72"), ("0.7", "0.71"), ("0", "0.1")]
)
def test_a_range_is_exact(tmp_path, name, start, end):
    path = make_clip(tmp_path / name, count=40, options={"g": "12"})
    whole = [frame.time for frame in read_all(VideoFileSource(path))[1]]
    low, high = (None if each is None else Fraction(each) for each in (start, end))
    wanted = [time for time in whole if (low is None or time >= low) and (high is None or time < high)]
    info, frames = read_all(VideoFileSource(path, low, high))
    assert [frame.time for frame in frames] == wanted
    assert abs((info.frame_count or 0) - len(wanted)) <= 2
    first = whole.index(wanted[0])
    assert is_close(frames[0].pixels, numbered_image(first))


def test_repeated_timestamps_are_separated(tmp_path):
    path = make_clip(tmp_path / "d.mkv", count=6)
    source = VideoFileSource(path)
    source.open()
    with av.open(str(path)) as container:
        stamped = list(container.decode(video=0))
    for frame, stamp in zip(stamped, [0, 33, 33, None, 5000, 100], strict=True):
        frame.pts = stamp
        if stamp is None:
            frame.dts = None
    source._decoded = lambda: iter(stamped)
    times = [time for _, time in source._timed()]
    assert times == sorted(set(times))
    assert times[:3] == [0, Fraction(33, 1000), Fraction(34, 1000)]
    assert times[4] == 5 and 5 < times[5] < Fraction(51, 10)
    source.close()


@pytest.mark.parametrize("name", ["t.mp4", "t.mkv", "t.avi"])
def test_a_truncated_file_gives_its_frames_and_then_an_error(tmp_path, name):
    options = {"movflags": "+faststart"} if name == "t.mp4" else None
    path = tmp_path / name
    with av.open(str(path), "w", container_options=options or {}) as container:
        stream = container.add_stream("libx264", rate=30, options={"g": "10", "bf": "0"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        generator = np.random.default_rng(0)
        for _ in range(40):
            noise = generator.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, "rgb24")))
        container.mux(stream.encode(None))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    source = VideoFileSource(path)
    source.open()
    frames = []
    with pytest.raises(SourceError, match=rf"{name} ends at 0:00\.\d+"):
        frames.extend(iter(source.read, None))
    assert 12 <= len(frames) <= 24
    source.close()


@pytest.mark.slow
@pytest.mark.parametrize("codec", [("libx264", "-bf", "0"), ("mpeg4", "-bf", "2"), ("mjpeg",)])
def test_an_avi_starts_with_its_first_frame(tmp_path, codec):
    path = tmp_path / "a.avi"
    run("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=2", "-c:v", *codec, path)
    for start in (Fraction(0), Fraction(1)):
        source = VideoFileSource(path, start)
        source.open()
        times = [frame.time for frame in iter(source.read, None)]
        source.close()
        assert times == [start + Fraction(number, 25) for number in range(int((2 - start) * 25))]


@pytest.mark.slow
def test_damage_in_the_middle_is_reported(tmp_path):
    path = make_clip(tmp_path / "d.mp4", count=40, noise=True, options={"g": "5", "bf": "0"})
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 4000] = b"\xff" * 4000
    path.write_bytes(data)
    source = VideoFileSource(path)
    source.open()
    frames = []
    with pytest.raises(SourceError, match="ends at"):
        frames.extend(iter(source.read, None))
    assert 8 <= len(frames) <= 24
    source.close()


def test_frames_of_another_size_are_fitted_to_the_first(tmp_path):
    first, second = (make_clip(tmp_path / f"{side}.ts", count=5, size=(48, side)) for side in (64, 96))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    info, frames = read_all(VideoFileSource(joined))
    assert len(frames) == 10 and {frame.pixels.shape for frame in frames} == {(48, 64, 3)}
    assert (info.width, info.height) == (64, 48)
    fitted = frames[7].pixels
    assert (fitted[:7] == 0).all() and (fitted[-7:] == 0).all()
    assert is_close(fitted[8:40], numbered_image(2, 32, 64), 10)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("empty.mp4", b"", "is empty"),
        ("text.mp4", b"hello world\n" * 50, "not a video"),
        ("text.txt", b"hello world\n" * 50, "contains text"),
        ("noise.mkv", bytes(range(256)) * 20, "not a video"),
    ],
)
def test_other_files_give_an_error(tmp_path, name, data, says):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SourceError, match=says) as caught:
        VideoFileSource(path).open()
    assert name in str(caught.value) and str(caught.value).count(".") <= 3


def test_missing_files_folders_and_audio_files_give_an_error(tmp_path):
    with pytest.raises(SourceError, match="There is no file"):
        VideoFileSource(tmp_path / "none.mp4").open()
    with pytest.raises(SourceError, match="folder"):
        VideoFileSource(tmp_path).open()
    with av.open(str(tmp_path / "only.m4a"), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48000)
        wave = av.AudioFrame.from_ndarray(np.zeros((1, 9600), np.int16), format="s16", layout="stereo")
        wave.sample_rate = 48000
        container.mux(stream.encode(wave))
        container.mux(stream.encode(None))
    with pytest.raises(SourceError, match="only audio"):
        VideoFileSource(tmp_path / "only.m4a").open()


def test_invalid_ranges_are_rejected(tmp_path):
    path = make_clip(tmp_path / "a.mp4")
    with pytest.raises(UsageError):
        VideoFileSource(path, Fraction(-1))
    with pytest.raises(UsageError):
        VideoFileSource(path, Fraction(2), Fraction(1))
    with pytest.raises(SourceError, match=r"no frames in the requested range.*ends at 0:00\.333"):
        VideoFileSource(path, Fraction(5)).open()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.flv"])
@pytest.mark.parametrize("change", ["cut", "last", "grown", "replaced", "removed", "touched"])
def test_a_file_that_changes_during_reading_gives_an_error(tmp_path, name, change):
    path = make_clip(tmp_path / name, count=50, rate=Fraction(25), size=(60, 80), noise=True)
    source = VideoFileSource(path)
    source.open()
    source.read()
    size = path.stat().st_size
    if change in ("cut", "last"):
        os.truncate(path, size // 2 if change == "cut" else size - 100)
    elif change == "grown":
        with path.open("ab") as file:
            file.write(bytes(1880))
    elif change == "replaced":
        other = tmp_path / "other"
        other.write_bytes(b"another")
        other.replace(path)
    elif change == "removed":
        path.unlink()
    else:
        path.touch()
    frames, problem = _read_on(source)
    source.close()
    if change in ("cut", "last", "grown"):
        says = "still writing" if change == "grown" else "the rest is damaged or missing"
        assert f"{name} ends at 0:0" in problem and says in problem
        assert 5 < frames < 50 if change == "cut" else 45 <= frames < 50
    else:
        assert (frames, problem) == (49, "")


def _read_on(source):
    frames = 0
    try:
        while source.read() is not None:
            frames += 1
    except SourceError as error:
        return frames, str(error)
    return frames, ""


def test_frames_that_are_not_selected_are_left_out(tmp_path):
    path = make_clip(tmp_path / "a.mp4", count=10)
    chosen = read_all(VideoFileSource(path))[1][1::3]
    found = read_all(VideoFileSource(path, select={frame.time for frame in chosen}.__contains__))[1]
    assert [frame.time for frame in found] == [frame.time for frame in chosen]
    for before, after in zip(chosen, found, strict=True):
        np.testing.assert_array_equal(before.pixels, after.pixels)
