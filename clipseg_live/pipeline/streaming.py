"""Frames with maps and mattes for programs: sources and mattes as in a live session, the engine in this process."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from clipseg_live.core.errors import SourceError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.live import Framing, SourceSpec, SourceState, SourceStatus
from clipseg_live.core.locking import one_at_a_time
from clipseg_live.core.look import PLAIN_MATTES, MatteSettings
from clipseg_live.core.mattes import MatteRequest, Mattes
from clipseg_live.core.ports import Engine, Maps, Matting
from clipseg_live.core.prompts import Prompt, require_prompts
from clipseg_live.core.settings import PromptStyle
from clipseg_live.pipeline.capture import Capture, FrameFilter, OpenSource


@dataclass(frozen=True, slots=True, eq=False)
class StreamFrame:
    """A frame and what was found in it.

    frame: with its pixels, number and time. maps: float32 (prompts, h, w), 0..1, on the decoder's grid, as the engine
    gave them. prompts: in the maps' order. mattes: at the frame's size, of the prompts ``drawn``, which are all but
    negative and contrast prompts. milliseconds: by stage of the engine.
    """

    frame: Frame
    maps: Maps
    mattes: Mattes
    prompts: tuple[Prompt, ...]
    drawn: tuple[Prompt, ...]
    milliseconds: dict[str, float] = field(default_factory=dict)


class Stream:
    """Iterate over it for ``StreamFrame``; use it in ``with``, or ``close`` it.

    A live source gives its newest frame, and is opened again by itself when it breaks; a file gives every frame, no
    faster than it would be played. styles: of the prompts by their places (threshold, role, shape). ``prompts`` may be
    set at any time, from any thread, and holds from the next frame.
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
        styles: Sequence[PromptStyle] = (),
        framing: Framing | None = None,
        on_status: Callable[[SourceStatus], None] = lambda status: None,
    ) -> None:
        self._lock = threading.Lock()  # several threads can read: each frame goes to one of them
        self._prompts = require_prompts(prompts)
        self._engine, self._matting = engine, matting
        self._matte, self._styles = matte, tuple(styles)
        self._on_status = on_status
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._closed = False
        self._capture = Capture(open_source, frame_filter, self._take, self._told)
        if framing is not None:
            self._capture.set_framing(framing)
        self._capture.open(spec)

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        return self._prompts

    @prompts.setter
    def prompts(self, prompts: Sequence[Prompt]) -> None:
        self._prompts = require_prompts(prompts)

    @property
    def status(self) -> SourceStatus:
        """The source as it is now."""
        return self._capture.status

    def __iter__(self) -> Iterator[StreamFrame]:
        return self

    @one_at_a_time
    def __next__(self) -> StreamFrame:
        """The next frame. Raises SourceError where the source cannot be opened, or a file breaks."""
        with self._changed:
            while self._frame is None:
                if self._closed:
                    raise StopIteration
                status = self._capture.status
                if status.state is SourceState.FAILED or (status.state is SourceState.ENDED and status.problem):
                    raise SourceError(status.problem)
                if status.state is SourceState.ENDED:
                    raise StopIteration
                self._changed.wait(0.5)
            frame, self._frame = self._frame, None
            self._changed.notify_all()
        prompts = self._prompts
        found = self._engine.segment(frame.pixels, prompts)
        spare = (PromptStyle(),) * max(len(prompts) - len(self._styles), 0)
        styles = (*self._styles, *spare)[: len(prompts)]
        drawn = tuple(prompt for prompt, style in zip(prompts, styles, strict=True) if style.role == "show")
        mattes = self._mattes(frame, found.probabilities, prompts, styles)
        return StreamFrame(frame, found.probabilities, mattes, prompts, drawn, dict(found.timings))

    def _mattes(self, frame: Frame, maps: Maps, prompts: tuple[Prompt, ...], styles: tuple[PromptStyle, ...]) -> Mattes:
        keys = tuple(enumerate(prompts))
        self._matting.take(maps, keys, frame.index, frame.epoch)
        self._matting.show(frame, self._matte)
        return self._matting.mattes(frame, MatteRequest(keys, tuple(range(len(keys))), styles, self._matte))

    def close(self) -> None:
        """Close the source; whoever iterates is done. May be called more than once, from any thread."""
        with self._changed:
            self._closed = True
            self._frame = None
            self._changed.notify_all()
        self._capture.request_stop()
        self._capture.join(2.0)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def _take(self, frame: Frame, info: SourceInfo) -> None:
        every = self._capture.status.seekable
        with self._changed:
            if every:
                self._changed.wait_for(lambda: self._frame is None or self._closed)
            if not self._closed:
                self._frame = frame
            self._changed.notify_all()

    def _told(self) -> None:
        with self._changed:
            self._changed.notify_all()
        self._on_status(replace(self._capture.status))
