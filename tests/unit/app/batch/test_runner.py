"""Batches with a fake engine: inputs are independent, and finished results are not repeated."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from clipseg_live.app.batch import runner
from clipseg_live.app.batch.manifest import NAME, Manifest
from clipseg_live.app.batch.plan import plan_batch
from clipseg_live.app.batch.runner import BatchReport, Ending, Outcome, run_batch
from clipseg_live.app.export import ExportRequest
from clipseg_live.core.errors import ClipsegLiveError, ModelError, SinkError, UsageError
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.settings.annotations import AnnotationSettings
from clipseg_live.core.settings.base import DataFormat, EngineSettings, PromptStyle
from clipseg_live.core.settings.export_choices import MaskKind
from clipseg_live.core.settings.rendering import ExportSettings, MatteSettings, RenderSettings
from clipseg_live.model.store import loading
from clipseg_live.runtime.export import Progress
from clipseg_live.runtime.threads import StopSwitch
from tests.helpers.clips import make_clip, raw_times
from tests.helpers.fakes import FakeEngine

D, S, F = Ending.DONE, Ending.FINISHED_BEFORE, Ending.FAILED


class Loaded(FakeEngine):
    """A loaded fake engine.

    Attributes:
        calls: Number of predictions in all exports.
    """

    files = loading.find_model_files("shapes")
    notices = ("A sentence of the engine.",)


class Heard:
    """A watch that keeps its events."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.numbers: list[int] = []
        self.outcomes: list[tuple[int, Ending]] = []

    def stage(self, words: str) -> None:
        self.stages.append(words)

    def begun(self, number: int) -> None:
        self.numbers.append(number)

    def progressed(self, number: int, progress: Progress) -> None:
        assert number == self.numbers[-1]

    def ended(self, number: int, outcome: Outcome) -> None:
        self.outcomes.append((number, outcome.ending))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Loaded:
    """Replace the network. ``loads`` counts how often it is loaded."""
    engine = Loaded()
    engine.loads = 0  # type: ignore[attr-defined]

    def load(files: loading.ModelFiles, settings: EngineSettings, prompts: Sequence[Prompt]) -> Loaded:
        engine.loads += 1  # type: ignore[attr-defined]
        return engine

    monkeypatch.setattr(runner, "find_model", lambda settings: loading.find_model_files("shapes"))
    monkeypatch.setattr(runner, "load_engine", load)
    return engine


@pytest.fixture
def clips(tmp_path: Path) -> list[str]:
    (tmp_path / "in").mkdir()
    return [str(make_clip(tmp_path / "in" / f"{name}.mp4", count=3)) for name in "abc"]


def template(threshold: float = 0.5, **settings: object) -> ExportRequest:
    values = ExportSettings(
        engine=EngineSettings(model="shapes"),
        render=RenderSettings(styles=(PromptStyle(threshold=threshold),)),
        matte=MatteSettings(smoothing=0, motion_tracking=False, edges="off"),
    )
    return ExportRequest("", Path(), (Prompt.text("a"),), values.model_copy(update=settings))


def run(
    inputs: Sequence[str],
    into: Path,
    asked: ExportRequest | None = None,
    *,
    masks: MaskKind | None = None,
    data: Sequence[DataFormat] = (),
) -> BatchReport:
    return run_batch(plan_batch(inputs, into, asked or template(), masks=masks, data=data), Heard())


def endings(report: BatchReport) -> list[Ending]:
    return [outcome.ending for outcome in report.outcomes]


@pytest.mark.slow
def test_a_failed_input_does_not_stop_the_batch(clips: list[str], tmp_path: Path, engine: Loaded) -> None:
    Path(clips[1]).write_bytes(b"no video at all")
    watch = Heard()
    planned = plan_batch([*clips, str(tmp_path / "missing.mp4"), "x" * 300], tmp_path / "out", template())
    report = run_batch(planned, watch)
    assert endings(report) == [D, F, D, F, F]
    assert "xxx… is not a valid name here" in report.outcomes[4].sentence
    assert "b.mp4 is not a video" in report.outcomes[1].sentence
    assert "There is no file" in report.outcomes[3].sentence
    assert report.outcomes[0].result is not None and report.outcomes[0].result.frames == 3
    assert report.frames == 6 and not report.is_whole and not report.stopped
    assert report.notices == ("A sentence of the engine.",)
    assert report.outcomes[0].notices == ()
    assert raw_times(tmp_path / "out" / "a.mp4") == raw_times(Path(clips[0]))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [NAME, "a.mp4", "c.mp4"]
    assert engine.loads == 1  # type: ignore[attr-defined]
    assert engine.calls == 6
    assert watch.numbers == [0, 1, 2, 3, 4]
    assert watch.outcomes == list(enumerate([D, F, D, F, F]))
    assert "shapes" in watch.stages[0] and watch.stages[1:] == ["Exporting"]


