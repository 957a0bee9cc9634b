"""Encoders of each codec and their options; hardware encoders are tested before use."""

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.codec.context import Flags as CodecFlags
from numpy.typing import NDArray

from clipseg_live.core.errors import UsageError
from clipseg_live.core.frame import ColourInfo, FieldOrder, HDRInfo, SourceInfo
from clipseg_live.core.settings.base import Codec
from clipseg_live.media.colour.conversion import ToVideo, written_colour
from clipseg_live.media.colour.hdr_metadata import encoder_options
from clipseg_live.media.colour.interlacing import FIELD_NUMBERS
from clipseg_live.media.ffmpeg.thread_priority import keep_priority

os.environ.setdefault("SVT_LOG", "1")  # libsvtav1 logs to the terminal: errors only

Options = dict[str, str]
DEFAULT_VIDEO_RATE = Fraction(25)
LARGEST_H264 = 16384
HEVC_TAG = "hvc1"
"""Codec tag of H.265 in MP4 and MOV that Apple's players accept."""
_FINEST_CLOCK = 1_000_000_000
_TRIED_FRAMES = 5
_MANY_CORES = 8
_LAMBDA = 118  # FFmpeg's unit of quality, per quantiser step
_COARSER = 30
"""Quality steps to subtract in the last preset: without a faster preset, fewer bits save time."""
_SHORT_DELAY = "pred-struct=2:hierarchical-levels=2:lookahead=0:scd=0"
"""Options with the least delay of libsvtav1 that does not risk a deadlock (decision 0006)."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder of FFmpeg.

    Attributes:
        codec: Codec that it writes.
        name: Name in FFmpeg.
        pixel_format: Pixel format of its input.
        hardware: True if it runs on dedicated hardware.
    """

    codec: Codec
    name: str
    pixel_format: str
    hardware: bool = False

    @property
    def needs_even(self) -> bool:
        """True if it takes even sizes only."""
        return self.codec in ("h264", "h265") or self.hardware

    @property
    def takes_key_requests(self) -> bool:
        """True if a key frame may be requested. After a request, libsvtav1 can deadlock (decision 0006)."""
        return self.name != "libsvtav1"


SOFTWARE: dict[Codec, Encoder] = {
    "h264": Encoder("h264", "libx264", "yuv420p"),
    "h265": Encoder("h265", "libx265", "yuv420p"),
    "vp9": Encoder("vp9", "libvpx-vp9", "yuv420p"),
    "av1": Encoder("av1", "libsvtav1", "yuv420p"),
    "ffv1": Encoder("ffv1", "ffv1", "bgr0"),
    "prores": Encoder("prores", "prores_ks", "yuv422p10le"),
}
"""Encoders that PyAV's wheels always contain."""

_HDR_FORMATS: dict[Codec, str] = {
    "h265": "yuv420p10le",
    "av1": "yuv420p10le",
    "ffv1": "gbrp12le",
    "prores": "yuv422p10le",
}

Candidates = Mapping[Codec, tuple[Encoder, ...]]


def _hardware(codec: Codec, family: str) -> tuple[Encoder, ...]:
    formats = {"nvenc": "yuv420p", "qsv": "nv12", "videotoolbox": "nv12", "amf": "nv12"}
    return tuple(Encoder(codec, f"{family}_{maker}", pixels, True) for maker, pixels in formats.items())


HARDWARE: Candidates = {
    "h264": _hardware("h264", "h264"),
    "h265": _hardware("h265", "hevc"),
    "av1": _hardware("av1", "av1"),
    "prores": (Encoder("prores", "prores_videotoolbox", "p210le", True),),
}
"""Hardware encoders of NVIDIA, Intel, Apple and AMD, in the order in which they are tried."""

_working: dict[tuple[Encoder, int], bool] = {}
_trying = threading.Lock()


