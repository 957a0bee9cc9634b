"""What a virtual camera is asked for, what it tells of itself, and when it may show what."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field, model_validator

from clipseg_live.core.settings.base import Frozen

CameraFit = Literal["letterbox", "fill"]

USUAL_SIZE = 1280, 720
DEFAULT_CAMERA_RATE = Fraction(30)
FASTEST = 120

FrameSide = Annotated[int, Field(ge=32, le=7680, multiple_of=2)]


class VirtualCameraSettings(Frozen):
    """Which virtual camera, and what it shows.

    device: as this system calls it, or its name; "" takes the first that is there. width, height: of its pictures, both
    or neither, even numbers; rate: pictures a second. None takes what the program at the other end has settled on, else
    what the source has, else 1280×720 and 30.
    fit: a picture of another shape gets black bars, or fills the frame and loses its edges.
    safe: a picture file that is shown while there is nothing to show; "" for a card that is drawn.
    """

    device: Annotated[str, Field(max_length=200)] = ""
    width: FrameSide | None = None
    height: FrameSide | None = None
    rate: Annotated[float, Field(ge=1, le=FASTEST)] | None = None
    fit: CameraFit = "letterbox"
    safe: str = ""

    @model_validator(mode="after")
    def _has_two_sides(self) -> "VirtualCameraSettings":
        if (self.width is None) != (self.height is None):
            raise ValueError("a size has a width and a height: give both, or neither")
        return self


@dataclass(frozen=True, slots=True)
class VirtualCameraFormat:
    """A size in pixels and a rate: of a source's pictures, or of a virtual camera, whose name is ``device`` then."""

    width: int
    height: int
    rate: Fraction
    device: str = ""


@dataclass(frozen=True, slots=True)
class VirtualCameraStatus:
    """A virtual camera as it is now.

    active: it is switched on. device, width, height, rate: once it is open; "" and 0 before, and while it is tried
    again. safe: it shows the safe picture. sent: pictures in all, repeated ones too; late: moments at which none could
    be sent in time. problem: why it is not open, one sentence.
    """

    active: bool = False
    device: str = ""
    width: int = 0
    height: int = 0
    rate: float = 0.0
    safe: bool = False
    sent: int = 0
    late: int = 0
    problem: str = ""


def chosen_format(
    settings: VirtualCameraSettings,
    settled: VirtualCameraFormat | None = None,
    source: VirtualCameraFormat | None = None,
) -> VirtualCameraFormat:
    """Size and rate of a virtual camera.

    settled: what the program at the other end has settled on; source: of the pictures that come. Its sides are even.
    """
    known = settled or source
    width, height = (known.width, known.height) if known is not None else USUAL_SIZE
    if settings.width is not None and settings.height is not None:
        width, height = settings.width, settings.height
    rate = known.rate if known is not None else DEFAULT_CAMERA_RATE
    if settings.rate is not None:
        rate = Fraction(settings.rate).limit_denominator(1001)
    rate = min(max(rate, Fraction(1)), Fraction(FASTEST))
    return VirtualCameraFormat(max(width // 2 * 2, 32), max(height // 2 * 2, 32), rate, settings.device)
