"""The training program learns, resumes exactly, and exports a folder that transformers and the engine can load."""

import csv
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from clipseg_live.core.prompts import Prompt

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def program() -> ModuleType:
    """Import scripts/training/train_shapes.py, and restore the global settings that it changes."""
    threads, path = torch.get_num_threads(), list(sys.path)
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    from scripts.training import shapes_model, train_shapes

    with pytest.MonkeyPatch.context() as patch:
        phrases = partial(shapes_model.corpus, 2000)  # generating all phrases would take most of the time
        patch.setattr(shapes_model, "corpus", phrases)
        yield train_shapes
    sys.path[:] = path
    torch.set_num_threads(threads)
    os.environ.pop("TOKENIZERS_PARALLELISM")
    if before is not None:
        os.environ["TOKENIZERS_PARALLELISM"] = before


def start(program: ModuleType, folder: Path, *arguments: str) -> None:
    fixed = ["--tiny", "--scale", "0.12", "--workers", "0", "--threads", "1", "--device", "cpu"]
    old = sys.argv
    sys.argv = ["train_shapes.py", str(folder), *fixed, *arguments]
    try:
        program.main()
    finally:
        sys.argv = old


@pytest.fixture(scope="module")
def run(program: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of three steps, with an interruption before the third."""
    folder = tmp_path_factory.mktemp("run")
    stopped = RuntimeError("stopped")
    take_step = program.Run.advance

    def advance(self: object, batch: object, steps: int) -> float:
        if self.step == 2 and not (folder / "checkpoint.pt").exists():  # type: ignore[attr-defined]
            self.save()  # type: ignore[attr-defined]
            raise stopped
        return take_step(self, batch, steps)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "measure", lambda *_: {"colour": 0.25})
        patch.setattr(program.Run, "advance", advance)
        with pytest.raises(RuntimeError, match="stopped"):
            start(program, folder, "--steps", "3")
        start(program, folder, "--steps", "3", "--resume")
    return folder


@pytest.mark.slow
def test_training_resumes_and_writes_the_curve(run: Path) -> None:
    saved = torch.load(run / "checkpoint.pt", weights_only=True)
    assert saved["step"] == 3 and not (run / "checkpoint.partial").exists()
    rows = list(csv.DictReader((run / "curve.csv").read_text("utf-8").splitlines()))
    assert [row["step"] for row in rows] == ["3"]
    assert float(rows[0]["colour"]) == 0.25 and np.isfinite(float(rows[0]["loss"]))


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_run(program: ModuleType, run: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "measure", lambda *_: {})
        shutil.copytree(run / "tokenizer", tmp_path / "tokenizer")
        start(program, tmp_path, "--steps", "3")
    whole, broken = (torch.load(folder / "checkpoint.pt", weights_only=True)["model"] for folder in (tmp_path, run))
    for name, values in whole.items():
        torch.testing.assert_close(values, broken[name], msg=name, rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def model(program: ModuleType, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the exported model."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    start(program, run, "--export", str(folder))
    return folder


@pytest.mark.slow
def test_exported_model_loads_in_transformers_and_the_engine(model: Path) -> None:
    from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor

    from clipseg_live.model.segmenter import Segmenter

    network = CLIPSegForImageSegmentation.from_pretrained(model)
    assert network.dtype == torch.float32
    processor = CLIPSegProcessor.from_pretrained(model)
    frame = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    texts = ["red circle", "something 未知 unknown"]
    inputs = processor(text=texts, images=[frame, frame], padding=True, return_tensors="pt")
    with torch.no_grad():
        reference = network(**inputs).logits.sigmoid().numpy()
    engine = Segmenter.load(str(model), device="cpu", dtype="float32")
    found = engine.segment(frame, [Prompt.text(text) for text in texts]).probabilities
    np.testing.assert_allclose(found, reference, atol=1e-4)


@pytest.mark.slow
def test_training_forward_pass_equals_transformers(program: ModuleType, model: Path) -> None:
    """The faster decoder and attention of the training give the same logits as transformers."""
    from transformers import CLIPSegForImageSegmentation

    from scripts.training import shapes_model

    stock = CLIPSegForImageSegmentation.from_pretrained(model)
    own = shapes_model.build(stock.config)
    own.load_state_dict(stock.state_dict())
    tokenizer = shapes_model.load_tokenizer(model)
    pixels = torch.randint(0, 256, (2, 96, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    ids = tokenizer(["red", "find all the large blue stars"], padding=True, return_tensors="pt").input_ids
    with torch.no_grad():
        stock.config._attn_implementation = "eager"
        expected = stock(pixel_values=shapes_model.normalise(pixels), input_ids=ids).logits
        own.config._attn_implementation = "plain_products"
        activations, _ = shapes_model.encode_images(own, pixels)
        found = shapes_model.decode(own, activations, shapes_model.encode_phrases(own, ids), (6, 6))
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, shapes_model.by_patch(expected), rtol=1e-4, atol=1e-4)