@pytest.mark.slow
def test_finished_results_are_skipped_without_loading_a_model(clips: list[str], tmp_path: Path, engine: Loaded) -> None:
    assert run(clips[:2], tmp_path / "out").is_whole
    stamps = [(tmp_path / "out" / name).stat().st_mtime_ns for name in ("a.mp4", "b.mp4")]
    report = run(clips, tmp_path / "out")
    assert endings(report) == [S, S, D] and report.is_whole
    report = run(clips, tmp_path / "out")
    assert endings(report) == [S, S, S]
    assert engine.loads == 2  # type: ignore[attr-defined]
    assert [(tmp_path / "out" / name).stat().st_mtime_ns for name in ("a.mp4", "b.mp4")] == stamps


@pytest.mark.slow
def test_other_settings_need_overwrite(clips: list[str], tmp_path: Path, engine: Loaded) -> None:
    run(clips[:1], tmp_path / "out")
    before = (tmp_path / "out" / "a.mp4").read_bytes()
    report = run(clips[:2], tmp_path / "out", template(threshold=0.95))
    assert endings(report) == [F, D]
    assert "a.mp4 was made with other settings" in report.outcomes[0].sentence
    assert "--overwrite" in report.outcomes[0].sentence
    assert (tmp_path / "out" / "a.mp4").read_bytes() == before
    again = template(threshold=0.95, overwrite=True)
    assert endings(run(clips[:2], tmp_path / "out", again)) == [D, S]
    assert (tmp_path / "out" / "a.mp4").read_bytes() != before
    assert endings(run(clips[:2], tmp_path / "out", template(threshold=0.95))) == [S, S]


@pytest.mark.slow
def test_a_missing_or_changed_result_is_repeated(clips: list[str], tmp_path: Path, engine: Loaded) -> None:
    out = tmp_path / "out"
    assert run(clips, out, masks="jsonl").is_whole
    (out / "a.mp4").unlink()
    (out / "a.mp4.jsonl").unlink()
    (out / "b.mp4").write_bytes(b"cut")
    (out / "c.mp4.jsonl").unlink()
    report = run(clips, out, masks="jsonl")
    assert endings(report) == [D, F, F]
    assert all("has changed since it was made" in outcome.sentence for outcome in report.outcomes[1:])
    report = run(clips, out, template(overwrite=True), masks="jsonl")
    assert endings(report) == [S, D, D]
    assert (out / "c.mp4.jsonl").exists()


@pytest.mark.slow
def test_files_of_other_programs_in_data_do_not_outdate_a_result(
    clips: list[str], tmp_path: Path, engine: Loaded
) -> None:
    out = tmp_path / "out"
    assert run(clips[:1], out, data=["yolo"]).is_whole
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    for name in ("labels.cache", ".DS_Store", "images/Thumbs.db", "desktop.ini"):
        (folder / name).write_bytes(b"x")
    assert endings(run(clips[:1], out, data=["yolo"])) == [S]
    assert endings(run(clips[:1], out, template(threshold=0.9, overwrite=True), data=["yolo"])) == [D]


def test_a_split_needs_a_format_that_can_be_split(clips: list[str], tmp_path: Path) -> None:
    settings = template().settings.model_copy(update={"annotations": AnnotationSettings(split=0.8)})
    with pytest.raises(UsageError, match="--split needs a data set to split: add --data yolo"):
        plan_batch(clips, tmp_path / "out", replace(template(), settings=settings), data=["coco"])
    plan_batch(clips, tmp_path / "out", replace(template(), settings=settings), data=["coco", "yolo"])


def test_masks_are_next_to_their_results(clips: list[str], tmp_path: Path, engine: Loaded) -> None:
    two = [clips[0], str(make_clip(tmp_path / "in" / "v.2.mp4", count=2))]
    assert run(two, tmp_path / "out", masks="png").is_whole
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {NAME, "a.mp4", "a-mp4-masks", "v.2.mp4", "v-2-mp4-masks"}
    assert len(list((tmp_path / "out" / "v-2-mp4-masks").glob("*.png"))) == 2
    assert endings(run(two, tmp_path / "out", masks="png")) == [S, S]


