"""Tokens are reused between frames only where that was asked for, and full passes give the plain engine's maps."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clipseg_live import Prompt, Segmenter
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.demo.scenes import Scene
from clipseg_live.model import frame_reuse
from clipseg_live.model.frame_reuse import FULL_SECONDS
from clipseg_live.model.openvino import layers, reuse
from tests.unit.model.openvino.test_backend import SAME

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_openvino")]

TEXTS = [Prompt.text("red circle"), Prompt.text("sky")]
SIDE = 160  # of 10² patches
PATCH = 16


class Clock:
    """Time that only the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(frame_reuse, "monotonic", clock)
    return clock


@pytest.fixture
def one(tiny_folder: Path, clock: Clock) -> Segmenter:
    return Segmenter.load(str(tiny_folder), device="cpu", size=SIDE, reuse=True)


@pytest.fixture(scope="module")
def plain(tiny_folder: Path) -> Segmenter:
    return Segmenter.load(str(tiny_folder), device="cpu", size=SIDE)


@pytest.fixture
def exact_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute changed tokens and no others."""
    monkeypatch.setattr(reuse, "STEP", 1)


def drawn(number: int) -> np.ndarray:
    """Frame of the network's own size, so that nothing is resized."""
    return Scene(3, SIDE, SIDE).picture(number)


def changed(frame: np.ndarray, *patches: int, bits: int = 16) -> np.ndarray:
    """Return the frame with other content in some patches; with more bits the change is strong."""
    other = frame.copy()
    for patch in patches:
        row, column = divmod(patch, SIDE // PATCH)
        other[row * PATCH :, column * PATCH :][:PATCH, :PATCH] ^= bits
    return other


def assert_same(found: Segmentation, expected: Segmentation) -> None:
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=SAME)


@pytest.mark.parametrize("name", ["tiny_folder", "other_folder"])
def test_a_first_frame_is_that_of_the_plain_engine(request: pytest.FixtureRequest, clock: Clock, name: str) -> None:
    folder = str(request.getfixturevalue(name))
    pair = [Segmenter.load(folder, device="cpu", size=SIDE, reuse=wanted) for wanted in (True, False)]
    prompts = [*TEXTS, Prompt.image(drawn(9))]
    found, expected = (each.segment(drawn(0), prompts) for each in pair)
    assert_same(found, expected)
    assert (found.recomputed, expected.recomputed) == (1.0, None)


def test_a_still_frame_computes_nothing_and_has_the_same_maps(one: Segmenter) -> None:
    before = one.segment(drawn(0), TEXTS)
    noisy = drawn(0).clip(1, 254) + np.random.default_rng(0).integers(-1, 2, (SIDE, SIDE, 3), dtype=np.int8)
    for frame in (drawn(0), noisy.astype(np.uint8)):
        after = one.segment(frame, TEXTS)
        np.testing.assert_array_equal(after.probabilities, before.probabilities)
        assert after.recomputed == 0


def test_changed_tokens_are_computed_and_the_others_keep_what_they_had(
    tiny_folder: Path, one: Segmenter, exact_steps: None
) -> None:
    source = Segmenter.load(str(tiny_folder), device="cpu", size=SIDE, engine="torch").backend._source  # type: ignore[attr-defined]
    frames = [drawn(0), changed(drawn(0), 5, 17), changed(drawn(0), 5, 30, 31, 99)]
    changes = [range(100), (5, 17), (17, 30, 31, 99)]
    known: dict[int, dict[str, torch.Tensor]] = {}
    for frame, patches in zip(frames, changes, strict=True):
        found = one._see(0, frame, one_placement(one, frame), lambda stage: None)
        expected = features(source, frame, one, known, [0, *(patch + 1 for patch in patches)])
        np.testing.assert_allclose(found.values, expected, atol=1e-4, rtol=1e-4)
    whole = features(source, frames[-1], one, {}, list(range(101)))
    assert np.abs(found.values - whole).max() > 0.01


def one_placement(segmenter: Segmenter, frame: np.ndarray) -> object:
    from clipseg_live.model.preprocess import place_frame

    return place_frame(*frame.shape[:2], size=segmenter.size, patch=PATCH, fit="stretch")


