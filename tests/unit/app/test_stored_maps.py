"""Exports that take their maps from a file: the model runs only for what is missing, and a mismatch is never used."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from clipseg_live import Prompt
from clipseg_live.app.stored_maps import StoredMapsEngine, check_maps_path
from clipseg_live.core.errors import Failure, UsageError
from clipseg_live.core.frame import Pixels
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.exporters.map_set import MapSet

CUP, MUG = Prompt.text("cup"), Prompt.text("mug")
SETTINGS = EngineSettings(model="shapes")


@dataclass
class Files:
    name: str = "shapes"
    weights: str = "abc"

    def digest(self) -> str:
        return self.weights


@dataclass
class Model:
    """An engine whose maps are the frame's brightness, with another power for each prompt."""

    engine: str = "torch"
    device: str = "cpu"
    dtype: str = "float32"
    notices: tuple[str, ...] = ("A notice.",)
    calls: list[int] = field(default_factory=list)

    def segment(self, frame: Pixels, prompts: Sequence[Prompt]) -> Segmentation:
        self.calls.append(int(frame[0, 0, 0]))
        light = frame[::2, ::2, 0].astype(np.float32) / 255
        powers = {"cup": 1, "mug": 2}
        return Segmentation(
            np.stack([light ** powers[each.label] for each in prompts]), tuple(prompts), frame.shape[:2]
        )


def frame(value: int) -> Pixels:
    return np.full((4, 6, 3), value, np.uint8)


class Run:
    """Exports of frames with one file of maps."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(
        self, values: Sequence[int], prompts: Sequence[Prompt] = (CUP,), *, model: Model | None = None,
        settings: EngineSettings = SETTINGS, weights: str = "abc", overwrite: bool = False,
    ) -> tuple[list[Segmentation], Model, StoredMapsEngine]:  # fmt: skip
        used = Model() if model is None else model
        engine = StoredMapsEngine(
            self.path,
            Files(weights=weights),
            settings,
            prompts,
            lambda: used,
            overwrite=overwrite,  # type: ignore[arg-type, return-value]
        )
        try:
            found = [engine.segment(frame(value), prompts) for value in values]
            engine.finish()
        finally:
            engine.close()
        return found, used, engine


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    yield Run(tmp_path / "set.npz")
    assert {each.name for each in tmp_path.iterdir()} <= {"set.npz"}  # nothing unfinished


def test_the_second_export_does_not_load_the_model(run: Run) -> None:
    first, model, engine = run([10, 20, 20])
    assert model.calls == [10, 20, 20] and engine.notices == ("A notice.",)
    changed = run.path.stat().st_mtime_ns
    again, unused, engine = run([10, 20, 20])
    assert unused.calls == [] and run.path.stat().st_mtime_ns == changed
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
        assert other.prompts == (CUP,) and other.frame_size == (4, 6)
    assert engine.notices == ("The maps of 3 frames are from set.npz; the model did not run.",)


def test_only_missing_frames_are_computed_and_all_are_kept(run: Run) -> None:
    run([10, 20])
    _, model, engine = run([20, 30])
    assert model.calls == [30]
    assert engine.notices[-1] == "The maps of 1 frame are from set.npz; the model ran for the other 1."
    _, model, _ = run([10, 20, 30])
    assert model.calls == []


def test_fewer_prompts_use_the_file_and_new_ones_the_model(run: Run) -> None:
    run([10, 20], (CUP, MUG))
    found, model, _ = run([20], (MUG,))
    assert model.calls == [] and found[0].probabilities[0, 0, 0] == pytest.approx((20 / 255) ** 2)
    run([10], (CUP,))
    _, model, _ = run([10, 20], (MUG, CUP))
    assert model.calls == []
    run.path.unlink()
    run([10], (CUP,))
    _, model, _ = run([10], (CUP, MUG))
    assert model.calls == [10]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"weights": "other"}, "the weights of the model"),
        ({"settings": SETTINGS.model_copy(update={"size": 352})}, "--size"),
        ({"settings": SETTINGS.model_copy(update={"detail": "zoom"})}, "--detail"),
        ({"settings": SETTINGS.model_copy(update={"resize_mode": "letterbox"})}, "--resize-mode"),
        ({"settings": SETTINGS.model_copy(update={"dtype": "float32"})}, "--dtype"),
    ],
)  # fmt: skip
def test_maps_of_another_recipe_are_never_used(run: Run, change: dict, name: str) -> None:  # type: ignore[type-arg]
    run([10])
    before = run.path.read_bytes()
    with pytest.raises(UsageError, match=f"made with other values of {name}: add --overwrite"):
        run([10], **change)
    assert run.path.read_bytes() == before
    _, model, _ = run([10], **change, overwrite=True)
    assert model.calls == [10]
    _, model, _ = run([10], **change)
    assert model.calls == []


def test_maps_of_two_engines_are_never_mixed(run: Run) -> None:
    run([10])
    before = run.path.read_bytes()
    with pytest.raises(Failure, match="made with torch on cpu in float32, and the model now runs with openvino on cpu"):
        run([10, 20], model=Model(engine="openvino"))
    assert run.path.read_bytes() == before


def test_a_failed_export_leaves_the_file_as_it_was(run: Run) -> None:
    run([10])
    before = run.path.read_bytes()

    class Failing(Model):
        def segment(self, frame: Pixels, prompts: Sequence[Prompt]) -> Segmentation:
            if frame[0, 0, 0] == 30:
                raise Failure("It failed.")
            return super().segment(frame, prompts)

    with pytest.raises(Failure, match="It failed"):
        run([10, 20, 30], model=Failing())
    assert run.path.read_bytes() == before


def test_logic_and_images_are_found_by_their_content(run: Run) -> None:
    image = Prompt.image(np.full((2, 2, 3), 7, np.uint8), label="cup")
    run([10], (image,))
    _, model, _ = run([10], (Prompt.image(np.full((2, 2, 3), 7, np.uint8), label="cup"),))
    assert model.calls == []
    _, model, _ = run([10], (Prompt.image(np.full((2, 2, 3), 8, np.uint8), label="cup"),))
    assert model.calls == [10]


def test_the_name_needs_its_suffix() -> None:
    check_maps_path(Path("a.NPZ"))
    with pytest.raises(UsageError, match=r"ends in \.npz"):
        check_maps_path(Path("a.zip"))


def test_the_maps_of_one_file_are_those_of_its_last_prompts(run: Run) -> None:
    run([10, 20], (CUP,))
    run([10], (CUP, MUG))
    stored = MapSet(run.path)
    assert stored.keys == (CUP.key, MUG.key) and len(stored.frames) == 1
    stored.close()
