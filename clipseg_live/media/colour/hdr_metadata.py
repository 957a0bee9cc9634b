"""Static HDR metadata (SMPTE ST 2086 mastering display, CTA-861.3 content light level): reading and writing."""

import logging
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType

from clipseg_live.core.frame import ColourInfo, HDRInfo, MasteringDisplay
from clipseg_live.core.settings.base import Codec
from clipseg_live.media.colour.hdr import dynamic_range
from clipseg_live.media.ffmpeg.guarded_av import MEDIA_READ_ERRORS

logger = logging.getLogger(__name__)

_CHROMATICITIES = 8
_MASTERING_INTS = 22
_LIGHT_INTS = 2
_CHROMATICITY_UNIT = 50_000
_LUMINANCE_UNIT = 10_000


def hdr_info(frame: av.VideoFrame, colour: ColourInfo, keep: bool) -> HDRInfo | None:
    """Return the HDR description of a source from its first frame and its tags; None for SDR in BT.709.

    Args:
        frame: First frame, which carries the metadata.
        colour: Complete tags of the frame.
        keep: True to write results as HDR. Only HDR can be kept, not a wide gamut alone.
    """
    kind = dynamic_range(colour)
    if kind is None:
        return None
    return HDRInfo(kind, colour, mastering_display(frame), content_light(frame), keep and kind != "wide gamut")


def mastering_display(frame: av.VideoFrame) -> MasteringDisplay | None:
    """Return the mastering display of a frame, None if its description is missing or incomplete."""
    values = _ints(frame, SideDataType.MASTERING_DISPLAY_METADATA)
    if len(values) < _MASTERING_INTS or not (values[20] and values[21]):
        return None
    pairs = [Fraction(values[index], values[index + 1] or 1) for index in range(0, 20, 2)]
    return MasteringDisplay(tuple(pairs[:_CHROMATICITIES]), least=pairs[8], most=pairs[9])


def content_light(frame: av.VideoFrame) -> tuple[int, int] | None:
    """Return MaxCLL and MaxFALL in cd/m², None if the frame has none."""
    values = _ints(frame, SideDataType.CONTENT_LIGHT_LEVEL)
    return (values[0], values[1]) if len(values) >= _LIGHT_INTS and any(values[:2]) else None


def encoder_options(codec: Codec, mastering: MasteringDisplay | None, light: tuple[int, int] | None) -> dict[str, str]:
    """Return options that make an encoder write the metadata, empty for codecs that do not support them.

    H.265 uses units of 1/50000 for chromaticities and 1/10000 cd/m² for luminance. AV1 uses decimal fractions.
    """
    parts: list[str] = []
    if codec == "h265":
        parts = ["hdr10=1", "repeat-headers=1"] if mastering or light else []
        if mastering is not None:
            parts.append("master-display=" + _display(mastering, _CHROMATICITY_UNIT, _LUMINANCE_UNIT))
        parts += [f"max-cll={light[0]},{light[1]}"] if light else []
        return {"x265-params": ":".join(parts)} if parts else {}
    if codec == "av1":
        parts = ["mastering-display=" + _display(mastering, 0, 0)] if mastering is not None else []
        parts += [f"content-light={light[0]},{light[1]}"] if light else []
        return {"svtav1-params": ":".join(parts)} if parts else {}
    return {}


def loss_of_metadata(codec: Codec, hdr: HDRInfo) -> str | None:
    """Return the message about static metadata that this codec loses, None if nothing is lost."""
    if not (hdr.mastering or hdr.light) or encoder_options(codec, hdr.mastering, hdr.light):
        return None
    return (
        f"The mastering display and light levels of the source are dropped because {codec} cannot store them. "
        "Use --codec h265 or av1 to keep them."
    )


def _display(mastering: MasteringDisplay, chromaticity: int, luminance: int) -> str:
    """Return green, blue, red, white point and luminances in these units; 0 for decimal fractions."""
    red, green, blue, white = ((mastering.xy[index], mastering.xy[index + 1]) for index in range(0, _CHROMATICITIES, 2))
    points = zip("GB", (green, blue), strict=True), (("R", red), ("WP", white))
    text = "".join(
        f"{name}({_number(x, chromaticity)},{_number(y, chromaticity)})" for group in points for name, (x, y) in group
    )
    return f"{text}L({_number(mastering.most, luminance)},{_number(mastering.least, luminance)})"


def _number(value: Fraction, unit: int) -> str:
    return str(round(value * unit)) if unit else f"{float(value):.5f}"


def _ints(frame: av.VideoFrame, kind: SideDataType) -> list[int]:
    try:
        data = cast(Any, frame.side_data).get(kind)
        raw = b"" if data is None else bytes(data)
    except MEDIA_READ_ERRORS:
        logger.warning("The side data of a frame could not be read", exc_info=True)
        return []
    return [int(value) for value in np.frombuffer(raw[: len(raw) // 4 * 4], np.int32)]