@torch.no_grad()
def features(
    network: torch.nn.Module, frame: np.ndarray, one: Segmenter, known: dict[int, dict[str, torch.Tensor]],
    active: list[int],
) -> np.ndarray:  # fmt: skip
    """Return what the decoder reads, by transformers' modules, with the keys, values and outputs of other tokens."""
    vision = network.clip.vision_model
    pixels = torch.tensor(frame, dtype=torch.float32).permute(2, 0, 1)[None]
    pixels = pixels * torch.tensor(one.preprocessing.scale).view(3, 1, 1)
    pixels = pixels + torch.tensor(one.preprocessing.shift).view(3, 1, 1)
    hidden = vision.pre_layrnorm(vision.embeddings(pixels, interpolate_pos_encoding=True))[0]
    read = []
    for number, layer in enumerate(vision.encoder.layers[: max(network.extract_layers) + 1]):
        kept = known.setdefault(number, {name: torch.zeros_like(hidden) for name in ("keys", "values", "outputs")})
        attention, inner = layer.self_attn, layer.layer_norm1(hidden[active])
        kept["keys"][active], kept["values"][active] = attention.k_proj(inner), attention.v_proj(inner)
        heads = [
            each.view(len(each), attention.num_heads, -1).transpose(0, 1)
            for each in (attention.q_proj(inner), kept["keys"], kept["values"])
        ]
        seen = torch.nn.functional.scaled_dot_product_attention(*heads)
        middle = hidden[active] + attention.out_proj(seen.transpose(0, 1).reshape(len(active), -1))
        kept["outputs"][active] = middle + layer.mlp(layer.layer_norm2(middle))
        hidden = kept["outputs"].clone()
        if number in network.extract_layers:
            read.append(hidden)
    pairs = zip(network.decoder.reduces, reversed(read), strict=True)
    return torch.stack([reduction(values) for reduction, values in pairs]).numpy()


def test_the_number_of_computed_tokens_is_rounded_up(one: Segmenter) -> None:
    one.segment(drawn(0), TEXTS)
    assert one.segment(changed(drawn(0), 5), TEXTS).recomputed == pytest.approx(32 / 101)


def test_many_changes_and_cuts_are_computed_in_full(one: Segmenter, plain: Segmenter) -> None:
    one.segment(drawn(0), TEXTS)
    cut = 255 - drawn(200)
    found = one.segment(cut, TEXTS)
    assert found.recomputed == 1
    assert_same(found, plain.segment(cut, TEXTS))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sets(st.integers(0, 99), max_size=30), min_size=1, max_size=4))
def test_without_a_threshold_any_sequence_is_that_of_the_plain_engine(
    tiny_folder: Path, plain: Segmenter, sequence: list[set[int]]
) -> None:
    backend = copy.deepcopy(plain.backend)
    cache, frame = reuse.TokenCache(threshold=0.0), drawn(0)
    for patches in sequence:
        frame = changed(frame, *patches)
        found = backend.features(frame, plain.preprocessing, cache)
        np.testing.assert_allclose(found.values, plain.backend.features(frame, plain.preprocessing).values, atol=SAME)
        assert cache.share == 1


def test_a_second_after_a_full_pass_all_tokens_are_computed(one: Segmenter, plain: Segmenter, clock: Clock) -> None:
    one.segment(drawn(0), TEXTS)
    clock.now += FULL_SECONDS / 2
    frame = changed(drawn(0), 5, 6)
    assert 0 < (one.segment(frame, TEXTS).recomputed or 0) < 1
    assert one.approximate
    clock.now += FULL_SECONDS / 2
    found = one.segment(frame, TEXTS)  # the very same frame, too
    assert found.recomputed == 1 and not one.approximate
    assert_same(found, plain.segment(frame, TEXTS))
    clock.now += 10 * FULL_SECONDS
    assert one.segment(frame, TEXTS).recomputed == 0


def test_full_passes_take_a_quarter_of_the_time_of_a_slow_machine(
    one: Segmenter, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = one.backend.features

    def slow(*arguments: Any) -> Any:
        clock.now += 2
        return features(*arguments)

    monkeypatch.setattr(one.backend, "features", slow)
    assert one.segment(drawn(0), TEXTS).recomputed == 1  # ends after 2 seconds
    shares = [one.segment(changed(drawn(0), number), TEXTS).recomputed for number in range(4)]  # each begins 2 later
    assert [share == 1 for share in shares] == [False, False, False, True]


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.forget(),
        lambda one: one.configure(SIDE, reuse=True),
        lambda one: one.configure(SIDE, reuse=False),
        lambda one: one.configure(SIDE, detail="tiles", reuse=True),
    ],
)
def test_after_a_change_nothing_is_left_of_earlier_frames(
    one: Segmenter, plain: Segmenter, change: Callable[[Segmenter], None]
) -> None:
    frame = changed(drawn(0), 5, 6)
    one.segment(drawn(0), TEXTS)
    one.segment(frame, TEXTS)
    assert one.approximate
    change(one)
    found = one._see(0, frame, one_placement(one, frame), lambda stage: None)
    expected = plain._see(0, frame, one_placement(one, frame), lambda stage: None)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-4)
    assert not one.approximate


