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
        self.start_time = Fraction(0)
        self.count = 0
        self._data_errors: list[str] = []
        self._failure: tuple[FileOutput, Exception] | None = None

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
        return sum(_size(output.working) for _, output in self.tracks)

    def write(self, rendered: RenderedFrame, position: Fraction, info: SourceInfo) -> None:
        """Add a frame. Errors of the video files are passed on.

        Data that cannot be written are abandoned, and reported by ``notices``.

        Args:
            rendered: Rendered frame.
            position: Time in the recording, in seconds.
            info: Description of the frame's source. Its sound is used only if the part began with the same sound.
        """
        from clipseg_live.rendering.tracks import fit_frame, track_pixels  # loads OpenCV, in the writer thread

        if self.size is None:
            self._open(rendered)
            self.start_time = position
        assert self.size is not None
        if self.size != (rendered.width, rendered.height):
            rendered = fit_frame(rendered, *self.size)
        has_sound = self._settings.sound == "source" and info.audio_path == self._info.audio_path
        source_time = rendered.time if has_sound else None
        frame = replace(rendered.frame, index=self.count, time=position - self.start_time)
        for track, output in self.tracks:
            pixels = track_pixels(track, rendered)
            with self._track_failure(output):
                output.write(replace(rendered, frame=replace(frame, epoch=0), composed=pixels, source_time=source_time))
        if self._data:
            data_frame = replace(rendered, frame=replace(frame, file=None))  # data of a video, not of photos
            for data in tuple(self._data):
                try:
                    data.write(data_frame)
                except Exception as error:  # the video continues without this data
                    logger.exception("Writing data of a recording failed")
                    self._data.remove(data)
                    self._data_errors.append(f"{self._abandon(data, error)} The recording continues without this file.")
        self.count += 1

    def speed_up(self) -> bool:
        """Encode faster from now on. Return False if no file can."""
        results = [output.speed_up() for _, output in self.tracks]  # a list, so that every file is asked
        return any(results)

    def touch(self) -> None:
        """Update the times of the files, so that they count as being written without new frames."""
        for _, output in self.tracks:
            if output.working is not None:
                with suppress(OSError):
                    os.utime(output.working)

    def finish(self) -> tuple[list[Path], list[ClipsegLiveError]]:
        """Complete every file, and return the finished files and the errors.

        A file that fails does not affect the others. The written part of a file that broke in ``write`` is kept.
        """
        paths: list[Path] = []
        errors: list[ClipsegLiveError] = []
        for output in self._all_outputs():
            try:
                if self._failure is not None and self._failure[0] is output:
                    raise self._failure[1]
                output.finish()
                paths.append(output.path)
            except Exception as error:
                logger.exception("A file of a recording could not be completed")
                errors.append(self._abandon(output, error))
        return paths, errors

    def abort(self) -> None:
        """Remove all files, if no frame was written."""
        for output in self._all_outputs():
            output.abort()

    def notices(self) -> list[str]:
        """Return messages about the files for the user, each once."""
        notices: list[str] = list(self._data_errors)
        for output in self._all_outputs():
            notices += [notice for notice in output.notices if notice not in notices]
        return notices

    def _open(self, rendered: RenderedFrame) -> None:
        width, height = rendered.width, rendered.height
        sound_track = next((track for track in self._settings.tracks if track != "mattes"), None)
        silent_info = replace(
            self._info, width=width, height=height, time_base=_CLOCK, frame_count=None, duration=None, audio_path=None,
            independent=False,
        )  # fmt: skip
        sound_info = replace(
            silent_info, audio_path=self._info.audio_path if self._settings.sound == "source" else None
        )
        for track in self._settings.tracks:
            path = track_path(self._folder, self._stem, self._settings, track)
            output = self._tools.open_track(path, self._settings, track == sound_track)
            self.tracks.append((track, output))  # before ``open``, which can fail halfway
            with self._track_failure(output):
                output.open(sound_info if track == sound_track else silent_info)
        for data_format in self._settings.data:
            path = data_path(self._folder, self._stem, data_format)
            data = self._tools.open_data(data_format, path, rendered.labels, self._settings)
            self._data.append(data)
            with self._track_failure(data):
                data.open(silent_info)
        self.size = width, height

    @contextmanager
    def _track_failure(self, output: FileOutput) -> Iterator[None]:
        """Remember which file failed."""
        try:
            yield
        except Exception as error:
            self._failure = output, error
            raise

    def _all_outputs(self) -> list[FileOutput]:
        return [*(output for _, output in self.tracks), *self._data]

    def _abandon(self, output: FileOutput, error: Exception) -> ClipsegLiveError:
        text = str(describe_failure(f"The recording {self.path.name}", error)).rstrip(".")
        kept = output.abort(keep_partial=True)
        names_file = isinstance(error, SinkError) and error.kept is not None
        return Failure(f"{text}." if kept is None or names_file else f"{text}; the part before the error is in {kept}.")


def describe_failure(subject: str, error: Exception) -> ClipsegLiveError:
    """Return an error for the user: the error itself if it is one of ours, or else one with its description."""
    if isinstance(error, ClipsegLiveError):
        return error
    details = " ".join(str(error).split())[:160].rstrip(".")
    return Failure(f"{subject} failed ({type(error).__name__}: {details}).")


def _size(path: Path | None) -> int:
    try:
        return path.stat().st_size if path is not None else 0
    except OSError:
        return 0
