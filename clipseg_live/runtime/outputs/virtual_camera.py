"""Virtual camera output: sends the newest rendered frame, or the safe image, at a steady rate."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from clipseg_live.core.errors import ClipsegLiveError
from clipseg_live.core.frame import SourceInfo
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.virtual_camera import VirtualCameraFormat, VirtualCameraSettings, VirtualCameraStatus
from clipseg_live.core.status import Message

if TYPE_CHECKING:
    from clipseg_live.media.virtual_camera import VirtualCamera

logger = logging.getLogger(__name__)

MakeCamera = Callable[[VirtualCameraSettings], "VirtualCamera"]
"""Makes a virtual camera that is not open yet."""
UNKNOWN_SOURCE = SourceInfo("", 0, 0, None, Fraction(1, 1000))
CAMERA_TOPIC = "virtual camera"
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""First and longest pause in seconds before a virtual camera is opened again. Each is twice as long as the last."""
_SOURCE_SECONDS = 2.0
"""Longest wait for the size and rate of the source, if the virtual camera uses them."""
_RELEASE_SECONDS = 5.0


class VirtualCameraThread:
    """One virtual camera from start to stop, in a thread of its own.

    Only the newest frame is kept. The safe image is sent in place of a frame that ``may_show`` rejects. A virtual
    camera that fails is reported once and opened again, after longer and longer pauses.

    All callbacks are called in this thread.

    Args:
        make_output: Makes a virtual camera that is not open yet, for each attempt.
        settings: Settings of the virtual camera.
        source: Returns the properties of the next frames, or None while they are not known.
        may_show: Returns whether a frame may be shown to others now. It is called before each sending, also for a frame
            that was sent before, and must be quick.
        send_message: Called with messages.
        predecessor: A virtual camera that runs and must release its device first.
        first_pause: First pause in seconds before the device is opened again.
    """

    def __init__(
        self,
        make_output: MakeCamera,
        settings: VirtualCameraSettings,
        *,
        source: Callable[[], SourceInfo | None],
        may_show: Callable[[RenderedFrame], bool],
        send_message: Callable[[Message], None],
        predecessor: "VirtualCameraThread | None" = None,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self.settings = settings
        self._make_output, self._source, self._may_show = make_output, source, may_show
        self._send_message = send_message
        self._predecessor = predecessor
        self._first_pause = self._pause = first_pause
        self._changed = threading.Condition()
        self._stop = False
        self._newest: RenderedFrame | None = None
        self._status = VirtualCameraStatus(active=True, shows_placeholder=True)
        self._reported_problem = ""
        self._thread = threading.Thread(target=self._run, name="clipseg-live virtual camera", daemon=True)

    @property
    def status(self) -> VirtualCameraStatus:
        """Return the current status of the virtual camera."""
        return self._status

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, rendered: RenderedFrame) -> None:
        """Set the newest rendered frame. Never wait."""
        with self._changed:
            self._newest = rendered

    def forget(self) -> None:
        """Drop the newest frame, and wait for the first one of another source."""
        with self._changed:
            self._newest = None

    def request_stop(self) -> None:
        """Stop the virtual camera soon. Return at once."""
        with self._changed:
            self._stop = True
            self._changed.notify_all()

    def join(self, deadline: float) -> bool:
        """Wait at most ``deadline`` seconds, and return whether the thread has ended."""
        if self._thread.ident is not None:
            self._thread.join(deadline)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            if self._predecessor is not None:
                self._predecessor.join(_RELEASE_SECONDS)
                self._predecessor = None
            while not self._stop:
                try:
                    self._serve()
                except Exception as error:  # drivers raise errors of any kind
                    logger.warning("The virtual camera failed", exc_info=True)
                    self._report_failure(error)
                if self._wait_for_stop(self._pause):
                    break
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
        finally:
            self._newest = None
            self._status = replace(self._status, active=False, shows_placeholder=False, problem="")
            self._clear_problem()

    def _serve(self) -> None:
        """Open the virtual camera and send until it is stopped. Errors of the device are passed on."""
        output = self._make_output(self.settings)
        try:
            output.open(self._wait_for_source() or UNKNOWN_SOURCE)
            self._send(output, self._safe_frame(output))
        finally:
            try:
                output.finish()
            except Exception:
                logger.warning("The virtual camera could not be closed", exc_info=True)

    def _send(self, output: "VirtualCamera", safe: RenderedFrame) -> None:
        due, step = time.monotonic(), float(1 / output.format.rate)
        while not self._wait_for_stop(due - time.monotonic()):
            newest = self._newest
            frame = newest if newest is not None and self._may_show(newest) else None
            output.write(safe if frame is None else frame)
            self._update_status(output.format, is_safe=frame is None)
            due += step
            late = int((time.monotonic() - due) / step) if time.monotonic() > due else 0
            if late:
                due += late * step
                self._status = replace(self._status, late=self._status.late + late)

    def _update_status(self, output_format: VirtualCameraFormat, is_safe: bool) -> None:
        self._pause = self._first_pause
        status = self._status
        self._status = VirtualCameraStatus(
            active=True, device=output_format.device, width=output_format.width, height=output_format.height,
            rate=float(output_format.rate), shows_placeholder=is_safe, sent=status.sent + 1, late=status.late,
        )  # fmt: skip
        self._clear_problem()

    def _clear_problem(self) -> None:
        if self._reported_problem:
            self._reported_problem = ""
            self._send_message(Message(CAMERA_TOPIC, ""))

    def _report_failure(self, error: Exception) -> None:
        text = str(error)
        if not isinstance(error, ClipsegLiveError):
            details = " ".join(text.split())[:160]
            text = f"The virtual camera failed ({type(error).__name__}: {details}) and will be reopened."
        status = self._status
        self._status = VirtualCameraStatus(
            active=True, shows_placeholder=True, sent=status.sent, late=status.late, problem=text
        )
        if text != self._reported_problem:
            self._reported_problem = text
            self._send_message(Message(CAMERA_TOPIC, text, "error"))

    def _wait_for_source(self) -> SourceInfo | None:
        """Return the source's properties. Wait for it only if the virtual camera uses it."""
        settings = self.settings
        if settings.width is None or settings.rate is None:
            limit = time.monotonic() + _SOURCE_SECONDS
            while self._source() is None and time.monotonic() < limit and not self._wait_for_stop(0.02):
                pass
        return self._source()

    def _safe_frame(self, output: "VirtualCamera") -> RenderedFrame:
        try:
            return output.safe_frame(self.settings.placeholder)
        except ClipsegLiveError as error:
            problem = str(error).rstrip(".")
            text = f"{problem}, so the virtual camera sends the default placeholder image."
            self._send_message(Message("placeholder image", text, "warning"))
            return output.safe_frame("")

    def _wait_for_stop(self, seconds: float) -> bool:
        """Wait at most this many seconds, and return whether the thread must end."""
        with self._changed:
            self._changed.wait_for(lambda: self._stop, max(seconds, 0.0))
            return self._stop