def test_foreign_files_are_never_overwritten(clips: list[str], tmp_path: Path, engine: Loaded) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.mp4").write_bytes(b"precious")
    report = run(clips[:2], tmp_path / "out")
    assert endings(report) == [D, F] and "exists already" in report.outcomes[1].sentence
    assert endings(run(clips[:2], tmp_path / "out")) == [S, F]
    assert (tmp_path / "out" / "b.mp4").read_bytes() == b"precious"


@pytest.mark.slow
def test_an_unexpected_error_gives_one_sentence(clips: list[str], tmp_path: Path, engine: Loaded) -> None:
    engine.fails_at, engine.error = 4, ZeroDivisionError("a\nslip")
    report = run(clips, tmp_path / "out")
    engine.error = None
    assert endings(report) == [D, F, F]
    assert "b.mp4 failed unexpectedly (ZeroDivisionError: a slip)" in report.outcomes[1].sentence
    assert "\n" not in report.outcomes[1].sentence
    assert endings(run(clips, tmp_path / "out")) == [S, D, D]


@pytest.mark.slow
def test_a_stop_aborts_the_current_export_and_starts_no_other(clips: list[str], tmp_path: Path, engine: Loaded) -> None:
    engine.fails_at, engine.error = 4, KeyboardInterrupt()
    report = run(clips, tmp_path / "out")
    assert endings(report) == [D, Ending.STOPPED, Ending.NOT_STARTED]
    assert report.stopped and not report.is_whole
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [NAME, "a.mp4"]
    engine.error = None
    assert endings(run(clips, tmp_path / "out")) == [S, D, D]


def test_a_stop_keeps_a_partial_result_on_request(clips: list[str], tmp_path: Path, engine: Loaded) -> None:
    engine.fails_at, engine.error = 2, KeyboardInterrupt()
    report = run(clips[:1], tmp_path / "out", template(keep_partial=True))
    assert endings(report) == [Ending.STOPPED]
    kept = "kept in" in report.outcomes[0].sentence  # depends on the threads whether a frame was written
    assert (tmp_path / "out" / "a.partial.mp4").exists() == kept
    engine.error = None
    assert endings(run(clips[:1], tmp_path / "out", template(keep_partial=True))) == [D]


@pytest.mark.parametrize("masks", [None, "png"])
def test_a_finished_result_without_a_manifest_entry_is_recognised(
    clips: list[str], tmp_path: Path, engine: Loaded, masks: MaskKind | None
) -> None:
    """The program was killed between the two."""
    assert run(clips[:1], tmp_path / "out", masks=masks).is_whole
    record = Manifest(tmp_path / "out")
    record.load()
    entry, files = record.entries["a.mp4"], record.entries["a.mp4"].files
    assert None not in files.values() and len(files) == (1 if masks is None else 2)
    record.store({"a.mp4": entry.model_copy(update={"files": dict.fromkeys(files)})})
    assert endings(run(clips[:1], tmp_path / "out", masks=masks)) == [S]
    record.load()
    assert record.entries["a.mp4"].files == files
    assert endings(run(clips[:1], tmp_path / "out", template(threshold=0.3), masks=masks)) == [F]


@pytest.mark.slow
@pytest.mark.parametrize("masks", ["jsonl", "png"])
@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_an_incomplete_result_of_a_killed_run_is_replaced(
    clips: list[str], tmp_path: Path, engine: Loaded, masks: MaskKind, threshold: float
) -> None:
    """The program was killed after the masks were moved and before the video was."""
    out = tmp_path / "out"
    assert run(clips[:1], out, masks=masks).is_whole
    record = Manifest(out)
    record.load()
    entry = record.entries["a.mp4"]
    record.store({"a.mp4": entry.model_copy(update={"files": dict.fromkeys(entry.files)})})
    (out / "a.mp4").unlink()
    asked = template(threshold=threshold)
    assert endings(run(clips[:1], out, asked, masks=masks)) == [D]
    assert endings(run(clips[:1], out, asked, masks=masks)) == [S]
    record.load()
    record.store({"a.mp4": entry})
    (out / "a.mp4").unlink()
    report = run(clips[:1], out, masks=masks)  # finished results are not replaced without a request
    assert endings(report) == [F] and "exists already" in report.outcomes[0].sentence


