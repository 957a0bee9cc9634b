"""The source ``demo:``, which draws the frames of a scene without a file or device."""

import math
from dataclasses import replace
from fractions import Fraction

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.settings.source_schemes import SourceRequest
from clipseg_live.demo.scenes import SCENE_PRESETS, Scene, SceneSettings

DEMO_PREFIX = "demo:"
DEMO_SECONDS = Fraction(8)
"""Duration of the endless demo scene in an export without an end."""


class DemoSource:
    """Frames of a scene, as a ``FrameSource``.

    Times are those of the scene: exactly the number of the frame in the scene divided by the rate. ``Frame.index``
    counts the frames that were read, as for files.

    Args:
        seed: Number of the scene.
        width: Width in pixels.
        height: Height in pixels.
        rate: Frames per second.
        duration: Seconds after which the source ends; None for an endless source.
        settings: Content and motion of the scene.
        start: Time in seconds of the first frame.

    Raises:
        UsageError: If the size, rate or duration is invalid.
    """

    def __init__(
        self,
        seed: int = 0,
        width: int = 1280,
        height: int = 720,
        rate: Fraction = Fraction(30),
        duration: Fraction | None = None,
        settings: SceneSettings | None = None,
        start: Fraction = Fraction(0),
    ) -> None:
        if duration is not None and duration <= 0:
            raise UsageError(f"A demo of {duration} seconds has no frames: its duration must be above 0.")
        self.scene = Scene(seed, width, height, Fraction(rate), settings or SceneSettings())
        self._duration = None if duration is None else Fraction(duration)
        self._first = math.ceil(start * self.scene.rate)
        self._start = start
        self._next: int | None = None

    @classmethod
    def named(
        cls,
        name: str,
        width: int = 1280,
        height: int = 720,
        rate: Fraction = Fraction(30),
        duration: Fraction | None = None,
        start: Fraction = Fraction(0),
    ) -> "DemoSource":
        """Return the source of a name.

        Args:
            name: ``demo:``, ``demo:SEED``, ``demo:PRESET`` or ``demo:PRESET:SEED``. Presets are the keys of
                ``SCENE_PRESETS``.
            width: Width in pixels.
            height: Height in pixels.
            rate: Frames per second.
            duration: Seconds after which the source ends; None for an endless source.
            start: Time in seconds of the first frame.

        Raises:
            UsageError: If the name is another one.
        """
        head, _, rest = name.partition(":")
        preset, _, number = rest.rpartition(":") if ":" in rest else ("", "", rest)
        if not preset and number in SCENE_PRESETS:
            preset, number = number, ""
        known = head == DEMO_PREFIX[:-1] and preset in ("", *SCENE_PRESETS)
        if not known or not (number == "" or (number.isascii() and number.isdigit() and len(number) < 19)):
            raise UsageError(
                f"{name!r} is not a demo scene: write demo:, demo:7 for another one, or demo:NAME with one of "
                f"{', '.join(SCENE_PRESETS)}."
            )
        settings = replace(SCENE_PRESETS[preset]) if preset else None
        return cls(int(number or 0), width, height, rate, duration, settings, start)

    @property
    def frame_count(self) -> int | None:
        """Number of frames that start before the end of the duration; None if endless."""
        if self._duration is None:
            return None
        return math.ceil((self._start + self._duration) * self.scene.rate) - self._first

    def open(self) -> SourceInfo:
        """Start at the first frame, and return the properties of the source."""
        self._next = self._first
        scene = self.scene
        return SourceInfo(
            name=f"{DEMO_PREFIX}{scene.seed}",
            width=scene.width,
            height=scene.height,
            rate=scene.rate,
            time_base=1 / scene.rate,
            frame_count=self.frame_count,
            duration=self._duration,
        )

    def read(self) -> Frame | None:
        """Draw and return the next frame; None after the last one.

        Raises:
            SourceError: If the source is not open.
        """
        number = self._next
        if number is None:
            raise SourceError("The demo scene is not open: open it before reading.")
        count = self.frame_count
        if count is not None and number - self._first >= count:
            return None
        self._next = number + 1
        rate = self.scene.rate
        return Frame(self.scene.picture(number), number - self._first, number / rate, 1 / rate)

    def close(self) -> None:
        """Close the source."""
        self._next = None


def open_demo(request: SourceRequest) -> DemoSource:
    """Return the demo scene of a request. Without an end, an export has ``DEMO_SECONDS``.

    Raises:
        UsageError: If there is no such scene.
    """
    start, end = request.start or Fraction(0), request.end
    duration = None if request.endless else DEMO_SECONDS if end is None else end - start
    width, height, rate = request.width or 1280, request.height or 720, request.rate or Fraction(30)
    return DemoSource.named(request.name, width, height, rate, duration, start)
