"""Files of one part of a recording: videos and data of the same frames, with the same times."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from clipseg_live.core.errors import ClipsegLiveError, Failure, SinkError
from clipseg_live.core.frame import SourceInfo
from clipseg_live.core.mattes import Label
from clipseg_live.core.protocols import FileOutput, GrowingOutput
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.base import DataFormat
from clipseg_live.core.settings.recording import RecordingSettings, Track, data_path, track_path

if TYPE_CHECKING:
    from clipseg_live.media.writers.replay_buffer import ReplayBuffer

logger = logging.getLogger(__name__)

_CLOCK = Fraction(1, 90_000)


@dataclass(frozen=True, slots=True)
class RecordingTools:
    """Functions that recordings use.

    Attributes:
        open_track: Makes a video file, not opened yet. The last argument says whether it gets the sound.
        open_replay: Makes a replay, not opened yet.
        open_data: Makes a data file, not opened yet. It gets the labels of the first frame.
        free_bytes: Returns the free bytes of the disk of a folder. Raises OSError if it is gone.
        finalise: Improves a finished file in place. The second argument returns whether to stop. Returns a message for
            the user, or "".
    """

    open_track: Callable[[Path, RecordingSettings, bool], GrowingOutput]
    open_replay: Callable[[RecordingSettings], "ReplayBuffer"]
    open_data: Callable[[DataFormat, Path, Sequence[Label], RecordingSettings], FileOutput]
    free_bytes: Callable[[Path], int]
    finalise: Callable[[Path, Callable[[], bool]], str]


class RecordingSegment:
    """Files that are started together and finished together. No file may exist at their paths.

    The files take the size of the first frame.

    Args:
        folder: Folder for the files.
        stem: Common part of the file names.
        settings: Settings of the recording.
        tools: Functions for recordings.
        info: Description of the source.
    """

    def __init__(
        self, folder: Path, stem: str, settings: RecordingSettings, tools: RecordingTools, info: SourceInfo
    ) -> None:
        self._folder, self._stem, self._settings, self._tools, self._info = folder, stem, settings, tools, info
        self.tracks: list[tuple[Track, GrowingOutput]] = []
        self._data: list[FileOutput] = []
        self.size: tuple[int, int] | None = None
        self.begun = Fraction(0)
        self.count = 0
        self._lost: list[str] = []
        self._broken: tuple[FileOutput, Exception] | None = None

    @property
    def path(self) -> Path:
        """Return the path of the first file."""
        return track_path(self._folder, self._stem, self._settings, self._settings.tracks[0])

    @property
    def encoder(self) -> str:
        """Return the name of the encoder, or "" before the first frame."""
        return self.tracks[0][1].encoder if self.tracks else ""

    @property
    def bytes(self) -> int:
        """Return the size of the video files so far."""
        return sum(_size(sink.working) for _, sink in self.tracks)

    def write(self, shot: RenderedFrame, at: Fraction, info: SourceInfo) -> None:
        """Add a frame. Errors of the video files are passed on.

        Data that cannot be written are abandoned, and reported by ``notices``.

        Args:
            shot: Rendered frame.
            at: Time in the recording, in seconds.
            info: Description of the frame's source. Its sound is used only if the part began with the same sound.
        """
        from clipseg_live.rendering.tracks import fit_frame, track_pixels  # loads OpenCV, in the writer thread

        if self.size is None:
            self._open(shot)
            self.begun = at
        assert self.size is not None
        if self.size != (shot.width, shot.height):
            shot = fit_frame(shot, *self.size)
        sounds = self._settings.sound == "source" and info.audio_path == self._info.audio_path
        source_time = shot.time if sounds else None
        frame = replace(shot.frame, index=self.count, time=at - self.begun)
        for track, sink in self.tracks:
            pixels = track_pixels(track, shot)
            with self._noticing(sink):
                sink.write(replace(shot, frame=replace(frame, epoch=0), composed=pixels, source_time=source_time))
        if self._data:
            written = replace(shot, frame=replace(frame, file=None))  # data of a video, not of photos
            for data in tuple(self._data):
                try:
                    data.write(written)
                except Exception as error:  # the video continues without this data
                    logger.exception("Writing data of a recording failed")
                    self._data.remove(data)
                    self._lost.append(f"{self._given_up(data, error)} The recording goes on without it.")
        self.count += 1

    def speed_up(self) -> bool:
        """Encode faster from now on. Return False if no file can."""
        faster = [sink.speed_up() for _, sink in self.tracks]  # a list, so that every file is asked
        return any(faster)

    def touch(self) -> None:
        """Update the times of the files, so that they count as being written without new frames."""
        for _, sink in self.tracks:
            if sink.working is not None:
                with suppress(OSError):
                    os.utime(sink.working)

    def finish(self) -> tuple[list[Path], list[ClipsegLiveError]]:
        """Complete every file, and return the finished files and the errors.

        A file that fails does not affect the others. The written part of a file that broke in ``write`` is kept.
        """
        done: list[Path] = []
        errors: list[ClipsegLiveError] = []
        for sink in self._sinks():
            try:
                if self._broken is not None and self._broken[0] is sink:
                    raise self._broken[1]
                sink.finish()
                done.append(sink.path)
            except Exception as error:
                logger.exception("A file of a recording could not be completed")
                errors.append(self._given_up(sink, error))
        return done, errors

    def abort(self) -> None:
        """Remove all files, if no frame was written."""
        for sink in self._sinks():
            sink.abort()

    def notices(self) -> list[str]:
        """Return messages about the files for the user, each once."""
        notices: list[str] = list(self._lost)
        for sink in self._sinks():
            notices += [notice for notice in sink.notices if notice not in notices]
        return notices

    def _open(self, shot: RenderedFrame) -> None:
        width, height = shot.width, shot.height
        sounding = next((track for track in self._settings.tracks if track != "mattes"), None)
        plain = replace(
            self._info, width=width, height=height, time_base=_CLOCK, frame_count=None, duration=None, audio_path=None,
            independent=False,
        )  # fmt: skip
        with_sound = replace(plain, audio_path=self._info.audio_path if self._settings.sound == "source" else None)
        for track in self._settings.tracks:
            path = track_path(self._folder, self._stem, self._settings, track)
            sink = self._tools.open_track(path, self._settings, track == sounding)
            self.tracks.append((track, sink))  # before ``open``, which can fail halfway
            with self._noticing(sink):
                sink.open(with_sound if track == sounding else plain)
        for form in self._settings.data:
            path = data_path(self._folder, self._stem, form)
            data = self._tools.open_data(form, path, shot.labels, self._settings)
            self._data.append(data)
            with self._noticing(data):
                data.open(plain)
        self.size = width, height

    @contextmanager
    def _noticing(self, sink: FileOutput) -> Iterator[None]:
        """Remember which file failed."""
        try:
            yield
        except Exception as error:
            self._broken = sink, error
            raise

    def _sinks(self) -> list[FileOutput]:
        return [*(sink for _, sink in self.tracks), *self._data]

    def _given_up(self, sink: FileOutput, error: Exception) -> ClipsegLiveError:
        words = str(describe_failure(f"The recording {self.path.name}", error)).rstrip(".")
        kept = sink.abort(keep_partial=True)
        is_told = isinstance(error, SinkError) and error.kept is not None
        return Failure(f"{words}." if kept is None or is_told else f"{words}; what was recorded before is in {kept}.")


def describe_failure(what: str, error: Exception) -> ClipsegLiveError:
    """Return an error for the user: the error itself if it is one of ours, or else one with its description."""
    if isinstance(error, ClipsegLiveError):
        return error
    words = " ".join(str(error).split())[:160].rstrip(".")
    return Failure(f"{what} broke off ({type(error).__name__}: {words}).")


def _size(path: Path | None) -> int:
    try:
        return path.stat().st_size if path is not None else 0
    except OSError:
        return 0
