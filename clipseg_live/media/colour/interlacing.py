"""Interlaced video: deinterlacing, and conversions that keep the two fields of a frame apart."""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import FieldOrder

logger = logging.getLogger(__name__)

_ORDERS: dict[int, FieldOrder] = {2: "tff", 3: "bff", 4: "tff", 5: "bff"}
"""Field that is displayed first, by FFmpeg's number of the field order (AV_FIELD_TT, BB, TB and BT)."""
FIELD_NUMBERS: dict[FieldOrder, int] = {"tff": 2, "bff": 3}
_PROPERTIES = (
    "pts", "dts", "duration", "time_base", "color_range", "colorspace", "color_primaries", "color_trc",
)  # fmt: skip


def field_order(context: av.VideoCodecContext) -> FieldOrder | None:
    """Return the field order of a stream, None for progressive and unknown ones."""
    return _ORDERS.get(int(context.field_order))


def order_of(frame: av.VideoFrame) -> FieldOrder | None:
    """Return the field order of a frame, None for a progressive one.

    PyAV does not report it, and containers are unreliable. A filter that passes only frames with the top field first
    detects it.
    """
    if not frame.interlaced_frame:
        return None
    graph = _graph(frame, ("select", {"expr": "interlace_type-2"}))
    graph.vpush(frame)
    graph.vpush(None)
    try:
        graph.vpull()
    except (av.error.BlockingIOError, av.error.EOFError):
        return "bff"
    return "tff"


def _graph(frame: av.VideoFrame, *filters: tuple[str, dict[str, str]]) -> av.filter.Graph:
    """Return a graph of these filters for frames of this size and format."""
    graph = av.filter.Graph()
    last = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 1000)
    )
    for name, options in (*filters, ("format", {"pix_fmts": frame.format.name}), ("buffersink", {})):
        following = graph.add(name, **options)
        last.link_to(following)
        last = following
    graph.configure()
    return graph


class Deinterlacer:
    """Converts each interlaced frame to one progressive frame (FFmpeg's bwdif); progressive frames pass unchanged.

    The filter needs the next frame as well, so it has a delay of one frame.
    """

    def __init__(self, order: FieldOrder | None) -> None:
        """Prepare a deinterlacer.

        Args:
            order: Field order of the stream. If it is interlaced, so are frames without their own flag.
        """
        self._order = order
        self._graph: av.filter.Graph | None = None
        self._kind: tuple[Any, ...] = ()
        self._held: deque[dict[str, Any]] = deque()

    def frames(self, decoded: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """Yield the frames of ``decoded``; before one of its errors, yield those that the filter still holds."""
        try:
            for frame in decoded:
                yield from self._next(frame)
        except GeneratorExit:
            raise
        except BaseException:
            yield from self._rest()
            raise
        yield from self._rest()

    def _next(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        kind = frame.width, frame.height, frame.format.name
        if self._graph is not None and kind != self._kind:
            yield from self._rest()
        if self._graph is None:
            if not frame.interlaced_frame and self._order is None:
                yield frame
                return
            self._graph, self._kind = self._made(frame), kind
        self._held.append({name: getattr(frame, name) for name in _PROPERTIES})
        self._graph.vpush(frame)
        yield from self._done(self._graph)

    def _made(self, frame: av.VideoFrame) -> av.filter.Graph:
        """Return the filter graph: flagged frames have their own field order, others that of the stream."""
        filters = [("bwdif", {"mode": "send_frame", "parity": "auto", "deint": "interlaced"})]
        if not frame.interlaced_frame and self._order is not None:
            filters.insert(0, ("setfield", {"mode": self._order}))
        return _graph(frame, *filters)

    def _done(self, graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
        while self._held:
            try:
                frame = graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            for name, value in self._held.popleft().items():
                setattr(frame, name, value)
            yield frame

    def _rest(self) -> Iterator[av.VideoFrame]:
        graph, self._graph = self._graph, None
        if graph is not None:
            graph.vpush(None)
            yield from self._done(graph)
            self._held.clear()


class FieldFlags:
    """Marks frames as interlaced in this field order, which encoders and containers store."""

    def __init__(self, order: FieldOrder) -> None:
        self._order = order
        self._graph: av.filter.Graph | None = None

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return the frame with its flags; all frames have the same size and format."""
        if self._graph is None:
            self._graph = _graph(frame, ("setfield", {"mode": self._order}))
        self._graph.vpush(frame)
        return self._graph.vpull()


def fields_of(frame: av.VideoFrame) -> list[av.VideoFrame]:
    """Return the top and the bottom field as frames of half the height."""
    fields = []
    for parity in (0, 1):
        field = av.VideoFrame(frame.width, (frame.height + 1 - parity) // 2, frame.format.name)
        for target, source in zip(field.planes, frame.planes, strict=True):
            lines, taken = _lines(target), _lines(source)[parity::2]
            width = min(lines.shape[1], taken.shape[1])
            lines[: len(taken), :width] = taken[: len(lines), :width]
            lines[len(taken) :, :width] = taken[-1:, :width]  # an odd number of chroma lines
        for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
            setattr(field, name, getattr(frame, name))
        fields.append(field)
    return fields


def weave_frames(fields: Sequence[av.VideoFrame]) -> av.VideoFrame:
    """Combine a top and a bottom field into one frame."""
    top, bottom = fields
    frame = av.VideoFrame(top.width, top.height + bottom.height, top.format.name)
    for target, *sources in zip(frame.planes, top.planes, bottom.planes, strict=True):
        lines = _lines(target)
        for parity, source in enumerate(sources):
            rows, taken = lines[parity::2], _lines(source)
            width = min(lines.shape[1], taken.shape[1])
            rows[:, :width] = taken[: len(rows), :width]
    return frame


def weave_rows(fields: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Interleave the rows of a top and a bottom field into one image."""
    top, bottom = fields
    woven = np.empty((len(top) + len(bottom), *top.shape[1:]), top.dtype)
    woven[0::2], woven[1::2] = top, bottom
    return woven


def _lines(plane: av.video.plane.VideoPlane) -> NDArray[np.uint8]:
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height]
