"""Live session: capture, worker, rendering and outputs, controlled by one frozen settings object."""

import logging
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from clipseg_live.core.analysis.comparison import VariantView
from clipseg_live.core.analysis.histograms import MapHistogram
from clipseg_live.core.analysis.word_maps import WordMaps
from clipseg_live.core.errors import ClipsegLiveError, UsageError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.metrics import Spread
from clipseg_live.core.privacy import was_drawn_hiding
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.base import BUILT_IN_MODEL, DEFAULT_MODEL
from clipseg_live.core.settings.effects import is_private
from clipseg_live.core.settings.live import LiveSettings, PromptRow, SourceSpec
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings
from clipseg_live.core.state_machine import SESSION, SessionState, StateMachine
from clipseg_live.core.status import (
    Message,
    Prediction,
    PromptSet,
    Rates,
    SessionStatus,
    WorkerState,
    WorkerStatus,
)
from clipseg_live.core.system.settings_log import SettingsLog
from clipseg_live.runtime.capture import Capture, FrameFilter, OpenSource
from clipseg_live.runtime.comparison import predicted_rows
from clipseg_live.runtime.inference.client import ClientEvents, InferenceClient
from clipseg_live.runtime.inference.server import MakeEngine
from clipseg_live.runtime.map_histograms import MapHistograms
from clipseg_live.runtime.outputs.privacy_gate import may_publish
from clipseg_live.runtime.outputs.recording_segment import RecordingTools
from clipseg_live.runtime.outputs.registry import RecordingOutputs
from clipseg_live.runtime.outputs.virtual_camera import MakeCamera, VirtualCameraManager
from clipseg_live.runtime.pipeline import RenderTools, keys_of
from clipseg_live.runtime.render_thread import RenderThread
from clipseg_live.runtime.word_asking import WordAsking, without_words

logger = logging.getLogger(__name__)

_RATES_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class SessionTools:
    """Parts that a session is made of.

    Attributes:
        open_source: Makes a source. Called in the capture thread.
        frame_filter: Crops, rotates and mirrors the pixels of a frame.
        rendering: Parts of the frame pipeline.
        make_engine: Loads the engine in the worker process.
        recording: Functions for recordings.
        make_camera: Makes a virtual camera that is not open yet.
        before_worker: Called before a worker process is started.
    """

    open_source: OpenSource
    frame_filter: FrameFilter
    rendering: RenderTools
    make_engine: MakeEngine
    recording: RecordingTools
    make_camera: MakeCamera
    before_worker: Callable[[], None] = lambda: None


