"""Exports of photo sets: independent photos, outputs under their names, and failures that do not stop the set."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from clipseg_live.app import api
from clipseg_live.app import export as export_module
from clipseg_live.app.batch.photo_sets import is_photos, picture_names, with_photos
from clipseg_live.app.export import ExportRequest, FinishedExport, run_export
from clipseg_live.core.errors import ClipsegLiveError, Failure, SourceError, UsageError
from clipseg_live.core.frame import Pixels, SourceInfo
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.core.settings.base import EngineSettings, PromptStyle
from clipseg_live.core.settings.rendering import ExportSettings, MatteSettings, RenderSettings
from tests.helpers.fakes import FakeSink
from tests.unit.app.batch.test_runner import Loaded


class Reddish(Loaded):
    """Maps of 12×16 with the redness of each part of an image."""

    def segment(self, frame: Pixels, prompts: Sequence[Prompt]) -> Segmentation:
        red = np.asarray(Image.fromarray(frame[..., 0]).resize((16, 12)), np.float32) / 255
        return Segmentation(np.stack([red] * len(prompts)), tuple(prompts), frame.shape[:2])


class Kept(FakeSink):
    """A data sink that keeps frames and mattes."""

    def open(self, info: SourceInfo) -> None:
        super().open(info)
        self.info = info


def scene(seed: int, width: int, height: int) -> Image.Image:
    """Return an image with a red spot at a given position."""
    values = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), values.integers(0, 60, 3), np.uint8)
    top, left = values.integers(0, height // 2), values.integers(0, width // 2)
    pixels[top : top + height // 3, left : left + width // 3] = (230, 30, 40)
    return Image.fromarray(pixels)


def request(source: Path | str, output: Path | None = None, **changes: object) -> ExportRequest:
    values = ExportSettings(
        engine=EngineSettings(model="shapes"), render=RenderSettings(styles=(PromptStyle(),), names=("a",))
    )
    return ExportRequest(str(source), output, (Prompt.text("a"),), values.model_copy(update=changes))


def run(asked: ExportRequest) -> FinishedExport:
    return run_export(asked, engine=Reddish)


def exported(asked: ExportRequest, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """Return what the data sinks of an export receive."""
    kept = Kept()
    monkeypatch.setattr(export_module, "_open_data_outputs", lambda request, header: [kept])
    run(asked)
    return kept


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with photos of different types and sizes."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number, (name, size) in enumerate({"IMG_10.png": (64, 48), "IMG_2.jpg": (48, 64), "x.webp": (80, 40)}.items()):
        scene(number, *size).save(folder / name)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("time", ["lookahead", "causal"])
@hypothesis_settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seeds=st.lists(st.integers(0, 3), min_size=2, max_size=5),
    mixed=st.booleans(),
    matte=st.builds(
        MatteSettings, smoothing=st.sampled_from([0.0, 0.5, 1.0]),
        motion_tracking=st.booleans(), edges=st.sampled_from(["off", "fast", "best"]),
        auto_hide=st.booleans(),
    ),
)  # fmt: skip
def test_photos_of_a_set_are_independent(  # type: ignore[no-untyped-def]
    tmp_path_factory, time: str, seeds: list[int], mixed: bool, matte: MatteSettings
) -> None:
    """Mattes and rendered images of a photo in a set equal those of the photo alone, bit by bit."""
    folder = tmp_path_factory.mktemp("set")
    (folder / "in").mkdir()
    files = [folder / "in" / f"{number}.png" for number in range(len(seeds))]
    for number, (file, seed) in enumerate(zip(files, seeds, strict=True)):
        scene(seed, 48 + 8 * mixed * number, 40).save(file)
    with pytest.MonkeyPatch.context() as patch:
        together = exported(request(folder / "in", folder / "all", time=time, matte=matte), patch)
        for number, file in enumerate(files):
            alone = exported(request(file, folder / f"{number}.png", time=time, matte=matte), patch)
            assert len(alone.frames) == 1
            for one, other in zip(alone.mattes[0].each, together.mattes[number].each, strict=True):
                np.testing.assert_array_equal(one.alpha, other.alpha)
            np.testing.assert_array_equal(alone.mattes[0].maps, together.mattes[number].maps)
            assert alone.mattes[0].presence == together.mattes[number].presence
            assert (folder / f"{number}.png").read_bytes() == (folder / "all" / file.name).read_bytes()
    assert [frame.index for frame in together.frames] == list(range(len(seeds)))
    assert [frame.file for frame in together.frames] == files
    assert together.info.independent


def described(path: Path) -> tuple[str | None, tuple[int, int]]:
    with Image.open(path) as image:
        image.load()
        return image.format, image.size


def test_each_photo_has_an_output_under_its_name(photos: Path, tmp_path: Path) -> None:
    finished = run(request(photos, tmp_path / "out"))
    assert finished.result.frames == 3 and finished.result.problems == ()
    assert {path.name: described(path) for path in (tmp_path / "out").iterdir()} == {
        "IMG_10.png": ("PNG", (64, 48)), "IMG_2.jpg": ("JPEG", (48, 64)), "x.webp": ("WEBP", (80, 40)),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("files", "suffix", "names"),
    [
        (["a.png", "b.JPG"], None, ["a.png", "b.JPG"]),
        (["a.jp2", "b.tga"], None, ["a.png", "b.png"]),
        (["a.png", "a.jpg"], None, ["a.png", "a.jpg"]),
        (["a.png", "a.jpg"], ".png", ["a-png.png", "a-jpg.png"]),
        (["a.png", "a.jp2"], None, ["a-png.png", "a-jp2.png"]),
        (["a.png", "A.png"], None, ["a.png", "A-2.png"]),
        (["x/a.png", "y/a.png"], None, ["x-a.png", "y-a.png"]),
        (["x/é.png", "y/写真 100%.png"], None, ["é.png", "写真 100%.png"]),
        (["[1].png", "%d.png"], None, ["[1].png", "%d.png"]),
    ],
)
def test_output_names_follow_photo_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], suffix: str | None, names: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in files:
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).write_bytes(b"")
    assert picture_names([Path(file) for file in files], suffix) == names


def test_a_broken_photo_does_not_stop_the_set(photos: Path, tmp_path: Path) -> None:
    (photos / "IMG_1.png").write_bytes(b"no picture")
    (photos / "z.png").write_bytes(b"")
    data = (("coco", tmp_path / "set"),)
    finished = run(replace(request(photos, tmp_path / "out"), data=data))
    assert finished.result.frames == 3
    assert [problem.split()[0] for problem in finished.result.problems] == ["IMG_1.png", "z.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["IMG_10.png", "IMG_2.jpg", "x.webp"]


def test_a_photo_and_several_inputs_make_a_set(photos: Path, tmp_path: Path) -> None:
    inputs = [str(photos / "x.webp"), str(photos / "*.png"), str(photos / "x.webp")]
    asked = with_photos(request("", tmp_path / "out"), inputs)
    assert [photo.picture for photo in asked.photos] == ["x.webp", "IMG_10.png"]
    assert asked.source == "in" and asked.notices == ("1 photo was given twice and exported once.",)
    assert run(asked).result.frames == 2
    run(request(photos / "IMG_2.jpg", tmp_path / "one"))
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["IMG_2.jpg"]


@pytest.mark.parametrize(
    ("output", "changes", "words"),
    [
        (
            "faces.mkv",
            {},
            r"a set of 3 photos, not a video: choose a folder .*-o faces, or add --sequence .*faces\.mkv",
        ),
        ("faces.png", {}, r"a set of 3 photos: choose a folder"),
        ("faces.mov", {"alpha": True}, r"not a video: .*--sequence"),
        ("out", {"codec": "vp9"}, r"Photos have no codec"),
        ("out", {"end": 3}, r"no times: omit --from and --to, or add --sequence"),
        ("in", {}, r"The input is in .*in, which the images would replace"),
    ],
)
def test_video_options_are_rejected_for_photos(
    photos: Path, tmp_path: Path, output: str, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        run(request(photos, tmp_path / output, **changes))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


@pytest.mark.parametrize("form", ["mask-video", "alpha-vp9", "animation-gif"])
def test_video_data_formats_are_rejected_for_photos(photos: Path, tmp_path: Path, form: str) -> None:
    asked = replace(request(photos), data=((form, tmp_path / "x"),))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=f"add --sequence for --data {form}"):
        run(asked)


@pytest.mark.slow
def test_a_sequence_is_exported_as_video(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        scene(number, 64, 48).save(tmp_path / "in" / f"{number}.png")
    finished = run(request(tmp_path / "in", tmp_path / "out.mkv", sequence=Fraction(10)))
    assert finished.result.frames == 3 and float(finished.result.time) == 0.2
    scene(0, 32, 32).save(tmp_path / "in" / "9.png")
    with pytest.raises(SourceError, match=r"9\.png has 32×32 pixels"):
        run(request(tmp_path / "in", tmp_path / "again.mkv", sequence=Fraction(10)))


def test_a_set_may_be_written_into_a_folder_of_the_same_name(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The set is named after the folder of its photos, which is another folder."""
    monkeypatch.chdir(photos.parent)
    Path("in").rename("shots")
    Path("work/shots").mkdir(parents=True)
    monkeypatch.chdir("work")
    asked = with_photos(request("", Path("shots")), ["../shots/x.webp", "../shots/IMG_2.jpg"])
    assert asked.source == "shots" and run(asked).result.frames == 2
    with pytest.raises(UsageError, match="would also match the results"):
        run(request("../shots/**/*.png", Path("../shots/new")))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["pipe", "pipe.png"])
