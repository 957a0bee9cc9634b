"""Outputs of a session for rendered frames: recordings and the replay."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from clipseg_live.core.errors import ClipsegLiveError, UsageError
from clipseg_live.core.frame import SourceInfo
from clipseg_live.core.privacy import untouched_warning, was_drawn_hiding
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.effects import is_private
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.status import RecordingStatus
from clipseg_live.core.system.settings_log import loggable
from clipseg_live.runtime.outputs.recording import Recording, RecordingTarget
from clipseg_live.runtime.outputs.recording_segment import RecordingTools
from clipseg_live.runtime.outputs.replay import Replay

logger = logging.getLogger(__name__)

SendMessage = Callable[[str, str, str], None]
"""Takes the topic, text and level of a message."""

OUTPUTS_TOPIC = "recording"
_FILE_SECONDS = 30.0
"""Longest wait at the end for a recording, whose files must be completed."""
_FINALISE_SECONDS = 5.0
"""Longest wait at the end for improvements of finished files, which are optional."""


class RecordingOutputs:
    """The recording and the replay of a session.

    Every method may be called from any thread and returns at once, except for ``join``.

    Args:
        tools: Functions for recordings.
        send_message: Called with the topic, text and level of a message.
    """

    def __init__(self, tools: RecordingTools, send_message: SendMessage) -> None:
        self._tools, self._send_message = tools, send_message
        self._lock = threading.Lock()
        self._recording: Recording | None = None
        self._newest: Recording | None = None  # kept after its end, because its thread may still report it
        self._replay: Replay | None = None
        self._old_replays: list[Replay] = []
        self._live = LiveSettings()
        self._finalising: list[threading.Thread] = []
        self._stopping, self._give_up = threading.Event(), threading.Event()

    @property
    def status(self) -> RecordingStatus:
        """Return the current status of the recording and the replay."""
        recording, replay = self._recording, self._replay
        status = recording.status if recording is not None else RecordingStatus()
        return status if replay is None else replace(status, replay=replay.seconds)

    def put(self, rendered: RenderedFrame, info: SourceInfo) -> None:
        """Record a shown frame and add it to the replay.

        A frame that was drawn before an effect began to hide something is dropped. Called in the render thread.

        Args:
            rendered: Frame as it is shown.
            info: Description of the source.
        """
        with self._lock:  # the settings must not change between the check and the output
            if not was_drawn_hiding(rendered, self._live):
                return
            if self._recording is not None:
                self._recording.put(rendered, info)
            if self._replay is not None:
                self._replay.put(rendered, info)

    def start_recording(self, folder: Path, settings: RecordingSettings, live: LiveSettings, source: str) -> None:
        """Start a recording.

        Args:
            folder: Folder for the files.
            settings: Settings of the recording.
            live: Current settings of the session.
            source: Name of the source.

        Raises:
            UsageError: A recording is running, or the session has ended.
            SinkError: The folder cannot be written to.
        """
        with self._lock:
            if self._stopping.is_set():
                raise UsageError("Cannot record: the session has ended.")
            if self._recording is not None:
                raise UsageError("A recording is running: stop it first.")
            recording = Recording(
                _target(folder, live, source),
                settings,
                self._tools,
                on_message=lambda text: self._send_message(OUTPUTS_TOPIC, text, "warning"),
                on_end=lambda paths, errors: self._report_recording(recording, paths, errors),
            )
            self._recording = self._newest = recording
            logger.info("Recording: %s", loggable(settings))
            recording.start()
            self._live = live
        self._warn_about_untouched()

    def set_live_settings(self, live: LiveSettings) -> None:
        """Apply the settings of the session.

        When an effect begins to hide something, the replay starts again empty, and a warning names files that are
        recorded without the effect.
        """
        with self._lock:
            previous, self._live = self._live, live
            starts_hiding = is_private(live.effects) and not is_private(previous.effects)
            if starts_hiding and self._replay is not None:
                self._start_replay(self._replay.settings)
        if starts_hiding:
            self._warn_about_untouched()

    def _warn_about_untouched(self) -> None:
        recording = self._recording
        if recording is not None and (text := untouched_warning(self._live.effects, recording.settings.untouched)):
            self._send_message(OUTPUTS_TOPIC, text, "warning")

    def pause_recording(self) -> None:
        """Pause the recording."""
        if self._recording is not None:
            self._recording.pause()

    def resume_recording(self) -> None:
        """Continue the recording."""
        if self._recording is not None:
            self._recording.resume()

    def stop_recording(self) -> None:
        """Finish the recording."""
        if self._recording is not None:
            self._recording.finish()

    def set_replay(self, settings: RecordingSettings) -> None:
        """Keep the last ``replay_seconds`` from now on. The frames that were kept before are dropped."""
        with self._lock:
            self._start_replay(settings)

    def _start_replay(self, settings: RecordingSettings) -> None:
        """Start an empty replay. The caller holds the lock."""
        if self._stopping.is_set():
            return
        previous, self._replay = self._replay, None
        if previous is not None:
            previous.request_stop()
            self._old_replays = [replay for replay in self._old_replays if not replay.join(0)] + [previous]
        if settings.replay_seconds:
            self._replay = Replay(settings, self._tools, self._report_replay)
            self._replay.start()

    def save_replay(self, folder: Path, live: LiveSettings, source: str) -> None:
        """Save the replay into a folder.

        Args:
            folder: Folder for the file.
            live: Current settings of the session.
            source: Name of the source.

        Raises:
            UsageError: The replay is off.
        """
        replay = self._replay
        if replay is None:
            raise UsageError("Instant replay is off: turn it on in the recording options first.")
        replay.save(_target(folder, live, source))

    def request_stop(self) -> None:
        """Finish the recording and end the replay soon. Return at once."""
        with self._lock:  # a replay that is being started is set by now, or will not be started
            self._stopping.set()
            replay = self._replay
        self.stop_recording()
        if replay is not None:
            replay.request_stop()

    def join(self) -> tuple[str, ...]:
        """Wait for files that are being written, and return the names of the threads that had to be abandoned."""
        recording = self._newest
        recording_hangs = recording is not None and not recording.join(_FILE_SECONDS)
        replays = [*self._old_replays, *([self._replay] if self._replay is not None else [])]
        hung_replays = [replay for replay in replays if not replay.join(_FINALISE_SECONDS)]
        limit = time.monotonic() + _FINALISE_SECONDS
        with self._lock:  # a thread in the list has been started whenever the lock is free
            finalising = list(self._finalising)
        for thread in finalising:
            thread.join(max(0.0, limit - time.monotonic()))
        self._give_up.set()
        for thread in finalising:
            thread.join(_FINALISE_SECONDS)
        return (
            *(("clipseg-live record",) if recording_hangs else ()),
            *("clipseg-live replay" for _ in hung_replays),
            *(thread.name for thread in finalising if thread.is_alive()),
        )

    def _report_recording(self, recording: Recording, paths: list[Path], errors: list[ClipsegLiveError]) -> None:
        logger.info("The recording has ended: %d files, %d errors", len(paths), len(errors))
        with self._lock:
            if self._recording is recording:
                self._recording = None
            if recording.tracks:
                thread = threading.Thread(
                    target=self._finalise, args=(recording.tracks,), name="clipseg-live finalise", daemon=True
                )
                self._finalising = [other for other in self._finalising if other.is_alive()] + [thread]
                thread.start()
        if errors:
            finished = f" Finished: {', '.join(map(str, paths))}." if paths else ""
            self._send_message(OUTPUTS_TOPIC, " ".join(str(error) for error in errors) + finished, "error")
        else:
            self._send_message(OUTPUTS_TOPIC, f"Recorded {paths[0]}{_and_more(len(paths) - 1)}.", "info")

    def _report_replay(self, path: Path | None, error: ClipsegLiveError | None) -> None:
        if error is not None:
            self._send_message(OUTPUTS_TOPIC, str(error), "error")
        else:
            self._send_message(OUTPUTS_TOPIC, f"Saved the replay as {path}.", "info")

    def _finalise(self, paths: Sequence[Path]) -> None:
        for path in paths:
            if not self._give_up.is_set() and (text := self._tools.finalise(path, self._give_up.is_set)):
                self._send_message(OUTPUTS_TOPIC, text, "warning")


def _target(folder: Path, live: LiveSettings, source: str) -> RecordingTarget:
    names = (row.text.strip() or "image" for row in live.shown() if row.text.strip() or row.image)
    return RecordingTarget(folder, tuple(names), source)


def _and_more(files: int) -> str:
    return "" if files == 0 else " and one more file" if files == 1 else f" and {files} more files"
