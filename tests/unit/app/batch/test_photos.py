"""Photos in a batch: one set with one data set, outputs under their names, and resumed runs."""

import json
import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from clipseg_live.app.batch.manifest import NAME, Manifest
from clipseg_live.app.batch.plan import plan_batch
from clipseg_live.app.batch.runner import BatchReport, Ending, run_batch
from clipseg_live.core.errors import UsageError
from clipseg_live.core.settings.base import DataFormat
from tests.helpers.clips import make_clip
from tests.unit.app.batch.test_runner import Heard, Loaded, engine, template  # noqa: F401 (a fixture)

D, P, S, F = Ending.DONE, Ending.PARTLY, Ending.FINISHED_BEFORE, Ending.FAILED


def put(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (16 + number, 12), (200, number, 0)).save(folder / name)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    put(tmp_path / "shots", "IMG_2.png", "IMG_10.png", "b.jpg")
    return tmp_path / "shots"


def run(
    inputs: Sequence[Path | str],
    into: Path,
    *data: DataFormat,
    suffix: str | None = None,
    jobs: int = 1,
    **settings: object,
) -> BatchReport:
    asked = template(**settings)  # type: ignore[arg-type]
    planned = plan_batch([str(each) for each in inputs], into, asked, suffix=suffix, data=data, jobs=jobs)
    return run_batch(planned, Heard())


def ends(report: BatchReport) -> list[Ending]:
    return [outcome.ending for outcome in report.outcomes]


def names(folder: Path) -> list[str]:
    """Return the results in a folder, without the manifest."""
    return sorted(path.name for path in folder.iterdir() if path.name != NAME and ".header." not in path.name)


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_file() and path.name != NAME}