class Session:
    """All threads and processes of a live session (``core.protocols.LiveSession``).

    Start it once. It cannot be started again after ``stop``.

    Args:
        settings: First settings.
        tools: Parts of the session.
        clock: Returns monotonic time in seconds, for edits of prompts.
    """

    def __init__(
        self, settings: LiveSettings, tools: SessionTools, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.on_picture: Callable[[], None] = lambda: None
        self.on_message: Callable[[Message], None] = lambda message: None
        self._settings = settings
        self._settings_log = SettingsLog(logger)
        self._machine = StateMachine(SessionState.NEW, SESSION)
        self._lock = threading.Lock()
        self._prompts: dict[Hashable, Prompt | None] = {}
        self._asking = WordAsking()
        self._prompt_set = self._prompts_of(settings, 1)
        self._keys: dict[int, Mapping[int, Hashable]] = {1: keys_of(predicted_rows(settings))}
        self._picture: RenderedFrame | None = None
        self._views: tuple[RenderedFrame | None, tuple[VariantView, ...]] = (None, ())
        self._info: SourceInfo | None = None
        self._worker_problem = self._render_problem = self._replaced = self._notice = ""
        self._abandoned: tuple[str, ...] = ()
        self._cached_rates: tuple[float, Rates] = (0.0, Rates())
        self._recomputed = Spread()
        self._histograms = MapHistograms()
        self._outputs = RecordingOutputs(tools.recording, self._send_message)
        self._outputs.set_live_settings(settings)
        self._camera = VirtualCameraManager(
            tools.make_camera, self._camera_source, self._may_publish, lambda message: self.on_message(message)
        )
        self._capture = Capture(tools.open_source, tools.frame_filter, self._take_frame)
        self._worker = InferenceClient(
            tools.make_engine,
            settings.worker_engine,
            ClientEvents(
                on_result=self._take_result,
                on_status=self._handle_worker_status,
                on_notice=self._report_notice,
                before_start=tools.before_worker,
            ),
        )
        self._render_thread = RenderThread(
            tools.rendering, settings, self._take_rendered, self._report_render_error, clock=clock
        )

    @property
    def settings(self) -> LiveSettings:
        """Return the current settings."""
        return self._settings

    def start(self) -> None:
        """Start the threads and the worker. ``open`` opens a source."""
        self._machine.to(SessionState.RUNNING)
        self._settings_log.put(self._settings)
        self._capture.set_framing(self._settings.framing)
        self._render_thread.start()
        self._worker.set_prompts(self._prompt_set)
        self._worker.start()

    def apply(self, settings: LiveSettings) -> None:
        """Apply settings. Values that did not change have no effect."""
        with self._lock:
            previous, self._settings = self._settings, settings
            self._settings_log.put(settings)
            stopped = is_private(settings.effects) and self._asking.set_words((), None)
            if stopped or (settings.rows, settings.comparison) != (previous.rows, previous.comparison):
                self._edit_prompts(settings)
        if settings.worker_engine != previous.worker_engine:
            self._worker.set_engine(settings.worker_engine)
        self._capture.set_framing(settings.framing)
        self._render_thread.set_settings(settings, self._prompt_set.version)
        self._outputs.set_live_settings(settings)

    def open(self, spec: SourceSpec) -> None:
        """Open a source in place of the current one."""
        if self._machine.state is SessionState.RUNNING:
            self._picture = None
            self._camera.forget()
            self._capture.open(spec)
            self._histograms.clear()

    def picture(self) -> RenderedFrame | None:
        """Return the newest rendered frame, or None if there is none or the current effects forbid to show it."""
        picture = self._picture
        return picture if picture is not None and was_drawn_hiding(picture, self._settings) else None

    def variant_views(self) -> tuple[VariantView, ...]:
        """Return the views of the variants of a comparison, of the same frame as ``picture``; none without one."""
        rendered, views = self._views
        is_valid = rendered is not None and rendered is self.picture()
        return views if is_valid and len(views) == len(self._settings.compared()) else ()

    def ask_words(self, words: tuple[str, ...]) -> None:
        """Ask for the maps of these words in the shown frame, in the background; empty to stop.

        Nothing is asked while an effect hides something: the words would say what is hidden.
        """
        picture = self._picture
        frame = None if picture is None else (picture.epoch, picture.index)
        with self._lock:
            allowed = () if is_private(self._settings.effects) else words
            if self._machine.state is SessionState.RUNNING and self._asking.set_words(allowed, frame):
                self._edit_prompts(self._settings)

    def word_maps(self) -> WordMaps:
        """Return the maps of the words that were asked so far."""
        return self._asking.result()

    def histograms(self) -> Mapping[int, MapHistogram]:
        """Return the histograms of the probability maps by row id."""
        return self._histograms.all()

    def status(self) -> SessionStatus:
        """Return the current status of all parts."""
        with self._lock:
            self._settings_log.flush()
        return SessionStatus(
            source=self._capture.status,
            worker=self._worker.status,
            recording=self._outputs.status,
            camera=self._camera.status,
            rates=self._rates(),
            effort=self._render_thread.effort,
            hidden=self._render_thread.hidden,
        )

    def _rates(self) -> Rates:
        """Return the rates. They are computed at most every half second, because each is a sum over seconds."""
        now = time.monotonic()
        if now < self._cached_rates[0] + _RATES_SECONDS:
            return self._cached_rates[1]
        median, late = self._render_thread.delay.percentiles(50, 95)
        rates = Rates(
            capture=self._capture.meter.rate(),
            inference=self._render_thread.predicted.rate(),
            display=self._render_thread.displayed.rate(),
            delay=(median, late),
            dropped=self._render_thread.dropped,
            skipped=max(self._worker.submitted - self._worker.taken, 0),
            unchanged=self._worker.unchanged,
            stages=self._render_thread.timings.medians(),
            recomputed=self._recomputed.mean(),
        )
        self._cached_rates = now, rates
        return rates

    def play(self) -> None:
        """Play the source."""
        self._capture.play()

    def pause(self) -> None:
        """Pause the source."""
        self._capture.pause()

    def seek(self, time: Fraction) -> None:
        """Go to a time of the source, in seconds."""
        self._capture.seek(time)

    def step(self, frames: int) -> None:
        """Go forward by a number of frames, or back if it is negative."""
        self._capture.step(frames)

    def set_loop(self, loop: bool) -> None:
        """Set whether a file starts again at its end."""
        self._capture.set_loop(loop)

    def set_speed(self, speed: float) -> None:
        """Set the speed of playback."""
        self._capture.set_speed(speed)

    def set_control(self, name: str, value: float) -> None:
        """Set a control of the device, such as the exposure of a camera."""
        self._capture.set_control(name, value)

    def restart_worker(self) -> None:
        """Restart the worker process now."""
        self._worker.restart()

    def timings(self) -> Sequence[tuple[float, Mapping[str, float]]]:
        """Return the age in seconds and the milliseconds of the stages of each recent frame, oldest first."""
        return self._render_thread.timings.recent()

    def start_recording(self, folder: Path, settings: RecordingSettings) -> None:
        """Start a recording.

        Args:
            folder: Folder for the files.
            settings: Settings of the recording.

        Raises:
            UsageError: There is no frame yet, or a recording is running.
            SinkError: The folder cannot be written to.
        """
        if self._info is None:
            raise UsageError("There is no frame to record yet: open a source first.")
        self._outputs.start_recording(folder, settings, self._settings, self._info.name)

    def pause_recording(self) -> None:
        """Pause the recording."""
        self._outputs.pause_recording()

    def resume_recording(self) -> None:
        """Continue the recording."""
        self._outputs.resume_recording()

    def stop_recording(self) -> None:
        """Finish the recording."""
        self._outputs.stop_recording()

    def start_camera(self, settings: VirtualCameraSettings) -> None:
        """Send the rendered frames to a virtual camera. It replaces one that runs."""
        with self._lock:  # not after the session was stopped
            if self._machine.state is SessionState.RUNNING:
                self._camera.start(settings)
                if (picture := self._picture) is not None:  # a paused source gives no other frame
                    self._camera.put(picture)

    def stop_camera(self) -> None:
        """Stop the virtual camera."""
        self._camera.stop()

    def set_replay(self, settings: RecordingSettings) -> None:
        """Keep the last seconds from now on, with these settings."""
        self._outputs.set_replay(settings)

    def save_replay(self, folder: Path) -> None:
        """Save the last seconds into a folder."""
        self._outputs.save_replay(folder, self._settings, self._info.name if self._info is not None else "")

    def stop(self, deadline: float = 2.0) -> tuple[str, ...]:
        """End everything within ``deadline`` seconds, and return the names of the threads that had to be abandoned.

        A later call returns the same names.
        """
        with self._lock:
            if self._machine.state in (SessionState.STOPPED, SessionState.STOPPING):
                return self._abandoned
            was_started = self._machine.state is not SessionState.NEW
            self._machine.to(SessionState.STOPPING if was_started else SessionState.STOPPED)
            if not was_started:
                return ()
        limit = time.monotonic() + deadline
        self._camera.stop()
        self._outputs.request_stop()
        self._capture.request_stop()
        self._worker.request_stop()
        self._render_thread.request_stop()

        def seconds_left() -> float:
            return max(0.0, limit - time.monotonic())

        abandoned = [] if self._render_thread.join(seconds_left()) else ["clipseg-live render"]
        abandoned += [] if self._worker.join(seconds_left()) else ["clipseg-live worker"]
        abandoned += self._camera.join(seconds_left())
        abandoned += self._outputs.join()
        abandoned += self._capture.join(seconds_left())
        self._abandoned = tuple(abandoned)
        self._machine.to(SessionState.STOPPED)
        return self._abandoned

    def _edit_prompts(self, settings: LiveSettings) -> None:
        """Send a new version of the prompts to the worker if their content has changed."""
        version = self._prompt_set.version + 1
        prompts = self._prompts_of(settings, version)
        if (prompts.ids, prompts.prompts) != (self._prompt_set.ids, self._prompt_set.prompts):
            self._prompt_set = prompts
            newest = {number: keys for number, keys in self._keys.items() if number > version - 32}
            self._keys = {**newest, version: keys_of(self._asked_rows(settings))}
            self._worker.set_prompts(prompts)

    def _prompts_of(self, settings: LiveSettings, version: int) -> PromptSet:
        """Return the prompts of all rows with content, in all variants.

        They are cached, because the hash of an image takes a while.
        """
        rows = self._asked_rows(settings)
        keys = keys_of(rows)
        cached = self._prompts
        self._prompts = {keys[row.id]: cached.get(keys[row.id]) or row.prompt for row in rows}
        row_prompts = [(row.id, prompt) for row in rows if (prompt := self._prompts[keys[row.id]]) is not None]
        return PromptSet(
            version, tuple(row_id for row_id, _ in row_prompts), tuple(prompt for _, prompt in row_prompts)
        )

    def _asked_rows(self, settings: LiveSettings) -> tuple[PromptRow, ...]:
        """Return all rows that the worker predicts: those of all variants, and the words that are asked now."""
        return (*predicted_rows(settings), *self._asking.rows())

    def _take_frame(self, frame: Frame, info: SourceInfo) -> None:
        previous, self._info = self._info, info
        if info is not previous and (info.notices or (previous is not None and previous.notices)):
            self._send_message("source", " ".join(info.notices), "info")
        self._render_thread.put_frame(frame)
        self._worker.submit(frame)

    def _take_result(self, result: Prediction, frame: Frame | None) -> None:
        if result.epoch != self._capture.epoch:
            return
        if result.recomputed is not None:
            if result.recomputed < 1 and self._settings.worker_engine.reuse != "on":
                return  # it was on its way when exact maps became necessary; the worker answers the frame again
            self._recomputed.add(result.recomputed)
        keys = self._keys.get(result.version, {})
        keyed = replace(result, keys=tuple(keys.get(row_id, row_id) for row_id in result.ids))
        masks = without_words(keyed)
        self._render_thread.put_result(masks, frame)
        self._histograms.add(masks)
        if self._asking.take(keyed):
            with self._lock:
                self._edit_prompts(self._settings)

    def _take_rendered(self, rendered: RenderedFrame, views: tuple[VariantView, ...]) -> None:
        if rendered.epoch != self._capture.epoch or not was_drawn_hiding(rendered, self._settings):
            return
        self._views = rendered, views
        self._picture = rendered
        try:
            if self._info is not None:
                self._outputs.put(rendered, self._info)
        except Exception as error:  # a failed output must not stop the others
            logger.exception("Passing a frame to the recording failed")
            self._report_render_error(error)
        self._camera.put(rendered)
        self.on_picture()

    def _may_publish(self, rendered: RenderedFrame) -> bool:
        """Return whether a virtual camera may show a rendered frame at this moment."""
        with self._lock:
            settings, version = self._settings, self._prompt_set.version
        return may_publish(rendered, settings, version, self._worker.status.state, self._capture.status.state)

    def _camera_source(self) -> SourceInfo | None:
        picture, info = self._picture, self._info
        if picture is None or info is None:
            return None
        return replace(info, width=picture.width, height=picture.height)

    def _report_render_error(self, error: Exception) -> None:
        if isinstance(error, ClipsegLiveError):
            text = str(error)
        else:
            reason = " ".join(str(error).split())[:160]
            text = f"A frame could not be drawn ({type(error).__name__}: {reason}). See the log for details."
        if text != self._render_problem:  # report it once, not for every frame
            self._render_problem = text
            self._send_message("render", text, "error")

    def _handle_worker_status(self, status: WorkerStatus) -> None:
        # the demo model, which replaces a missing model, does not count as the requested one
        is_substitute = status.model == BUILT_IN_MODEL and self._settings.engine.model == DEFAULT_MODEL
        self._render_thread.set_worker_state(status.state is WorkerState.READY, is_substitute)
        if status.problem != self._worker_problem:
            self._worker_problem = status.problem
            self._send_message("worker", status.problem, "warning")
        if status.state is WorkerState.LOADING and self._notice:
            self._report_notice("")  # it was about the previous engine
        if status.replaced != self._replaced:
            self._replaced = status.replaced
            self._send_message("model", status.replaced, "warning")

    def _report_notice(self, text: str) -> None:
        self._notice = text
        self._send_message("engine", text, "warning")

    def _send_message(self, topic: str, text: str, level: str) -> None:
        self.on_message(Message(topic, text, level))  # type: ignore[arg-type]