def test_a_failed_export_leaves_no_started_entry(clips: list[str], tmp_path: Path, engine: Loaded) -> None:
    good = Path(clips[0]).read_bytes()
    Path(clips[0]).write_bytes(good[:300])
    assert endings(run(clips[:1], tmp_path / "out")) == [F]
    (tmp_path / "out" / "a.mp4").write_bytes(b"precious")
    report = run(clips[:1], tmp_path / "out")
    assert endings(report) == [F] and "exists already" in report.outcomes[0].sentence


@pytest.mark.slow
def test_sources_of_one_stem_resume_under_their_own_names(tmp_path: Path, engine: Loaded) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
    first = str(make_clip(tmp_path / "x" / "a.mp4", count=2))
    second = str(make_clip(tmp_path / "y" / "a.mp4", count=3))
    assert endings(run([first], tmp_path / "out")) == [D]
    report = run([second, first], tmp_path / "out")
    assert [request.output.name for request in report.exports] == ["y-a.mp4", "a.mp4"]
    assert endings(report) == [D, S]


def test_an_unusable_model_is_reported_once(
    clips: list[str], tmp_path: Path, engine: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> Loaded:
        raise ModelError("The fake weights are damaged.")

    monkeypatch.setattr(runner, "load_engine", fail)
    with pytest.raises(ModelError, match="fake weights"):
        run(clips, tmp_path / "out")
    with pytest.raises(UsageError, match='no model named "nonsense"'):
        run(clips, tmp_path / "out", template(engine=EngineSettings(model="nonsense")))


@pytest.mark.parametrize(
    ("options", "asked", "error", "words"),
    [
        ({"jobs": 0}, {}, UsageError, "--jobs must be 1 or more, not 0"),
        ({"suffix": ".xyz"}, {}, UsageError, "xyz"),
        ({"suffix": "webm"}, {"codec": "h264"}, UsageError, "h264"),
        ({}, {"codec": "ffv1"}, UsageError, "ffv1"),
        ({}, {"start": 2, "end": 1}, UsageError, "The end must come after the start"),
        ({"into": "in/a.mp4"}, {}, UsageError, "is a file: choose a folder"),
        ({"into": "in/a.mp4/x"}, {}, SinkError, "cannot be created"),
        ({"into": "in"}, {}, UsageError, "is also an input"),
    ],
)
def test_errors_for_all_inputs_are_raised_before_the_first_export(
    clips: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, object],
    asked: dict[str, object],
    error: type[ClipsegLiveError],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    into = Path(str(options.pop("into", "out")))
    with pytest.raises(error, match=words) as raised:
        plan_batch(clips, into, template(**asked), **options)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_a_damaged_manifest_is_reported_and_results_are_kept(clips: list[str], tmp_path: Path, engine: Loaded) -> None:
    run(clips[:1], tmp_path / "out")
    (tmp_path / "out" / NAME).write_text("{")
    report = run(clips[:2], tmp_path / "out")
    assert any("was damaged" in notice for notice in report.notices)
    assert endings(report) == [F, D] and "exists already" in report.outcomes[0].sentence


@pytest.mark.slow
def test_a_batch_process_exports_with_the_real_model(
    clips: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs the code of a batch process in this process."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # the threads of this process are unchanged
    work = runner.prepare_process(template(), 2)
    told: list[Progress] = []
    Path(clips[1]).write_bytes(b"no video")
    found = [
        work((clip, tmp_path / f"{number}.mp4", None, (), (), False), told.append, StopSwitch())
        for number, clip in enumerate(clips)
    ]
    assert [outcome.ending for outcome, _ in found] == [D, F, D]
    assert raw_times(tmp_path / "2.mp4") == raw_times(Path(clips[2]))
    assert told and all(progress.total == 3 for progress in told)
    stop = StopSwitch()
    stop.throw()
    outcome, _ = work((clips[0], tmp_path / "stopped.mp4", None, (), (), False), told.append, stop)
    assert outcome.ending is Ending.STOPPED and not (tmp_path / "stopped.mp4").exists()
    with pytest.raises(UsageError, match="A size of 100"):
        runner.prepare_process(template(engine=EngineSettings(model="shapes", size=100)), 2)
