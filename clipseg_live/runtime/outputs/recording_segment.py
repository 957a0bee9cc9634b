"""The files of one part of a recording: pictures and data of the same shots, with the same times."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from clipseg_live.core.errors import ClipsegLiveError, Failure, SinkError
from clipseg_live.core.frame import Pixels, SourceInfo
from clipseg_live.core.mattes import Label
from clipseg_live.core.protocols import MaskSink, RecordingSink, ReplaySink
from clipseg_live.core.settings.base import DataFormat
from clipseg_live.core.settings.recording import RecordingSettings, RenderedFrame, Track, data_path, track_path

logger = logging.getLogger(__name__)

_CLOCK = Fraction(1, 90_000)


@dataclass(frozen=True, slots=True)
class RecordingTools:
    """What recordings are made with, from ``assemble``.

    open_track: a file for pictures, not opened yet; the last argument says whether it gets the sound.
    open_replay: what keeps the last seconds, not opened yet.
    open_data: as ``open_track`` for data, with the labels of the first shot.
    picture_of: the pixels of a track, uint8 (height, width, 3).
    fit: a shot at another size (width, height), with black bars.
    free_bytes: of the disk that holds a folder; raises OSError where it is gone.
    finalise: improves a finished file in its place; the second argument tells whether it is to give up. The sentence
        that it returns is for the person, "" for none.
    """

    open_track: Callable[[Path, RecordingSettings, bool], RecordingSink]
    open_replay: Callable[[RecordingSettings], ReplaySink]
    open_data: Callable[[DataFormat, Path, Sequence[Label], RecordingSettings], MaskSink]
    picture_of: Callable[[Track, RenderedFrame], Pixels]
    fit: Callable[[RenderedFrame, int, int], RenderedFrame]
    free_bytes: Callable[[Path], int]
    finalise: Callable[[Path, Callable[[], bool]], str]


class RecordingSegment:
    """Files that are begun together and finished together. Nothing may stand at their paths.

    info: of the source; the files take the size of the first shot.
    """

    def __init__(
        self, folder: Path, stem: str, settings: RecordingSettings, tools: RecordingTools, info: SourceInfo
    ) -> None:
        self._folder, self._stem, self._settings, self._tools, self._info = folder, stem, settings, tools, info
        self.tracks: list[tuple[Track, RecordingSink]] = []
        self._data: list[MaskSink] = []
        self.size: tuple[int, int] | None = None
        self.begun = Fraction(0)
        self.count = 0
        self._lost: list[str] = []
        self._broken: tuple[RecordingSink | MaskSink, Exception] | None = None

    @property
    def path(self) -> Path:
        """Of the first file."""
        return track_path(self._folder, self._stem, self._settings, self._settings.tracks[0])

    @property
    def encoder(self) -> str:
        return self.tracks[0][1].encoder if self.tracks else ""

    @property
    def bytes(self) -> int:
        """Written so far, to the tracks."""
        return sum(_size(sink.working) for _, sink in self.tracks)

    def write(self, shot: RenderedFrame, at: Fraction, info: SourceInfo) -> None:
        """Add a shot at a time of the recording, in seconds. info: of its source, whose sound is heard only where the
        part began with the same one's. Raises the errors of the tracks; data that cannot be written are given up, and
        told by ``notices``."""
        if self.size is None:
            self._open(shot)
            self.begun = at
        assert self.size is not None
        if self.size != (shot.composed.width, shot.composed.height):
            shot = self._tools.fit(shot, *self.size)
        time = at - self.begun
        sounds = self._settings.sound == "source" and info.audio_path == self._info.audio_path
        heard = shot.original.time if sounds else None
        for track, sink in self.tracks:
            pixels = self._tools.picture_of(track, shot)
            frame = replace(shot.composed, pixels=pixels, index=self.count, time=time, epoch=0)
            with self._noticing(sink):
                sink.write(frame, heard)
        if shot.mattes is not None and self._data:
            original = replace(shot.original, index=self.count, time=time, file=None)  # a recording is a film
            for data in tuple(self._data):
                try:
                    data.write(original, shot.mattes, shot.labels)
                except Exception as error:  # the video continues without this data
                    logger.exception("Writing data of a recording failed")
                    self._data.remove(data)
                    self._lost.append(f"{self._given_up(data, error)} The recording goes on without it.")
        self.count += 1

    def hurry(self) -> bool:
        """Encode more quickly from now on; False where nothing can."""
        hurried = [sink.hurry() for _, sink in self.tracks]  # all of them, not the first that can
        return any(hurried)

    def touch(self) -> None:
        """Show that files which do not grow are still being written."""
        for _, sink in self.tracks:
            if sink.working is not None:
                with suppress(OSError):
                    os.utime(sink.working)

    def finish(self) -> tuple[list[Path], list[ClipsegLiveError]]:
        """Complete every file and put it in its place, whatever happens to the others; what is there, and errors.

        Of a file that broke in ``write``, what was written is kept.
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

    def abandon(self) -> None:
        """Nothing was written: leave nothing."""
        for sink in self._sinks():
            sink.abandon()

    def notices(self) -> list[str]:
        """Sentences of the sinks for the person, each once."""
        found: list[str] = list(self._lost)
        for sink in self._sinks():
            found += [sentence for sentence in sink.notices if sentence not in found]
        return found

    def _open(self, shot: RenderedFrame) -> None:
        width, height = shot.composed.width, shot.composed.height
        sounding = next((track for track in self._settings.tracks if track != "mattes"), None)
        plain = replace(
            self._info, width=width, height=height, time_base=_CLOCK, frame_count=None, duration=None, audio_path=None,
            independent=False,
        )  # fmt: skip
        with_sound = replace(plain, audio_path=self._info.audio_path if self._settings.sound == "source" else None)
        for track in self._settings.tracks:
            path = track_path(self._folder, self._stem, self._settings, track)
            sink = self._tools.open_track(path, self._settings, track == sounding)
            self.tracks.append((track, sink))  # before it is open: it may be left half open
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
    def _noticing(self, sink: RecordingSink | MaskSink) -> Iterator[None]:
        """Remember which file it was that broke."""
        try:
            yield
        except Exception as error:
            self._broken = sink, error
            raise

    def _sinks(self) -> list[RecordingSink | MaskSink]:
        return [*(sink for _, sink in self.tracks), *self._data]

    def _given_up(self, sink: RecordingSink | MaskSink, error: Exception) -> ClipsegLiveError:
        words = str(describe_failure(f"The recording {self.path.name}", error)).rstrip(".")
        kept = sink.abandon(keep_partial=True)
        is_told = isinstance(error, SinkError) and error.kept is not None
        return Failure(f"{words}." if kept is None or is_told else f"{words}; what was recorded before is in {kept}.")


def describe_failure(what: str, error: Exception) -> ClipsegLiveError:
    """An error for a person: itself, or the sentence that something broke off where it is none of ours."""
    if isinstance(error, ClipsegLiveError):
        return error
    words = " ".join(str(error).split())[:160].rstrip(".")
    return Failure(f"{what} broke off ({type(error).__name__}: {words}).")


def _size(path: Path | None) -> int:
    try:
        return path.stat().st_size if path is not None else 0
    except OSError:
        return 0
