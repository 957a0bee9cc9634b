"""Audio codecs: those that each container supports, and the targets of conversion."""

import av

from clipseg_live.media.ffmpeg.guarded_av import SoundLayout

_MP4 = frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "opus", "flac", "alac", "dts"})
_MOV = frozenset(
    {"aac", "mp3", "mp2", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le",
     "pcm_s32be", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be", "pcm_u8", "pcm_s8", "pcm_alaw", "pcm_mulaw"}
)  # fmt: skip
_MATROSKA = frozenset(
    {"aac", "mp3", "mp2", "ac3", "eac3", "opus", "vorbis", "flac", "alac", "dts", "truehd", "mlp", "wavpack",
     "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_u8", "pcm_f32le", "pcm_f64le"}
)  # fmt: skip
_COPIED = {
    ".mp4": _MP4, ".m4v": _MP4, ".mov": _MOV, ".mkv": _MATROSKA, ".webm": frozenset({"opus", "vorbis"}),
}  # fmt: skip
"""Codecs with a standard mapping in a container, so that players support them. Others are converted."""

AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


def can_copy(codec: str, suffix: str) -> bool:
    """Return True if a container (by its suffix) holds this audio codec in a way that players support."""
    return codec in _COPIED[suffix]


def coding_of(stream: av.AudioStream) -> str:
    """Return the name of a stream's codec.

    Raises:
        ValueError: If the codec is unknown or the stream is damaged.
    """
    if stream.codec_context is None:
        raise ValueError("its codec is unknown")
    if not stream.codec_context.sample_rate:
        raise ValueError("it is damaged")
    return stream.codec_context.codec.canonical_name


def target_of(suffix: str) -> str:
    """Return the codec to which audio is converted if the container does not support its own."""
    return "Opus" if suffix in (".webm", ".mkv") else "AAC"


def converted_layout(layout: SoundLayout) -> str:
    """Return the layout that audio is converted to.

    Raises:
        ValueError: If the channels cannot be mixed down to it.
    """
    if layout.channels in LAYOUTS:
        return LAYOUTS[layout.channels]
    frame = av.AudioFrame("flt", layout.name, samples=1024)
    frame.sample_rate = 48000
    try:
        av.AudioResampler("flt", "stereo", 48000).resample(frame)
    except (av.FFmpegError, ValueError) as error:
        raise ValueError(f"its {layout.channels} channels cannot be converted to stereo") from error
    return LAYOUTS[2]
