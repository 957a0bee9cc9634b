"""Animated images: frames are composited as in FFmpeg and Pillow, with the timing of browsers."""

import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from clipseg_live.core.errors import SinkError, SourceError, UsageError
from clipseg_live.media.images.animations import AnimationSource, kind_of
from clipseg_live.media.images.headers import GifParts
from clipseg_live.media.images.sequences import ImageSource
from clipseg_live.media.sources.live_sources import open_playback
from clipseg_live.media.sources.registry import open_source
from clipseg_live.media.sources.video_file import VideoFileSource
from clipseg_live.media.writers.video import VideoWriter
from tests.helpers.clips import read_all
from tests.helpers.paths import DATA

SIZE = (64, 48)


def sample_frame(number: int) -> Image.Image:
    """Return a frame with opaque, transparent and semi-transparent parts."""
    image = Image.new("RGBA", SIZE)
    pen = ImageDraw.Draw(image)
    pen.ellipse((number * 8, 5, number * 8 + 20, 30), fill=(255, 40 * number % 256, 0, 255))
    pen.rectangle((10, 20 + number, 30, 40), fill=(0, 0, 255, 128))
    return image


def save(path: Path, count: int = 6, durations: list[int] | int = 80, **options: object) -> Path:
    first, *others = [sample_frame(number) for number in range(count)]
    if path.suffix in (".jpg", ".tif"):
        first, *others = [image.convert("RGB") for image in (first, *others)]
    if others:
        options |= {"save_all": True, "append_images": others, "duration": durations}
    first.save(path, **options)
    return path


