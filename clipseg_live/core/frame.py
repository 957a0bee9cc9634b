"""Frames, and what is known about the source they come from."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.system.png import png

BytePlane = NDArray[np.uint8]
"""(height, width)."""
FloatPlane = NDArray[np.float32]
"""(height, width)."""
Pixels = NDArray[np.uint8]
"""A picture: uint8, shape (height, width, 3), RGB, upright, top row first."""
Signal = NDArray[np.uint16]
"""R'G'B' signal of an HDR picture: uint16 (0 to 65535), shape (height, width, 3), upright, top row first."""
DynamicRange = Literal["PQ", "HLG", "wide gamut"]
FieldOrder = Literal["tff", "bff"]
"""The field of an interlaced frame that is shown first: top or bottom."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a source. Nobody writes into ``pixels`` once the frame is made.

    index: number of the frame within its source, from 0.
    time: presentation time in seconds, exact, as the container or the capture clock gave it.
    duration: how long the frame is shown, in seconds, where the source says so.
    epoch: grows at each seek or source change; results of an old epoch are never shown.
    captured: ``time.monotonic()`` when a live session got it.
    file: the picture file that holds this frame; None for a frame of a video, camera or animation.
    independent: the frame is unrelated to the frames before and after it (see ``SourceInfo.independent``).
    signal: the HDR picture behind ``pixels``, where the source keeps it.
    """

    pixels: Pixels
    index: int
    time: Fraction
    duration: Fraction | None = None
    epoch: int = 0
    captured: float | None = None
    file: Path | None = None
    independent: bool = False
    signal: Signal | None = None

    def __repr__(self) -> str:
        return f"<Frame {self.index} at {float(self.time):g} s, {self.width}×{self.height}>"

    def _repr_png_(self) -> bytes:
        """Return the pixels as a PNG file, which notebooks show."""
        return png(self.pixels)

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])


@dataclass(frozen=True, slots=True)
class ColourInfo:
    """How a video's samples mean colours, as FFmpeg's own numbers (AVCOL_*); 2 is "unspecified"."""

    range: int = 0
    matrix: int = 2
    primaries: int = 2
    transfer: int = 2


@dataclass(frozen=True, slots=True)
class MasteringDisplay:
    """The display on which HDR video was graded (SMPTE ST 2086).

    xy: CIE 1931 x and y of red, green, blue and white. least, most: luminance in cd/m².
    """

    xy: tuple[Fraction, ...]
    least: Fraction
    most: Fraction


@dataclass(frozen=True, slots=True)
class HDRInfo:
    """The colours of a source that is converted to BT.709.

    range: what it is. colour: its own tags. light: MaxCLL and MaxFALL in cd/m².
    kept: its frames have a ``signal``, and results are to be written as HDR.
    """

    range: DynamicRange
    colour: ColourInfo
    mastering: MasteringDisplay | None = None
    light: tuple[int, int] | None = None
    kept: bool = False


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What an opened source promises of its frames.

    width, height: size of the upright pictures.
    rate: exact average frame rate, such as Fraction(30000, 1001); None where there is none (a single picture).
    time_base: the unit that every ``Frame.time`` is a multiple of, in seconds.
    frame_count: frames to come, where it is known beforehand (an estimate: for progress only).
    duration: seconds, likewise.
    pixel_aspect: width of a pixel over its height, of the upright picture.
    audio_path: the file whose audio belongs to these frames, None where there is none.
    media_path: the file whose titles, chapters and subtitles belong to these frames, None where there is none.
    independent: the frames are unrelated photos: sizes may differ, and nothing is smoothed from one to the next.
        ``width`` and ``height`` are those of the first. A photo that cannot be read raises PhotoError from ``read``;
        the next ``read`` gives the next photo. ``Frame.time`` is the photo's number, from 0.
    notices: sentences for the user about what was left out.
    hdr: the colours before the conversion to BT.709, which ``colour`` then names; None for SDR.
    fields: field order of interlaced frames; None where frames are progressive or deinterlaced.
    """

    name: str
    width: int
    height: int
    rate: Fraction | None
    time_base: Fraction
    frame_count: int | None = None
    duration: Fraction | None = None
    pixel_aspect: Fraction = Fraction(1)
    colour: ColourInfo = field(default_factory=ColourInfo)
    audio_path: Path | None = None
    independent: bool = False
    notices: tuple[str, ...] = ()
    media_path: Path | None = None
    hdr: HDRInfo | None = None
    fields: FieldOrder | None = None
