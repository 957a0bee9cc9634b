"""Frames with maps and mattes for programs: sources and mattes as in a live session, the engine in this process."""

import logging
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from clipseg_live.core.errors import SourceError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.mattes import MatteRequest, Mattes, no_mattes
from clipseg_live.core.prompts import Prompt, require_prompts
from clipseg_live.core.protocols import Engine, Maps, Matting
from clipseg_live.core.segmentation import UNUSABLE, is_usable
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.live import FrameTransform, SourceSpec, SourceState, SourceStatus
from clipseg_live.core.settings.rendering import PLAIN_MATTES, MatteSettings
from clipseg_live.runtime.capture import Capture, FrameFilter, OpenSource

logger = logging.getLogger(__name__)

_JOIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class StreamFrame:
    """A frame and what was found in it.

    frame: with its pixels, number and time. maps: float32 (prompts, h, w), 0..1, on the decoder's grid, as the engine
    gave them. prompts: in the maps' order. mattes: at the frame's size, of the prompts ``drawn``, which are all but
    negative and contrast prompts. milliseconds: by stage of the engine. problem: why the maps cannot be used, one
    sentence; the mattes are empty then, and effects that hide something hide the whole frame.
    """

    frame: Frame
    maps: Maps
    mattes: Mattes
    prompts: tuple[Prompt, ...]
    drawn: tuple[Prompt, ...]
    milliseconds: dict[str, float] = field(default_factory=dict)
    problem: str = ""

    def __repr__(self) -> str:
        labels = ", ".join(prompt.label for prompt in self.prompts)
        return f"<StreamFrame {self.frame.index} at {float(self.frame.time):g} s: {labels}>"

    def _repr_png_(self) -> bytes:
        """Return the frame as a PNG file, which notebooks show."""
        return self.frame._repr_png_()


class _FrameReader:
    """The capture of a stream, with its newest frame. It does not hold the stream, so that a stream which nobody holds
    any more is collected and closes its feed."""

    def __init__(self, owner: "Stream", open_source: OpenSource, frame_filter: FrameFilter) -> None:
        self._owner = weakref.ref(owner)
        self._threads: set[int] = set()
        self.changed = threading.Condition()
        self.frame: Frame | None = None
        self.closed = False
        self.capture = Capture(open_source, frame_filter, self._take, self._told, photos_wait=False)

    def next_frame(self) -> Frame | None:
        """Wait for the next frame; None at the end. Raises SourceError."""
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
        """Close the source and wait for it. In a thread of the capture itself, which may hold locks while it collects
        garbage, this is left to another thread."""
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
        every = self.capture.status.seekable
        with self.changed:
            if every:
                self.changed.wait_for(lambda: self.frame is None or self.closed)
            if not self.closed:
                self.frame = frame
            self.changed.notify_all()

    def _told(self) -> None:
        self._threads.add(threading.get_ident())
        with self.changed:
            self.changed.notify_all()
        owner = self._owner()
        if owner is None:
            return
        try:
            owner.on_status(replace(self.capture.status))
        except Exception:  # it must not end the thread of the source
            logger.exception("The callback on_status failed")


class Stream:
    """Iterate over it for ``StreamFrame``. Its end, an error, ``close``, the end of ``with``, and the end of the last
    reference to it release the thread and the source.

    A live source gives its newest frame, and is opened again by itself when it breaks; a file gives every frame, no
    faster than it would be played. styles: of the prompts by their places (threshold, role, shape). cautious: as for
    ``MatteRequest``. ``prompts`` may be set at any time, from any thread, and holds from the next frame.
    """

    def __init__(
        self,
        spec: SourceSpec,
        prompts: Sequence[Prompt],
        engine: Engine,
        open_source: OpenSource,
        frame_filter: FrameFilter,
        matting: Matting,
        *,
        matte: MatteSettings = PLAIN_MATTES,
        cautious: bool | None = None,
        styles: Sequence[PromptStyle] = (),
        framing: FrameTransform | None = None,
        on_status: Callable[[SourceStatus], None] = lambda status: None,
    ) -> None:
        self._lock = threading.Lock()  # several threads can read: each frame goes to one of them
        self._prompts = require_prompts(prompts)
        self._engine, self._matting = engine, matting
        self._matte, self._cautious, self._styles = matte, cautious, tuple(styles)
        self.on_status = on_status
        self._unusable = False
        self._feed = _FrameReader(self, open_source, frame_filter)
        self._release = weakref.finalize(self, self._feed.close)
        if framing is not None:
            self._feed.capture.set_framing(framing)
        self._feed.capture.open(spec)

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        return self._prompts

    @prompts.setter
    def prompts(self, prompts: Sequence[Prompt]) -> None:
        self._prompts = require_prompts(prompts)

    @property
    def status(self) -> SourceStatus:
        """The source as it is now."""
        return self._feed.capture.status

    def __iter__(self) -> Iterator[StreamFrame]:
        return self

    def __next__(self) -> StreamFrame:
        """The next frame. Raises SourceError where the source cannot be opened, or a file breaks."""
        with self._lock:
            return self._next()

    def _next(self) -> StreamFrame:
        try:
            frame = self._feed.next_frame()
        except SourceError:
            self.close()
            raise
        if frame is None:
            self.close()
            raise StopIteration
        prompts = self._prompts
        found = self._engine.segment(frame.pixels, prompts)
        spare = (PromptStyle(),) * max(len(prompts) - len(self._styles), 0)
        styles = (*self._styles, *spare)[: len(prompts)]
        drawn = tuple(prompt for prompt, style in zip(prompts, styles, strict=True) if style.role == "show")
        usable = is_usable(found.probabilities, len(prompts))
        if not usable and not self._unusable:
            self._unusable = True
            logger.error("Prediction for frame %d dropped: its values are not finite", frame.index)
        mattes = self._mattes(frame, found.probabilities if usable else None, prompts, styles)
        problem = "" if usable else UNUSABLE
        return StreamFrame(frame, found.probabilities, mattes, prompts, drawn, dict(found.timings), problem)

    def _mattes(
        self, frame: Frame, maps: Maps | None, prompts: tuple[Prompt, ...], styles: tuple[PromptStyle, ...]
    ) -> Mattes:
        keys = tuple(enumerate(prompts))
        if maps is not None:
            self._matting.take(maps, keys, frame.index, frame.epoch)
        self._matting.show(frame, self._matte)
        request = MatteRequest(keys, tuple(range(len(keys))), styles, self._matte, self._cautious)
        mattes = self._matting.mattes(frame, request)
        known = len(mattes.each) == request.drawn
        return mattes if known else no_mattes(frame.height, frame.width, request.drawn)

    def close(self) -> None:
        """Close the source; whoever iterates is done. May be called more than once, from any thread."""
        self._feed.close()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *details: object) -> None:
        self.close()
