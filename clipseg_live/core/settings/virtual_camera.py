"""Settings and status of a virtual camera, and the choice of its format."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field, model_validator

from clipseg_live.core.settings.base import Frozen, renamed

CameraFit = Literal["letterbox", "fill"]

USUAL_SIZE = 1280, 720
DEFAULT_CAMERA_RATE = Fraction(30)
FASTEST = 120

FrameSide = Annotated[int, Field(ge=32, le=7680, multiple_of=2)]


class VirtualCameraSettings(Frozen):
    """Device, format and content of a virtual camera.

    Without a size or a rate, the values are those that the program at the other end has chosen, else those of the
    source, else 1280×720 and 30.

    Attributes:
        device: Name or system name of the device; "" for the first available one.
        width: Width of its frames in pixels, an even number; given with ``height`` or not at all.
        height: Height of its frames in pixels, an even number.
        rate: Frames per second.
        fit: Frames of another aspect ratio are letterboxed with black bars, or fill the frame and are cropped.
        placeholder: Image file that is shown while there is no frame to show; "" for a drawn card.
    """

    device: Annotated[str, Field(max_length=200)] = ""
    width: FrameSide | None = None
    height: FrameSide | None = None
    rate: Annotated[float, Field(ge=1, le=FASTEST)] | None = None
    fit: CameraFit = "letterbox"
    placeholder: Annotated[str, renamed("placeholder", "safe")] = ""

    @model_validator(mode="after")
    def _has_two_sides(self) -> "VirtualCameraSettings":
        if (self.width is None) != (self.height is None):
            raise ValueError("a size has a width and a height: give both, or neither")
        return self


@dataclass(frozen=True, slots=True)
class VirtualCameraFormat:
    """Size in pixels and rate of a source, or of the virtual camera ``device``."""

    width: int
    height: int
    rate: Fraction
    device: str = ""


@dataclass(frozen=True, slots=True)
class VirtualCameraStatus:
    """Present status of a virtual camera.

    ``device``, ``width``, ``height`` and ``rate`` are set while the camera is open. They are "" and 0 before, and while
    it is retried.

    Attributes:
        active: The camera is switched on.
        device: Name of the device.
        width: Width in pixels.
        height: Height in pixels.
        rate: Frames per second.
        shows_placeholder: The placeholder image is shown.
        sent: Number of frames sent, including repeated ones.
        late: Number of times that no frame could be sent in time.
        problem: One sentence on why the camera is not open.
    """

    active: bool = False
    device: str = ""
    width: int = 0
    height: int = 0
    rate: float = 0.0
    shows_placeholder: bool = False
    sent: int = 0
    late: int = 0
    problem: str = ""


def chosen_format(
    settings: VirtualCameraSettings,
    settled: VirtualCameraFormat | None = None,
    source: VirtualCameraFormat | None = None,
) -> VirtualCameraFormat:
    """Return the size and rate of a virtual camera. Its sides are even.

    Args:
        settings: Settings of the camera.
        settled: Format that the program at the other end has chosen.
        source: Format of the source.
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
