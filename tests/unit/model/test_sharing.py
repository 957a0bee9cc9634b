"""A segmenter shared by threads: one call at a time, and each caller gets its own result."""

import copy
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipseg_live import Prompt, Segmentation, Segmenter
from tests.helpers.tolerances import SAME_EMBEDDINGS, SAME_MAPS

CALLERS = 4


class Overlap:
    """Detects whether two threads are inside the wrapped functions at the same time.

    Each call waits at a barrier for a second one. Without a lock the second one arrives. With a lock it cannot, and the
    barrier breaks after its timeout.
    """

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2)
        self.entered = 0
        self.met = False

    def wrapped(self, function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            self.entered += 1
            try:
                self._barrier.wait(0.2)
                self.met = True
            except threading.BrokenBarrierError:
                self._barrier.reset()
            return function(*arguments, **options)

        return call


@contextmanager
def callers(count: int) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(count) as pool:
        yield pool


def pictures() -> list[np.ndarray]:
    """Return one image for each caller, with different sizes and contents."""
    rng = np.random.default_rng(7)
    return [rng.integers(0, 256, (40 + 8 * n, 60, 3), dtype=np.uint8) for n in range(CALLERS)]


CALLS = {
    "segment": lambda shared, n: shared.segment(pictures()[n], [Prompt.text(f"thing {n}")]),
    "encode": lambda shared, n: shared.encode([Prompt.text(f"word {n}")]),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "stage"),
    [
        ("segment", "features"),
        ("segment", "probabilities"),
        ("segment", "text_embeddings"),
        ("encode", "text_embeddings"),
    ],
)
def test_calls_of_two_threads_never_overlap(
    tiny: Segmenter, call: str, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlap = Overlap()
    monkeypatch.setattr(tiny.network, stage, overlap.wrapped(getattr(tiny.network, stage)))
    with callers(2) as pool:
        done = [pool.submit(CALLS[call], tiny, number) for number in range(2)]
        for each in done:
            each.result()
    assert overlap.entered == 2 and not overlap.met


@pytest.mark.slow
def test_settings_do_not_change_inside_a_call(tiny: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, configured = threading.Event(), threading.Event()
    features = tiny.network.features

    def slow(*arguments: Any) -> object:
        inside.set()
        assert not configured.wait(0.2), "the size changed between the stages of a call"
        return features(*arguments)

    def configure() -> None:
        inside.wait(5)
        tiny.configure(size=32)
        configured.set()

    monkeypatch.setattr(tiny.network, "features", slow)
    with callers(1) as pool:
        done = pool.submit(configure)
        assert tiny.segment(pictures()[0], [Prompt.text("x")]).probabilities.shape == (1, 64, 64)
        done.result()
    assert tiny.size == 32


@pytest.mark.slow
@pytest.mark.parametrize("detail", ["off", "tiles"])
def test_each_thread_gets_its_own_result(tiny_folder: Path, detail: str) -> None:
    own = Segmenter.load(str(tiny_folder), device="cpu", size=64)
    shared = Segmenter.load(str(tiny_folder), device="cpu", size=64, detail=detail)  # type: ignore[arg-type]
    own.configure(size=64, detail=detail)  # type: ignore[arg-type]
    frames, asked = pictures(), [[Prompt.text(f"thing {n} {k}") for k in range(1 + n % 3)] for n in range(CALLERS)]
    expected = [own.segment(frame, prompts).probabilities for frame, prompts in zip(frames, asked, strict=True)]
    embeddings = [own.encode(prompts) for prompts in asked]
    start = threading.Barrier(CALLERS)

    def ask(number: int) -> list[tuple[Segmentation, np.ndarray]]:
        start.wait(10)
        return [
            (shared.segment(frames[number], asked[number]), shared.encode(asked[number])) for _ in range(4)
        ]  # fmt: skip

    with callers(CALLERS) as pool:
        answers = list(pool.map(ask, range(CALLERS)))
    for number, each in enumerate(answers):
        for found, encoded in each:
            assert found.prompts == tuple(asked[number]) and found.frame_size == frames[number].shape[:2]
            np.testing.assert_allclose(found.probabilities, expected[number], atol=SAME_MAPS)
            np.testing.assert_allclose(encoded, embeddings[number], atol=SAME_EMBEDDINGS)


@pytest.mark.slow
def test_a_result_does_not_change_with_later_calls(tiny: Segmenter) -> None:
    frames, prompts = pictures(), [Prompt.text("red circle"), Prompt.text("sky")]
    first, embedding = tiny.segment(frames[0], prompts).probabilities, tiny.encode(prompts)
    kept, kept_embedding = first.copy(), embedding.copy()
    embedding_again = tiny.encode(prompts)
    embedding_again[:] = 0  # the array of the caller, not of the cache
    for frame in frames:
        tiny.segment(frame, [Prompt.text("something else")])
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(embedding, kept_embedding)
    np.testing.assert_array_equal(tiny.encode(prompts), kept_embedding)


@pytest.mark.slow
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda segmenter: pickle.loads(pickle.dumps(segmenter))])
def test_a_copy_has_its_own_lock(tiny: Segmenter, copied: Callable[[Segmenter], Segmenter]) -> None:
    prompts = [Prompt.text("red circle")]
    expected = tiny.segment(pictures()[0], prompts).probabilities
    other = copied(tiny)
    with tiny._lock, callers(1) as pool:
        found = pool.submit(other.segment, pictures()[0], prompts).result(timeout=60)
    np.testing.assert_allclose(found.probabilities, expected, atol=SAME_MAPS)
