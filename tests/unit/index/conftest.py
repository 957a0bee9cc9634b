"""Small indexes without a model: random features of four tokens."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from clipseg_live.index.manifest import IndexedSource, IndexRecipe
from clipseg_live.index.writer import IndexWriter, open_writer
from clipseg_live.model.features import FrameFeatures

RECIPE = IndexRecipe(weights="0" * 64, size=32, resize_mode="stretch", dtype="float32")
SIZE = (24, 32)


def source(name: str = "a.mp4", content: str = "c0", every: str = "1s") -> IndexedSource:
    return IndexedSource(name=name, path=f"/videos/{name}", content=content, stamps=((name, 5, 7),), every=every)


def features(seed: int, grid: tuple[int, int] = (2, 2), *, repeated: bool = False) -> FrameFeatures:
    values = np.random.default_rng(seed).normal(size=(3, 1 + grid[0] * grid[1], 4)).astype(np.float16)
    return FrameFeatures(values.astype(np.float32), grid, repeated)


def fill(writer: IndexWriter, frames: int, *, first: int = 0, number: int = 0) -> None:
    for time in range(first, first + frames):
        writer.append(number, Fraction(time), SIZE, features(time), cut=time % 3 == 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Provide an index of three chunks with two frames each, which is complete."""
    path = tmp_path / "a.mp4.clipseg-index"
    for start in (0, 2, 4):
        with open_writer(path, "shapes", RECIPE) as writer:
            number = writer.add_source(source())
            fill(writer, 2, first=start)
    with open_writer(path, "shapes", RECIPE) as writer:
        writer.finish(number)
    return path
