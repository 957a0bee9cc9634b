"""Choice of the encoder, and the change to a faster preset within a file."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from clipseg_live.core.settings.base import CODECS
from clipseg_live.media.atomic_output import AtomicOutput
from clipseg_live.media.writers import encoders
from clipseg_live.media.writers.adaptive_encoder import AdaptiveEncoder
from clipseg_live.media.writers.encoders import (
    HARDWARE,
    SOFTWARE,
    Encoder,
    choose_encoder,
    export_options,
    live_options,
    new_context,
)
from tests.helpers.recordings import CLOCK, source

MISSING = Encoder("h264", "h264_of_nobody", "yuv420p", True)
BROKEN = Encoder("h264", "libx264", "no_pixels", True)
WORKING = Encoder("h264", "libx264", "nv12", True)


@pytest.fixture(autouse=True)
def clear_encoder_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "_working", {})


def test_the_first_working_encoder_is_used() -> None:
    assert choose_encoder("h264", source(), candidates={"h264": (MISSING, BROKEN, WORKING)}) is WORKING
    assert choose_encoder("h264", source(), candidates={"h264": (MISSING, BROKEN)}) is SOFTWARE["h264"]
    assert choose_encoder("h264", source(), auto=False, candidates={"h264": (WORKING,)}) is SOFTWARE["h264"]
    assert choose_encoder("vp9", source()) is SOFTWARE["vp9"]


def test_each_encoder_is_tested_once_for_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    real = encoders._encodes
    monkeypatch.setattr(encoders, "_encodes", lambda *given: tried.append(given[0]) or real(*given))
    for _ in range(3):
        choose_encoder("h264", source(), candidates={"h264": (MISSING, WORKING)})
    assert tried == [MISSING, WORKING]
    choose_encoder("h264", source(width=640, height=480), candidates={"h264": (MISSING, WORKING)})
    assert tried == [MISSING, WORKING] * 2


def test_an_encoder_of_this_machine_is_chosen() -> None:
    for codec in CODECS:
        chosen = choose_encoder(codec, source(width=640, height=480))
        assert chosen.codec == codec and (chosen in HARDWARE.get(codec, ()) or chosen is SOFTWARE[codec])


@pytest.mark.parametrize("quality", [0, 50, 100])
@pytest.mark.parametrize("codec", CODECS)
def test_encoder_options_are_valid_and_higher_quality_is_larger(codec: str, quality: int) -> None:
    for options in (export_options(codec, quality, source()), *live_options(SOFTWARE[codec], quality, source())):
        context, _ = new_context(SOFTWARE[codec], source(), CLOCK, options)
        assert not context.options, f"left over: {context.options}"


@pytest.mark.parametrize("codec", [codec for codec in CODECS if codec != "ffv1"])
def test_a_higher_quality_is_larger(codec: str) -> None:
    sizes = [_size(codec, quality) for quality in (20, 70, 95)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_av1_is_never_used_in_a_way_that_can_deadlock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The low-delay mode, and requested key frames: docs/decisions/0006-recordings.md."""
    for options in (export_options("av1", 70, source()), *live_options(SOFTWARE["av1"], 70, source())):
        assert "pred-struct=1" not in options.get("svtav1-params", "")
    types = []
    encode = AdaptiveEncoder._packets
    monkeypatch.setattr(
        AdaptiveEncoder,
        "_packets",
        lambda video, frame: types.append(frame and frame.pict_type) or encode(video, frame),
    )
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        video = AdaptiveEncoder(container, SOFTWARE["av1"], 70, source(), CLOCK)
        packets = [packet for number in range(25) for packet in video.encode(_noise(number), 9000 * number, 9000)]
        packets += video.flush()
        container.mux(packets)
    assert set(types) == {PictureType.NONE, None}
    assert [packet.pts for packet in packets] == [9000 * number for number in range(25)]
    assert [packet.pts for packet in packets if packet.is_keyframe] == [0, 90_000, 180_000]


@pytest.mark.parametrize("codec", [codec for codec in CODECS if codec != "av1"])
def test_frames_are_not_delayed_and_key_frames_can_be_forced(codec: str) -> None:
    for options in live_options(SOFTWARE[codec], 70, source()):
        context, convert = new_context(SOFTWARE[codec], source(), CLOCK, options)
        keys = []
        for number in range(12):
            frame = convert(_noise(number))
            frame.pts, frame.time_base = 3000 * number, CLOCK
            if number in (0, 5):
                frame.pict_type = av.video.frame.PictureType.I
            packets = context.encode(frame)
            assert [packet.pts for packet in packets] == [3000 * number], options
            keys += [number] * packets[0].is_keyframe
        assert keys == [0, 5] if codec not in ("ffv1", "prores") else len(keys) == 12


@pytest.mark.parametrize("codec", ["h264", "h265", "av1"])
def test_headers_are_the_same_for_each_preset(codec: str) -> None:
    """Players that read headers only at the start continue after a change."""
    options = live_options(SOFTWARE[codec], 70, source())
    headers = [bytes(new_context(SOFTWARE[codec], source(), CLOCK, each)[0].extradata or b"") for each in options]
    if codec == "h264":  # except the comment with the options of the encoder
        headers = [header[: header.find(b"\0\0\1\x06")] for header in headers]
    assert len(headers) > 1 and len(set(headers)) == 1


def test_a_visible_temporary_file_is_numbered_and_never_removed(tmp_path) -> None:
    places = [AtomicOutput(tmp_path / "a.mp4", overwrite=False, visible=True) for _ in range(3)]
    assert [place.begin().name for place in places] == ["a.recording.mp4", "a.recording-2.mp4", "a.recording-3.mp4"]


def _noise(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def _size(codec: str, quality: int) -> int:
    context, convert = new_context(
        SOFTWARE[codec], source(), Fraction(1, 30), live_options(SOFTWARE[codec], quality, source())[0]
    )
    size = 0
    for number in range(4):
        frame = convert(_noise(number))
        frame.pts, frame.time_base = number, Fraction(1, 30)
        size += sum(packet.size for packet in context.encode(frame))
    return size + sum(packet.size for packet in context.encode(None))