def test_another_grid_is_computed_in_full(one: Segmenter, tiny_folder: Path) -> None:
    one.configure(SIDE, "aspect", reuse=True)
    wide, high = drawn(0)[: SIDE // 2], drawn(0)[:, : SIDE // 2]
    plain = Segmenter.load(str(tiny_folder), device="cpu", size=SIDE, fit="aspect")
    for frame in (wide, high, wide):
        found = one.segment(frame, TEXTS)
        assert found.recomputed == 1
        assert_same(found, plain.segment(frame, TEXTS))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda segmenter: pickle.loads(pickle.dumps(segmenter))])
def test_a_copy_goes_on_alone(one: Segmenter, copied: Callable[[Segmenter], Segmenter]) -> None:
    one.segment(drawn(0), TEXTS)
    other = copied(one)
    frame = changed(drawn(0), 5)
    found, expected = other.segment(frame, TEXTS), one.segment(frame, TEXTS)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    assert found.recomputed == expected.recomputed == pytest.approx(32 / 101)


def test_the_weights_are_in_memory_once(one: Segmenter, plain: Segmenter) -> None:
    assert "vision.xml" not in one.backend._requests  # type: ignore[attr-defined]
    later = copy.deepcopy(plain)
    later.configure(SIDE, reuse=True)
    assert later.segment(drawn(0), TEXTS).recomputed == 1
    assert "vision.xml" not in later.backend._requests  # type: ignore[attr-defined]


def test_lower_precisions_reuse_tokens_too(one: Segmenter, tiny_folder: Path) -> None:
    low = copy.deepcopy(one)
    low._use(type(one.backend)(one.backend._folder, one.backend._geometry, "int8", layered=True))  # type: ignore[attr-defined, call-arg]
    low.segment(drawn(0), TEXTS)
    found = low.segment(changed(drawn(0), 5), TEXTS)
    assert found.recomputed == pytest.approx(32 / 101)
    np.testing.assert_allclose(
        found.probabilities.mean(), one.segment(changed(drawn(0), 5), TEXTS).probabilities.mean(), atol=0.02
    )


def test_pytorch_computes_all_tokens(tiny_folder: Path) -> None:
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", size=SIDE, engine="torch", reuse=True)
    segmenter.segment(drawn(0), TEXTS)
    assert segmenter.segment(changed(drawn(0), 5), TEXTS).recomputed is None
    assert not segmenter.approximate


def test_the_parts_are_the_whole(plain: Segmenter) -> None:
    backend = plain.backend
    pixels = drawn(0)[None].astype(np.float32)
    parts = layers.cut(backend._read_vision(), {})  # type: ignore[attr-defined]
    first = parts.embedding.run(pixels, backend._positions_of((10, 10)))[0][0]  # type: ignore[attr-defined]
    hidden, _, _, read = reuse.encode_all(parts, first, lambda: None)
    decoded, last = backend.encode_pixels(pixels)  # type: ignore[attr-defined]
    assert len(parts.layers) == 3 and parts.read == (0, 1, 2)
    np.testing.assert_allclose(reuse.reduce(parts, read), decoded, atol=1e-5)
    np.testing.assert_allclose(hidden[None], last, atol=1e-5)


@pytest.mark.parametrize(("count", "share"), [(31, 32 / 101), (32, 64 / 101), (50, 64 / 101), (51, 1.0)])
def test_up_to_half_of_the_patches_are_computed_alone(one: Segmenter, count: int, share: float) -> None:
    one.segment(drawn(0), TEXTS)
    assert one.segment(changed(drawn(0), *range(count)), TEXTS).recomputed == pytest.approx(share)


@pytest.mark.usefixtures("exact_steps")
def test_neighbours_of_strong_changes_are_computed(one: Segmenter) -> None:
    one.segment(drawn(0), TEXTS)
    found = one.segment(changed(drawn(0), 0, 55, bits=64), TEXTS)
    assert found.recomputed == pytest.approx((1 + 3 + 5) / 101)
