"""The source named ``demo:``: a drawn scene as frames, without any file or device."""

import math
from dataclasses import replace
from fractions import Fraction

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.demo.scenes import SCENE_PRESETS, Scene, SceneSettings

DEMO_PREFIX = "demo:"


class DemoSource:
    """Frames of a scene (a ``FrameSource``) from ``start`` (seconds): endless, or ``duration`` seconds long.

    Time is the scene's own: the frame's number in it over the rate, exactly. ``Frame.index`` counts the frames that are
    delivered, as with files. Raises UsageError for an impossible size, rate or duration.
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
        """The source of a name: ``demo:``, ``demo:SEED``, ``demo:PRESET`` or ``demo:PRESET:SEED``, presets being the
        keys of ``SCENE_PRESETS``. Raises UsageError for any other name."""
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
        """How many frames there are: those that begin before the duration has passed; None if endless."""
        if self._duration is None:
            return None
        return math.ceil((self._start + self._duration) * self.scene.rate) - self._first

    def open(self) -> SourceInfo:
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
        self._next = None
