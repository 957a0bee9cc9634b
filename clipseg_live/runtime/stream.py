"""Stream of frames with probability maps and mattes for programs, with the engine in the same process."""

import logging
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace

from clipseg_live.core.errors import SourceError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.prompts import Prompt, require_prompts
from clipseg_live.core.protocols import Engine
from clipseg_live.core.rendered_frame import RenderedFrame, RenderPlan
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.live import FrameTransform, SourceSpec
from clipseg_live.core.settings.rendering import PLAIN_MATTES, MatteSettings
from clipseg_live.core.status import SourceState, SourceStatus
from clipseg_live.runtime.capture import Capture, FrameFilter, OpenSource
from clipseg_live.runtime.pipeline import FramePipeline, RenderTools, plan_of

logger = logging.getLogger(__name__)

_JOIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Settings of a stream.

    Attributes:
        matte: Settings of the mattes.
        cautious: Option of ``MatteRequest``.
        styles: Styles of the prompts, in their order (threshold, role, shape). Further prompts have the default style.
        framing: Crop, rotation and mirroring of the frames.
    """

    matte: MatteSettings = PLAIN_MATTES
    cautious: bool | None = None
    styles: tuple[PromptStyle, ...] = ()
    framing: FrameTransform = field(default_factory=FrameTransform)

    def plan(self, prompts: Sequence[Prompt]) -> RenderPlan:
        """Return the plan for prompts."""
        defaults = (PromptStyle(),) * max(len(prompts) - len(self.styles), 0)
        styles = (*self.styles, *defaults)[: len(prompts)]
        return plan_of(prompts, styles, matte=self.matte, cautious=self.cautious)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StreamFrame(RenderedFrame):
    """A frame with its prediction.

    Attributes:
        frame: Frame with its pixels, number and time.
        maps: Probability maps of the engine, float32 (prompts, h, w), 0..1, on the decoder's grid.
        mattes: Mattes at the frame's size, for the prompts in ``drawn``.
        prompts: Prompts in the order of the maps.
        drawn: All prompts except negative and contrast prompts.
        areas: For each prompt, the share (0 to 1) of the frame that its mask covers.
        presence: For each prompt, its presence, 0 to 1.
        milliseconds: Time of each stage of the engine.
        problem: Message if the maps cannot be used, or "". The mattes are empty then, and hiding effects hide the whole
            frame.
    """

    prompts: tuple[Prompt, ...] = ()
    drawn: tuple[Prompt, ...] = ()

    def __repr__(self) -> str:
        labels = ", ".join(prompt.label for prompt in self.prompts)
        return f"<StreamFrame {self.frame.index} at {float(self.frame.time):g} s: {labels}>"

    def _repr_png_(self) -> bytes:
        """Return the frame as a PNG file, which notebooks show."""
        return self.frame._repr_png_()


class _FrameReader:
    """The capture of a stream, with its newest frame.

    It holds only a weak reference to the stream, so that an unused stream is collected and closes its source.
    """

    def __init__(self, owner: "Stream", open_source: OpenSource, frame_filter: FrameFilter) -> None:
        self._owner = weakref.ref(owner)
        self._threads: set[int] = set()
        self.changed = threading.Condition()
        self.frame: Frame | None = None
        self.closed = False
        self.capture = Capture(open_source, frame_filter, self._take, self._handle_status, photos_wait=False)

    def next_frame(self) -> Frame | None:
        """Wait for the next frame. Return None at the end.

        Raises:
            SourceError: The source cannot be opened, or it broke.
        """
        with self.changed:
            while self.frame is None:
                status = self.capture.status
                if status.state is SourceState.FAILED or (status.state is SourceState.ENDED and status.problem):
                    raise SourceError(status.problem)
                if self.closed or status.state is SourceState.ENDED:
                    return None
                self.changed.wait(0.5)
            frame, self.frame = self.frame, None
            self.changed.notify_all()
        return frame

    def close(self) -> None:
        """Close the source and wait for it.

        The garbage collector may call this in a thread of the capture, which may hold locks. Another thread closes the
        source then.
        """
        if threading.get_ident() in self._threads:
            threading.Thread(target=self._close, name="clipseg-live stream release", daemon=True).start()
        else:
            self._close()

    def _close(self) -> None:
        with self.changed:
            self.closed = True
            self.frame = None
            self.changed.notify_all()
        self.capture.request_stop()
        self.capture.join(_JOIN_SECONDS)

    def _take(self, frame: Frame, info: SourceInfo) -> None:
        self._threads.add(threading.get_ident())
        gives_all_frames = self.capture.status.seekable
        with self.changed:
            if gives_all_frames:
                self.changed.wait_for(lambda: self.frame is None or self.closed)
            if not self.closed:
                self.frame = frame
            self.changed.notify_all()

    def _handle_status(self) -> None:
        self._threads.add(threading.get_ident())
        with self.changed:
            self.changed.notify_all()
        owner = self._owner()
        if owner is None:
            return
        try:
            owner.on_status(replace(self.capture.status))
        except Exception:  # an error of the callback must not end the capture thread
            logger.exception("The callback on_status failed")


class Stream:
    """Iterator of ``StreamFrame`` over one source.

    The thread and the source are released at the end of the source, on an error, and by ``close``. They are also
    released at the end of ``with``, and when the last reference to the stream is dropped.

    A live source gives its newest frame, and is opened again when it breaks. A file gives every frame, no faster than
    in playback. ``prompts`` may be set at any time, from any thread. They apply from the next frame.

    Args:
        spec: Source to open.
        prompts: Prompts to segment.
        engine: Engine that segments the frames.
        open_source: Makes the source.
        frame_filter: Crops, rotates and mirrors frames.
        tools: Parts of the frame pipeline.
        settings: Settings of the mattes and the source.
        on_status: Called when the status of the source changes.
        get_notices: Returns the messages of the engine for the user.
    """

    def __init__(
        self,
        spec: SourceSpec,
        prompts: Sequence[Prompt],
        engine: Engine,
        open_source: OpenSource,
        frame_filter: FrameFilter,
        tools: RenderTools,
        *,
        settings: StreamSettings | None = None,
        on_status: Callable[[SourceStatus], None] = lambda status: None,
        get_notices: Callable[[], tuple[str, ...]] = lambda: (),
    ) -> None:
        self._lock = threading.Lock()  # several threads can read; each frame goes to one of them
        self._prompts = require_prompts(prompts)
        self._engine, self._settings = engine, settings or StreamSettings()
        self._pipeline = FramePipeline(self._settings.plan(self._prompts), tools)
        self.on_status = on_status
        self._get_notices = get_notices
        self._reader = _FrameReader(self, open_source, frame_filter)
        self._release = weakref.finalize(self, self._reader.close)
        self._reader.capture.set_framing(self._settings.framing)
        self._reader.capture.open(spec)

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """Return the prompts, in the order of the maps."""
        return self._prompts

    @prompts.setter
    def prompts(self, prompts: Sequence[Prompt]) -> None:
        self._prompts = require_prompts(prompts)

    @property
    def status(self) -> SourceStatus:
        """Return the current status of the source."""
        return self._reader.capture.status

    @property
    def notices(self) -> tuple[str, ...]:
        """Return the messages of the engine, such as a shortened prompt or a precision that is not used."""
        return self._get_notices()

    def __iter__(self) -> Iterator[StreamFrame]:
        return self

    def __next__(self) -> StreamFrame:
        """Return the next frame.

        Raises:
            SourceError: The source cannot be opened, or a file breaks.
        """
        with self._lock:
            return self._next()

    def _next(self) -> StreamFrame:
        try:
            frame = self._reader.next_frame()
        except SourceError:
            self.close()
            raise
        if frame is None:
            self.close()
            raise StopIteration
        prompts, pipeline = self._prompts, self._pipeline
        prediction = self._engine.segment(frame.pixels, prompts)
        plan = self._settings.plan(prompts)
        pipeline.update(plan)
        pipeline.add_prediction(plan.prediction(frame, prediction.probabilities))
        rendered = pipeline.process(frame)
        values = {field_info.name: getattr(rendered, field_info.name) for field_info in fields(rendered)}
        values |= {"maps": prediction.probabilities, "milliseconds": dict(prediction.timings)}
        drawn = tuple(prompts[prompt_id] for prompt_id in rendered.drawn_ids)
        return StreamFrame(**values, prompts=prompts, drawn=drawn)

    def close(self) -> None:
        """Close the source and end the iteration. May be called more than once, from any thread."""
        self._reader.close()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *details: object) -> None:
        self.close()
