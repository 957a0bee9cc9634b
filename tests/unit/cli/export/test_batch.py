"""The report of a batch, and the choice of output paths, without heavy imports."""

import json
from fractions import Fraction
from pathlib import Path

import pytest

from clipseg_live.app.batch.plan import BatchRequest
from clipseg_live.app.batch.runner import BatchReport, Ending, Outcome
from clipseg_live.app.export import ExportRequest
from clipseg_live.cli.export.batch import report_lines
from clipseg_live.cli.export.events import JsonEvents
from clipseg_live.cli.export.options import PlaceOptions, check_places
from clipseg_live.core.errors import UsageError
from clipseg_live.core.settings.rendering import ExportSettings
from clipseg_live.runtime.export import ExportResult, Progress


def report(*outcomes: Outcome, seconds: float = 3725.0) -> BatchReport:
    exports = tuple(
        ExportRequest(f"in/{name}.mov", Path("out") / f"{name}.mp4", (), ExportSettings())
        for name, _ in zip("abcde", outcomes, strict=False)
    )
    return BatchReport(exports, outcomes, seconds, stopped=False)


def test_a_report_names_every_input_and_counts_outcomes() -> None:
    lines = report_lines(
        report(
            Outcome(Ending.DONE, result=ExportResult(1, 2.0, Fraction(0)), notices=("Sound was converted.",)),
            Outcome(Ending.FINISHED_BEFORE),
            Outcome(Ending.FAILED, "c.mov is empty (0 bytes): record or download it again."),
            Outcome(Ending.STOPPED, "The export was stopped; nothing was kept."),
            Outcome(Ending.NOT_STARTED),
        )
    )
    assert lines == [
        "out/a.mp4: done, 1 frame in 2.0 s (0.5 frames a second)",
        "  Sound was converted.",
        "out/b.mp4: already finished",
        "in/c.mov: failed: c.mov is empty (0 bytes): record or download it again.",
        "in/d.mov: stopped: The export was stopped; nothing was kept.",
        "in/e.mov: not started",
        "5 inputs: 1 done, 1 already finished, 1 failed, 1 stopped, 1 not started; 1 frame in 1:02:05",
    ]


def test_a_report_of_one_input_is_short() -> None:
    lines = report_lines(report(Outcome(Ending.FINISHED_BEFORE, notices=("A word.",)), seconds=0.4))
    assert lines[-1] == "1 input: 1 already finished; 0 frames in 0:00"


@pytest.mark.parametrize(
    ("sources", "places", "words"),
    [
        (["a"], PlaceOptions(output=Path("o.mp4"), into=Path("out")), "give one of the two"),
        (["a", "b"], PlaceOptions(output=Path("o.mp4")), "2 inputs: give --into FOLDER"),
        (["a"], PlaceOptions(), "-o out.mp4, --into FOLDER"),
        (["a"], PlaceOptions(output=Path("o.mp4"), suffix=".mkv"), "--suffix is for several inputs"),
        (["a"], PlaceOptions(output=Path("o.mp4"), jobs=2), "--jobs is for several inputs"),
        (["a"], PlaceOptions(output=Path("o.mp4"), json_output=True), "--json is for several inputs"),
        (["a"], PlaceOptions(into=Path("out"), maps=Path("a.npz")), "--maps is for one result"),
    ],
)
def test_ambiguous_output_paths_are_rejected(sources: list[str], places: PlaceOptions, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_places(sources, places)


def test_output_paths_are_chosen_from_the_options() -> None:
    check_places(["a"], PlaceOptions(output=Path("o.mp4"), jobs=1))
    check_places(["a", "b"], PlaceOptions(into=Path("out"), suffix=".mkv", jobs=3))
    check_places(["a"], PlaceOptions(data=["coco:x"]))


def test_events_are_json_lines_and_progress_is_limited(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [10.0]
    monkeypatch.setattr("clipseg_live.cli.export.events.time.monotonic", lambda: now[0])
    problem = "b.png is damaged."
    result = ExportResult(9, 1.0, Fraction(0), (problem,))
    done = Outcome(Ending.DONE, result=result, notices=("Sound was converted.", problem))
    whole = report(done, seconds=2.5)
    events = JsonEvents(BatchRequest(whole.exports, Path("out")))
    events.stage("Loading")
    events.begun(0)
    for frames in range(3):
        events.progressed(0, Progress(frames, 9, 2.0, None))
        now[0] += 0.15
    events.ended(0, done)
    events.ended(0, Outcome(Ending.FINISHED_BEFORE))
    events.finished(whole)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == {"event": "planned", "sources": [{"source": "in/a.mov", "photos": []}]}
    assert [line["frames"] for line in lines if line["event"] == "progress"] == [0, 2]
    assert lines[-3:] == [
        {"event": "ended", "number": 0, "ending": "done", "sentence": "", "frames": 9,
         "problems": ["b.png is damaged."], "notices": ["Sound was converted."]},
        {"event": "ended", "number": 0, "ending": "finished_before", "sentence": "", "frames": 0, "problems": [],
         "notices": []},
        {"event": "finished", "stopped": False, "seconds": 2.5, "notices": []},
    ]  # fmt: skip
