"""HDR and wide-gamut video shown as BT.709, compared with the SDR image from which FFmpeg's zscale made it."""

import shutil

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipseg_live.core.frame import ColourInfo
from clipseg_live.core.prompts import Prompt
from clipseg_live.media.colour.conversion import FromVideo
from clipseg_live.media.colour.hdr import HLG, KNEE, PQ, compressed, effective_peak, from_linear, to_linear
from clipseg_live.media.sources.video_file import VideoFileSource
from clipseg_live.model.segmenter import Segmenter
from tests.helpers.hdr_clips import SCENE, colour_difference, encode_scene, run, tag_options
from tests.helpers.paths import DATA

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="FFmpeg's program is not installed")

PHONE = DATA / "phone_hlg.mov"
HEVC = ("-c:v", "libx265", "-crf", "12", "-x265-params", "log-level=none")
X264 = ("-c:v", "libx264", "-crf", "10")


@pytest.fixture(scope="module")
def scene():
    return np.asarray(Image.open(SCENE).convert("RGB"))


@pytest.fixture(scope="module")
def tagged(tmp_path_factory):
    """Return videos with tags in the container and the frames."""
    folder = tmp_path_factory.mktemp("tagged")
    names = {"pq": "a.mov", "hlg": "a.mp4"}
    return {kind: encode_scene(folder / name, kind, codec=HEVC) for kind, name in names.items()}


def first_of(path):
    source = VideoFileSource(path)
    info = source.open()
    frame = source.read()
    source.close()
    return info, frame


@pytest.mark.slow
def test_a_phone_video_looks_like_the_sdr_scene(scene):
    info, frame = first_of(PHONE)
    assert colour_difference(frame.pixels, scene).mean() < 1.2
    assert info.hdr is not None and info.hdr.range == "HLG" and not info.hdr.kept
    assert info.colour == ColourInfo(1, 1, 1, 1) and frame.signal is None


@pytest.mark.slow
def test_masks_of_a_phone_video_are_those_of_the_sdr_scene(scene):
    prompts = [Prompt.text(text) for text in ("red circle", "blue star", "yellow heart")]
    segmenter = Segmenter.load("shapes", device="cpu")
    wanted, found = (
        segmenter.segment(pixels, prompts).probabilities > 0.5 for pixels in (scene, first_of(PHONE)[1].pixels)
    )
    for one, other in zip(wanted, found, strict=True):
        assert one.sum() > 500 and (one & other).sum() / (one | other).sum() >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "pixel_format", "codec", "name", "full_range", "most"),
    [
        ("pq", "yuv420p10le", HEVC, "a.mov", False, 1.3),
        ("hlg", "yuv420p10le", HEVC, "a.mp4", False, 1.3),
        ("pq", "yuv444p12le", ("-c:v", "ffv1"), "a.mkv", True, 0.1),
        ("hlg", "yuv422p10le", ("-c:v", "prores_ks"), "a.mov", False, 1.0),
        ("bt2020", "yuv420p", X264, "a.mp4", False, 1.3),
        ("bt2020", "yuv422p10le", ("-c:v", "ffv1"), "a.mkv", False, 0.7),
        ("p3", "yuv420p", X264, "a.mp4", False, 1.3),
        ("p3", "yuv444p", X264, "a.mkv", True, 0.8),
    ],
)
def test_each_hdr_format_gives_the_scene(tmp_path, scene, kind, pixel_format, codec, name, full_range, most):
    path = encode_scene(tmp_path / name, kind, pixel_format, codec, full_range=full_range)
    info, frame = first_of(path)
    assert info.hdr is not None
    assert colour_difference(frame.pixels, scene).mean() < most


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.mov", "a.mkv"])
def test_container_tags_suffice(tmp_path, scene, tagged, name):
    bare = "hevc_metadata=colour_primaries=2:transfer_characteristics=2:matrix_coefficients=2"
    run("-i", tagged["pq"], "-c", "copy", "-bsf:v", bare, *tag_options("pq"), tmp_path / name)
    info, frame = first_of(tmp_path / name)
    assert info.hdr is not None and info.hdr.range == "PQ"
    assert colour_difference(frame.pixels, scene).mean() < 1.3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.ts", "a.mov", "a.hevc"])
