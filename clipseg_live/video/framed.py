"""A source whose frames are cut, turned and mirrored."""

from dataclasses import replace

from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.live import Framing
from clipseg_live.core.ports import FrameSource
from clipseg_live.video.framing import apply_framing


class FramedSource:
    """Another source's frames (a ``FrameSource``), framed; its size is that of the framed pictures."""

    def __init__(self, source: FrameSource, framing: Framing) -> None:
        self._source, self._framing = source, framing
        self._first: Frame | None = None

    def open(self) -> SourceInfo:
        info = self._source.open()
        self._first = self._framed(self._source.read())
        if self._first is None:
            return info
        aspect = 1 / info.pixel_aspect if self._framing.turn in (90, 270) else info.pixel_aspect
        return replace(info, width=self._first.width, height=self._first.height, pixel_aspect=aspect)

    def read(self) -> Frame | None:
        if self._first is not None:
            frame, self._first = self._first, None
            return frame
        return self._framed(self._source.read())

    def close(self) -> None:
        self._first = None
        self._source.close()

    def _framed(self, frame: Frame | None) -> Frame | None:
        return None if frame is None else replace(frame, pixels=apply_framing(frame.pixels, self._framing))