@pytest.mark.parametrize("inputs", [["shots"], ["shots/*"], ["shots/IMG_2.png", "shots/IMG_10.png", "shots/b.jpg"]])
def test_photos_form_one_set(
    photos: Path,
    tmp_path: Path,
    engine: Loaded,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    inputs: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    report = run(inputs, tmp_path / "out", "coco", "jsonl")
    assert ends(report) == [D] and report.frames == 3 and report.is_whole
    assert names(tmp_path / "out") == ["IMG_10.png", "IMG_2.png", "b.jpg", "shots-coco", "shots.jsonl"]
    with Image.open(tmp_path / "out" / "IMG_10.png") as picture:
        assert picture.size == (17, 12)
    lines = (tmp_path / "out" / "shots.jsonl").read_text("utf-8").splitlines()
    assert {json.loads(line)["file"] for line in lines} == {"IMG_2.png", "IMG_10.png", "b.jpg"}
    before = stamps(tmp_path / "out")
    assert ends(run(inputs, tmp_path / "out", "coco", "jsonl")) == [S]
    assert stamps(tmp_path / "out") == before
    assert engine.loads == 1  # type: ignore[attr-defined]


def test_videos_are_separate_exports(photos: Path, tmp_path: Path, engine: Loaded) -> None:  # noqa: F811
    clip = make_clip(tmp_path / "IMG_2.mp4", count=2)
    report = run([photos / "b.jpg", clip, photos], tmp_path / "out")
    assert ends(report) == [D, D] and report.notices[0] == "1 photo was given twice and exported once."
    assert names(tmp_path / "out") == ["IMG_10.png", "IMG_2.mp4", "IMG_2.png", "b.jpg"]


def test_outputs_of_photos_with_one_stem_have_different_names(tmp_path: Path, engine: Loaded) -> None:  # noqa: F811
    put(tmp_path / "in", "a.png", "a.jpg", "b.png")
    assert run([tmp_path / "in"], tmp_path / "out", suffix=".webp").is_whole
    assert names(tmp_path / "out") == ["a-jpg.webp", "a-png.webp", "b.webp"]
    with pytest.raises(UsageError, match=r"Photos cannot be written as \.mkv: leave out --suffix, or add --sequence"):
        run([tmp_path / "in"], tmp_path / "film", suffix=".mkv")


def test_a_broken_photo_is_reported_and_retried(photos: Path, tmp_path: Path, engine: Loaded) -> None:  # noqa: F811
    whole = (photos / "b.jpg").read_bytes()
    (photos / "b.jpg").write_bytes(b"no picture")
    report = run([photos], tmp_path / "out")
    assert ends(report) == [P] and not report.is_whole
    assert report.outcomes[0].notices[-1].startswith("b.jpg is not an image")
    assert report.outcomes[0].result is not None and report.outcomes[0].result.frames == 2
    again = run([photos], tmp_path / "out")
    assert ends(again) == [F] and "b.jpg is not an image" in again.outcomes[0].sentence
    (photos / "b.jpg").write_bytes(whole)
    before = stamps(tmp_path / "out")
    third = run([photos], tmp_path / "out")
    assert ends(third) == [D] and third.frames == 1
    assert before.items() <= stamps(tmp_path / "out").items()


def test_only_an_added_photo_is_processed(photos: Path, tmp_path: Path, engine: Loaded) -> None:  # noqa: F811
    assert run([photos], tmp_path / "out").is_whole
    before = stamps(tmp_path / "out")
    put(photos, "new.png")
    report = run([photos], tmp_path / "out")
    assert ends(report) == [D] and report.frames == 1
    assert before.items() <= stamps(tmp_path / "out").items() and "new.png" in names(tmp_path / "out")


def test_data_of_another_set_are_replaced_only_with_overwrite(
    photos: Path,
    tmp_path: Path,
    engine: Loaded,  # noqa: F811
) -> None:
    assert run([photos], tmp_path / "out", "jsonl").is_whole
    put(photos, "new.png")
    report = run([photos], tmp_path / "out", "jsonl")
    assert ends(report) == [P] and report.frames == 1
    assert "shots.jsonl was made with other settings or from another input" in report.outcomes[0].notices[-1]
    report = run([photos], tmp_path / "out", "jsonl", overwrite=True)
    assert ends(report) == [D] and report.frames == 4
    assert ends(run([photos], tmp_path / "out", "jsonl")) == [S]


def test_a_stopped_run_resumes(photos: Path, tmp_path: Path, engine: Loaded) -> None:  # noqa: F811
    engine.fails_at, engine.error = 2, KeyboardInterrupt()
    report = run([photos], tmp_path / "out", "jsonl")
    assert ends(report) == [Ending.STOPPED] and report.stopped
    assert "shots.jsonl" not in names(tmp_path / "out")
    engine.error = None
    before = stamps(tmp_path / "out")
    assert ends(run([photos], tmp_path / "out", "jsonl")) == [D]
    assert before.items() <= stamps(tmp_path / "out").items()
    assert names(tmp_path / "out") == ["IMG_10.png", "IMG_2.png", "b.jpg", "shots.jsonl"]


def test_a_killed_run_resumes(photos: Path, tmp_path: Path, engine: Loaded) -> None:  # noqa: F811
    """The manifest says only that outputs were started; existing outputs are complete."""
    out = tmp_path / "out"
    assert run([photos], out).is_whole
    record = Manifest(out)
    record.load()
    record.store(
        {name: entry.model_copy(update={"files": dict.fromkeys(entry.files)}) for name, entry in record.entries.items()}
    )
    (out / "b.jpg").unlink()
    before = stamps(out)
    report = run([photos], out)
    assert ends(report) == [D] and report.frames == 1
    assert before.items() <= stamps(out).items()
    assert ends(run([photos], out)) == [S]


def test_other_settings_need_overwrite(photos: Path, tmp_path: Path, engine: Loaded) -> None:  # noqa: F811
    assert run([photos], tmp_path / "out").is_whole
    before = stamps(tmp_path / "out")
    report = run([photos], tmp_path / "out", every=2)
    assert ends(report) == [F] and "was made with other settings" in report.outcomes[0].sentence
    assert stamps(tmp_path / "out") == before


def test_foreign_files_are_kept(photos: Path, tmp_path: Path, engine: Loaded) -> None:  # noqa: F811
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.jpg").write_bytes(b"precious")
    report = run([photos], tmp_path / "out")
    assert ends(report) == [P] and report.frames == 2
    assert "b.jpg exists already" in report.outcomes[0].notices[-1]
    assert (tmp_path / "out" / "b.jpg").read_bytes() == b"precious"


def test_results_among_photos_are_rejected(photos: Path, tmp_path: Path, engine: Loaded) -> None:  # noqa: F811
    with pytest.raises(UsageError, match=r"results.*: choose another folder"):
        run([photos], photos)
    with pytest.raises(UsageError, match=r"is also an input"):
        run([photos / "b.jpg"], photos)
    with pytest.raises(UsageError, match=r"results.*: choose another folder"):
        run([photos / "**" / "*.png"], photos / "out")


def test_a_sequence_is_a_separate_export(photos: Path, tmp_path: Path, engine: Loaded) -> None:  # noqa: F811
    for file in photos.iterdir():
        Image.new("RGB", (16, 12)).save(file)
    report = run([photos], tmp_path / "out", sequence=Fraction(25))
    assert ends(report) == [D] and names(tmp_path / "out") == ["shots.mp4"]
    with pytest.raises(UsageError, match="not single images"):
        run([photos / "b.jpg", photos / "IMG_2.png"], tmp_path / "out", sequence=Fraction(25))


def test_an_empty_folder_fails_alone(photos: Path, tmp_path: Path, engine: Loaded) -> None:  # noqa: F811
    (tmp_path / "empty").mkdir()
    report = run([photos, tmp_path / "empty"], tmp_path / "out")
    assert ends(report) == [D, F] and "contains no images" in report.outcomes[1].sentence


def test_photos_with_one_name_are_named_after_their_folders(photos: Path, tmp_path: Path, engine: Loaded) -> None:  # noqa: F811
    shutil.copytree(photos, tmp_path / "more")
    assert run([photos, tmp_path / "more"], tmp_path / "out", "jsonl").is_whole
    assert names(tmp_path / "out") == [
        "more-IMG_10.png", "more-IMG_2.png", "more-b.jpg", "photos.jsonl", "shots-IMG_10.png", "shots-IMG_2.png",
        "shots-b.jpg",
    ]  # fmt: skip
