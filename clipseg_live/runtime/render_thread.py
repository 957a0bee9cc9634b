"""Thread that renders the newest frame with the newest prediction for the window and the outputs."""

import logging
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from clipseg_live.core import privacy
from clipseg_live.core.errors import ModelError
from clipseg_live.core.frame import Frame, Pixels
from clipseg_live.core.mattes import Effort, Label, MatteRequest, Mattes
from clipseg_live.core.metrics import Budget, Meter, Spread, StageTimings
from clipseg_live.core.protocols import Maps, Matting, Renderer
from clipseg_live.core.segmentation import UNUSABLE, is_usable
from clipseg_live.core.settings.live import LiveSettings, PromptRow
from clipseg_live.core.settings.rendering import RenderSettings
from clipseg_live.core.status import HiddenReason, Prediction, ViewFrame

logger = logging.getLogger(__name__)

_NO_MAPS: Maps = np.zeros((0, 1, 1), np.float32)

MakeRenderer = Callable[[RenderSettings], Renderer]
OnPicture = Callable[[ViewFrame, Frame], None]


@dataclass(frozen=True, slots=True, eq=False)
class TimedPrediction:
    """The newest probability maps, with their frame and the version of their prompts.

    Attributes:
        maps: Probability maps, float32 (prompts, h, w), 0..1.
        ids: Row id of each map.
        keys: Key of the prompt of each map, see ``keys_of``.
        index: Number of the frame.
        epoch: Epoch of the frame.
        version: Version of the prompts.
    """

    maps: Maps = field(default_factory=lambda: _NO_MAPS)
    ids: tuple[int, ...] = ()
    keys: tuple[Hashable, ...] = ()
    index: int = -1
    epoch: int = -1
    version: int = 0


