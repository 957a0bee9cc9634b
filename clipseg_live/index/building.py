"""Indexing of one source: frames are decoded and selected in one thread, and encoded in the other."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from clipseg_live.core.errors import Failure, PhotoError, SourceBroken
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.protocols import FrameSource
from clipseg_live.index.sampling import FrameSelector, Sampling
from clipseg_live.index.store import storable_time
from clipseg_live.index.writer import IndexWriter
from clipseg_live.matting.working_grid import DownscaledFrame
from clipseg_live.model.features import FeatureSegmenter
from clipseg_live.runtime.export import JOIN_SECONDS, QUEUED_FRAMES, QUEUED_PHOTOS, ExportStopped, Progress
from clipseg_live.runtime.threads import Cancelled, Channel, StoppableThread

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IndexingResult:
    """Outcome of indexing a source.

    Attributes:
        frames: Frames that were encoded.
        seconds: Duration.
        problems: Messages about photos that could not be read, and about the end of a damaged source.
    """

    frames: int
    seconds: float
    problems: tuple[str, ...] = ()


class Indexing:
    """Encodes the selected frames of a source that an index lacks. Call ``run`` once.

    Args:
        source: Open source. ``run`` closes it.
        info: Description of the source.
        engine: Encodes the frames.
        writer: Index that is written.
        number: Number of the source in the index.
        sampling: Rule that selects frames.
        on_progress: Called in the thread of ``run``.
    """

    def __init__(
        self,
        source: FrameSource,
        info: SourceInfo,
        engine: FeatureSegmenter,
        writer: IndexWriter,
        number: int,
        sampling: Sampling,
        *,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self._source, self._engine, self._writer, self._number = source, engine, writer, number
        self._selector = FrameSelector(sampling)
        self._is_independent = info.independent
        self._total = sampling.expected(info.frame_count, None if info.independent else info.duration)
        self._on_progress = on_progress
        self._known = writer.times(number)
        self._frames: Channel[tuple[Frame, bool]] = Channel(QUEUED_PHOTOS if info.independent else QUEUED_FRAMES)
        self._reader = StoppableThread("clipseg-live decode", self._read, self._frames.finish)
        self._problems: list[str] = []
        self._stop_requested = False

    def request_stop(self) -> None:
        """End ``run`` soon. May be called from any thread or a signal handler."""
        self._stop_requested = True
        self._frames.cancel()

    def run(self) -> IndexingResult:
        """Encode all frames, and mark the source as complete.

        After an error, the frames so far are in the index, and the next run continues.

        Raises:
            ExportStopped: After ``request_stop`` or Ctrl-C.
            ClipsegLiveError: First error of the source, the engine or the index.
        """
        start, count = time.monotonic(), 0
        self._reader.start()
        try:
            for frame, cut in self._frames:
                size = (frame.height, frame.width)
                features = self._engine.encode_frame(frame.pixels)
                self._writer.append(self._number, frame.time, size, features, cut=cut)
                count += 1
                self._report(count, time.monotonic() - start)
        except (Cancelled, KeyboardInterrupt):
            self._stop_requested = True
        finally:
            self._frames.cancel()
            if self._reader.join(JOIN_SECONDS):
                self._source.close()
        if self._reader.alive:
            raise Failure("The source does not respond, so it is not indexed: check the disk, then index again.")
        if self._reader.error is not None:
            raise self._reader.error
        if self._stop_requested:
            raise ExportStopped("Indexing was stopped. The same command continues it.")
        self._writer.finish(self._number)
        return IndexingResult(count, time.monotonic() - start, tuple(self._problems))

    def _read(self) -> None:
        last: DownscaledFrame | None = None
        while (frame := self._next_frame()) is not None:
            if self._is_independent:
                if storable_time(frame.time) not in self._known:
                    self._frames.put((frame, False))
            elif self._selector.selects(frame.time):
                small = DownscaledFrame.of(frame.pixels)
                cut = last is not None and small.size == last.size and small.follows_cut(last)
                last = small
                if storable_time(frame.time) not in self._known:
                    self._frames.put((frame, cut))
        self._frames.finish()

    def _next_frame(self) -> Frame | None:
        """Return the next frame, or None after the last or where the source is damaged. Skip unreadable photos."""
        while True:
            try:
                return self._source.read()
            except PhotoError as error:
                logger.warning("A photo of a set cannot be read", exc_info=True)
                self._problems.append(str(error))
            except SourceBroken as error:
                logger.warning("The source ended early: %s", error)
                self._problems.append(f"{error} The index contains the frames before that point.")
                return None

    def _report(self, count: int, elapsed: float) -> None:
        done = len(self._known) + count
        rate = count / elapsed if elapsed > 0 else 0.0
        left = None if self._total is None else max(self._total - done, 0) / rate if rate else None
        self._on_progress(Progress(done, self._total, rate, left))


def resume_time(times: set[Fraction], sampling: Sampling) -> Fraction | None:
    """Return the time from which a source has to be read again, in seconds; None for its start.

    Args:
        times: Times of the frames that are in the index.
        sampling: Rule that selects frames.
    """
    if not times or sampling.seconds is None:
        return None
    ordered = sorted(times)
    gaps = (later - earlier for earlier, later in pairwise(ordered))
    is_complete = ordered[0] < sampling.seconds and all(gap < Fraction(3, 2) * sampling.seconds for gap in gaps)
    return ordered[-1] if is_complete else None
