"""When a recording without a window is over."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from clipseg_live.cli.record_run import _Recording
from clipseg_live.core.live import RecordingStatus, SessionStatus, SourceState, SourceStatus
from clipseg_live.core.mattes import Matte, Mattes
from clipseg_live.core.recording import RecordingSettings


class Asked:
    """A session that notes what it is asked for; its picture has a matte."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def picture(self) -> SimpleNamespace:
        return SimpleNamespace(mattes=Mattes(1, 1, (Matte(np.zeros((1, 1), np.uint8), ()),)))

    def start_recording(self, folder: Path, settings: RecordingSettings) -> None:
        self.asked.append("record")

    def seek(self, time: object) -> None:
        self.asked.append("seek")

    def play(self) -> None:
        self.asked.append("play")


def status(state: SourceState, seekable: bool = True) -> SessionStatus:
    return SessionStatus(SourceStatus(state, seekable=seekable), recording=RecordingStatus(active=True))


def test_a_file_that_ended_while_the_model_loaded_is_recorded_however_long_it_takes_to_rewind(tmp_path: Path) -> None:
    session, job = Asked(), _Recording(tmp_path, RecordingSettings(), None)
    going = [job.look(session, status(SourceState.ENDED)) for _ in range(20)]  # type: ignore[arg-type]
    assert session.asked == ["record", "seek", "play"] and all(going)
    assert job.look(session, status(SourceState.RUNNING))  # type: ignore[arg-type]
    assert not job.look(session, status(SourceState.ENDED))  # type: ignore[arg-type]


def test_what_cannot_be_rewound_ends_with_its_source(tmp_path: Path) -> None:
    session, job = Asked(), _Recording(tmp_path, RecordingSettings(), None)
    going = [job.look(session, status(SourceState.ENDED, seekable=False)) for _ in range(3)]  # type: ignore[arg-type]
    assert session.asked == ["record"] and going == [True, True, False]
