"""Decoders of video streams: FFmpeg's default, or one that keeps transparency."""

import logging

import av

from clipseg_live.core.frame import ColourInfo

logger = logging.getLogger(__name__)

_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that return the alpha of WebM; FFmpeg's own decoders drop it."""


def decoder_of(stream: av.VideoStream) -> av.VideoCodecContext:
    """Return the decoder for the packets of a stream, with the threads of the stream's default decoder."""
    usual = stream.codec_context
    name = _WITH_ALPHA.get(usual.name)
    if name is None or _metadata(stream).get("alpha_mode") != "1":
        return usual
    try:
        decoder = av.CodecContext.create(name, "r")
    except (av.FFmpegError, ValueError):
        logger.warning("This FFmpeg has no %s: transparency is left out", name, exc_info=True)
        return usual
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.extradata = usual.extradata
    decoder.width, decoder.height = usual.width, usual.height
    return decoder


def container_colour(stream: av.VideoStream) -> ColourInfo:
    """Return the colour tags of the container; call it before anything is decoded."""
    context = stream.codec_context
    return ColourInfo(
        range=int(context.color_range),
        matrix=int(context.colorspace),
        primaries=int(context.color_primaries),
        transfer=int(context.color_trc),
    )


def _metadata(stream: av.VideoStream) -> dict[str, str]:
    return {name.lower(): value for name, value in stream.metadata.items()}
