"""Base classes of the writers of encoded video: frame times, checks, and closing the container and its tracks.

All times are in ticks of the clock of the video stream.
"""

import contextlib
from abc import ABC, abstractmethod
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.settings.base import Codec
from clipseg_live.media.atomic_output import AtomicOutput, write_failure
from clipseg_live.media.writers.encoders import DEFAULT_VIDEO_RATE, LARGEST_H264

MUX_ERRORS = (av.FFmpegError, OSError, ValueError)
"""Errors of encoders and containers."""


class SideTrack(Protocol):
    """A track beside the video that is written with it."""

    def close(self) -> None:
        """Release what the track reads from."""


class Muxer:
    """Base of the writers of encoded video.

    Attributes:
        notices: Messages for the user.
    """

    def __init__(self) -> None:
        self.notices: list[str] = []
        self._container: av.container.OutputContainer | None = None
        self._clock = Fraction(1)
        self._info: SourceInfo
        self._last: int | None = None

    def _timed(self, frame: Frame, offset: Fraction = Fraction(0)) -> tuple[int, Fraction]:
        """Return the time of a frame in ticks, later than that of the frame before, and its duration in seconds.

        Args:
            frame: Next frame.
            offset: Time of the source at the start of the file, in seconds.
        """
        tick = round((frame.time - offset) / self._clock)
        if self._last is not None and tick <= self._last:
            tick = self._last + 1
        return tick, frame.duration or 1 / (self._info.rate or DEFAULT_VIDEO_RATE)

    def _ticks(self, duration: Fraction) -> int:
        """Return a duration in ticks, at least one."""
        return max(round(duration / self._clock), 1)

    def _tracks_beside(self) -> tuple[SideTrack | None, ...]:
        """Forget the tracks beside the video, and return them."""
        return ()

    def _close(self) -> None:
        """Close the container and all tracks; may be called more than once. Never raises."""
        container, self._container = self._container, None
        for track in self._tracks_beside():
            if track is not None:
                track.close()
        if container is not None:
            with contextlib.suppress(*MUX_ERRORS):
                container.close()


class FileMuxer(Muxer, ABC):
    """Base of the writers of video files, which appear under their name when they are complete.

    Args:
        path: File to write.
        codec: Codec of the video.
        quality: 0 (smallest) to 100 (best).
        place: Where the file is written.

    Raises:
        UsageError: If the quality is invalid, or the file exists.
        SinkError: If the folder does not exist.
    """

    def __init__(self, path: Path, codec: Codec, quality: int, place: AtomicOutput) -> None:
        super().__init__()
        self.path, self.codec = path, codec
        if not 0 <= quality <= 100:
            raise UsageError(f"A quality of {quality} is invalid: use 0 (smallest) to 100 (best).")
        self._quality, self._place = quality, place
        self._place.check()
        self._count = 0

    @property
    def working(self) -> Path | None:
        """The file that is being written, None if there is none. It is hidden unless frames are live."""
        return self._place.working

    def finish(self) -> None:
        """Complete the file and move it to its path.

        Raises:
            SinkError: If there are no frames, or the file cannot be completed. It is then still at ``working``.
        """
        self._opened()
        if not self._count:
            raise SinkError(f"{self.path.name} was not written: there were no frames.")
        try:
            self._complete()
        except MUX_ERRORS as error:
            raise write_failure(self.path, error) from error
        self._place.commit()

    @abstractmethod
    def _complete(self) -> None:
        """Flush the encoder, write the end of the tracks, and close the container."""

    def _opened(self) -> av.container.OutputContainer:
        """Return the container.

        Raises:
            SinkError: If the file is not open.
        """
        if self._container is None:
            raise SinkError(f"{self.path.name} is not open.")
        return self._container

    def _check_side(self, info: SourceInfo, remedy: str) -> None:
        """Raise UsageError if the codec cannot hold frames of this size; ``remedy`` ends the sentence."""
        if self.codec == "h264" and max(info.width, info.height) > LARGEST_H264:
            raise UsageError(
                f"{info.name} has {info.width}×{info.height} pixels, but H.264 supports at most {LARGEST_H264} per "
                f"side: {remedy}."
            )

    def _check_frame(self, frame: Frame) -> None:
        """Raise SinkError if a frame does not have the size of the source."""
        if (frame.width, frame.height) != (self._info.width, self._info.height):
            raise SinkError(
                f"A frame of {frame.width}×{frame.height} pixels does not fit {self.path.name}, "
                f"which has {self._info.width}×{self._info.height}."
            )
