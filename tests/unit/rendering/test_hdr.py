"""Preserved HDR: signal, metadata and effects, read back with FFmpeg."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from clipseg_live.core.errors import UsageError
from clipseg_live.core.frame import SourceInfo
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.effects import BlackOut, CutOut, Spotlight, Tint
from clipseg_live.core.settings.live import FrameTransform
from clipseg_live.core.settings.rendering import RenderSettings
from clipseg_live.media.colour.hdr import from_linear, to_linear
from clipseg_live.media.images.writers import ImageWriter
from clipseg_live.media.sources.framing import FramedSource
from clipseg_live.media.sources.video_file import VideoFileSource
from clipseg_live.media.writers.video import VideoWriter
from clipseg_live.rendering.hdr import HDRBlend
from clipseg_live.rendering.renderer import EffectRenderer
from tests.helpers.hdr_clips import run, tag_options
from tests.helpers.known_mattes import mattes_of
from tests.helpers.rendered import rendered

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="FFmpeg's program is not installed")

HEIGHT, WIDTH = 96, 160
PQ, HLG = 16, 18
NAMES = {"pq": PQ, "hlg": HLG}
DISPLAY = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"


@pytest.fixture(scope="module", params=["pq", "hlg"])
def clip(request, tmp_path_factory):
    """Write grey at half of reference white, with a highlight at three times reference white on the right."""
    path = tmp_path_factory.mktemp("hdr") / f"{request.param}.mkv"
    light = np.full((HEIGHT, WIDTH, 3), 0.5)
    light[:, WIDTH // 2 :] = 3.0
    signal = np.round(from_linear(light, NAMES[request.param]) * 65535).astype("<u2")
    raw = path.with_suffix(".rgb")
    raw.write_bytes(signal.tobytes() * 2)
    convert = "scale=out_color_matrix=bt2020:out_range=tv:flags=accurate_rnd,format=yuv420p10le"
    parameters = f"log-level=none:lossless=1:hdr10=1:repeat-headers=1:master-display={DISPLAY}:max-cll=1000,400"
    run("-f", "rawvideo", "-pix_fmt", "rgb48le", "-s", f"{WIDTH}x{HEIGHT}", "-r", 25, "-i", raw, "-vf", convert,
        "-c:v", "libx265", "-x265-params", parameters, *tag_options(request.param), path)  # fmt: skip
    return path


def opened(path):
    source = VideoFileSource(path, keep_hdr=True)
    info = source.open()
    frame = source.read()
    source.close()
    assert info.hdr is not None and info.hdr.kept and frame.signal is not None
    return info, frame


def light_of(signal, transfer):
    return to_linear(signal / 65535, transfer)


def composed(frame, info, *effects, style=None, alpha=None):
    """Return the signal of a frame with effects, with a prompt that covers its lower half."""
    covered = np.zeros((frame.height, frame.width), np.uint8)
    covered[frame.height // 2 :] = 255 if alpha is None else alpha
    composer = EffectRenderer(RenderSettings(effects=effects, styles=(style or PromptStyle(),), names=("it",)))
    mattes = mattes_of([covered])
    draw = lambda pixels: composer.compose(pixels, mattes)  # noqa: E731
    signal = HDRBlend(info.hdr)(frame, draw(frame.pixels), draw)
    composer.close()
    return signal


@pytest.mark.slow
def test_metadata_of_the_source_is_read(clip):
    hdr = opened(clip)[0].hdr
    assert hdr.light == (1000, 400)
    assert [float(value) for value in hdr.mastering.xy[:2]] == [0.68, 0.32]
    assert (float(hdr.mastering.least), float(hdr.mastering.most)) == (0.005, 1000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("o.mp4", None, "yuv420p10le"), ("o.mov", "h265", "yuv420p10le"), ("o.mkv", "av1", "yuv420p10le"),
        ("o.webm", None, "yuv420p10le"), ("o.mov", "prores", "yuv422p10le"), ("o.mkv", "ffv1", "gbrp12le"),
    ],
)  # fmt: skip
def test_unchanged_pixels_and_metadata_are_kept(clip, tmp_path, name, codec, pixel_format):
    info, frame = opened(clip)
    assert composed(frame, info) is frame.signal
    notices = write(tmp_path / name, codec, info, frame)
    stream, first = probe(tmp_path / name)
    transfer = {"pq": "smpte2084", "hlg": "arib-std-b67"}[clip.stem]
    assert (stream["color_transfer"], stream["color_primaries"]) == (transfer, "bt2020")
    assert stream["pix_fmt"] == pixel_format
    if codec != "ffv1":
        assert (stream["color_space"], stream["color_range"]) == ("bt2020nc", "tv")
    sides = {each["side_data_type"]: each for each in first.get("side_data_list", ())}
    if stream["codec_name"] in ("hevc", "av1"):
        assert sides["Content light level metadata"]["max_content"] == 1000
        numerator, denominator = sides["Mastering display metadata"]["max_luminance"].split("/")
        assert int(numerator) / int(denominator) == 1000
        assert notices == []
    else:
        assert "Mastering display metadata" not in sides
        assert [f"{codec} cannot store" in notice for notice in notices] == [True]
    back = opened(tmp_path / name)[1].signal
    inner = np.s_[8:-8, [20, 40, 120, 140]]
    assert np.abs(back[inner] / 65535 - frame.signal[inner] / 65535).max() < 0.006


def test_drawn_colours_are_at_reference_white(clip):
    info, frame = opened(clip)
    signal = composed(frame, info, CutOut(backdrop="colour", colour=(255, 255, 255)))
    light = light_of(signal, info.hdr.colour.transfer)
    assert np.abs(light[: HEIGHT // 2 - 1] - 1).max() < 0.01  # also above the highlight, which does not shine through
    np.testing.assert_array_equal(signal[HEIGHT // 2 + 2 :], frame.signal[HEIGHT // 2 + 2 :])
    hidden = light_of(composed(frame, info, BlackOut()), info.hdr.colour.transfer)
    assert hidden.min() < 0.001 and np.median(hidden[HEIGHT - 8 :]) < 0.001


def test_a_half_transparent_tint_keeps_the_highlight_bright(clip):
    info, frame = opened(clip)
    style = PromptStyle(colour=(255, 255, 255), opacity=0.5)
    light = light_of(composed(frame, info, Tint(), style=style), info.hdr.colour.transfer)
    bright = (0.5 + 0.5 * 3 ** (1 / 2.4)) ** 2.4  # mixed half and half in display gamma
    assert np.median(light[HEIGHT - 20 :, WIDTH - 40 :]) == pytest.approx(bright, rel=0.1)
    np.testing.assert_array_equal(
        composed(frame, info, Tint(), style=style)[: HEIGHT // 2 - 2], frame.signal[: HEIGHT // 2 - 2]
    )


def test_a_dimmed_highlight_is_dimmed_in_proportion(clip):
    info, frame = opened(clip)
    light = light_of(composed(frame, info, Spotlight()), info.hdr.colour.transfer)
    sdr = EffectRenderer(RenderSettings(effects=(Spotlight(),), styles=(PromptStyle(),), names=("it",)))
    covered = np.zeros((HEIGHT, WIDTH), np.uint8)
    covered[HEIGHT // 2 :] = 255
    drawn = sdr.compose(frame.pixels, mattes_of([covered]))
    share = (drawn[8, WIDTH - 20] / frame.pixels[8, WIDTH - 20].astype(float)).mean() ** 2.4
    assert np.median(light[8, WIDTH - 40 :]) == pytest.approx(3 * share, rel=0.1)


def test_the_signal_is_transformed_like_the_frame(clip):
    source = FramedSource(
        VideoFileSource(clip, keep_hdr=True), FrameTransform(turn=90, mirror=True, crop=(0.5, 0, 0.5, 1))
    )
    info = source.open()
    frame = source.read()
    source.close()
    assert frame.signal.shape == frame.pixels.shape == (WIDTH // 2, HEIGHT, 3) and frame.signal.dtype == np.uint16
    assert np.median(light_of(frame.signal, info.hdr.colour.transfer)) == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize(("name", "codec"), [("o.mp4", "h264"), ("o.webm", "vp9"), ("o.mp4", "vp9")])
def test_eight_bit_codecs_are_rejected(clip, tmp_path, name, codec):
    with pytest.raises(UsageError, match="--hdr keep"):
        VideoWriter(tmp_path / name, codec).open(opened(clip)[0])
    assert not list(tmp_path.iterdir())


def test_images_are_rejected(clip, tmp_path):
    with pytest.raises(UsageError, match="--hdr keep"):
        ImageWriter(tmp_path / "o.png").open(opened(clip)[0])


def write(path, codec, info: SourceInfo, frame):
    writer = VideoWriter(path, codec, quality=100)
    writer.open(info)
    writer.write(rendered(frame))
    writer.finish()
    return writer.notices


def probe(path):
    command = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_streams", "-show_frames", "-of", "json"]
    done = subprocess.run([*command, str(path)], capture_output=True, check=True, timeout=60)
    told = json.loads(done.stdout)
    return told["streams"][0], told["frames"][0]
