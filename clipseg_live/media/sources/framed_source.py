"""Source with cropped, rotated and mirrored frames."""

from dataclasses import replace

from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.protocols import FrameSource
from clipseg_live.core.settings.live import FrameTransform
from clipseg_live.media.sources.framing import apply_framing, framed_fields, framed_size


class FramedSource:
    """Frames of another source (a ``FrameSource``) after framing; its size is that of the framed frames."""

    def __init__(self, source: FrameSource, framing: FrameTransform) -> None:
        self._source, self._framing = source, framing

    def open(self) -> SourceInfo:
        """Open the source and return its description after framing."""
        info = self._source.open()
        width, height = framed_size(info.width, info.height, self._framing)
        aspect = 1 / info.pixel_aspect if self._framing.turn in (90, 270) else info.pixel_aspect
        fields = framed_fields(info, self._framing)
        return replace(info, width=width, height=height, pixel_aspect=aspect, fields=fields)

    def read(self) -> Frame | None:
        """Return the next framed frame, or None after the last."""
        frame = self._source.read()
        if frame is None:
            return None
        signal = None if frame.signal is None else apply_framing(frame.signal, self._framing)
        return replace(frame, pixels=apply_framing(frame.pixels, self._framing), signal=signal)

    def close(self) -> None:
        """Close the source."""
        self._source.close()