def choose_encoder(codec: Codec, info: SourceInfo, *, auto: bool = True, candidates: Candidates = HARDWARE) -> Encoder:
    """Return the first candidate that can encode on this machine, else the software encoder.

    Each candidate is tested once per process and magnitude of the frame size.

    Args:
        codec: Codec to write.
        info: Source of the frames.
        auto: False to use the software encoder only.
        candidates: Encoders to try, for each codec.
    """
    for encoder in candidates.get(codec, ()) if auto else ():
        key = encoder, max(info.width, info.height).bit_length()
        with _trying:
            if key not in _working:
                _working[key] = _encodes(encoder, info)
            if _working[key]:
                return encoder
    return SOFTWARE[codec]


def _encodes(encoder: Encoder, info: SourceInfo) -> bool:
    """Return True if a few test frames produce packets."""
    try:
        context, convert = new_context(
            encoder, padded(encoder, info), Fraction(1, 1000), live_options(encoder, 70, info)[0]
        )
        size = 0
        for number in range(_TRIED_FRAMES):
            pixels = np.full((context.height, context.width, 3), 40 * number, np.uint8)
            picture = convert(pixels)
            picture.pts, picture.time_base = 40 * number, Fraction(1, 1000)
            size += sum(packet.size for packet in context.encode(picture))
        return size + sum(packet.size for packet in context.encode(None)) > 0
    except (av.FFmpegError, OSError, ValueError, TypeError):  # PyAV raises ValueError for an unknown name
        return False


