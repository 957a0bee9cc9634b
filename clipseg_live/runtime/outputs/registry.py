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
from clipseg_live.runtime.outputs.recording import Recording, Where
from clipseg_live.runtime.outputs.recording_segment import RecordingTools
from clipseg_live.runtime.outputs.replay import Replay

logger = logging.getLogger(__name__)

Say = Callable[[str, str, str], None]
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
        say: Called with the topic, text and level of a message.
    """

    def __init__(self, tools: RecordingTools, say: Say) -> None:
        self._tools, self._say = tools, say
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
        """Return the present status of the recording and the replay."""
        recording, replay = self._recording, self._replay
        status = recording.status if recording is not None else RecordingStatus()
        return status if replay is None else replace(status, replay=replay.seconds)

    def put(self, picture: RenderedFrame, info: SourceInfo) -> None:
        """Record a shown frame and add it to the replay.

        A frame that was drawn before an effect began to hide something is dropped. Called in the render thread.

        Args:
            picture: Frame as it is shown.
            info: Description of the source.
        """
        with self._lock:  # the settings must not change between the check and the output
            if not was_drawn_hiding(picture, self._live):
                return
            if self._recording is not None:
                self._recording.put(picture, info)
            if self._replay is not None:
                self._replay.put(picture, info)

    def start_recording(self, folder: Path, settings: RecordingSettings, live: LiveSettings, source: str) -> None:
        """Start a recording.

        Args:
            folder: Folder for the files.
            settings: Settings of the recording.
            live: Present settings of the session.
            source: Name of the source.

        Raises:
            UsageError: A recording is running, or the session has ended.
            SinkError: The folder cannot be written to.
        """
        with self._lock:
            if self._stopping.is_set():
                raise UsageError("Nothing can be recorded any more: the session has ended.")
            if self._recording is not None:
                raise UsageError("A recording is running: stop it first.")
            recording = Recording(
                _where(folder, live, source),
                settings,
                self._tools,
                on_message=lambda sentence: self._say(OUTPUTS_TOPIC, sentence, "warning"),
                on_end=lambda done, errors: self._ended(recording, done, errors),
            )
            self._recording = self._newest = recording
            logger.info("Recording: %s", loggable(settings))
            recording.start()
            self._live = live
        self._warn_of_untouched()

    def look_changed(self, live: LiveSettings) -> None:
        """Apply the settings of the session.

        When an effect begins to hide something, the replay starts again empty, and a warning names files that are
        recorded without the effect.
        """
        with self._lock:
            before, self._live = self._live, live
            begins = is_private(live.effects) and not is_private(before.effects)
            if begins and self._replay is not None:
                self._begin_replay(self._replay.settings)
        if begins:
            self._warn_of_untouched()

    def _warn_of_untouched(self) -> None:
        recording = self._recording
        if recording is not None and (words := untouched_warning(self._live.effects, recording.settings.untouched)):
            self._say(OUTPUTS_TOPIC, words, "warning")

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
            self._begin_replay(settings)

    def _begin_replay(self, settings: RecordingSettings) -> None:
        """Start an empty replay. The caller holds the lock."""
        if self._stopping.is_set():
            return
        old, self._replay = self._replay, None
        if old is not None:
            old.request_stop()
            self._old_replays = [replay for replay in self._old_replays if not replay.join(0)] + [old]
        if settings.replay_seconds:
            self._replay = Replay(settings, self._tools, self._replay_saved)
            self._replay.start()

    def save_replay(self, folder: Path, live: LiveSettings, source: str) -> None:
        """Save the replay into a folder.

        Args:
            folder: Folder for the file.
            live: Present settings of the session.
            source: Name of the source.

        Raises:
            UsageError: The replay is off.
        """
        replay = self._replay
        if replay is None:
            raise UsageError("Instant replay is off: turn it on in the recording options first.")
        replay.save(_where(folder, live, source))

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
        late = recording is not None and not recording.join(_FILE_SECONDS)
        replays = [*self._old_replays, *([self._replay] if self._replay is not None else [])]
        replays_late = [replay for replay in replays if not replay.join(_FINALISE_SECONDS)]
        limit = time.monotonic() + _FINALISE_SECONDS
        with self._lock:  # a thread in the list has been started whenever the lock is free
            finalising = list(self._finalising)
        for thread in finalising:
            thread.join(max(0.0, limit - time.monotonic()))
        self._give_up.set()
        for thread in finalising:
            thread.join(_FINALISE_SECONDS)
        return (
            *(("clipseg-live record",) if late else ()),
            *("clipseg-live replay" for _ in replays_late),
            *(thread.name for thread in finalising if thread.is_alive()),
        )

    def _ended(self, recording: Recording, done: list[Path], errors: list[ClipsegLiveError]) -> None:
        logger.info("The recording has ended: %d files, %d errors", len(done), len(errors))
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
            also = f" Finished: {', '.join(map(str, done))}." if done else ""
            self._say(OUTPUTS_TOPIC, " ".join(str(error) for error in errors) + also, "error")
        else:
            self._say(OUTPUTS_TOPIC, f"Recorded {done[0]}{_more(len(done) - 1)}.", "info")

    def _replay_saved(self, path: Path | None, error: ClipsegLiveError | None) -> None:
        if error is not None:
            self._say(OUTPUTS_TOPIC, str(error), "error")
        else:
            self._say(OUTPUTS_TOPIC, f"Saved the last seconds as {path}.", "info")

    def _finalise(self, paths: Sequence[Path]) -> None:
        for path in paths:
            if not self._give_up.is_set() and (sentence := self._tools.finalise(path, self._give_up.is_set)):
                self._say(OUTPUTS_TOPIC, sentence, "warning")


def _where(folder: Path, live: LiveSettings, source: str) -> Where:
    names = (row.text.strip() or "image" for row in live.shown() if row.text.strip() or row.image)
    return Where(folder, tuple(names), source)


def _more(files: int) -> str:
    return "" if files == 0 else " and one more file" if files == 1 else f" and {files} more files"