class RenderThread:
    """Thread that draws frames at the rate of the source.

    Frames and predictions may come from any thread. Only the newest of each is kept. Frames that were never drawn are
    counted.

    In locked mode only frames with their own prediction are drawn. While no prediction can come (``set_answering``),
    frames are drawn without one, and privacy effects hide the whole frame. They also hide it while prompts are edited,
    and for maps with values that are not finite, which are dropped.

    Args:
        make_composer: Makes a renderer for render settings.
        make_matting: Makes the matting. Called in this thread.
        settings: First settings.
        on_picture: Called in this thread with each new rendered frame, as a view frame and as a frame.
        on_error: Called in this thread with the error of a frame.
        clock: Returns monotonic time in seconds.
    """

    grace = 0.04
    """Seconds to wait for the next frame before the present one is drawn with a new prediction or new settings."""

    def __init__(
        self,
        make_composer: MakeRenderer,
        make_matting: Callable[[], Matting],
        settings: LiveSettings,
        on_picture: OnPicture,
        on_error: Callable[[Exception], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._matting: Matting
        self._make_composer, self._on_picture, self._on_error = make_composer, on_picture, on_error
        self._make_matting = make_matting
        self._changed = threading.Condition()
        self._settings, self._version = settings, 0
        self._clock = clock
        self._edits = privacy.begin_edits(settings)
        self._hidden: HiddenReason | None = None
        self._unusable = False
        self._answering = self._replaced = False
        self._frame: Frame | None = None
        self._drawn: Frame | None = None
        self._result: tuple[Prediction, Frame | None, tuple[Hashable, ...]] | None = None
        self._redraw = False
        self._stop = False
        self._answer = TimedPrediction()
        self._own: Frame | None = None
        self._composer: tuple[RenderSettings, Renderer] | None = None
        self._areas: tuple[TimedPrediction, tuple[float, ...], tuple[float, ...]] | None = None
        self._budget = Budget()
        self.dropped = 0
        self.displayed, self.answered = Meter(), Meter()
        self.delay, self.timings = Spread(), StageTimings()
        self._thread = threading.Thread(target=self._run, name="clipseg-live compose", daemon=True)

    @property
    def effort(self) -> Effort:
        """Return the effort that edges may cost at present."""
        return self._budget.effort

    @property
    def hidden(self) -> HiddenReason | None:
        """Return the reason for which a hiding effect hides the newest frame, or None if it does not."""
        return self._hidden

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put_frame(self, frame: Frame) -> None:
        """Set the frame to draw next. Return at once."""
        with self._changed:
            self.dropped += self._frame is not None and self._settings.display == "smooth"
            self._frame = frame
            self._changed.notify_all()

    def put_result(self, result: Prediction, frame: Frame | None, keys: tuple[Hashable, ...]) -> None:
        """Set the prediction to use from now on. Return at once.

        Args:
            result: Prediction.
            frame: Frame of the prediction, if it is known.
            keys: Key of the prompt of each map, see ``keys_of``.
        """
        with self._changed:
            self._result = result, frame, keys
            self._changed.notify_all()

    def set_settings(self, settings: LiveSettings, version: int) -> None:
        """Use other settings from now on.

        Args:
            settings: New settings.
            version: Version of the prompts that are requested from now on.
        """
        with self._changed:
            self._edits = privacy.edit(self._edits, self._settings, settings, self._clock())
            self._settings, self._version = settings, version
            self._redraw = True
            self._changed.notify_all()

    def set_answering(self, answering: bool, replaced: bool = False) -> None:
        """Note the state of the worker.

        Args:
            answering: Predictions can be expected.
            replaced: They come from another model than the requested one. Hiding effects do not rely on them.
        """
        with self._changed:
            self._answering, self._replaced = answering, replaced
            self._changed.notify_all()

    def request_stop(self) -> None:
        """End the thread soon. Return at once."""
        with self._changed:
            self._stop = True
            self._changed.notify_all()

    def join(self, deadline: float) -> bool:
        """Wait at most ``deadline`` seconds, and return whether the thread has ended."""
        if self._thread.ident is not None:
            self._thread.join(deadline)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._matting = self._make_matting()  # in this thread: it loads libraries, and the window must not wait
        try:
            while self._once():
                pass
        finally:
            self._drop_composer()

    def _once(self) -> bool:
        """Wait for something to draw, and draw it. Return False when the thread must end."""
        with self._changed:
            if not self._changed.wait_for(self._has_work, self._seconds_to_check()):
                self._redraw = True
            if self._frame is None and not self._locked():
                self._changed.wait_for(lambda: self._stop or self._frame is not None, self.grace)
            if self._stop:
                return False
            settings, version, redraw, locked = self._settings, self._version, self._redraw, self._locked()
            frame, result = self._frame, self._result
            self._frame, self._result, self._redraw = None, None, False
        try:
            self._compose_newest(settings, version, frame, result, redraw, locked)
        except Exception as error:  # the next frame starts from a clean state
            logger.exception("Rendering a frame failed")
            self._on_error(error)
            self._drop_mattes()
            self._drop_composer()
        return True

    def _drop_mattes(self) -> None:
        """Make new matting for the next prediction."""
        self._matting = self._make_matting()
        self._answer = TimedPrediction()

    def _drop_composer(self) -> None:
        if self._composer is not None:
            composer, self._composer = self._composer[1], None
            composer.close()

    def _locked(self) -> bool:
        return self._settings.display == "locked" and self._answering

    def _seconds_to_check(self) -> float | None:
        """Return the seconds until an edited prompt may apply without a new frame or prediction, or None for never."""
        now = self._clock()
        check = privacy.next_check(self._edits, self._settings, now)
        return None if check is None else check - now

    def _has_work(self) -> bool:
        return self._stop or self._redraw or self._frame is not None or self._result is not None

    def _compose_newest(
        self,
        settings: LiveSettings,
        version: int,
        frame: Frame | None,
        result: tuple[Prediction, Frame | None, tuple[Hashable, ...]] | None,
        redraw: bool,
        locked: bool,
    ) -> None:
        stages: dict[str, float] = {}
        if result is not None:
            self._take_in(*result)
            stages.update({} if result[0].unchanged else result[0].milliseconds)
        if locked:
            shown = self._own if result is not None else self._drawn if redraw else None
        else:
            shown = frame or self._drawn
        if shown is None:
            return
        picture = self._compose(settings, version, shown, stages)
        self.displayed.tick()
        if shown is not self._drawn and shown.captured is not None:
            self.delay.add((time.monotonic() - shown.captured) * 1000)
        self._drawn = shown
        self.timings.add(stages)
        self._on_picture(picture, replace(shown, pixels=picture.composed))

    def _take_in(self, result: Prediction, frame: Frame | None, keys: tuple[Hashable, ...]) -> None:
        if not result.unchanged:
            self.answered.tick()
        self._own = frame
        if not is_usable(result.maps, len(result.ids)):
            if not self._unusable:
                logger.error("Prediction for frame %d dropped: its values are not finite", result.index)
                self._on_error(ModelError(UNUSABLE))
            self._unusable = True
            return
        self._unusable = False
        self._answer = TimedPrediction(result.maps, result.ids, keys, result.index, result.epoch, result.version)
        self._matting.take(result.maps, keys, result.index, result.epoch)

    def _compose(self, settings: LiveSettings, version: int, frame: Frame, stages: dict[str, float]) -> ViewFrame:
        """Render a frame with the mattes of the shown rows, from the newest prediction of its epoch."""
        answer = self._answer if self._answer.epoch == frame.epoch else TimedPrediction()
        rows = [row for row in settings.shown() if row.id in answer.ids]
        start, begun = time.perf_counter(), time.thread_time()
        try:
            self._matting.show(frame, settings.matte)
            followed = time.perf_counter()
            mattes = self._mattes(settings, frame, answer, rows)
        except Exception as error:
            logger.exception("Making the mattes of a frame failed")
            self._on_error(error)
            self._drop_mattes()
            followed = time.perf_counter()
            mattes, answer, rows = Mattes(frame.height, frame.width, own=False), self._answer, []
        fitted = time.perf_counter()
        look = settings.look(tuple(row for row in rows if row.style.role == "show"))
        drawn = tuple(row.id for row in rows if row.style.role == "show")
        known = dict(zip(drawn, mattes.presence, strict=False))
        shares = self._shares(settings, answer)
        mattes = self._with_policy(settings, version, frame, answer, shares, mattes)
        composed = self._draw(look, frame, mattes)
        done = time.perf_counter()
        stages["follow"], stages["mattes"] = (followed - start) * 1000, (fitted - followed) * 1000
        stages["compose"] = (done - fitted) * 1000
        if frame is not self._drawn and not frame.independent:
            # CPU time of this thread: simpler edges do not shorten the wait for a processor
            number = frame.index if settings.display == "smooth" else None
            self._budget.spent(time.thread_time() - begun, frame.captured, number)
        return ViewFrame(
            composed=composed,
            original=frame.pixels,
            index=frame.index,
            epoch=frame.epoch,
            time=frame.time,
            maps=answer.maps,
            ids=answer.ids,
            shares=shares,
            presence=tuple(known.get(row_id, 0.0) for row_id in answer.ids),
            mattes=mattes,
            drawn=drawn if mattes.each else (),
            labels=_labels(look) if mattes.each else (),
            own=(answer.index, answer.epoch) == (frame.index, frame.epoch),
            version=answer.version,
            settings=settings,
            hidden=self._hidden,
            file=frame.file,
        )

    def _with_policy(
        self, settings: LiveSettings, version: int, frame: Frame, answer: TimedPrediction, shares: tuple[float, ...],
        mattes: Mattes,
    ) -> Mattes:  # fmt: skip
        """Mark the mattes as not the frame's own if hiding effects must hide the whole frame."""
        # A prediction for newer prompts can arrive before the settings. It does not fit the rows that are drawn.
        asked, answered = keys_of(settings.shown()), dict(zip(answer.ids, answer.keys, strict=True))
        fits = all(answered.get(number) == key for number, key in asked.items() if key[1] is not None)
        own = mattes.own and answer.version >= version and fits
        with self._changed:
            if own and (answer.index, answer.epoch) == (frame.index, frame.epoch):
                detected = {row_id for row_id, share in zip(answer.ids, shares, strict=True) if share > 0}
                self._edits = privacy.settle(self._edits, settings, detected, self._clock())
            edits, replaced = self._edits, self._replaced
        self._hidden = privacy.reason_to_hide(settings, edits, own and not replaced)
        return replace(mattes, own=own and self._hidden is None)

    def _mattes(self, settings: LiveSettings, frame: Frame, answer: TimedPrediction, rows: list[PromptRow]) -> Mattes:
        keys = dict(zip(answer.ids, answer.keys, strict=True))
        request = MatteRequest(
            keys=tuple(keys[row.id] for row in rows),
            ids=tuple(row.id for row in rows),
            styles=tuple(row.style for row in rows),
            settings=settings.matte,
            cautious=privacy.is_cautious(settings.effects),
            effort="full" if frame.independent else self._budget.effort,
        )
        return self._matting.mattes(frame, request)

    def _draw(self, look: RenderSettings, frame: Frame, mattes: Mattes) -> Pixels:
        """Draw the effects. If one fails, return the frame without them, or a black one if it had to be hidden."""
        try:
            moment = Fraction(0) if frame.independent else frame.time
            composed = self._composer_of(look).compose(frame.pixels, mattes, moment)
        except Exception as error:
            logger.exception("Drawing the effects of a frame failed")
            self._on_error(error)
            self._drop_composer()
            composed = privacy.without_effects(frame.pixels, look.effects)
        composed.setflags(write=False)
        return composed

    def _composer_of(self, look: RenderSettings) -> Renderer:
        if self._composer is None or self._composer[0] != look:
            self._drop_composer()
            self._composer = look, self._make_composer(look)
        return self._composer[1]

    def _shares(self, settings: LiveSettings, answer: TimedPrediction) -> tuple[float, ...]:
        """Return the area of each map that reaches the threshold of its row, 0..1.

        The areas are cached until the maps or the thresholds change.
        """
        thresholds = {row.id: row.style.threshold for row in settings.rows}
        levels = tuple(thresholds.get(row_id, 1.0) for row_id in answer.ids)
        if self._areas is None or self._areas[0] is not answer or self._areas[1] != levels:
            shares = tuple(
                float(np.count_nonzero(part >= np.float32(level)) / part.size)
                for part, level in zip(answer.maps, levels, strict=True)
            )
            self._areas = answer, levels, shares
        return self._areas[2]


def _labels(look: RenderSettings) -> tuple[Label, ...]:
    return tuple(Label(name, style.threshold) for name, style in zip(look.names, look.styles, strict=True))


def keys_of(rows: tuple[PromptRow, ...]) -> dict[int, tuple[int, privacy.Content | None]]:
    """Return a key for the prompt of each row: its id and its content.

    Predictions with equal keys belong to the same prompt.
    """
    return {row.id: (row.id, privacy.content_of(row)) for row in rows}