class VirtualCameraManager:
    """The virtual camera of a session, at most one at a time. Methods return at once, except for ``join``.

    The arguments are as for ``VirtualCameraThread``.
    """

    def __init__(
        self,
        make_output: MakeCamera,
        source: Callable[[], SourceInfo | None],
        may_show: Callable[[RenderedFrame], bool],
        send_message: Callable[[Message], None],
    ) -> None:
        self._make_output, self._source, self._may_show = make_output, source, may_show
        self._send_message = send_message
        self._lock = threading.Lock()
        self._camera: VirtualCameraThread | None = None

    @property
    def status(self) -> VirtualCameraStatus:
        """Return the current status of the virtual camera."""
        camera = self._camera
        return camera.status if camera is not None else VirtualCameraStatus()

    def start(self, settings: VirtualCameraSettings) -> None:
        """Start a virtual camera. It replaces one that runs."""
        with self._lock:
            previous = self._camera
            if previous is not None:
                previous.request_stop()
            self._camera = VirtualCameraThread(
                self._make_output,
                settings,
                source=self._source,
                may_show=self._may_show,
                send_message=self._send_message,
                predecessor=previous,
            )
            self._camera.start()

    def stop(self) -> None:
        """Stop the virtual camera."""
        with self._lock:
            if self._camera is not None:
                self._camera.request_stop()

    def put(self, rendered: RenderedFrame) -> None:
        """Set the newest rendered frame. Never wait."""
        camera = self._camera
        if camera is not None and camera.status.active:
            camera.put(rendered)

    def forget(self) -> None:
        """Drop the newest frame, and wait for the first one of another source."""
        camera = self._camera
        if camera is not None:
            camera.forget()

    def join(self, deadline: float) -> tuple[str, ...]:
        """Wait for the stopped virtual camera, and return the name of its thread if it had to be abandoned."""
        camera = self._camera
        return () if camera is None or camera.join(deadline) else ("clipseg-live virtual camera",)