def by_ffmpeg(path: Path, count: int) -> np.ndarray:
    """Return all frames, RGBA, as composited by the ffmpeg command."""
    command = ["ffmpeg", "-v", "error", "-vsync", "0", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgba", "-"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(data, np.uint8).reshape(count, SIZE[1], SIZE[0], 4)


def over_black(rgba: np.ndarray) -> np.ndarray:
    values = np.asarray(rgba).astype(int)
    return (values[..., :3] * values[..., 3:] + 127) // 255


def times(frames) -> list[tuple[float, float]]:
    return [(float(frame.time), float(frame.duration)) for frame in frames]


def test_an_animated_webp_is_composited():
    info, frames = read_all(open_source(DATA / "an.webp"))
    assert times(frames) == [(0.0, 0.04), (0.04, 0.08), (0.12, 0.12), (0.24, 0.3), (0.54, 0.04)]
    assert (info.frame_count, info.duration, info.independent) == (5, Fraction(58, 100), False)
    assert all(frame.time % info.time_base == 0 and frame.file is None for frame in frames)
    with Image.open(DATA / "an.webp") as image:
        for number, frame in enumerate(frames):
            image.seek(number)
            assert np.abs(over_black(image.convert("RGBA")) - frame.pixels).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("blend", [0, 1])
@pytest.mark.parametrize("disposal", [0, 1, 2])
def test_an_apng_is_composited(tmp_path, disposal, blend):
    path = save(tmp_path / "a.png", disposal=disposal, blend=blend)
    _, frames = read_all(open_source(path))
    for wanted, frame in zip(by_ffmpeg(path, 6), frames, strict=True):
        assert np.abs(over_black(wanted) - frame.pixels).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("disposal", [0, 1, 2, 3])
def test_a_gif_is_composited(tmp_path, disposal):
    path = save(tmp_path / "a.gif", disposal=disposal)
    _, frames = read_all(open_source(path))
    for wanted, frame in zip(by_ffmpeg(path, 6), frames, strict=True):
        assert np.array_equal(over_black(wanted), frame.pixels)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_any_gif_is_composited(tmp_path, seed):
    """Frames with own palettes, disposal methods, transparency and interlacing in any combination."""
    random = np.random.default_rng(seed)
    parts = []
    for _ in range(random.integers(2, 6)):
        values = random.integers(0, random.integers(2, 40), SIZE[::-1], np.uint8)
        values[random.integers(0, 20) :, random.integers(0, 30) :] = 0
        image = Image.fromarray(values).convert("P")
        image.putpalette(random.integers(0, 256, 768, np.uint8).tobytes())
        parts.append(image)
    path = tmp_path / "any.gif"
    parts[0].save(
        path, save_all=True, append_images=parts[1:], duration=50, disposal=random.integers(1, 4, len(parts)).tolist(),
        transparency=0, optimize=False, interlace=seed % 2,
    )  # fmt: skip
    _, frames = read_all(open_source(path))
    for wanted, frame in zip(by_ffmpeg(path, len(frames)), frames, strict=True):
        assert np.array_equal(over_black(wanted), frame.pixels)


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_short_delays_last_as_long_as_in_browsers(tmp_path, name):
    path = save(tmp_path / name, durations=[0, 10, 20, 30, 500, 10])
    _, frames = read_all(open_source(path))
    assert [float(frame.duration) for frame in frames] == [0.1, 0.1, 0.02, 0.03, 0.5, 0.1]


@pytest.mark.slow
def test_an_avif_sequence_is_read(tmp_path):
    path = save(tmp_path / "a.avif", durations=[40, 80, 120, 300, 40, 50], quality=95)
    info, frames = read_all(open_source(path))
    assert [float(frame.duration) for frame in frames] == [0.04, 0.08, 0.12, 0.3, 0.04, 0.05]
    assert info.duration == Fraction(63, 100)
    for number, frame in enumerate(frames):
        assert np.abs(over_black(sample_frame(number)) - frame.pixels).mean() < 8


@pytest.mark.slow
def test_sequences_with_a_cover_image_are_read_from_their_track(tmp_path):
    """FFmpeg lists the cover image of these files as an additional stream."""
    path = save(tmp_path / "a.avif", durations=100)
    assert len(read_all(VideoFileSource(path))[1]) == 6
    video = tmp_path / "a.heics"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=96x64:rate=10:duration=0.5"]
    options = ["-c:v", "libx265", "-x265-params", "log-level=none", "-tag:v", "hvc1", "-brand", "hevc", "-f", "mp4"]
    subprocess.run([*command, *options, video], check=True, capture_output=True)
    assert kind_of(video) == "video"
    assert [float(frame.time) for frame in read_all(open_source(video))[1]] == [0.0, 0.1, 0.2, 0.3, 0.4]


def test_pages_of_one_size_are_frames_and_others_are_independent(tmp_path):
    info, frames = read_all(AnimationSource(save(tmp_path / "a.tif"), rate=Fraction(10)))
    assert not info.independent and info.rate == 10 and [float(frame.time) for frame in frames][-1] == 0.5
    for number, frame in enumerate(frames):
        assert np.array_equal(np.asarray(sample_frame(number).convert("RGB")), frame.pixels)
    pages = [sample_frame(number).convert("RGB").resize((30 + number, 20)) for number in range(3)]
    pages[0].save(tmp_path / "b.tif", save_all=True, append_images=pages[1:])
    info, frames = read_all(open_source(tmp_path / "b.tif"))
    assert info.independent and (info.width, info.height) == (30, 20)
    assert [(frame.width, frame.time) for frame in frames] == [(30, 0), (31, 1), (32, 2)]
    assert all(frame.independent and frame.duration is None for frame in frames)
    assert (info.rate, info.frame_count) == (None, 3), "photos, not a film"
    with pytest.raises(SinkError, match=r"images of different sizes, which a\.mp4 cannot hold"):
        VideoWriter(tmp_path / "a.mp4").open(info)


def test_thumbnails_in_a_tiff_are_not_pages(tmp_path):
    image = sample_frame(0).convert("RGB")
    copy = image.resize((32, 24))
    copy.encoderinfo = {"tiffinfo": {254: 1}}
    image.save(tmp_path / "pyramid.tif", save_all=True, append_images=[copy])
    assert kind_of(tmp_path / "pyramid.tif") == "still"
    assert isinstance(open_source(tmp_path / "pyramid.tif"), ImageSource)


def test_a_png_fallback_image_is_not_a_frame(tmp_path):
    cover = Image.new("RGBA", SIZE, "white")
    cover.save(
        tmp_path / "a.png",
        save_all=True,
        append_images=[sample_frame(0), sample_frame(1)],
        duration=100,
        default_image=True,
    )
    _, frames = read_all(open_source(tmp_path / "a.png"))
    assert len(frames) == 2
    assert np.abs(over_black(sample_frame(0)) - frames[0].pixels).max() <= 1


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.avif", "a.tif", "a.jpg"])
def test_a_single_frame_is_a_still_image(tmp_path, name):
    save(tmp_path / name, count=1)
    assert isinstance(open_source(tmp_path / name), ImageSource)
    info, frames = read_all(open_source(tmp_path / name))
    assert (info.frame_count, info.rate, len(frames)) == (1, None, 1)


def test_the_format_is_detected_from_content(tmp_path):
    for name, renamed in (("a.gif", "g.mp4"), ("a.webp", "w.png"), ("a.png", "p")):
        save(tmp_path / name).rename(tmp_path / renamed)
        assert len(read_all(open_source(tmp_path / renamed))[1]) == 6


def test_a_range_of_frames_is_read(tmp_path):
    path = save(tmp_path / "a.gif", durations=[100, 200, 300, 100, 100, 100])
    whole = read_all(open_source(path))[1]
    info, frames = read_all(open_source(path, start=Fraction(1, 10), end=Fraction(6, 10)))
    assert times(frames) == [(0.1, 0.2), (0.3, 0.3)]
    assert info.frame_count == 2 and info.duration == Fraction(1, 2)
    assert np.array_equal(frames[1].pixels, whole[2].pixels)
    with pytest.raises(SourceError, match=r"no frames in the requested range.*ends at 0:00\.900"):
        open_source(path, start=Fraction(2)).open()
    with pytest.raises(UsageError, match="start"):
        AnimationSource(path, start=Fraction(-1))


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_an_animation_supports_seeking_and_stepping(tmp_path, name):
    path = save(tmp_path / name, durations=[100, 200, 300, 100, 100, 100])
    whole = read_all(open_source(path))[1]
    source = open_playback(path)
    source.open()
    for time, number in ((0.55, 2), (0, 0), (0.7, 4), (99, 5), (0.1, 1)):
        source.seek(Fraction(time).limit_denominator(1000))
        frame = source.read()
        assert frame is not None and frame.time == whole[number].time
        assert np.array_equal(frame.pixels, whole[number].pixels)
    source.close()


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_a_truncated_file_gives_its_complete_frames(tmp_path, name):
    path = save(tmp_path / name)
    whole = read_all(open_source(path))[1]
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    source = open_source(path)
    source.open()
    frames = []
    with pytest.raises(SourceError, match=r"ends at 0:00\.\d+"):
        frames.extend(iter(source.read, None))
    assert 2 <= len(frames) < 6
    assert all(np.array_equal(frame.pixels, other.pixels) for frame, other in zip(frames, whole, strict=False))
    source.close()


@pytest.mark.slow
def test_frames_are_decoded_when_they_are_read(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (200, 24, 32), np.uint8)
    first, *others = [Image.fromarray(values) for values in noise]
    first.save(tmp_path / "a.gif", save_all=True, append_images=others, duration=40)
    decoded = []
    image = GifParts.image
    monkeypatch.setattr(GifParts, "image", lambda self, part: decoded.append(part) or image(self, part))
    source = AnimationSource(tmp_path / "a.gif")
    assert source.open().frame_count == 200
    for count, values in enumerate(noise, start=1):
        frame = source.read()
        assert np.array_equal(frame.pixels[..., 0], values)
        assert len(decoded) == count
    assert source.read() is None
    source.close()


def test_huge_canvases_are_rejected(tmp_path):
    path = save(tmp_path / "a.gif")
    data = bytearray(path.read_bytes())
    data[6:10] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    with pytest.raises(SourceError, match="too large"):
        open_source(path).open()
