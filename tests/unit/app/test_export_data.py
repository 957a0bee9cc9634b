"""Exports with data and transparency, with a fake engine: outputs, selected frames, and rejected settings."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from clipseg_live.app.batch.plan import plan_batch
from clipseg_live.app.batch.runner import Ending, run_batch
from clipseg_live.app.export import ExportRequest, FinishedExport, run_export
from clipseg_live.core.errors import UsageError
from clipseg_live.core.frame import Pixels
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.core.settings.base import DATA_FORMATS, DataFormat, EngineSettings, PromptStyle
from clipseg_live.core.settings.data_formats import find_format
from clipseg_live.core.settings.effects import AnyEffect, BlackOut, Pixelate, Tint
from clipseg_live.core.settings.rendering import ExportSettings, MatteSettings, RenderSettings
from tests.helpers.clips import HEIGHT, WIDTH, make_clip, raw_times
from tests.unit.app.batch.test_runner import Heard, Loaded, clips, engine  # noqa: F401 (fixtures)


class HalfThere(Loaded):
    """Detects the left half in all frames but every fourth."""

    def segment(self, frame: Pixels, prompts: Sequence[Prompt]) -> Segmentation:
        maps = np.zeros((len(prompts), HEIGHT, WIDTH), np.float32)
        maps[..., : WIDTH // 2] = 0.9 if self.calls % 4 else 0.1
        self.calls += 1
        return Segmentation(maps, tuple(prompts), frame.shape[:2])


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return make_clip(tmp_path / "in" / "a.mp4", count=9, sound=["aac"])


def request(clip: Path, output: Path | None = None, **settings: object) -> ExportRequest:
    values = ExportSettings(
        engine=EngineSettings(model="shapes"),
        render=RenderSettings(styles=(PromptStyle(),), names=("a",)),
        matte=MatteSettings(smoothing=0, motion_tracking=False, edges="off"),
    )
    return ExportRequest(str(clip), output, (Prompt.text("a"),), values.model_copy(update=settings))


def run(asked: ExportRequest) -> FinishedExport:
    return run_export(asked, engine=HalfThere)


@pytest.mark.slow
def test_data_are_written_without_a_video(clip: Path, tmp_path: Path) -> None:
    data = (("coco", tmp_path / "set"), ("jsonl", tmp_path / "m.jsonl"), ("npz", tmp_path / "maps"))
    finished = run(replace(request(clip), data=data))
    assert finished.result.frames == 9
    assert {each.name for each in tmp_path.iterdir()} == {"in", "set", "m.jsonl", "m.jsonl.header.json", "maps"}
    described = json.loads((tmp_path / "set" / "annotations" / "instances_default.json").read_text("utf-8"))
    assert len(described["images"]) == 9
    assert [each["image_id"] for each in described["annotations"]] == [1, 2, 3, 5, 6, 7]
    assert described["info"]["made_with"]["model"] == "shapes"


def test_data_have_selected_frames_and_the_video_has_all(clip: Path, tmp_path: Path) -> None:
    asked = request(clip, tmp_path / "out.mp4", every=2, only_present=True)
    run(replace(asked, masks=tmp_path / "m.jsonl", data=(("indexed", tmp_path / "set"),)))
    index = json.loads((tmp_path / "set" / "index.json").read_text("utf-8"))
    assert [each["frame"] for each in index["frames"]] == [2, 6]
    lines = (tmp_path / "m.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["frame"] for line in lines] == [2, 6]
    assert json.loads((tmp_path / "m.jsonl.header.json").read_text("utf-8"))["model"] == "shapes"
    assert len(raw_times(tmp_path / "out.mp4")) == 9


@pytest.mark.slow
def test_a_transparent_result_is_complete_with_audio(clip: Path, tmp_path: Path) -> None:
    run(request(clip, tmp_path / "out.mov", alpha=True, every=3))
    assert raw_times(tmp_path / "out.mov") == raw_times(clip)
    with av.open(str(tmp_path / "out.mov")) as container:
        assert len(container.streams.audio) == 1
        alphas = [frame.reformat(format="rgba").to_ndarray()[..., 3] for frame in container.decode(video=0)]
    assert [round(alpha[:, : WIDTH // 2 - 4].mean()) for alpha in alphas] == [0, 255, 255, 255, 0, 255, 255, 255, 0]
    assert all(alpha[:, WIDTH // 2 + 4 :].max() == 0 for alpha in alphas)


def test_undetected_prompts_are_reported(clip: Path, tmp_path: Path) -> None:
    asked = request(clip, every=4, only_present=True)
    finished = run(replace(asked, data=(("sheet", tmp_path / "s.png"), ("yolo", tmp_path / "set"))))
    assert finished.notices[-1] == "s.png was not written because no prompt was detected."
    assert not (tmp_path / "s.png").exists() and (tmp_path / "set" / "data.yaml").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Say where the result goes"),
        (
            {"data": (("coco", "x"), ("yolo", "x"))},
            r"The yolo data and the coco data would both be written to .*x: give them different",
        ),
        (
            {"output": "x", "data": (("coco", "x"),), "alpha": True},
            "The coco data and the video would both be written to",
        ),
        ({"data": (("coco", "in"),)}, r"The input is in .*in, which the coco data would replace"),
        ({"data": (("jsonl", "in/a.mp4"),)}, "is also the input"),
        ({"data": (("sheet", "s.gif"),)}, r"use a name ending in \.png"),
        ({"output": "o.mp4", "alpha": True}, r"o\.mp4 cannot be transparent: use a \.mov"),
        ({"data": (("coco", "x"),), "alpha": True}, "--alpha needs an output"),
        ({"data": (("coco", "x"),), "codec": "vp9"}, "--codec vp9 needs an output"),
    ],
)
def test_invalid_settings_are_rejected_before_a_model_is_loaded(
    clip: Path, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    output = changes.pop("output", None)
    data = tuple((form, tmp_path / name) for form, name in changes.pop("data", ()))  # type: ignore[attr-defined]
    asked = replace(request(clip, None if output is None else tmp_path / str(output), **changes), data=data)

    def never() -> Loaded:
        raise AssertionError("the model was asked for")

    with pytest.raises(UsageError, match=words):
        run_export(asked, engine=never)
    assert {each.name for each in tmp_path.iterdir()} == {"in"}


@pytest.mark.slow
def test_data_of_a_batch_are_next_to_results_and_in_the_manifest(
    clips: list[str], tmp_path: Path, engine: Loaded  # noqa: F811
) -> None:  # fmt: skip
    def done(**settings: object) -> list[Ending]:
        asked = plan_batch(clips, tmp_path / "out", request(Path(), tmp_path, **settings), data=["coco", "sheet"])
        return [outcome.ending for outcome in run_batch(asked, Heard()).outcomes]

    assert done(alpha=True) == [Ending.DONE] * 3
    names = {each.name for each in (tmp_path / "out").iterdir() if not each.name.startswith(".")}
    assert names == {f"{name}{end}" for name in "abc" for end in (".mov", "-mov-coco", "-mov-sheet.png")}
    assert done(alpha=True) == [Ending.FINISHED_BEFORE] * 3
    (tmp_path / "out" / "b-mov-sheet.png").unlink()
    assert done(alpha=True) == [Ending.FINISHED_BEFORE, Ending.FAILED, Ending.FINISHED_BEFORE]
    with Image.open(tmp_path / "out" / "a-mov-sheet.png") as sheet:
        assert sheet.format == "PNG"


@pytest.mark.slow
@pytest.mark.parametrize("form", DATA_FORMATS)
@pytest.mark.parametrize("effects", [(BlackOut(),), (Tint(), Pixelate()), (Tint(),)])
def test_original_pixels_in_data_with_a_privacy_effect_are_reported(
    clip: Path, tmp_path: Path, form: DataFormat, effects: tuple[AnyEffect, ...]
) -> None:
    asked = request(
        clip, tmp_path / "out.mp4", look=RenderSettings(effects=effects, styles=(PromptStyle(),), names=("a",))
    )
    place = tmp_path / find_format(form).file_name.replace("{}", "data").lstrip()
    finished = run(replace(asked, data=((form, place),)))
    told = [notice for notice in finished.notices if "nothing is hidden" in notice]
    assert len(told) == (find_format(form).source_pixels and effects != (Tint(),))


@pytest.mark.slow
def test_a_transparent_result_with_a_privacy_effect_is_reported(clip: Path, tmp_path: Path) -> None:
    look = RenderSettings(effects=(BlackOut(),), styles=(PromptStyle(),), names=("a",))
    finished = run(request(clip, tmp_path / "out.webm", alpha=True, look=look))
    assert any("nothing is hidden" in notice and "transparent" in notice for notice in finished.notices)


class Broken(HalfThere):
    """Returns non-finite values for every third frame."""

    def segment(self, frame: Pixels, prompts: Sequence[Prompt]) -> Segmentation:
        found = super().segment(frame, prompts)
        if self.calls % 3 == 0:
            found.probabilities[0, 2, 3] = (np.nan, np.inf, -np.inf)[self.calls // 3 % 3]
        return found


@pytest.mark.slow
@pytest.mark.parametrize("time", ["causal", "lookahead"])
@pytest.mark.parametrize("matte", [MatteSettings(), MatteSettings(smoothing=0, motion_tracking=False, edges="off")])
def test_frames_without_finite_maps_are_hidden_and_reported_once(
    clip: Path, tmp_path: Path, time: str, matte: MatteSettings
) -> None:
    look = RenderSettings(effects=(BlackOut(),), styles=(PromptStyle(),), names=("a",))
    asked = request(clip, tmp_path / "out.mkv", look=look, time=time, matte=matte, codec="ffv1")
    asked = replace(asked, data=(("coco", tmp_path / "set"), ("npz", tmp_path / "maps")))
    finished = run_export(asked, engine=Broken)
    with av.open(str(tmp_path / "out.mkv")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [not frame.any() for frame in frames] == [number % 3 == 2 for number in range(9)]
    assert len([notice for notice in finished.notices if "returned NaN" in notice and "3 frames" in notice]) == 1
