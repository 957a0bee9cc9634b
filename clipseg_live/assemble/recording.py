"""What recordings are made with. Importing this module loads neither OpenCV nor PyAV: the first recording does."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from clipseg_live.core.frame import Pixels
from clipseg_live.core.mattes import Label
from clipseg_live.core.ports import MaskSink, RecordingSink, ReplaySink
from clipseg_live.core.recording import RecordingSettings, Shot, Track
from clipseg_live.core.settings import DataFormat
from clipseg_live.pipeline.recording_part import RecordingTools


def recording_tools() -> RecordingTools:
    """Those of this application."""
    return RecordingTools(
        open_track=_open_track,
        open_replay=_open_replay,
        open_data=_open_data,
        picture_of=_picture_of,
        fit=_fit,
        free_bytes=lambda folder: shutil.disk_usage(folder).free,
        finalise=_finalise,
    )


def _open_track(path: Path, settings: RecordingSettings, sounding: bool) -> RecordingSink:
    from clipseg_live.video.microphone import Microphone
    from clipseg_live.video.recorder import RecordingWriter

    microphone = Microphone(settings.microphone) if sounding and settings.sound == "microphone" else None
    return RecordingWriter(
        path, settings.codec, encoder=settings.encoder, quality=settings.quality, microphone=microphone
    )


def _open_replay(settings: RecordingSettings) -> ReplaySink:
    from clipseg_live.video.replay import ReplayBuffer

    return ReplayBuffer(settings.replay_seconds, settings.codec, encoder=settings.encoder, quality=settings.quality)


def _open_data(form: DataFormat, path: Path, labels: Sequence[Label], settings: RecordingSettings) -> MaskSink:
    from clipseg_live import __version__
    from clipseg_live.video.data_sinks import open_data_sink

    header = {"version": __version__}
    return open_data_sink(form, path, header, labels, live=True, annotations=settings.annotations)


def _picture_of(track: Track, shot: Shot) -> Pixels:
    from clipseg_live.video.shots import picture_of

    return picture_of(track, shot)


def _fit(shot: Shot, width: int, height: int) -> Shot:
    from clipseg_live.video.shots import fitted

    return fitted(shot, width, height)


def _finalise(path: Path, stop: Callable[[], bool]) -> str:
    from clipseg_live.video.finalise import make_fast_start

    return make_fast_start(path, stop)