def new_context(
    encoder: Encoder, info: SourceInfo, clock: Fraction, options: Options
) -> tuple[av.VideoCodecContext, ToVideo]:
    """Return an opened encoder without a container, and the converter for its frames.

    Raises:
        av.FFmpegError: If the encoder cannot be opened.
        ValueError: If PyAV does not know the encoder or an option.
    """
    context = av.CodecContext.create(encoder.name, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.framerate = info.rate or DEFAULT_VIDEO_RATE
    context.flags |= int(CodecFlags.global_header)
    context.options = dict(options)
    tags = written_colour(info.colour, is_rgb=encoder.codec == "ffv1", height=info.height)
    prepare_encoder(context, info, clock, encoder.pixel_format, tags)
    with keep_priority():
        context.open()
    return context, ToVideo(encoder.pixel_format, tags, interlaced=info.fields is not None)


def prepare_encoder(
    context: av.VideoCodecContext, info: SourceInfo, clock: Fraction, pixel_format: str, tags: ColourInfo
) -> None:
    """Set size, clock, colours, pixel aspect and field order of a context that is not open yet.

    Variable frame rates are exact only because the clock is set before anything is encoded.
    """
    context.width, context.height = info.width, info.height
    context.pix_fmt = pixel_format
    context.time_base = clock
    context.sample_aspect_ratio = info.pixel_aspect
    context.thread_type = "AUTO"
    context.flags |= int(CodecFlags.frame_duration)
    context.color_range, context.colorspace = tags.range, tags.matrix
    context.color_primaries, context.color_trc = tags.primaries, tags.transfer
    if info.fields is not None:
        context.field_order = FIELD_NUMBERS[info.fields]


def padded(encoder: Encoder, info: SourceInfo) -> SourceInfo:
    """Return the source with the encoded size; if it differs, pass frames through ``even`` first."""
    if not encoder.needs_even:
        return info
    return replace(info, width=info.width + info.width % 2, height=info.height + info.height % 2)


def even(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the image with its last column and row repeated where a side is odd."""
    height, width = pixels.shape[:2]
    padded = cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return np.asarray(padded)


def clock_of(time_base: Fraction) -> Fraction:
    """Return a time base 1/n of which ``time_base`` is a multiple, but no finer than nanoseconds."""
    denominator = Fraction(time_base).denominator
    return Fraction(1, denominator if denominator <= _FINEST_CLOCK else _FINEST_CLOCK)


def export_options(codec: Codec, quality: int, info: SourceInfo) -> Options:
    """Return options of the software encoder for exports, where speed matters less.

    Args:
        codec: Codec to write.
        quality: 0 (smallest) to 100 (best).
        info: Source of the frames.
    """
    if codec == "h264":
        return {"crf": _crf(codec, quality), "preset": "fast"}
    if codec == "h265":
        return {"crf": _crf(codec, quality), "preset": "fast", "x265-params": "log-level=none"}
    if codec == "vp9":
        return _vp9(quality, info) | {"deadline": "good", "cpu-used": "4"}
    if codec == "av1":
        return {"crf": _crf(codec, quality), "preset": "7"}
    return _ffv1() if codec == "ffv1" else _prores(quality)


def hdr_codec(given: Codec | None, possible: tuple[Codec, ...]) -> Codec:
    """Return the codec for HDR video: the given one, else the first possible one that supports HDR.

    Raises:
        UsageError: If the given codec does not support HDR.
    """
    if given is None:
        return next(codec for codec in possible if codec in _HDR_FORMATS)
    if given not in _HDR_FORMATS:
        able = " or ".join(codec for codec in possible if codec in _HDR_FORMATS)
        raise UsageError(
            f"HDR needs 10 bits, and {given} is written with 8 bits: use --codec {able}, or omit --hdr keep."
        )
    return given


def check_interlaced(codec: Codec, info: SourceInfo) -> None:
    """Raise UsageError if the source is interlaced and the codec has no fields."""
    if info.fields is not None and codec not in ("h264", "prores", "ffv1"):
        raise UsageError(
            f"{info.name} is interlaced, but {codec} supports whole frames only: "
            "use --codec h264, prores or ffv1, or omit --deinterlace off."
        )


def interlaced_options(codec: Codec, options: Options, fields: FieldOrder) -> Options:
    """Return the options with those for interlaced encoding."""
    made = options | {"flags": options.get("flags", "") + "+ildct+ilme"}
    if codec == "h264":  # x264 takes the field order of its timing messages from here, not from the frames
        name = "x264-params"
        made[name] = f"{made[name]}:{fields}=1" if name in made else f"{fields}=1"
    return made


def hdr_encoding(codec: Codec, quality: int, info: SourceInfo, hdr: HDRInfo) -> tuple[str, str, Options]:
    """Return encoder, pixel format and options for HDR video with its metadata."""
    options = export_options(codec, quality, info)
    for name, value in encoder_options(codec, hdr.mastering, hdr.light).items():
        options[name] = f"{options[name]}:{value}" if name in options else value
    return SOFTWARE[codec].name, _HDR_FORMATS[codec], options


def live_options(encoder: Encoder, quality: int, info: SourceInfo) -> tuple[Options, ...]:
    """Return options for recordings, from the most careful preset to the fastest.

    No frame is held back and key frames come on request, except with libsvtav1: it holds some frames back, and only its
    first frame is a key frame. Every key frame can be decoded without earlier packets.
    Options that affect the headers are the same in each preset, so that a file can switch between them.
    """
    codec = encoder.codec
    if encoder.hardware:
        return (_hardware_options(encoder, quality, info),)
    if codec == "h264":
        same = (
            "repeat-headers=1:stitchable=1:ref=1:cabac=1:8x8dct=1:weightp=0:bframes=0:psy=0:scenecut=0:keyint=infinite"
        )
        presets = ("veryfast", "superfast", "ultrafast")[(os.cpu_count() or 1) < _MANY_CORES :]
        shared = {"crf": _crf(codec, quality), "tune": "zerolatency", "forced-idr": "1", "x264-params": same}
        rungs = [shared | {"preset": preset} for preset in presets]
        return (*rungs, rungs[-1] | {"crf": _crf(codec, quality - _COARSER)})
    if codec == "h265":
        same = (
            "log-level=none:info=0:repeat-headers=1:ref=1:bframes=0:sao=0:amp=0:rect=0:signhide=0:weightp=0:ctu=32:"
            "min-cu-size=16:max-tu-size=32:tu-intra-depth=1:tu-inter-depth=1:strong-intra-smoothing=0:aq-mode=0:"
            "cutree=0:scenecut=0:open-gop=0:keyint=-1"
        )
        shared = {"crf": _crf(codec, quality), "tune": "zerolatency", "forced-idr": "1", "x265-params": same}
        quick = shared | {"preset": "ultrafast", "crf": _crf(codec, quality - _COARSER)}
        return shared | {"preset": "superfast"}, quick
    if codec == "vp9":
        shared = _vp9(quality, info) | {"deadline": "realtime", "lag-in-frames": "0", "auto-alt-ref": "0", "g": "9999"}
        quick = shared | {"cpu-used": "8"}
        return shared | {"cpu-used": "6"}, quick, quick | {"crf": _crf(codec, quality - _COARSER)}
    if codec == "av1":
        shared = {"crf": _crf(codec, quality), "g": "9999", "svtav1-params": _SHORT_DELAY}
        return tuple(shared | {"preset": preset} for preset in ("9", "10", "12"))
    own = _ffv1() | {"g": "1"} if codec == "ffv1" else _prores(quality)
    return (own | {"thread_type": "slice"},)  # frame threads would hold frames back


def _crf(codec: Codec, quality: int) -> str:
    """Return the constant quality that looks about the same in each codec; 70 is close to the original."""
    if codec == "h264":
        return f"{38 - 0.26 * quality:.2f}"
    if codec == "h265":
        return f"{40 - 0.26 * quality:.2f}"
    return str(min(63, round(55 - 0.4 * quality if codec == "vp9" else 58 - 0.42 * quality)))


def _vp9(quality: int, info: SourceInfo) -> Options:
    columns = "2" if info.width >= 1024 else "0"
    return {"crf": _crf("vp9", quality), "row-mt": "1", "tile-columns": columns}


def _ffv1() -> Options:
    return {"level": "3", "slices": "4", "slicecrc": "1"}


def _prores(quality: int) -> Options:
    """Return options for ProRes Proxy, LT, 422 or HQ, each with one quantiser.

    Searching for quantisers that fit a given size takes ten times as long and looks no better.
    """
    profile = sum(quality >= least for least in (25, 50, 80))
    quantiser = round(16 - 0.14 * quality)
    return {
        "profile": str(profile), "vendor": "apl0", "flags": "+qscale", "global_quality": str(_LAMBDA * quantiser),
    }  # fmt: skip


def _hardware_options(encoder: Encoder, quality: int, info: SourceInfo) -> Options:
    """Return options from FFmpeg's documentation of each encoder; quantisers range from 0 (best) to 51.

    This range also holds for AV1 of NVIDIA and AMD.
    """
    level = str(round(40 - 0.26 * quality))
    own: dict[str, Options] = {
        "nvenc": {"preset": "p4", "tune": "ll", "zerolatency": "1", "delay": "0", "forced-idr": "1",
                  "rc-lookahead": "0", "rc": "vbr", "cq": level, "b": "0"},
        "qsv": {"async_depth": "1", "look_ahead": "0", "forced_idr": "1", "global_quality": level},
        "videotoolbox": {"realtime": "1", "b": str(_bits(quality, info))},
        "amf": {"usage": "lowlatency", "rc": "cqp", "qp_i": level, "qp_p": level, "forced_idr": "1"},
    }  # fmt: skip
    chosen = own.get(encoder.name.rpartition("_")[2], {})
    if encoder.codec == "prores":
        return {"realtime": "1"}
    return chosen | {"bf": "0", "g": "9999"}


def _bits(quality: int, info: SourceInfo) -> int:
    """Return a bit rate in bits per second, 0.03 to 0.2 bits per pixel, for encoders without constant quality."""
    rate = float(info.rate or DEFAULT_VIDEO_RATE)
    return round(info.width * info.height * rate * (0.03 + 0.0017 * quality))
