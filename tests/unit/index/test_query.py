"""Maps and presence from an index are those of the engine, with both libraries."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from clipseg_live import Prompt, Segmenter, UsageError
from clipseg_live.core.errors import NoPrediction
from clipseg_live.demo.scenes import SCENE_PRESETS, Scene
from clipseg_live.index.index import Index
from clipseg_live.index.manifest import IndexRecipe, InvalidIndex
from clipseg_live.index.writer import open_writer
from clipseg_live.matting.prompt_interaction import presence_of
from clipseg_live.model.features import FeatureSegmenter, reduce_tokens
from clipseg_live.model.openvino import library
from tests.unit.index.conftest import source

pytestmark = pytest.mark.slow

TEXTS = ("a red circle", "a blue star", "a purple ring")
COUNT = 6
HALF = 0.002
"""Largest mean difference between maps from half precision and those of the engine."""


def pictures(width: int = 160, height: int = 120) -> list[np.ndarray]:
    scene = Scene(3, width, height, Fraction(1), SCENE_PRESETS["cuts"])
    drawn = [scene.picture(number) for number in range(COUNT - 1)]
    return [*drawn, drawn[-1]]


@pytest.fixture(scope="module", params=["torch", "openvino"])
def engine(request: pytest.FixtureRequest) -> FeatureSegmenter:
    if request.param == "openvino" and not library.is_installed():
        pytest.skip("OpenVINO is not installed")
    return FeatureSegmenter.load("shapes", device="cpu", engine=request.param, size=160)


@pytest.fixture(scope="module")
def folder(engine: FeatureSegmenter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("index") / "index"
    with open_writer(path, "shapes", IndexRecipe.of(engine, "half")) as writer:
        number = writer.add_source(source())
        for time, pixels in enumerate(pictures()):
            writer.append(number, Fraction(time), pixels.shape[:2], engine.encode_frame(pixels))
            if time == 2:
                writer.flush()
        writer.finish(number)
    return path


@pytest.fixture
def index(engine: FeatureSegmenter, folder: Path) -> Index:
    return Index.open(folder, engine)


def test_maps_are_those_of_a_fresh_pass(index: Index, engine: FeatureSegmenter) -> None:
    passes = engine.vision_passes
    found = list(index.query(TEXTS))
    assert engine.vision_passes == passes, "the image was encoded again"
    assert [frame.time for frame in found] == list(range(COUNT))
    for frame, pixels in zip(found, pictures(), strict=True):
        expected = engine.segment(pixels, TEXTS)
        maps = frame.segmentation
        assert maps.prompts == expected.prompts and maps.frame_size == expected.frame_size
        assert maps.probabilities.shape == expected.probabilities.shape
        assert np.abs(maps.probabilities - expected.probabilities).mean() <= HALF
        assert not maps.probabilities.flags.writeable


def test_an_identical_frame_is_stored_once(index: Index) -> None:
    assert len(index) == COUNT
    assert sum(chunk.count for chunk in index._store.chunks.values()) == COUNT - 1


def test_ranges_of_a_query(index: Index) -> None:
    times = [frame.time for frame in index.query(TEXTS[0], start=Fraction(1), end=Fraction(3))]
    assert times == [1, 2]
    assert list(index.query(TEXTS[0], source=1)) == []


def test_exact_presence_is_that_of_the_maps(index: Index) -> None:
    table = index.presence(TEXTS)
    frames = [frame.segmentation.probabilities for frame in index.query(TEXTS)]
    np.testing.assert_allclose(table.presence, [presence_of(maps) for maps in frames], atol=1e-5)
    np.testing.assert_allclose(table.area, [(maps >= 0.5).mean(axis=(1, 2)) for maps in frames], atol=1e-3)
    assert table.time.tolist() == list(range(COUNT))


def test_quicker_presence_agrees_on_most_frames(index: Index) -> None:
    exact = index.presence(TEXTS).presence >= 0.35
    for accuracy, least in (("refined", 0.9), ("quick", 0.8), ("coarse", 0.8)):
        found = index.presence(TEXTS, accuracy).presence >= 0.35
        assert (found == exact).mean() >= least, accuracy
    assert exact.any() and not exact.all()


def test_refined_presence_decodes_undecided_frames_in_full(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipseg_live.index.index.UNDECIDED", (0.0, 1.1))
    np.testing.assert_array_equal(index.presence(TEXTS, "refined").presence, index.presence(TEXTS).presence)


def test_expressions(engine: FeatureSegmenter, index: Index) -> None:
    prompts = [Prompt.parse("red circle or blue star"), Prompt.text("red circle"), Prompt.parse("not red circle")]
    frames = list(index.query(prompts))
    for frame, pixels in zip(frames[:2], pictures(), strict=False):
        expected = engine.segment(pixels, prompts).probabilities
        assert frame.segmentation.probabilities.shape == expected.shape
        np.testing.assert_allclose(frame.segmentation.probabilities, expected, atol=0.01)
    table = index.presence(prompts)
    assert table.presence.shape == (COUNT, 3) and (table.presence[:, 0] >= table.presence[:, 1]).all()


def test_image_prompts_and_blends(index: Index) -> None:
    image = Prompt.image(pictures()[0], box=(10, 10, 60, 60))
    blend = Prompt.mix((image, 0.5), (Prompt.text("a red circle"), 0.5))
    assert index.presence([image, blend]).presence.shape == (COUNT, 2)
    with pytest.raises(UsageError):
        index.presence([])


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "aspect"])
@pytest.mark.parametrize("size", [(90, 160), (160, 70), (33, 57)])
def test_maps_cover_the_frame_in_every_fit(engine: FeatureSegmenter, fit: str, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    try:
        engine.configure(160, fit)  # type: ignore[arg-type]
        found = engine.encode_frame(pixels)
        assert engine.feature_shape(size) == found.values.shape
        maps = engine.decode_frames(found.values[None], found.grid, size, TEXTS)[0]
        expected = engine.segment(pixels, TEXTS).probabilities
        assert maps.shape == expected.shape
        np.testing.assert_allclose(maps, expected, atol=1e-4)
        values, grid = reduce_tokens(found.values[None], found.grid)
        small = engine.decode_frames(values, grid, size, TEXTS)[0]
        assert grid == (-(-found.grid[0] // 2), -(-found.grid[1] // 2))
        for whole, half in zip(maps.shape[1:], small.shape[1:], strict=True):
            assert abs(half - whole / 2) <= 1
    finally:
        engine.configure(160)


def test_reduced_tokens_are_those_that_differ_most() -> None:
    values = np.zeros((1, 2, 17, 3), np.float32)
    values[0, :, 0] = 9  # the class token
    values[0, 0, 1 + 5] = 1, 2, 3  # row 1, column 1: in the first block
    values[0, 1, 1 + 5] = 4, 5, 6
    values[0, 0, 1 + 15] = -1
    reduced, grid = reduce_tokens(values, (4, 4))
    assert grid == (2, 2) and reduced.shape == (1, 2, 5, 3)
    np.testing.assert_array_equal(reduced[0, :, 0], np.full((2, 3), 9))
    np.testing.assert_array_equal(reduced[0, :, 1], [(1, 2, 3), (4, 5, 6)])
    np.testing.assert_array_equal(reduced[0, 0, 4], (-1, -1, -1))
    assert not reduced[0, :, 2:4].any()


def test_an_odd_grid_repeats_its_border() -> None:
    values = np.arange(1 * 1 * 16 * 2, dtype=np.float32).reshape(1, 1, 16, 2)
    reduced, grid = reduce_tokens(values, (3, 5))
    assert grid == (2, 3)
    tokens = {tuple(token) for token in values[0, 0].tolist()}
    assert {tuple(token) for token in reduced[0, 0].tolist()} <= tokens
    np.testing.assert_array_equal(reduced[0, 0, -1], values[0, 0, -1])


def test_weights_that_have_changed_are_refused(engine: FeatureSegmenter, tmp_path: Path) -> None:
    recipe = IndexRecipe.of(engine, "half").model_copy(update={"weights": "1" * 64})
    with open_writer(tmp_path / "index", "shapes", recipe) as writer:
        writer.add_source(source())
    with pytest.raises(InvalidIndex, match="other weights"):
        Index.open(tmp_path / "index", engine)
    with pytest.raises(InvalidIndex, match="other weights"):
        _ = Index.open(tmp_path / "index", engine_name=engine.engine, device="cpu").engine


def test_an_engine_is_shared_by_indexes_of_several_sizes(
    engine: FeatureSegmenter, index: Index, tmp_path: Path
) -> None:
    engine.configure(96, "letterbox")
    with open_writer(tmp_path / "index", "shapes", IndexRecipe.of(engine, "8-bit")) as writer:
        writer.append(writer.add_source(source()), Fraction(0), (120, 160), engine.encode_frame(pictures()[0]))
    other = Index.open(tmp_path / "index", engine)
    shapes = [next(each.query(TEXTS[0])).segmentation.probabilities.shape for each in (index, other, index)]
    assert shapes == [(1, 160, 160), (1, 72, 96), (1, 160, 160)]


def test_features_that_are_not_finite_are_no_entry(engine: FeatureSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = engine.backend.decode
    values = engine.encode_frame(pictures()[0])
    monkeypatch.setattr(engine.backend, "decode", lambda *each: decode(*each) * np.float32(np.nan))
    with pytest.raises(NoPrediction):
        engine.decode_frames(values.values[None], values.grid, (120, 160), TEXTS)
    monkeypatch.setattr(engine.backend, "feature_values", lambda features: np.full((3, 2, 4), np.inf, np.float32))
    with pytest.raises(NoPrediction):
        engine.encode_frame(pictures()[1])


def test_several_frames_and_prompts_are_decoded_together_as_alone(engine: FeatureSegmenter) -> None:
    encoded = [engine.encode_frame(pixels) for pixels in pictures()[:3]]
    values, grid = np.stack([each.values for each in encoded]), encoded[0].grid
    together = engine.decode_frames(values, grid, (120, 160), TEXTS)
    for frame in range(3):
        for prompt in range(3):
            alone = engine.decode_frames(values[[frame]], grid, (120, 160), TEXTS[prompt])
            np.testing.assert_allclose(together[frame, prompt], alone[0, 0], atol=1e-4)


def test_the_engine_of_an_index_is_loaded_when_it_is_needed(folder: Path, engine: FeatureSegmenter) -> None:
    index = Index.open(folder, device="cpu", engine_name=engine.engine)
    assert index._engine is None
    assert index.presence(TEXTS[0], "coarse").presence.shape == (COUNT, 1)
    assert isinstance(index.engine, Segmenter) and index.engine.size == 160
