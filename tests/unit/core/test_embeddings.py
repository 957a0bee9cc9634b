"""Embeddings from arrays and files: invalid values and sizes are rejected before memory is allocated."""

import io
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from clipseg_live import Prompt, UsageError
from clipseg_live.core.errors import ClipsegLiveError

MOST_MEMORY = 16 << 20


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_values_are_rejected_in_every_type(tmp_path: Path, dtype: str, value: float) -> None:
    values = np.zeros(512, dtype)
    values[-1] = value
    np.save(tmp_path / "vector.npy", values)
    with pytest.raises(UsageError, match="NaN or infinite"):
        Prompt.embedding(tmp_path / "vector.npy")


@pytest.mark.parametrize("value", [1e5, -1e30, 3e38, 1e300, np.iinfo(np.int64).min])
def test_values_that_overflow_in_a_model_are_rejected(value: float) -> None:
    values = np.zeros(512, np.float64)
    values[3] = value
    with pytest.raises(UsageError, match="beyond 10000"):
        Prompt.embedding(values)


def test_embeddings_of_a_model_are_accepted(tmp_path: Path) -> None:
    for dtype in ("f2", "f4", "f8", ">f8", "i2"):
        np.save(tmp_path / "vector.npy", np.arange(-256, 256).astype(dtype))
        assert Prompt.embedding(tmp_path / "vector.npy").values.tolist() == list(range(-256, 256))


def header_of(shape: tuple[int, ...]) -> bytes:
    """Return a .npy file with a header for this shape and 64 bytes of data."""
    memory = io.BytesIO()
    np.lib.format.write_array_header_2_0(memory, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return memory.getvalue() + bytes(64)


@pytest.mark.parametrize("shape", [(10**12,), (1, 10**9), (2**31, 2**31), (65_537,)])
def test_an_oversized_header_is_rejected_before_allocation(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "vector.npy"
    path.write_bytes(header_of(shape))
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match=r"vector\.npy contains an array of the shape"):
            Prompt.embedding(path)
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()


def test_a_large_file_is_rejected_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "vector.npy"
    path.write_bytes(header_of((10**9,)))
    with path.open("r+b") as file:
        file.truncate(len(header_of((10**9,))) + 4 * 10**9)  # sparse
    with pytest.raises(UsageError, match="at most 65536 values"):
        Prompt.embedding(path)


def test_large_tensors_and_arrays_are_rejected(tmp_path: Path) -> None:
    save_file({"values": np.zeros(100_000, np.float32)}, tmp_path / "vector.safetensors")
    with pytest.raises(UsageError, match="at most 65536 values"):
        Prompt.embedding(tmp_path / "vector.safetensors")
    with pytest.raises(UsageError, match="at most 65536 values"):
        Prompt.embedding(np.zeros(100_000, np.float32))


@pytest.mark.slow
@given(st.one_of(st.binary(max_size=300), st.binary(max_size=80).map(lambda tail: header_of((16,))[:-64] + tail)))
def test_other_files_give_a_one_sentence_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    for suffix in (".npy", ".safetensors"):
        path = tmp_path_factory.getbasetemp() / f"anything{suffix}"
        path.write_bytes(content)
        with suppress(ClipsegLiveError):
            assert np.isfinite(Prompt.embedding(path).values).all()
