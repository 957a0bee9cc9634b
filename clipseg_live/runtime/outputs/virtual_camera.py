"""Showing what is composed as a virtual camera: at a steady rate, the newest picture or the safe one, never waiting."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from clipseg_live.core.errors import ClipsegLiveError
from clipseg_live.core.frame import Pixels
from clipseg_live.core.protocols import VirtualCameraDevice
from clipseg_live.core.settings.live import Message, ViewFrame
from clipseg_live.core.settings.virtual_camera import VirtualCameraFormat, VirtualCameraSettings, VirtualCameraStatus

logger = logging.getLogger(__name__)

CAMERA_TOPIC = "virtual camera"
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds until a camera that could not be opened, or is gone, is tried again: twice as long each time."""
_SOURCE_SECONDS = 2.0
"""So long the size and rate of the source are waited for, where they are to be the camera's."""
_GIVE_BACK_SECONDS = 5.0


class VirtualCameraThread:
    """One virtual camera from start to stop, in a thread of its own. Its policy is that the newest picture wins.

    make_output: one that is not open yet, for each time that it is tried. source: what the pictures to come are like,
    None while that is not known. may_show: whether a picture may be shown to others now; it is asked before each
    sending, also of the same picture again, and is quick. say: for messages. All of these are called in this thread.
    after: one that runs and gives its device back first.

    Whatever ``may_show`` does not let through has the safe picture shown in its place. A camera that fails is told once
    and tried again, after longer and longer pauses.
    """

    def __init__(
        self,
        make_output: Callable[[], VirtualCameraDevice],
        settings: VirtualCameraSettings,
        *,
        source: Callable[[], VirtualCameraFormat | None],
        may_show: Callable[[ViewFrame], bool],
        say: Callable[[Message], None],
        after: "VirtualCameraThread | None" = None,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self.settings = settings
        self._make_output, self._source, self._may_show, self._say = make_output, source, may_show, say
        self._after = after
        self._first_pause = self._pause = first_pause
        self._changed = threading.Condition()
        self._stop = False
        self._newest: ViewFrame | None = None
        self._status = VirtualCameraStatus(active=True, safe=True)
        self._told = ""
        self._thread = threading.Thread(target=self._run, name="clipseg-live virtual camera", daemon=True)

    @property
    def status(self) -> VirtualCameraStatus:
        return self._status

    def start(self) -> None:
        self._thread.start()

    def put(self, picture: ViewFrame) -> None:
        """The newest picture; never waits."""
        with self._changed:
            self._newest = picture

    def forget(self) -> None:
        """Another source is opened: its first picture is waited for."""
        with self._changed:
            self._newest = None

    def request_stop(self) -> None:
        with self._changed:
            self._stop = True
            self._changed.notify_all()

    def join(self, deadline: float) -> bool:
        if self._thread.ident is not None:
            self._thread.join(deadline)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            if self._after is not None:
                self._after.join(_GIVE_BACK_SECONDS)
                self._after = None
            while not self._stop:
                try:
                    self._serve()
                except Exception as error:  # drivers raise anything
                    logger.warning("The virtual camera failed", exc_info=True)
                    self._failed(error)
                if self._stopped_within(self._pause):
                    break
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
        finally:
            self._newest = None
            self._status = replace(self._status, active=False, safe=False, problem="")
            self._take_back()

    def _serve(self) -> None:
        """Open the camera, and send until it is stopped. Raises what the output raises."""
        output = self._make_output()
        try:
            found = output.open(self.settings, self._known_source())
            self._send(output, found, self._safe_picture(output))
        finally:
            try:
                output.close()
            except Exception:
                logger.warning("The virtual camera could not be closed", exc_info=True)

    def _send(self, output: VirtualCameraDevice, found: VirtualCameraFormat, safe: Pixels) -> None:
        due, step = time.monotonic(), float(1 / found.rate)
        drawn: ViewFrame | None = None
        pixels = safe
        while not self._stopped_within(due - time.monotonic()):
            picture = self._newest
            shown = picture if picture is not None and self._may_show(picture) else None
            if shown is not None and shown is not drawn:
                drawn, pixels = shown, output.fitted(shown.composed)
            output.send(safe if shown is None else pixels)
            self._sent(found, is_safe=shown is None)
            due += step
            late = int((time.monotonic() - due) / step) if time.monotonic() > due else 0
            if late:
                due += late * step
                self._status = replace(self._status, late=self._status.late + late)

    def _sent(self, found: VirtualCameraFormat, is_safe: bool) -> None:
        self._pause = self._first_pause
        status = self._status
        self._status = VirtualCameraStatus(
            active=True, device=found.device, width=found.width, height=found.height, rate=float(found.rate),
            safe=is_safe, sent=status.sent + 1, late=status.late,
        )  # fmt: skip
        self._take_back()

    def _take_back(self) -> None:
        if self._told:
            self._told = ""
            self._say(Message(CAMERA_TOPIC, ""))

    def _failed(self, error: Exception) -> None:
        words = str(error)
        if not isinstance(error, ClipsegLiveError):
            said = " ".join(words.split())[:160]
            words = f"The virtual camera broke off ({type(error).__name__}: {said}); it is tried again."
        status = self._status
        self._status = VirtualCameraStatus(active=True, safe=True, sent=status.sent, late=status.late, problem=words)
        if words != self._told:
            self._told = words
            self._say(Message(CAMERA_TOPIC, words, "error"))

    def _known_source(self) -> VirtualCameraFormat | None:
        """The source's format; not waited for where it does not matter."""
        settings = self.settings
        if settings.width is None or settings.rate is None:
            limit = time.monotonic() + _SOURCE_SECONDS
            while self._source() is None and time.monotonic() < limit and not self._stopped_within(0.02):
                pass
        return self._source()

    def _safe_picture(self, output: VirtualCameraDevice) -> Pixels:
        try:
            return output.safe_picture(self.settings.safe)
        except ClipsegLiveError as error:
            words = str(error).rstrip(".")
            self._say(Message("safe picture", f"{words}; the virtual camera shows a card in its place.", "warning"))
            return output.safe_picture("")

    def _stopped_within(self, seconds: float) -> bool:
        """Wait so long at most; whether it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._stop, max(seconds, 0.0))
            return self._stop


class VirtualCameraManager:
    """Owned by a session: at most one virtual camera at a time. Methods return at once, but for ``join``.

    make_output: one that is not open yet. The rest is as for ``VirtualCameraThread``.
    """

    def __init__(
        self,
        make_output: Callable[[], VirtualCameraDevice],
        source: Callable[[], VirtualCameraFormat | None],
        may_show: Callable[[ViewFrame], bool],
        say: Callable[[Message], None],
    ) -> None:
        self._make_output, self._source, self._may_show, self._say = make_output, source, may_show, say
        self._lock = threading.Lock()
        self._camera: VirtualCameraThread | None = None

    @property
    def status(self) -> VirtualCameraStatus:
        camera = self._camera
        return camera.status if camera is not None else VirtualCameraStatus()

    def start(self, settings: VirtualCameraSettings) -> None:
        """In the place of the one that may run."""
        with self._lock:
            before = self._camera
            if before is not None:
                before.request_stop()
            self._camera = VirtualCameraThread(
                self._make_output, settings, source=self._source, may_show=self._may_show, say=self._say, after=before
            )
            self._camera.start()

    def stop(self) -> None:
        with self._lock:
            if self._camera is not None:
                self._camera.request_stop()

    def put(self, picture: ViewFrame) -> None:
        camera = self._camera
        if camera is not None and camera.status.active:
            camera.put(picture)

    def forget(self) -> None:
        camera = self._camera
        if camera is not None:
            camera.forget()

    def join(self, deadline: float) -> tuple[str, ...]:
        """Wait for the one that was stopped; the name of what had to be abandoned."""
        camera = self._camera
        return () if camera is None or camera.join(deadline) else ("clipseg-live virtual camera",)
