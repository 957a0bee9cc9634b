"""Frames, and the properties of the source that they come from."""

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
"""Pixels of an image: uint8, shape (height, width, 3), RGB, upright, top row first."""
Signal = NDArray[np.uint16]
"""R'G'B' signal of an HDR frame: uint16 (0 to 65535), shape (height, width, 3), upright, top row first."""
DynamicRange = Literal["PQ", "HLG", "wide gamut"]
FieldOrder = Literal["tff", "bff"]
"""Field of an interlaced frame that is shown first: top or bottom."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of a source. ``pixels`` must not be changed once the frame is made.

    Attributes:
        pixels: uint8, shape (height, width, 3), RGB.
        index: Number of the frame within its source, from 0.
        time: Exact presentation time in seconds, from the container or the capture clock.
        duration: Display duration in seconds, if the source gives it.
        epoch: Number that grows at each seek or source change. Results of an old epoch are never shown.
        captured: ``time.monotonic()`` when a live session received the frame.
        file: Image file that holds this frame; None for a frame of a video, camera or animation.
        independent: The frame is unrelated to the frames before and after it (see ``SourceInfo.independent``).
        signal: HDR signal of the frame, if the source keeps it.
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
        """Return the pixels as a PNG file for notebooks."""
        return png(self.pixels)

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])


@dataclass(frozen=True, slots=True)
class ColourInfo:
    """Colour tags of a video, as FFmpeg's numbers (AVCOL_*); 2 is "unspecified"."""

    range: int = 0
    matrix: int = 2
    primaries: int = 2
    transfer: int = 2


@dataclass(frozen=True, slots=True)
class MasteringDisplay:
    """The display on which HDR video was graded (SMPTE ST 2086).

    Attributes:
        xy: CIE 1931 x and y of red, green, blue and white.
        least: Minimum luminance in cd/m².
        most: Maximum luminance in cd/m².
    """

    xy: tuple[Fraction, ...]
    least: Fraction
    most: Fraction


@dataclass(frozen=True, slots=True)
class HDRInfo:
    """The colours of a source that is converted to BT.709.

    Attributes:
        range: Dynamic range of the source.
        colour: Colour tags of the source.
        mastering: Mastering display of the source, if known.
        light: MaxCLL and MaxFALL in cd/m².
        kept: Frames have a ``signal``, and outputs are written as HDR.
    """

    range: DynamicRange
    colour: ColourInfo
    mastering: MasteringDisplay | None = None
    light: tuple[int, int] | None = None
    kept: bool = False


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Properties of an opened source and its frames.

    Attributes:
        name: Name of the source.
        width: Width of the upright frames in pixels.
        height: Height of the upright frames in pixels.
        rate: Exact average frame rate, such as Fraction(30000, 1001); None if there is none (a single image).
        time_base: Unit in seconds; every ``Frame.time`` is a multiple of it.
        frame_count: Number of frames, if known in advance. It is an estimate, for progress only.
        duration: Duration in seconds, if known in advance. It is an estimate too.
        pixel_aspect: Width of a pixel divided by its height, for the upright frame.
        colour: Colour tags of the frames.
        audio_path: File with the audio of these frames; None if there is none.
        independent: The frames are unrelated photos. Sizes may differ, and nothing is smoothed between frames.
            ``width`` and ``height`` are those of the first photo. For a photo that cannot be read, ``read`` raises
            PhotoError, and the next ``read`` returns the next photo. ``Frame.time`` is the number of the photo, from 0.
        notices: Sentences for the user about content that was left out.
        media_path: File with the titles, chapters and subtitles of these frames; None if there is none.
        hdr: Colours before the conversion to BT.709, which ``colour`` then names; None for SDR.
        fields: Field order of interlaced frames; None for progressive or deinterlaced frames.
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
