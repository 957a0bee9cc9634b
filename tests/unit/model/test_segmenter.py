"""Behaviour of the engine, with a tiny network and random weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clipseg_live import Prompt, Segmenter, UsageError
from clipseg_live.core.errors import ModelError
from clipseg_live.core.frame import Frame
from clipseg_live.model import segmenter as segmenter_module
from clipseg_live.model.precision import Reference
from tests.helpers.tolerances import SAME_MAPS

TEXTS = [Prompt.text("red circle"), Prompt.text("blue star"), Prompt.text("sky")]


def test_maps_have_the_decoders_grid_and_the_frames_geometry(tiny: Segmenter, picture: np.ndarray) -> None:
    found = tiny.segment(picture, TEXTS)
    assert found.probabilities.shape == (3, 64, 64)
    assert found.probabilities.dtype == np.float32
    assert found.probabilities.min() >= 0 and found.probabilities.max() <= 1
    assert found.at().shape == (3, 72, 96)
    assert found.at(10, 20).shape == (3, 10, 20)
    assert not found.probabilities.flags.writeable


@pytest.mark.slow
@pytest.mark.parametrize(("fit", "shape"), [("stretch", (64, 64)), ("letterbox", (48, 64)), ("aspect", (48, 64))])
def test_fit_modes_place_the_frame(tiny_folder: Path, picture: np.ndarray, fit: str, shape: tuple[int, int]) -> None:
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", size=64, fit=fit)  # type: ignore[arg-type]
    assert segmenter.segment(picture, TEXTS).probabilities.shape[1:] == shape


@pytest.mark.slow
@pytest.mark.parametrize("fit", ["stretch", "letterbox", "aspect"])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (37, 53), (64, 64), (3, 20000)])
def test_any_frame_size_is_supported(tiny_folder: Path, fit: str, size: tuple[int, int]) -> None:
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", size=64, fit=fit)  # type: ignore[arg-type]
    found = segmenter.segment(np.full((*size, 3), 90, np.uint8), TEXTS[:1])
    assert found.at().shape == (1, *size)
    assert np.isfinite(found.probabilities).all()


@pytest.mark.slow
def test_new_prompts_on_the_same_frame_cost_no_vision_pass(tiny: Segmenter, picture: np.ndarray) -> None:
    first = tiny.segment(picture, TEXTS[:1])
    second = tiny.segment(picture.copy(), TEXTS)
    assert tiny.vision_passes == 1
    np.testing.assert_allclose(first.probabilities[0], second.probabilities[0], atol=SAME_MAPS)


@pytest.mark.slow
def test_a_frame_changed_in_place_is_encoded_again(tiny: Segmenter) -> None:
    frame = np.zeros((64, 64, 3), np.uint8)  # at the size of the network, so it is not resized
    before = tiny.segment(frame, TEXTS).probabilities
    frame[:, 32:] = 255
    after = tiny.segment(frame, TEXTS).probabilities
    assert tiny.vision_passes == 2
    assert np.abs(before - after).max() > 0.01


@pytest.mark.slow
def test_a_read_only_and_a_strided_frame_give_the_same(tiny: Segmenter, picture: np.ndarray) -> None:
    expected = tiny.segment(picture, TEXTS).probabilities
    frozen = picture.copy()
    frozen.setflags(write=False)
    mirrored_twice = np.ascontiguousarray(picture[:, ::-1])[:, ::-1]
    np.testing.assert_array_equal(tiny.segment(frozen, TEXTS).probabilities, expected)
    np.testing.assert_array_equal(tiny.segment(mirrored_twice, TEXTS).probabilities, expected)


@pytest.mark.slow
def test_one_call_for_many_prompts_equals_one_call_each(tiny: Segmenter, picture: np.ndarray) -> None:
    prompts = [Prompt.text(f"thing {number}") for number in range(100)]
    together = tiny.segment(picture, prompts).probabilities
    for number in (0, 57, 99):
        alone = tiny.segment(picture, [prompts[number]]).probabilities[0]
        np.testing.assert_allclose(together[number], alone, atol=SAME_MAPS)


@pytest.mark.slow
def test_text_is_encoded_once(tiny: Segmenter, picture: np.ndarray) -> None:
    for _ in range(3):
        tiny.segment(picture, TEXTS)
    statistics = tiny.prompt_cache
    assert (statistics.misses, statistics.hits, statistics.size) == (3, 6, 3)


@pytest.mark.slow
def test_decoding_uses_smaller_chunks_after_out_of_memory(
    tiny: Segmenter, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = tiny.segment(picture, TEXTS).probabilities
    decode = tiny.network.probabilities

    tried = []

    def short_of_memory(features, conditional, chunk=None):  # type: ignore[no-untyped-def]
        tried.append(chunk)
        if (chunk or 99) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return decode(features, conditional, chunk)

    monkeypatch.setattr(tiny.network, "probabilities", short_of_memory)
    np.testing.assert_allclose(tiny.segment(picture, TEXTS).probabilities, expected, atol=SAME_MAPS)
    assert tried[0] is None and tried[-1] == 1
    tried.clear()
    tiny.segment(picture, TEXTS)
    assert tried == [1], "what fitted is what the next frame begins with"


@pytest.mark.slow
def test_out_of_memory_with_one_prompt_names_a_solution(
    tiny: Segmenter, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*arguments: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(tiny.network, "probabilities", none_left)
    with pytest.raises(ModelError, match="smaller --size"):
        tiny.segment(picture, TEXTS)


@pytest.mark.slow
def test_low_precision_is_used_where_it_gives_the_same_masks(tiny_folder: Path, picture: np.ndarray) -> None:
    exact = Segmenter.load(str(tiny_folder), device="cpu").segment(picture, TEXTS).probabilities
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", dtype="bfloat16")
    if segmenter.dtype == "bfloat16":
        assert segmenter.notices == ()
    else:
        assert "float32 is used" in segmenter.notices[0]
    assert np.abs(segmenter.segment(picture, TEXTS).probabilities - exact).mean() < 0.02


@pytest.mark.slow
def test_low_precision_that_changes_masks_is_replaced_with_a_notice(
    tiny_folder: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials: list[np.ndarray] = []
    real: Callable[[Segmenter], np.ndarray] = segmenter_module.Segmenter._trial

    def trial(self: Segmenter) -> np.ndarray:
        trials.append(real(self))
        return trials[-1] if len(trials) == 1 else 1 - trials[-1]

    monkeypatch.setattr(segmenter_module.Segmenter, "_trial", trial)
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", dtype="bfloat16")
    assert segmenter.dtype == "float32"
    assert "float32 is used" in segmenter.notices[0]


@pytest.mark.slow
def test_low_precision_that_changes_the_first_frame_is_replaced_with_a_notice(
    tiny_folder: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = Segmenter.load(str(tiny_folder), device="cpu").segment(picture, TEXTS).probabilities
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", dtype="bfloat16")
    if segmenter.dtype != "bfloat16":
        pytest.skip("this processor does not run the network in bfloat16")
    real: Callable[..., torch.Tensor] = segmenter.backend.maps
    monkeypatch.setattr(segmenter.backend, "maps", lambda *arguments: 1 - real(*arguments))
    np.testing.assert_array_equal(segmenter.segment(picture, TEXTS).probabilities, exact)
    assert segmenter.notices == ("bfloat16 changes the masks of this source visibly on cpu, so float32 is used.",)


@pytest.mark.slow
def test_low_precision_without_memory_to_compare_a_frame_is_used(
    tiny_folder: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", dtype="bfloat16")
    if segmenter.dtype != "bfloat16":
        pytest.skip("this processor does not run the network in bfloat16")

    def short_of_memory(*arguments: object) -> np.ndarray:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Reference, "maps", short_of_memory)
    assert np.isfinite(segmenter.segment(picture, TEXTS).probabilities).all()
    assert segmenter.dtype == "bfloat16"


@pytest.mark.slow
def test_unsupported_low_precision_is_replaced_with_a_notice(
    tiny_folder: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., torch.Tensor] = torch.nn.functional.linear

    def linear(features: torch.Tensor, *arguments: object, **options: object) -> torch.Tensor:
        if features.dtype == torch.bfloat16:
            raise RuntimeError("pack_vnni2 is only supported when avx512 is supported")
        return real(features, *arguments, **options)

    monkeypatch.setattr(torch.nn.functional, "linear", linear)
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", dtype="bfloat16")
    assert segmenter.dtype == "float32"
    assert segmenter.notices == ("bfloat16 does not work on cpu, so float32 is used.",)
    assert np.isfinite(segmenter.segment(picture, TEXTS).probabilities).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cuda:7"}, "not available"),
        ({"device": "toaster"}, "not a device"),
        ({"dtype": "int4"}, "not a precision"),
        ({"fit": "squash"}, "not a fit mode"),
        ({"size": 100}, "use 96"),
        ({"size": 8}, "out of range"),
    ],
)
def test_invalid_options_are_named(tiny_folder: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Segmenter.load(str(tiny_folder), **{"device": "cpu", **options})  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(
    "frame",
    [
        np.zeros(4, np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4, 3), complex),
        np.zeros((0, 4, 3), np.uint8),
        np.full((4, 4, 3), 255, np.float32),
        None,
        7,
        {"pixels": 1},
    ],
)
def test_invalid_frames_are_rejected(tiny: Segmenter, frame: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"Cannot make an image|go from 0 to 1"):
        tiny.segment(frame, TEXTS)


@pytest.mark.slow
def test_prompts_are_required(tiny: Segmenter, picture: np.ndarray) -> None:
    with pytest.raises(UsageError, match="no prompt"):
        tiny.segment(picture, [])
    with pytest.raises(UsageError, match="not a prompt"):
        tiny.segment(picture, [None])  # type: ignore[list-item]


@pytest.mark.slow
def test_frames_of_any_type_give_the_same_maps(tiny: Segmenter, picture: np.ndarray, tmp_path: Path) -> None:
    image = Image.fromarray(picture)
    image.save(tmp_path / "a.png")
    wanted = tiny.segment(picture, TEXTS).probabilities
    tensor = torch.from_numpy(picture.copy())
    forms = (
        image, str(tmp_path / "a.png"), tmp_path / "a.png", (tmp_path / "a.png").read_bytes(), Frame(picture, 0, 0),
        tensor, tensor.permute(2, 0, 1), tensor.permute(2, 0, 1) / 255, picture / 255, image.convert("RGBA"),
        np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]), picture.astype(np.uint16) * 257,
    )  # fmt: skip
    for form in forms:
        assert np.array_equal(tiny.segment(form, TEXTS).probabilities, wanted)
    assert np.array_equal(tiny.segment(picture[..., ::-1], TEXTS, channels="bgr").probabilities, wanted)
    texts = [prompt.label for prompt in TEXTS]
    assert np.array_equal(tiny.segment(picture, texts).probabilities, wanted)
    assert np.abs(tiny.segment(picture, texts[0]).probabilities - wanted[:1]).max() < SAME_MAPS


@pytest.mark.slow
def test_several_frames_give_several_results(tiny: Segmenter, picture: np.ndarray) -> None:
    frames = [picture, np.ascontiguousarray(picture[::-1]), picture[: picture.shape[0] // 2]]
    wanted = [tiny.segment(frame, TEXTS).probabilities for frame in frames]
    for batch in (frames, tuple(frames)):
        found = tiny.segment(batch, TEXTS)
        assert isinstance(found, list)
        for one, other in zip(found, wanted, strict=True):
            assert np.array_equal(one.probabilities, other)
    four = torch.from_numpy(np.stack(frames[:2])).permute(0, 3, 1, 2)
    for one, other in zip(tiny.segment(four, TEXTS), wanted[:2], strict=True):
        assert np.array_equal(one.probabilities, other)
    assert tiny.segment([], TEXTS) == []
    encoded = tiny.prompt_cache.misses
    tiny.segment(frames, ["a phrase of its own"])
    assert tiny.prompt_cache.misses == encoded + 1
