"""Thread that renders the newest frame with the newest prediction for the window and the outputs."""

import logging
import threading
import time
from collections.abc import Callable

from clipseg_live.core.analysis.comparison import VariantView
from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import Effort
from clipseg_live.core.metrics import Budget, Meter, Spread, StageTimings
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.status import HiddenReason, Prediction
from clipseg_live.runtime.comparison import ComparisonRenderer, select_prediction
from clipseg_live.runtime.edit_guard import EditGuard
from clipseg_live.runtime.pipeline import FramePipeline, RenderTools, live_plan

logger = logging.getLogger(__name__)

OnPicture = Callable[[RenderedFrame, tuple[VariantView, ...]], None]


class RenderThread:
    """Thread that draws frames at the rate of the source.

    Frames and predictions may come from any thread. Only the newest of each is kept. Frames that were never drawn are
    counted.

    In locked mode only frames with their own prediction are drawn. While no prediction can come (``set_worker_state``),
    frames are drawn without one, and privacy effects hide the whole frame. They also hide it while prompts are edited,
    and for maps with values that are not finite, which are dropped.

    Args:
        tools: Parts of the frame pipeline. They are made in this thread.
        settings: First settings.
        on_picture: Called in this thread with each new rendered frame, and its views in a comparison.
        on_error: Called in this thread with the error of a frame.
        clock: Returns monotonic time in seconds.
    """

    grace = 0.04
    """Seconds to wait for the next frame before the current one is drawn with a new prediction or new settings."""

    def __init__(
        self,
        tools: RenderTools,
        settings: LiveSettings,
        on_picture: OnPicture,
        on_error: Callable[[Exception], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_picture, self._on_error = on_picture, on_error
        self._changed = threading.Condition()
        self._settings, self._plan = settings, live_plan(settings, 0)
        self._guard = EditGuard(settings, clock)
        self._pipeline = FramePipeline(self._plan, tools, guard=self._guard, on_error=on_error)
        self._comparison = ComparisonRenderer(tools, on_error)
        self._hidden: HiddenReason | None = None
        self._expects_predictions = self._is_substitute = False
        self._frame: Frame | None = None
        self._last_drawn: Frame | None = None
        self._result: tuple[Prediction, Frame | None] | None = None
        self._redraw = False
        self._stop = False
        self._predicted_frame: Frame | None = None
        self._budget = Budget()
        self.dropped = 0
        self.displayed, self.predicted = Meter(), Meter()
        self.delay, self.timings = Spread(), StageTimings()
        self._thread = threading.Thread(target=self._run, name="clipseg-live render", daemon=True)

    @property
    def effort(self) -> Effort:
        """Return the effort to spend on edges now."""
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

    def put_result(self, result: Prediction, frame: Frame | None) -> None:
        """Set the prediction to use from now on. Return at once.

        Args:
            result: Prediction, with the keys of its prompts (``pipeline.keys_of``).
            frame: Frame of the prediction, if it is known.
        """
        with self._changed:
            self._result = result, frame
            self._changed.notify_all()

    def set_settings(self, settings: LiveSettings, version: int) -> None:
        """Use other settings from now on.

        Args:
            settings: New settings.
            version: Version of the prompts that are requested from now on.
        """
        with self._changed:
            self._guard.edit(self._settings, settings)
            self._settings, self._plan = settings, live_plan(settings, version)
            self._redraw = True
            self._changed.notify_all()

    def set_worker_state(self, expects_predictions: bool, is_substitute: bool = False) -> None:
        """Note the state of the worker.

        Args:
            expects_predictions: Predictions can be expected.
            is_substitute: They come from another model than the requested one. Hiding effects do not rely on them.
        """
        with self._changed:
            self._expects_predictions, self._is_substitute = expects_predictions, is_substitute
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
        self._pipeline.prepare()  # in this thread: it loads libraries, and the window must not wait
        try:
            while self._step():
                pass
        finally:
            self._pipeline.close()
            self._comparison.close()

    def _step(self) -> bool:
        """Wait for something to draw, and draw it. Return False when the thread must end."""
        with self._changed:
            if not self._changed.wait_for(self._has_work, self._guard.seconds_to_check(self._settings)):
                self._redraw = True
            if self._frame is None and not self._is_locked():
                self._changed.wait_for(lambda: self._stop or self._frame is not None, self.grace)
            if self._stop:
                return False
            settings = self._settings
            plan, redraw, locked, reliable = self._plan, self._redraw, self._is_locked(), not self._is_substitute
            frame, result = self._frame, self._result
            self._frame, self._result, self._redraw = None, None, False
        self._pipeline.update(plan)
        try:
            self._comparison.update(settings)
            if result is not None:
                self._add_prediction(*result, settings)
            if locked:
                next_frame = self._predicted_frame if result is not None else self._last_drawn if redraw else None
            else:
                next_frame = frame or self._last_drawn
            if next_frame is not None:
                self._render(
                    next_frame, reliable, {} if result is None or result[0].unchanged else result[0].milliseconds
                )
        except Exception as error:  # the next frame starts from a clean state
            logger.exception("Rendering a frame failed")
            self._on_error(error)
            self._pipeline.reset()
            self._comparison.close()
        return True

    def _is_locked(self) -> bool:
        return self._settings.display == "locked" and self._expects_predictions

    def _has_work(self) -> bool:
        return self._stop or self._redraw or self._frame is not None or self._result is not None

    def _add_prediction(self, result: Prediction, frame: Frame | None, settings: LiveSettings) -> None:
        if not result.unchanged:
            self.predicted.tick()
        self._predicted_frame = frame
        if settings.comparison is None:
            self._pipeline.add_prediction(result)
        else:
            self._pipeline.add_prediction(select_prediction(result, settings.rows))
        self._comparison.add_prediction(result)

    def _render(self, frame: Frame, reliable: bool, engine_times: dict[str, float]) -> None:
        start = time.thread_time()
        rendered = self._pipeline.process(frame, effort=self._budget.effort, reliable=reliable)
        rendered.composed.setflags(write=False)
        views = self._comparison.render(rendered, self._budget.effort)
        self._hidden = rendered.hidden
        is_new = frame is not self._last_drawn
        if is_new and not frame.independent:
            # CPU time of this thread: simpler edges do not shorten the wait for a processor
            number = frame.index if self._settings.display == "smooth" else None
            self._budget.spent(time.thread_time() - start, frame.captured, number)
        self.displayed.tick()
        if is_new and frame.captured is not None:
            self.delay.add((time.monotonic() - frame.captured) * 1000)
        self._last_drawn = frame
        self.timings.add({**engine_times, **rendered.milliseconds})
        self._on_picture(rendered, views)
