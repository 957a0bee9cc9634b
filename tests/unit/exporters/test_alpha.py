"""Videos and images with transparency, and mask videos, read back by PyAV, Pillow and FFmpeg."""

import json
import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from clipseg_live.core.frame import ColourInfo
from clipseg_live.core.mattes import Label, Matte
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.registry import open_data_sink
from clipseg_live.rendering.blending import union_of
from clipseg_live.rendering.foreground import transparent
from tests.helpers.clips import make_clip, packets, raw_times
from tests.helpers.known_mattes import HEADER, LABELS, frames_with_mattes, mattes_of, union, write_frames
from tests.helpers.patterns import disc
from tests.helpers.rendered import rendered

ODD, EVEN = (37, 53), (48, 64)


def decoded(path: Path, decoder: str | None = None) -> list[av.VideoFrame]:
    """Return all frames. ``decoder`` selects another decoder than FFmpeg's default."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if decoder is None:
            return list(container.decode(stream))
        context = av.CodecContext.create(decoder, "r")
        found = [frame for packet in container.demux(stream) if packet.size for frame in context.decode(packet)]
        return found + context.decode(None)


def alpha_of(frame: av.VideoFrame) -> np.ndarray:
    """Return the alpha plane, 0..255."""
    plane = frame.planes[3]
    depth = frame.format.components[3].bits
    kind = np.uint8 if depth == 8 else np.uint16
    samples = np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width]
    return np.round(samples * (255 / (2**depth - 1))).astype(int)


def colours_of(frame: av.VideoFrame) -> np.ndarray:
    return frame.reformat(format="rgba").to_ndarray()[..., :3].astype(int)


@pytest.mark.parametrize("size", [ODD, EVEN])
@pytest.mark.parametrize(
    ("form", "name", "decoder", "alpha_error", "colour_error"),
    [("alpha-prores", "a.mov", None, 0, 3), ("alpha-vp9", "a.webm", "libvpx-vp9", 24, 12)],
)
def test_alpha_and_colours_are_kept(
    form: str, name: str, decoder: str | None, alpha_error: int, colour_error: int, size: tuple[int, int],
    tmp_path: Path,
) -> None:  # fmt: skip
    info, frames, mattes = frames_with_mattes(size=size)
    write_frames(open_data_sink(form, tmp_path / name, DataOptions(HEADER, LABELS, quality=95)), info, frames, mattes)
    back = decoded(tmp_path / name, decoder)
    assert [round(each.pts * each.time_base, 3) for each in back] == [round(each.time, 3) for each in frames]
    for frame, matte, each in zip(back, mattes, frames, strict=True):
        assert "yuva" in frame.format.name and (frame.width, frame.height) == size[::-1]
        alpha = union(matte)
        difference = np.abs(alpha_of(frame) - alpha)
        assert difference.max() <= alpha_error and difference.mean() <= 1
        solid = cv2.erode(alpha, np.ones((5, 5))) == 255  # chroma is subsampled and mixes at the border
        if solid.any():
            assert np.abs(colours_of(frame) - each.pixels)[solid].mean() <= colour_error


def test_prores_is_the_4444_profile(tmp_path: Path) -> None:
    info, frames, mattes = frames_with_mattes()
    write_frames(open_data_sink("alpha-prores", tmp_path / "a.mov", DataOptions(HEADER, LABELS)), info, frames, mattes)
    with av.open(str(tmp_path / "a.mov")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.codec_tag, stream.codec_context.name) == ("ap4h", "prores")
    assert raw_times(tmp_path / "a.mov") == [each.time for each in frames]  # MOV keeps the source's clock


@pytest.mark.slow
def test_audio_colours_and_range_are_those_of_the_source(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", sound=["aac"], sound_seconds=1, count=30)
    colour = ColourInfo(range=1, matrix=9, primaries=9, transfer=14)
    for form, name in (("alpha-prores", "a.mov"), ("alpha-vp9", "a.webm")):
        info, frames, mattes = frames_with_mattes(30, EVEN, rate=Fraction(30))
        info = replace(info, audio_path=clip, colour=colour, pixel_aspect=Fraction(4, 3))
        sink = open_data_sink(form, tmp_path / name, DataOptions(HEADER, LABELS, start=Fraction(1, 2)))
        write_frames(sink, info, frames[15:], mattes[15:])
        with av.open(str(tmp_path / name)) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.colorspace, stream.codec_context.color_range) == (9, 1)
            assert form == "alpha-vp9" or stream.sample_aspect_ratio == Fraction(4, 3)  # VP9 stores no aspect ratio
            (audio,) = container.streams.audio
            heard = [packet.pts * packet.time_base for packet in container.demux(audio) if packet.size]
        assert raw_times(tmp_path / name)[0] == 0
        assert abs(float(heard[0])) < 0.05 and abs(float(heard[-1]) - 0.5) < 0.06
    assert any("converted to Opus" in notice for notice in sink.notices)
    whole = packets(clip)
    assert [data for _, data in packets(tmp_path / "a.mov")] == [data for at, data in whole if at >= Fraction(1, 2)]


def test_a_transparent_image_has_no_background_colours() -> None:
    """A red disc on green has only its own colours, also in its soft border and around it."""
    height, width = 120, 160
    soft = cv2.GaussianBlur(disc(height, width, 80, 60, 35), (0, 0), 1.5)
    pixels = np.float32([250, 100, 50]) * soft[..., None] + np.float32([20, 200, 20]) * (1 - soft[..., None]) + 0.5
    alpha = (soft * 255 + 0.5).astype(np.uint8)
    x, y, wide, high = cv2.boundingRect(alpha)
    drawn = transparent(pixels.astype(np.uint8), Matte(alpha, ((x, y, x + wide, y + high),)))
    assert np.array_equal(drawn[..., 3], alpha)
    colours = drawn[..., :3].astype(int)
    assert np.abs(colours[alpha > 0] - [250, 100, 50]).mean() < 4
    rim = (cv2.dilate(alpha, np.ones((5, 5))) > 0) & (alpha == 0)
    assert np.abs(colours[rim] - [250, 100, 50]).mean() < 12
    assert not drawn[:14].any()  # colours far from the object are not stored
    faint = Matte(np.full((5, 7), 3, np.uint8), ((0, 0, 7, 5),))
    assert transparent(np.full((5, 7, 3), 200, np.uint8), faint)[0, 0].tolist() == [200, 200, 200, 3]


@pytest.mark.parametrize("form", ["alpha-png", "alpha-webp"])
def test_images_with_alpha_are_exact(form: str, tmp_path: Path) -> None:
    info, frames, mattes = frames_with_mattes()
    write_frames(open_data_sink(form, tmp_path / "set", DataOptions(HEADER, LABELS)), info, frames, mattes)
    index = json.loads((tmp_path / "set" / "index.json").read_text("utf-8"))
    assert index["alpha"] == "straight" and index["header"] == HEADER
    for entry, frame, each in zip(index["frames"], frames, mattes, strict=True):
        assert (entry["frame"], entry["time"]) == (frame.index, float(frame.time))
        with Image.open(tmp_path / "set" / entry["file"]) as picture:
            read = np.asarray(picture.convert("RGBA"))
        alpha = union(each)
        assert np.array_equal(read[..., 3], alpha)
        assert np.array_equal(read[alpha == 255][:, :3], frame.pixels[alpha == 255])
        assert np.array_equal(read, transparent(frame.pixels, union_of(each)))


@pytest.mark.parametrize("size", [ODD, EVEN])
@pytest.mark.parametrize(("name", "error"), [("m.mkv", 0), ("m.mp4", 16), ("m.webm", 16)])
def test_a_mask_video_has_grey_levels(name: str, error: int, size: tuple[int, int], tmp_path: Path) -> None:
    info, frames, mattes = frames_with_mattes(size=size)
    write_frames(open_data_sink("mask-video", tmp_path / name, DataOptions(HEADER, LABELS)), info, frames, mattes)
    back = decoded(tmp_path / name)
    for frame, each in zip(back, mattes, strict=True):
        luma = np.frombuffer(frame.planes[0], np.uint8).reshape(frame.height, -1)[: size[0], : size[1]].astype(int)
        difference = np.abs(luma - union(each))
        assert difference.max() <= error and difference.mean() <= error / 10
        if name != "m.mkv":
            assert frame.color_range == 2
            for plane in frame.planes[1:]:
                chroma = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width].astype(int)
                assert np.abs(chroma - 128).max() <= 1
    assert [round(each.pts * each.time_base, 3) for each in back] == [round(each.time, 3) for each in frames]


def test_one_mask_video_is_written_for_each_prompt(tmp_path: Path) -> None:
    info, frames, mattes = frames_with_mattes(4)
    labels = [LABELS, LABELS[:2], LABELS, [*LABELS[:2], Label("new", 0.4)]]
    sink = open_data_sink("mask-video", tmp_path / "each", DataOptions(HEADER, LABELS, start=Fraction(5)))
    sink.open(info)
    for frame, each, said in zip(frames, mattes, labels, strict=True):
        alphas = [matte.alpha for matte in each.each[: len(said)]]
        sink.write(rendered(replace(frame, time=frame.time + 5), mattes_of(alphas), said))
    sink.finish()
    index = json.loads((tmp_path / "each" / "index.json").read_text("utf-8"))
    assert [each["prompt"] for each in index["prompts"]] == [*(label.name for label in LABELS), "new"]
    wanted = {number: [each.each[number].alpha for each in mattes] for number in range(3)}
    wanted[2][1] = wanted[2][3] = np.zeros(ODD, np.uint8)
    for number, alphas in wanted.items():
        path = tmp_path / "each" / index["prompts"][number]["file"]
        for frame, alpha in zip(decoded(path), alphas, strict=True):
            assert np.array_equal(frame.to_ndarray(format="gray"), alpha)
    (late,) = raw_times(tmp_path / "each" / index["prompts"][3]["file"])
    assert round(late, 3) == round(frames[3].time, 3)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="FFmpeg's program is not installed")
@pytest.mark.parametrize(
    ("form", "name", "decoder", "error"),
    [("alpha-prores", "a.mov", [], 1), ("alpha-vp9", "a.webm", ["-c:v", "libvpx-vp9"], 24)],
)
def test_ffmpeg_decodes_the_alpha(form: str, name: str, decoder: list[str], error: int, tmp_path: Path) -> None:
    info, frames, mattes = frames_with_mattes()
    write_frames(open_data_sink(form, tmp_path / name, DataOptions(HEADER, LABELS, quality=95)), info, frames, mattes)
    command = ["ffmpeg", "-v", "error", *decoder, "-i", str(tmp_path / name), "-vf", "alphaextract"]
    out = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "gray10le", "-"], capture_output=True, timeout=60)
    assert out.returncode == 0, out.stderr.decode()
    read = np.round(np.frombuffer(out.stdout, np.uint16).reshape(-1, *ODD) * (255 / 1023)).astype(int)
    assert len(read) == len(frames)
    for alpha, each in zip(read, mattes, strict=True):
        assert np.abs(alpha - union(each)).max() <= error
