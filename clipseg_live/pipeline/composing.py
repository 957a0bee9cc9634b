"""The compose thread: the newest frame and the newest answer become the picture that is shown and recorded."""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import numpy as np

from clipseg_live.core.frame import Frame
from clipseg_live.core.live import LiveSettings, Picture, PromptRow, Result
from clipseg_live.core.ports import Composer, Maps
from clipseg_live.core.look import Look
from clipseg_live.core.stats import Meter, Spread, StageTimings
from clipseg_live.core.temporal import PromptStates, smooth_each

_GRACE = 0.04
"""Seconds that an answer or a new look waits for the next frame, before the present one is drawn again."""
_NO_MAPS: Maps = np.zeros((0, 1, 1), np.float32)

MakeComposer = Callable[[Look], Composer]
OnPicture = Callable[[Picture, Frame], None]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Smoothed maps, one for each of ``ids``, and the frame that they were made for."""

    maps: Maps = field(default_factory=lambda: _NO_MAPS)
    ids: tuple[int, ...] = ()
    index: int = -1
    epoch: int = -1
    version: int = 0


class Composing:
    """Draws at the rate of the source. Frames and answers may come from any thread; its policy for both is that the
    newest wins, and frames that were never drawn are counted.

    on_picture: called in the compose thread with each new picture and the composed frame. on_error: likewise with what
        went wrong with one.
    """

    def __init__(
        self,
        make_composer: MakeComposer,
        settings: LiveSettings,
        on_picture: OnPicture,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._make_composer, self._on_picture, self._on_error = make_composer, on_picture, on_error
        self._changed = threading.Condition()
        self._settings = settings
        self._frame: Frame | None = None
        self._drawn: Frame | None = None
        self._result: tuple[Result, Frame | None, tuple[Hashable, ...]] | None = None
        self._redraw = False
        self._stop = False
        self._past = PromptStates()
        self._answer = Answer()
        self._own: Frame | None = None
        self._composer: tuple[Look, Composer] | None = None
        self._selected: tuple[Maps, tuple[int, ...], Maps] | None = None
        self._areas: tuple[Answer, tuple[float, ...], tuple[float, ...]] | None = None
        self.dropped = 0
        self.displayed, self.answered = Meter(), Meter()
        self.delay, self.timings = Spread(), StageTimings()
        self._thread = threading.Thread(target=self._run, name="clipseg-live compose", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put_frame(self, frame: Frame) -> None:
        with self._changed:
            self.dropped += self._frame is not None and self._settings.mode == "smooth"
            self._frame = frame
            self._changed.notify_all()

    def put_result(self, result: Result, frame: Frame | None, keys: tuple[Hashable, ...]) -> None:
        """An answer, the frame that it is for, and what tells its prompts apart."""
        with self._changed:
            self._result = result, frame, keys
            self._changed.notify_all()

    def set_settings(self, settings: LiveSettings) -> None:
        with self._changed:
            self._settings = settings
            self._redraw = True
            self._changed.notify_all()

    def request_stop(self) -> None:
        with self._changed:
            self._stop = True
            self._changed.notify_all()

    def join(self, deadline: float) -> bool:
        if self._thread.ident is not None:
            self._thread.join(deadline)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work)
                if self._frame is None and self._settings.mode == "smooth":
                    self._changed.wait_for(lambda: self._stop or self._frame is not None, _GRACE)
                if self._stop:
                    return
                settings, redraw = self._settings, self._redraw
                frame, result = self._frame, self._result
                self._frame, self._result, self._redraw = None, None, False
            try:
                self._compose_newest(settings, frame, result, redraw)
            except Exception as error:  # one picture is lost, and not the session
                self._on_error(error)

    def _has_work(self) -> bool:
        return self._stop or self._redraw or self._frame is not None or self._result is not None

    def _compose_newest(
        self,
        settings: LiveSettings,
        frame: Frame | None,
        result: tuple[Result, Frame | None, tuple[Hashable, ...]] | None,
        redraw: bool,
    ) -> None:
        start = time.perf_counter()
        if result is not None:
            self._take_in(*result, settings)
        smoothed = time.perf_counter()
        if settings.mode == "locked":
            shown = self._own if result is not None else self._drawn if redraw else None
        else:
            shown = frame or self._drawn
        if shown is None:
            return
        picture = self._compose(settings, shown)
        done = time.perf_counter()
        self.displayed.tick()
        if shown is not self._drawn and shown.captured is not None:
            self.delay.add((time.monotonic() - shown.captured) * 1000)
        self._drawn = shown
        stages = {"smooth": (smoothed - start) * 1000, "compose": (done - smoothed) * 1000}
        if result is not None and not result[0].unchanged:
            stages = {**result[0].milliseconds, **stages}
        self.timings.add(stages)
        composed = Frame(picture.composed, shown.index, shown.time, shown.duration, shown.epoch, shown.captured)
        self._on_picture(picture, composed)

    def _take_in(self, result: Result, frame: Frame | None, keys: tuple[Hashable, ...], settings: LiveSettings) -> None:
        if not result.unchanged:
            self.answered.tick()
        self._past, maps = smooth_each(self._past, keys, result.maps, settings.matte.smoothing * 0.99, result.epoch)
        self._answer = Answer(maps, result.ids, result.index, result.epoch, result.version)
        self._own = frame

    def _compose(self, settings: LiveSettings, frame: Frame) -> Picture:
        """The frame with the newest answer of its epoch, drawn for the rows that are shown."""
        answer = self._answer if self._answer.epoch == frame.epoch else Answer()
        places = {row_id: place for place, row_id in enumerate(answer.ids)}
        rows = [row for row in settings.shown() if row.id in places]
        maps = self._select(answer.maps, tuple(places[row.id] for row in rows))
        look = settings.look(tuple(rows))
        if self._composer is None or self._composer[0] != look:
            self._composer = look, self._make_composer(look)
        composed = self._composer[1].compose(frame.pixels, maps)
        composed.setflags(write=False)
        return Picture(
            composed=composed,
            original=frame.pixels,
            index=frame.index,
            epoch=frame.epoch,
            time=frame.time,
            maps=answer.maps,
            ids=answer.ids,
            shares=self._shares(settings, answer),
            own=(answer.index, answer.epoch) == (frame.index, frame.epoch),
            version=answer.version,
        )

    def _select(self, maps: Maps, places: tuple[int, ...]) -> Maps:
        """These maps in this order; the very same array as long as nothing has changed."""
        if self._selected is None or self._selected[0] is not maps or self._selected[1] != places:
            chosen = maps[list(places)] if places else _NO_MAPS
            chosen.setflags(write=False)
            self._selected = maps, places, chosen
        return self._selected[2]

    def _shares(self, settings: LiveSettings, answer: Answer) -> tuple[float, ...]:
        """For each map, how much of the picture reaches its row's threshold; computed when one of them has changed."""
        thresholds = {row.id: row.style.threshold for row in settings.rows}
        levels = tuple(thresholds.get(row_id, 1.0) for row_id in answer.ids)
        if self._areas is None or self._areas[0] is not answer or self._areas[1] != levels:
            shares = tuple(
                float(np.count_nonzero(part >= np.float32(level)) / part.size)
                for part, level in zip(answer.maps, levels, strict=True)
            )
            self._areas = answer, levels, shares
        return self._areas[2]


def keys_of(rows: tuple[PromptRow, ...]) -> dict[int, Hashable]:
    """What tells the prompts of rows apart over time: the row, and what it asks for."""
    return {row.id: (row.id, row.text, row.picture, row.share) for row in rows}