def test_frame_tags_suffice(tmp_path, scene, tagged, name):
    run("-i", tagged["hlg"], "-c", "copy", *(["-movflags", "-write_colr"] if name == "a.mov" else []),
        tmp_path / name)  # fmt: skip
    info, frame = first_of(tmp_path / name)
    assert info.hdr is not None and info.hdr.range == "HLG"
    assert colour_difference(frame.pixels, scene).mean() < 1.3


@pytest.mark.slow
@pytest.mark.parametrize("pixel_format", ["p010le", "yuva444p10le", "yuv444p16le"])
def test_other_pixel_formats_give_the_same_frame(pixel_format):
    with av.open(str(PHONE)) as container:
        frame = next(container.decode(video=0))
    other = frame.reformat(format=pixel_format)
    other.color_trc, other.color_primaries = frame.color_trc, frame.color_primaries
    assert np.abs(FromVideo()(other).astype(int) - FromVideo()(frame)).mean() < 0.5


def frame_of(light: np.ndarray, transfer: int) -> av.VideoFrame:
    """Return a frame with this light (BT.2020, 1.0 is 203 cd/m²), without chroma subsampling."""
    signal = np.round(from_linear(light, transfer) * 65535).astype(np.uint16)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(signal), "rgb48le")
    frame.color_trc, frame.color_primaries, frame.color_range = transfer, 9, 2
    return frame


@pytest.mark.parametrize(("transfer", "most"), [(PQ, 20.0), (HLG, 4.9)])
def test_highlights_are_compressed_and_other_light_is_exact(transfer, most):
    """A ramp up to the maximum light; grey up to the knee equals BT.1886."""
    ramp = np.linspace(0, most, 4096).reshape(-1, 1, 1).repeat(8, axis=1).repeat(3, axis=2)
    grey = FromVideo()(frame_of(ramp, transfer))[:, 0].astype(int)
    assert (np.ptp(grey, axis=1) <= 1).all()
    level = grey[:, 0]
    exact = 255 * ramp[:, 0, 0] ** (1 / 2.4)
    below = exact < 255 * KNEE - 2
    assert np.abs(level - exact)[below].max() <= 1
    assert (np.diff(level) >= 0).all()
    assert level[4095] == 255 and (level == 255).mean() < 0.4  # not clipped above reference white
    white = level[np.searchsorted(ramp[:, 0, 0], 1.0)]
    assert 238 <= white <= 247


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize("tint", [(1.0, 0.5, 0.2), (0.2, 0.4, 1.0), (0.9, 0.3, 0.6)])
def test_highlights_keep_their_hue(transfer, tint):
    ramp = np.linspace(0.02, 4.0, 512).reshape(-1, 1, 1).repeat(8, axis=1) * np.array(tint)
    shown = FromVideo()(frame_of(ramp, transfer))[:, 0].astype(float)
    ratios = shown[64:] / shown[64:].max(axis=1, keepdims=True)
    assert np.abs(ratios - ratios[0]).max() < 0.02


def test_a_frame_without_highlights_is_exact_up_to_white():
    ramp = np.linspace(0, 1, 1024).reshape(-1, 1, 1).repeat(8, axis=1).repeat(3, axis=2)
    shown = FromVideo()(frame_of(ramp, PQ))[:, 0, 0]
    assert np.abs(shown - 255 * ramp[:, 0, 0] ** (1 / 2.4)).max() <= 1


@pytest.mark.parametrize("transfer", [PQ, HLG, 1, 13])
@given(level=st.floats(0, 1))
def test_from_linear_undoes_to_linear(transfer, level):
    back = from_linear(to_linear(np.array([level]), transfer), transfer)
    assert abs(back[0] - level) < 1e-6


@pytest.mark.slow
@given(peak=st.floats(1, 8), values=st.lists(st.floats(0, 8), min_size=2, max_size=20))
def test_compression_is_monotonic_and_ends_at_white(peak, values):
    ordered = np.sort(np.array(values))
    mapped = compressed(ordered, peak)
    assert (np.diff(mapped) >= -1e-12).all() and mapped.max() <= 1
    assert compressed(np.array([peak]), peak)[0] == pytest.approx(1)
    assert mapped[ordered <= KNEE] == pytest.approx(ordered[ordered <= KNEE])
    assert 1 <= effective_peak(peak) <= max(peak, 1.0) + 1e-9