def test_a_named_pipe_does_not_block(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    assert is_photos(str(tmp_path / name), None) == name.endswith(".png")
    with pytest.raises(ClipsegLiveError, match="is a named pipe"):
        run(request(tmp_path / name, tmp_path / "out.png"))


def test_existing_outputs_are_not_replaced(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x.webp").write_bytes(b"precious")
    with pytest.raises(UsageError, match=r"x\.webp exists already: use --overwrite to replace it\."):
        run(request(photos, tmp_path / "out"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.webp"]
    run(request(photos, tmp_path / "out", overwrite=True))
    assert (tmp_path / "out" / "x.webp").read_bytes() != b"precious"


def test_finished_outputs_of_an_interrupted_set_are_kept(photos: Path, tmp_path: Path) -> None:
    class Breaks(Reddish):
        def segment(self, frame: Pixels, prompts: Sequence[Prompt]) -> Segmentation:
            if self.calls == 2:
                raise Failure("The fake broke.")
            self.calls += 1
            return super().segment(frame, prompts)

    with pytest.raises(ClipsegLiveError, match=r"The fake broke") as caught:
        run_export(request(photos, tmp_path / "out"), engine=Breaks)
    done = sorted(path.name for path in (tmp_path / "out").iterdir()) if (tmp_path / "out").exists() else []
    assert all(described(tmp_path / "out" / name) for name in done)
    assert not done or f"kept in {tmp_path / 'out'}" in str(caught.value)
    assert " s" not in str(caught.value).partition(";")[2]


def test_data_name_and_copy_their_photos(photos: Path, tmp_path: Path) -> None:
    run(replace(request(photos), masks=tmp_path / "m.jsonl", data=(("coco", tmp_path / "set"),)))
    lines = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text("utf-8").splitlines()]
    assert list(dict.fromkeys(line["file"] for line in lines)) == ["IMG_2.jpg", "IMG_10.png", "x.webp"]
    described = json.loads((tmp_path / "set" / "annotations" / "instances_default.json").read_text("utf-8"))
    assert [image["file_name"] for image in described["images"]] == ["IMG_2.jpg", "IMG_10.png", "x.webp"]
    assert len({image["id"] for image in described["images"]}) == 3
    for file in photos.iterdir():
        assert (tmp_path / "set" / "images" / file.name).read_bytes() == file.read_bytes()


@pytest.mark.parametrize(("source", "output"), [(None, "out"), (b"in", "out"), ("in", 3), (["a.png"], "out")])
def test_an_export_rejects_output_names_of_other_types(source: Any, output: Any) -> None:
    with pytest.raises(UsageError, match="is not the name of a file or folder"):
        api.export(source, "red circle", output)
