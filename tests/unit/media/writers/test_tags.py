"""Colour tags of written files, the drift over generations, and the alpha of WebM input."""

import json
import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from clipseg_live.core.frame import ColourInfo, Frame, SourceInfo
from clipseg_live.core.mattes import Label
from clipseg_live.exporters.alpha_video import AlphaVideoSink
from clipseg_live.exporters.mask_video import MaskVideoFolder, MaskVideoSink
from clipseg_live.media.sources.video_file import VideoFileSource
from clipseg_live.media.writers.recording import RecordingWriter
from clipseg_live.media.writers.video import VideoWriter
from tests.helpers.clips import numbered_image
from tests.helpers.hdr_clips import run
from tests.helpers.known_mattes import mattes_of
from tests.helpers.rendered import rendered

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="FFmpeg's program is not installed")

RATE = Fraction(25)
MATRICES = {1: "bt709", 6: "smpte170m"}


def info_of(height, width, colour=ColourInfo()):  # noqa: B008 - frozen
    return SourceInfo("it", width, height, RATE, Fraction(1, 25), colour=colour)


def frames_of(height, width, count=3):
    return [Frame(numbered_image(at, height, width), at, Fraction(at, 25), Fraction(1, 25)) for at in range(count)]


def tags_of(path):
    command = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_streams", "-show_frames", "-of", "json"]
    done = subprocess.run([*command, str(path)], capture_output=True, check=True, timeout=60)
    told = json.loads(done.stdout)
    names = "color_range", "color_space", "color_primaries", "color_transfer"
    return tuple(tuple(each.get(name) for name in names) for each in (told["streams"][0], told["frames"][0]))


def write(writer, frames, info):
    writer.open(info)
    for frame in frames:
        writer.write(rendered(frame))
    writer.finish()


@pytest.mark.slow
@pytest.mark.parametrize("height", [48, 720])
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "h264"), ("a.mov", "h264"), ("a.mkv", "h264"), ("a.mp4", "h265"), ("a.mkv", "h265"),
        ("a.mov", "prores"), ("a.mkv", "prores"), ("a.webm", "vp9"), ("a.mp4", "vp9"), ("a.webm", "av1"),
        ("a.mp4", "av1"),
    ],
)  # fmt: skip
def test_an_untagged_source_gives_a_tagged_video(tmp_path, name, codec, height):
    """The tags are those that were used to show it: BT.601 or BT.709 by its height, with the primaries of BT.709."""
    path = tmp_path / name
    write(VideoWriter(path, codec), frames_of(height, 64, 1), info_of(height, 64))
    stream, frame = tags_of(path)
    wanted = ("tv", "bt709" if height == 720 else "smpte170m", "bt709", "bt709")
    assert stream == frame == wanted


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
@pytest.mark.parametrize("colour", [ColourInfo(1, 6, 6, 6), ColourInfo(1, 5, 5, 6), ColourInfo(2, 1, 1, 13)])
def test_tags_of_the_source_are_kept(tmp_path, name, colour):
    write(VideoWriter(tmp_path / name), frames_of(48, 64), info_of(48, 64, colour))
    source = VideoFileSource(tmp_path / name)
    assert source.open().colour == colour
    source.close()
    stream, frame = tags_of(tmp_path / name)
    assert stream == frame and None not in stream and "unknown" not in stream


@pytest.mark.slow
def test_the_prores_frame_header_has_the_tags(tmp_path):
    write(VideoWriter(tmp_path / "a.mov", "prores"), frames_of(48, 64, 1), info_of(48, 64, ColourInfo(1, 1, 1, 1)))
    run("-i", tmp_path / "a.mov", "-c", "copy", "-f", "rawvideo", tmp_path / "a.icpf")
    packet = (tmp_path / "a.icpf").read_bytes()
    assert packet[4:8] == b"icpf"
    assert tuple(packet[8 + 14 : 8 + 17]) == (1, 1, 1)  # primaries, transfer, matrix (SMPTE RDD 36)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "h264"), ("a.mkv", "h265"), ("a.webm", "vp9"), ("a.mov", "prores")]
)
def test_recordings_are_tagged(tmp_path, name, codec):
    writer = RecordingWriter(tmp_path / name, codec, encoder="software")
    write(writer, frames_of(48, 64), info_of(48, 64))
    stream, frame = tags_of(tmp_path / name)
    assert stream == frame == ("tv", "smpte170m", "bt709", "bt709")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "codec"), [("a.mov", "prores"), ("a.webm", "vp9")])
