"""The report of a batch, and the choice of output paths, without heavy imports."""

from fractions import Fraction
from pathlib import Path

import pytest

from clipseg_live.app.batch.runner import BatchReport, Ending, Outcome
from clipseg_live.app.export import ExportRequest
from clipseg_live.cli.export.batch import report_lines
from clipseg_live.cli.export.options import PlaceOptions, check_places
from clipseg_live.core.errors import UsageError
from clipseg_live.core.settings.rendering import ExportSettings
from clipseg_live.runtime.export import ExportResult


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
    ],
)
def test_ambiguous_output_paths_are_rejected(sources: list[str], places: PlaceOptions, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_places(sources, places)


def test_output_paths_are_chosen_from_the_options() -> None:
    check_places(["a"], PlaceOptions(output=Path("o.mp4"), jobs=1))
    check_places(["a", "b"], PlaceOptions(into=Path("out"), suffix=".mkv", jobs=3))
    check_places(["a"], PlaceOptions(data=["coco:x"]))
