"""Export of one source: decoding, inference and encoding run in parallel, frame by frame and in order."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from clipseg_live.core.errors import ClipsegLiveError, Failure, ModelError, PhotoError, SinkError, SourceBroken
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.protocols import Engine, FileOutput, FrameSource
from clipseg_live.core.status import Prediction
from clipseg_live.runtime.pipeline import FramePipeline
from clipseg_live.runtime.threads import Cancelled, Channel, StoppableThread

logger = logging.getLogger(__name__)

QUEUED_FRAMES = 4
"""Largest number of frames that wait between two stages."""

QUEUED_PHOTOS = 1
"""Largest number of photos that wait between two stages. Photos are larger than video frames."""

JOIN_SECONDS = 10.0
"""Longest time for a stage to end after a request."""


class ExportStopped(Failure):
    """Raised when the user or a signal stopped the export."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of an export.

    Attributes:
        frames: Number of frames written.
        total: Number of frames expected, or None if it is not known.
        rate: Frames per second so far.
        seconds_left: Expected remaining time. None before the first frame or without a total.
    """

    frames: int
    total: int | None
    rate: float
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class ExportResult:
    """Result of an export.

    Attributes:
        frames: Number of frames written.
        seconds: Duration of the export.
        time: Time of the last frame, in seconds of the source.
        problems: Messages about photos of a set that could not be read.
    """

    frames: int
    seconds: float
    time: Fraction
    problems: tuple[str, ...] = ()


class Export:
    """One export from start to end. Call ``run`` once.

    Args:
        source: Open source. ``run`` closes it.
        info: Description of the source.
        engine: Engine that segments the frames.
        prompts: Prompts to segment, as in the plan of the pipeline.
        pipeline: Makes mattes from the predictions and draws the frames.
        outputs: Files and folders to write, not open yet. They are finished in reverse order.
        keep_partial: Keep the finished part if the source breaks or the export is stopped.
        on_progress: Called in the thread of ``run``.

    Attributes:
        broken: Message if the source ended early, or "". The frames before are in the result.
        problems: Messages about photos of a set that could not be read. The others are exported.
    """

    def __init__(
        self,
        source: FrameSource,
        info: SourceInfo,
        engine: Engine,
        prompts: Sequence[Prompt],
        pipeline: FramePipeline,
        outputs: Sequence[FileOutput],
        *,
        keep_partial: bool = False,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self._source, self._info, self._engine, self._pipeline = source, info, engine, pipeline
        self._outputs = tuple(outputs)
        self._prompts = tuple(prompts)
        self._keep_partial = keep_partial
        self._on_progress = on_progress
        capacity = QUEUED_PHOTOS if info.independent else QUEUED_FRAMES
        self._frames: Channel[Frame] = Channel(capacity)
        self._predictions: Channel[tuple[Frame, Prediction]] = Channel(capacity)
        self._reader = StoppableThread("clipseg-live decode", self._read, self._frames.finish)
        self._writer = StoppableThread("clipseg-live encode", self._write, self._cancel)
        self._stop_requested = False
        self.problems: list[str] = []
        self.broken = ""
        self._frames_written = 0
        self._last_time = Fraction(0)
        self._start_time = time.monotonic()

    @property
    def unusable(self) -> int:
        """Return the number of frames whose maps could not be used. They count as frames without a prediction."""
        return self._pipeline.unusable

    def request_stop(self) -> None:
        """End ``run`` soon. May be called from any thread or a signal handler."""
        self._stop_requested = True
        self._cancel()

    def run(self) -> ExportResult:
        """Export all frames.

        The files are finished or abandoned, the source is closed, and the threads have ended, after an error too.
        Only a thread that does not end within ten seconds keeps its source or files.

        Raises:
            ExportStopped: After ``request_stop`` or Ctrl-C.
            ClipsegLiveError: First error of any stage.
        """
        open_outputs: list[FileOutput] = []
        finished_paths: list[Path] = []
        try:
            for output in self._outputs:
                open_outputs.append(output)  # before ``open``, which can fail halfway
                output.open(self._info)
            self._run_stages()
            for output in reversed(self._outputs):
                output.finish()
                open_outputs.remove(output)
                finished_paths.append(output.path)
        except BaseException as error:
            # Files that the writer still uses cannot be closed. A hidden file stays.
            kept_paths = [] if self._writer.alive else [output.abort(self._may_keep(error)) for output in open_outputs]
            described = self._describe(error, [*finished_paths, *(path for path in kept_paths if path is not None)])
            if described is error:
                raise
            raise described from error
        finally:
            if not self._reader.alive:
                self._source.close()
        return ExportResult(
            self._frames_written, time.monotonic() - self._start_time, self._last_time, tuple(self.problems)
        )

    def _run_stages(self) -> None:
        self._start_time = time.monotonic()
        reader, writer = self._reader, self._writer
        reader.start()
        writer.start()
        try:
            self._segment()
            self._predictions.finish()
            while not writer.join(0.2):  # short waits, so that Ctrl-C works
                pass
        except Cancelled:
            pass
        finally:
            self._cancel()
            hung = [worker.name for worker in (writer, reader) if not worker.join(JOIN_SECONDS)]
        if hung:
            names = " and ".join(hung)
            raise Failure(
                f"{names} did not stop within {JOIN_SECONDS:g} seconds, so the result is incomplete: check that the "
                "disk and the source respond, then export again."
            )
        for worker in (writer, reader):
            if worker.error is not None:
                raise worker.error
        if self._stop_requested:
            raise ExportStopped("The export was stopped.")
        if self._frames_written == 0:
            raise Failure(f"{self._info.name} has no frames in the requested range: check --from and --to.")
        if self.unusable == self._frames_written:
            raise ModelError(
                "The model returned NaN or infinite values for every frame: choose another model, device or dtype."
            )
        self._report()

    def _read(self) -> None:
        count = 0
        try:
            while (frame := self._next_frame()) is not None:
                self._frames.put(frame)
                count += 1
        except SourceBroken as error:
            if not count:
                raise
            logger.warning("The source ended early: %s", error)
            self.broken = str(error)
        self._frames.finish()

    def _next_frame(self) -> Frame | None:
        """Return the next frame, or None after the last. Skip photos that cannot be read, and note them."""
        while True:
            try:
                return self._source.read()
            except PhotoError as error:
                logger.warning("A photo of a set cannot be read", exc_info=True)
                self.problems.append(str(error))

    def _segment(self) -> None:
        plan = self._pipeline.plan
        for frame in self._frames:
            maps = self._engine.segment(frame.pixels, self._prompts).probabilities
            self._predictions.put((frame, plan.prediction(frame, maps)))
            self._report()

    def _write(self) -> None:
        for rendered in self._pipeline.in_order(iter(self._predictions)):
            for output in reversed(self._outputs):
                output.write(rendered)
            self._frames_written += 1
            self._last_time = rendered.time

    def _report(self) -> None:
        written, total = self._frames_written, self._info.frame_count
        elapsed = time.monotonic() - self._start_time
        rate = written / elapsed if elapsed > 0 else 0.0
        seconds_left = None if total is None or written == 0 else max(total - written, 0) / rate
        self._on_progress(Progress(written, total, rate, seconds_left))

    def _cancel(self) -> None:
        self._frames.cancel()
        self._predictions.cancel()

    def _may_keep(self, error: BaseException) -> bool:
        if isinstance(error, SinkError):
            return error.kept is not None  # the export is complete, only a file could not be moved
        return self._keep_partial and self._frames_written > 0

    def _describe(self, error: BaseException, kept_paths: list[Path]) -> BaseException:
        """Return the error with the progress of the export and the files that were kept."""
        if isinstance(error, KeyboardInterrupt):
            error = ExportStopped("The export was stopped.")
        if not isinstance(error, ClipsegLiveError) or self._frames_written == 0:
            return error
        unit = "photo" if self._info.independent else "frame"
        progress = (
            f"1 {unit} was exported" if self._frames_written == 1 else f"{self._frames_written} {unit}s were exported"
        )
        if not self._info.independent:
            progress += f", up to {float(self._last_time):.2f} s"
        is_named = isinstance(error, SinkError) and error.kept is not None
        other_paths = [str(path) for path in kept_paths if not isinstance(error, SinkError) or path != error.kept]
        ending = (
            f", and kept in {', '.join(other_paths)}" if other_paths else ("" if is_named else ", and nothing was kept")
        )
        described = type(error)(f"{str(error).rstrip('.')}; {progress}{ending}.")
        if isinstance(error, SinkError) and isinstance(described, SinkError):
            described.kept = error.kept
        return described
