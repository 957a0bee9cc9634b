"""The end of a headless recording, and its messages."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from clipseg_live.cli.headless import recording
from clipseg_live.cli.headless import session as headless
from clipseg_live.cli.headless.recording import _Recording, run_recording
from clipseg_live.core.addresses import SourceName
from clipseg_live.core.errors import Failure, SourceError, UsageError
from clipseg_live.core.mattes import Matte, Mattes
from clipseg_live.core.settings.live import LiveSettings, SourceSpec
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.status import Message, RecordingStatus, SessionStatus, SourceState, SourceStatus

BREAKS = "clip.mp4 ends at 0:01.000: the rest is damaged or missing."


class Asked:
    """A session that records its calls. Its frame has a matte."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.epoch = 1

    def picture(self) -> SimpleNamespace:
        return SimpleNamespace(mattes=Mattes(1, 1, (Matte(np.zeros((1, 1), np.uint8), ()),)), epoch=self.epoch)

    def start_recording(self, folder: Path, settings: RecordingSettings) -> None:
        self.asked.append("record")

    def seek(self, time: object) -> None:
        self.asked.append("seek")

    def play(self) -> None:
        self.asked.append("play")


def status(state: SourceState, seekable: bool = True, problem: str = "", active: bool = True) -> SessionStatus:
    return SessionStatus(
        SourceStatus(state, seekable=seekable, problem=problem), recording=RecordingStatus(active=active)
    )


def test_a_file_that_ended_during_loading_is_rewound_and_recorded(tmp_path: Path) -> None:
    session, job = Asked(), _Recording(tmp_path, RecordingSettings(), None)
    going = [job.look(session, status(SourceState.ENDED)) for _ in range(20)]  # type: ignore[arg-type]
    assert session.asked == ["record", "seek", "play"] and all(going)
    assert job.look(session, status(SourceState.RUNNING))  # type: ignore[arg-type]
    assert not job.look(session, status(SourceState.ENDED))  # type: ignore[arg-type]
    assert job.broken == ""


def test_a_very_short_file_is_recorded(tmp_path: Path) -> None:
    session, job = Asked(), _Recording(tmp_path, RecordingSettings(), None)
    for _ in range(2):
        assert job.look(session, status(SourceState.ENDED))  # type: ignore[arg-type]
    session.epoch += 1
    assert not job.look(session, status(SourceState.ENDED))  # type: ignore[arg-type]


def test_a_file_that_cannot_be_replayed_does_not_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session, job = Asked(), _Recording(tmp_path, RecordingSettings(), None)
    for _ in range(2):
        assert job.look(session, status(SourceState.ENDED, problem="old"))  # type: ignore[arg-type]
    monkeypatch.setattr(recording, "time", SimpleNamespace(monotonic=lambda: float("inf")))
    with pytest.raises(SourceError, match=r"^There is no file x\.mp4\.$"):
        job.look(session, status(SourceState.ENDED, problem="There is no file x.mp4."))  # type: ignore[arg-type]


def test_a_recording_of_an_unseekable_source_ends_with_it(tmp_path: Path) -> None:
    session, job = Asked(), _Recording(tmp_path, RecordingSettings(), None)
    going = [job.look(session, status(SourceState.ENDED, seekable=False)) for _ in range(3)]  # type: ignore[arg-type]
    assert session.asked == ["record"] and going == [True, True, False]


RECORDED = Message("recording", "Recorded r.mp4 and one more file.", "info")
NOT_FINISHED = Message("recording", "The disk is full; the part before the error is in r.partial.mp4.", "error")


@pytest.mark.parametrize(
    ("states", "messages", "fails", "sentence"),
    [
        ([SourceState.RUNNING, SourceState.ENDED], [RECORDED], None, ""),
        (
            [SourceState.RUNNING, (SourceState.ENDED, BREAKS)],
            [RECORDED],
            None,
            BREAKS[:-1] + "; the recording before that is kept in r.mp4 and one more file.",
        ),
        ([SourceState.RUNNING, (SourceState.ENDED, BREAKS)], [NOT_FINISHED], None, f"{BREAKS} {NOT_FINISHED.text}"),
        ([SourceState.RUNNING, (SourceState.ENDED, BREAKS)], [], None, BREAKS[:-1] + "; nothing was kept."),
        ([SourceState.RUNNING], [NOT_FINISHED], None, NOT_FINISHED.text),
        (
            [SourceState.RUNNING],
            [RECORDED],
            Failure("Segmentation keeps failing."),
            "Segmentation keeps failing; the recording before that is kept in r.mp4 and one more file.",
        ),
        ([], [], Failure("There is no file."), "There is no file."),
        ([], [], None, "Nothing was recorded: it was interrupted before the first frame with masks."),
    ],
)
def test_an_incomplete_recording_is_an_error_that_names_the_kept_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    states: list[SourceState | tuple[SourceState, str]],
    messages: list[Message],
    fails: Failure | None,
    sentence: str,
) -> None:
    def run(settings: LiveSettings, spec: SourceSpec, job: _Recording) -> None:
        session = Asked()
        for state in [SourceState.PAUSED, SourceState.PAUSED, *states] if states else []:
            given = (state, "") if isinstance(state, SourceState) else state
            job.look(session, status(given[0], problem=given[1]))  # type: ignore[arg-type]
        for message in messages:
            assert not job.hear(message)
        if fails is not None:
            raise fails

    monkeypatch.setattr(recording, "run_session", run)
    given = LiveSettings(), SourceSpec(name=SourceName("clip.mp4")), tmp_path, RecordingSettings(), None
    if sentence:
        with pytest.raises(Failure) as caught:
            run_recording(*given)
        assert str(caught.value) == sentence and caught.value.exit_code == 1
        assert capsys.readouterr().out == ""
    else:
        run_recording(*given)
        assert capsys.readouterr().out == RECORDED.text + "\n"


def test_a_usage_error_keeps_its_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: object) -> None:
        raise UsageError("There is no such source.")

    monkeypatch.setattr(recording, "run_session", run)
    with pytest.raises(UsageError):
        run_recording(LiveSettings(), SourceSpec(name=SourceName("x")), tmp_path, RecordingSettings(), None)
    assert headless.has_masks(Asked())  # type: ignore[arg-type]
