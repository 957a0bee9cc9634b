"""Functions for recordings. OpenCV and PyAV are only imported with the first recording."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clipseg_live.core.mattes import Label
from clipseg_live.core.protocols import FileOutput, GrowingOutput
from clipseg_live.core.settings.base import DataFormat
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.runtime.outputs.recording_segment import RecordingTools

if TYPE_CHECKING:
    from clipseg_live.media.writers.replay_buffer import ReplayBuffer


def recording_tools() -> RecordingTools:
    """Return the functions that this application uses for recordings."""
    return RecordingTools(
        open_track=_open_track,
        open_replay=_open_replay,
        open_data=_open_data,
        free_bytes=lambda folder: shutil.disk_usage(folder).free,
        finalise=_finalise,
    )


def _open_track(path: Path, settings: RecordingSettings, with_sound: bool) -> GrowingOutput:
    from clipseg_live.media.audio.microphone import Microphone
    from clipseg_live.media.writers.recording import RecordingWriter

    microphone = Microphone(settings.microphone) if with_sound and settings.sound == "microphone" else None
    return RecordingWriter(
        path, settings.codec, encoder=settings.encoder, quality=settings.quality, microphone=microphone
    )


def _open_replay(settings: RecordingSettings) -> "ReplayBuffer":
    from clipseg_live.media.writers.replay_buffer import ReplayBuffer

    return ReplayBuffer(settings.replay_seconds, settings.codec, encoder=settings.encoder, quality=settings.quality)


def _open_data(data_format: DataFormat, path: Path, labels: Sequence[Label], settings: RecordingSettings) -> FileOutput:
    from clipseg_live._version import __version__
    from clipseg_live.exporters.data_options import DataOptions
    from clipseg_live.exporters.registry import open_data_sink

    header = {"version": __version__}
    return open_data_sink(
        data_format, path, DataOptions(header, tuple(labels), live=True, annotations=settings.annotations)
    )


def _finalise(path: Path, stop: Callable[[], bool]) -> str:
    from clipseg_live.media.writers.remux import remux_to_faststart

    return remux_to_faststart(path, stop)
