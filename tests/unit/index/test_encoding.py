"""Stored forms of features."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live.core.errors import Failure
from clipseg_live.index.encoding import STORAGES, Storage, decode_values, encode_values, entry_bytes

ERRORS = {"half": 2**-11, "8-bit": 0.5 / 127, "4-bit": 0.2}
"""Largest error as a share of the largest value of a token, after the means of the channels."""


@given(
    storage=st.sampled_from(STORAGES),
    shape=st.tuples(*(st.integers(1, 5) for _ in range(4))),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-3, 1.0, 100.0]),
)
def test_values_come_back_within_half_a_step(storage: Storage, shape: tuple[int, ...], seed: int, scale: float) -> None:
    values = (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float32)
    stored = encode_values(values, storage)
    found = decode_values(stored, storage)
    assert found.shape == values.shape and found.dtype == np.float32
    rest = values if storage == "half" else values - values.mean(axis=2, keepdims=True)
    largest = np.abs(rest).max(axis=3, keepdims=True)
    slack = 0.002 * np.abs(values).max() + 1e-6  # means and scales are in half precision
    assert (np.abs(found - values) <= ERRORS[storage] * largest + slack).all()
    frames, parts, tokens, channels = shape
    assert sum(tensor.nbytes for tensor in stored.values()) == frames * entry_bytes(parts, tokens, channels, storage)


@pytest.mark.parametrize("storage", ["8-bit", "4-bit"])
def test_the_largest_integers_of_both_signs_are_stored(storage: Storage) -> None:
    limit = 127 if storage == "8-bit" else 7
    values = np.array([[limit, -limit, 1, 0], [-limit, limit, -1, 0]], np.float32)[None, None]  # means are 0
    np.testing.assert_array_equal(decode_values(encode_values(values, storage), storage), values)


@pytest.mark.parametrize("storage", STORAGES)
def test_equal_and_zero_tokens_are_exact(storage: Storage) -> None:
    for values in (np.zeros((1, 3, 5, 4), np.float32), np.full((1, 3, 5, 4), 2.5, np.float32)):
        np.testing.assert_array_equal(decode_values(encode_values(values, storage), storage), values)


@pytest.mark.parametrize("storage", STORAGES)
def test_values_beyond_half_precision_are_refused(storage: Storage) -> None:
    values = np.zeros((1, 1, 2, 4), np.float32)
    values[0, 0, 0] = 1e6, -1e6, 3e7, 0
    with pytest.raises(Failure, match="exceed the range"):
        encode_values(values, storage)


def test_four_bits_cut_off_large_values_where_that_is_better() -> None:
    values = np.random.default_rng(0).normal(size=(1, 3, 200, 64)).astype(np.float32)
    rest = values - values.mean(axis=2, keepdims=True)
    step = np.abs(rest).max(axis=3, keepdims=True) / 7
    plain = np.square(np.rint(rest / step) * step - rest).mean()
    found = np.square(decode_values(encode_values(values, "4-bit"), "4-bit") - values).mean()
    assert found < 0.85 * plain


def test_published_sizes() -> None:
    assert entry_bytes(3, 485, 64, "half") == 186_240
    assert entry_bytes(3, 485, 64, "4-bit") <= 50_000
    assert entry_bytes(3, 485, 16, "half") == 46_560
