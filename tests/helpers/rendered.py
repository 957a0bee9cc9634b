"""Rendered frames for outputs."""

from collections.abc import Sequence
from fractions import Fraction

from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import Label, Mattes
from clipseg_live.core.rendered_frame import NO_MATTES, RenderedFrame


def rendered(
    frame: Frame, mattes: Mattes = NO_MATTES, labels: Sequence[Label] = (), *, source_time: Fraction | None = None
) -> RenderedFrame:
    """Return a frame without effects. ``source_time`` is the time of the source whose audio belongs to it."""
    return RenderedFrame(frame, frame.pixels, mattes, tuple(labels), signal=frame.signal, source_time=source_time)