def test_transparent_videos_are_tagged(tmp_path, name, codec):
    sink, label = AlphaVideoSink(tmp_path / name, codec), (Label("it", 0.5),)
    sink.open(info_of(48, 64))
    for frame in frames_of(48, 64):
        sink.write(rendered(frame, mattes_of([np.full((48, 64), 200, np.uint8)]), label))
    sink.finish()
    stream, frame = tags_of(tmp_path / name)
    assert stream == frame == ("tv", "smpte170m", "bt709", "bt709")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.webm", "folder"])
def test_videos_of_masks_are_tagged(tmp_path, name):
    label = (Label("it", 0.5),)
    sink = MaskVideoFolder(tmp_path / name, {}, label) if name == "folder" else MaskVideoSink(tmp_path / name)
    sink.open(info_of(48, 64))
    for frame in frames_of(48, 64):
        sink.write(rendered(frame, mattes_of([np.full((48, 64), 200, np.uint8)]), label))
    sink.finish()
    path = next((tmp_path / name).glob("*.mkv")) if name == "folder" else tmp_path / name
    stream, _ = tags_of(path)
    assert (stream[0], stream[2], stream[3]) == ("pc", "bt709", "bt709") and stream[1] in ("bt709", "gbr")


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_a_few_frames_of_h265_are_written(tmp_path, name, count):
    """With one or two frames libx265 gives undefined decoding times, at random."""
    for _ in range(3):
        write(VideoWriter(tmp_path / name, "h265", overwrite=True), frames_of(48, 64, count), info_of(48, 64))
        source = VideoFileSource(tmp_path / name)
        source.open()
        times = []
        while (frame := source.read()) is not None:
            times.append(frame.time)
        source.close()
        assert times == [Fraction(number, 25) for number in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("range_", [1, 2])
@pytest.mark.parametrize("matrix", [1, 6])
@pytest.mark.parametrize("codec", ["ffv1", "h264"])
def test_five_generations_do_not_drift(tmp_path, range_, matrix, codec):
    """Full range stays full range. The mean of each channel changes by at most half of 1/255."""
    shape = 96, 128
    noise = np.random.default_rng(2).normal(0, 3, (*shape, 3))
    first = np.clip(numbered_image(1, *shape) + noise, 0, 255).astype(np.uint8)
    first[:8], first[8:16] = 0, 255
    run_in = first.tobytes()
    (tmp_path / "raw").write_bytes(run_in)
    full = "pc" if range_ == 2 else "tv"
    name = MATRICES[matrix]
    convert = f"scale=out_color_matrix={name}:out_range={full}:flags=accurate_rnd+full_chroma_int,format=yuv420p"
    run("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "128x96", "-r", 25, "-i", tmp_path / "raw", "-vf", convert,
        "-c:v", "libx264", "-qp", 0, "-color_range", full, "-colorspace", name, "-color_primaries", "bt709",
        "-color_trc", "bt709", tmp_path / "0.mkv")  # fmt: skip
    means, path = [], tmp_path / "0.mkv"
    for generation in range(1, 7):
        source = VideoFileSource(path)
        info = source.open()
        frame = source.read()
        source.close()
        assert codec == "ffv1" or info.colour.range == range_
        means.append(frame.pixels.reshape(-1, 3).mean(axis=0))
        path = tmp_path / f"{generation}.mkv"
        write(VideoWriter(path, codec, quality=100), [frame], replace(info, audio_path=None))
    assert np.abs(np.array(means) - means[0]).max() <= 0.5


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_alpha_of_webm_is_composited_on_black(tmp_path, codec):
    """Like the alpha of PNG and ProRes 4444."""
    rgba = np.empty((48, 64, 4), np.uint8)
    rgba[..., :3], rgba[..., 3] = (200, 150, 100), 0
    rgba[:, 20:40, 3], rgba[:, 40:, 3] = 128, 255
    (tmp_path / "raw").write_bytes(rgba.tobytes() * 3)
    run("-f", "rawvideo", "-pix_fmt", "rgba", "-s", "64x48", "-r", 25, "-i", tmp_path / "raw", "-pix_fmt", "yuva420p",
        "-c:v", codec, "-auto-alt-ref", 0, "-b:v", "2M", tmp_path / "a.webm")  # fmt: skip
    source = VideoFileSource(tmp_path / "a.webm")
    source.open()
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame.pixels.astype(int))
    source.close()
    assert len(frames) == 3
    for pixels in frames:
        assert np.abs(pixels[:, 4:16]).max() <= 8
        assert np.abs(pixels[:, 24:36] - (100, 75, 50)).max() <= 12
        assert np.abs(pixels[:, 46:] - (200, 150, 100)).max() <= 12
    later = VideoFileSource(tmp_path / "a.webm", start=Fraction(1, 25))
    later.open()
    assert np.abs(later.read().pixels[:, 4:16].astype(int)).max() <= 8
    later.close()
