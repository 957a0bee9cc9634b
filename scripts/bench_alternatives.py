"""Compare the engine with the usual ways to run CLIPSeg without PyTorch: the whole model, exported.

    pip install onnx onnxruntime onnxscript nncf
    python scripts/bench_alternatives.py [--prompts 1,8] [--rounds 5] [--model FOLDER] [--json]

The whole model takes an image and a text for each prompt, so the image is encoded once for each prompt, and texts with
every frame. It is exported to ONNX and to OpenVINO. int8 are 8-bit weights: with activations that ONNX Runtime
quantizes while it runs, and by NNCF's weight compression. Programs that are not installed are left out. By default the
weights are random, in the architecture of rd64-refined. All methods take turns in one process; times are medians.
"difference" is the largest difference of a probability from transformers.
"""

import argparse
import copy
import importlib.util
import json
import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPSegForImageSegmentation, CLIPTokenizer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout needs no installation

from clipseg_live.core.prompts import Prompt
from clipseg_live.model.benchmark import PHRASES
from clipseg_live.model.engines import available_engines
from clipseg_live.model.openvino import library
from clipseg_live.model.random_weights import write_random_model
from clipseg_live.model.segmenter import Segmenter

TITLES = ("prompts", "method", "ms", "ratio", "difference")
Maps = NDArray[np.float32]
Method = Callable[[int], Maps]
"""Returns the maps of one of the frames."""


class WholeModel(nn.Module):
    """CLIPSeg from pixel values and tokens to probabilities."""

    def __init__(self, network: CLIPSegForImageSegmentation) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the maps of as many images as texts, (prompts, side, side)."""
        logits = self.network(pixel_values=pixel_values, input_ids=input_ids, attention_mask=attention_mask).logits
        return logits.reshape(len(input_ids), *logits.shape[-2:]).sigmoid()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", default="1,8", help="numbers of prompts, separated by commas (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each method (%(default)s)")
    parser.add_argument("--model", help="a model's folder, instead of random weights")
    parser.add_argument("--json", action="store_true", help="print a JSON object per row")
    options = parser.parse_args()
    if not options.json:
        print(" | ".join(TITLES))
    with tempfile.TemporaryDirectory(prefix="bench-alternatives-") as folder:
        model = options.model or str(write_random_model(Path(folder) / "model"))
        for count in [int(each) for each in options.prompts.split(",")]:
            for row in measure(model, Path(folder), PHRASES[:count], options.rounds):
                print(json.dumps(row) if options.json else " | ".join(map(text_of, row.values())), flush=True)


def text_of(value: Any) -> str:
    return (
        f"{value:.2g}"
        if isinstance(value, float) and value < 1
        else f"{value:.1f}"
        if isinstance(value, float)
        else str(value)
    )


def measure(model: str, folder: Path, phrases: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """Return a row for each method. Ratios compare with the slower methods' times: above 1, the engine is faster."""
    segmenters = [Segmenter.load(model, engine=engine, fit="stretch") for engine in available_engines("cpu")]
    first = segmenters[0]
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (first.size, first.size, 3), np.uint8) for _ in range(2)]
    prompts = [Prompt.text(phrase) for phrase in phrases]
    network = CLIPSegForImageSegmentation.from_pretrained(model, attn_implementation="eager").eval()
    inputs = [whole_inputs(first, frame, phrases) for frame in frames]
    whole = WholeModel(network)
    methods: dict[str, Method] = {
        f"this engine, {each.engine} {each.dtype}": lambda n, each=each: each.segment(frames[n], prompts).probabilities
        for each in segmenters
    }
    methods["whole, transformers float32"] = lambda n: forward(whole, inputs[n])
    methods |= onnx_methods(whole, inputs, folder) | openvino_methods(whole, inputs)
    expected = forward(whole, inputs[0])
    differences = {name: float(np.abs(run(0) - expected).max()) for name, run in methods.items()}
    times: dict[str, list[float]] = {name: [] for name in methods}
    for number in range(rounds):
        for name, run in methods.items():
            start = time.perf_counter()
            run((number + 1) % 2)  # never the last frame, whose features are cached
            times[name].append((time.perf_counter() - start) * 1000)
    medians = {name: statistics.median(values) for name, values in times.items()}
    own = next(iter(medians.values()))
    return [
        dict(zip(TITLES, (len(phrases), name, value, value / own, differences[name]), strict=True))
        for name, value in medians.items()
    ]


def whole_inputs(segmenter: Segmenter, frame: NDArray[np.uint8], phrases: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return the inputs of the whole model for a square frame at the size of the model."""
    tokenizer = CLIPTokenizer.from_pretrained(segmenter.files.folder, local_files_only=True)
    tokens = tokenizer(list(phrases), padding=True, return_tensors="np")
    mean, deviation = (
        np.float32(values) for values in (segmenter.preprocessing.mean, segmenter.preprocessing.deviation)
    )
    pixels = ((np.float32(frame) / 255 - mean) / deviation).transpose(2, 0, 1)
    return {
        "pixel_values": np.repeat(pixels[None], len(phrases), axis=0),
        "input_ids": tokens["input_ids"].astype(np.int64),
        "attention_mask": tokens["attention_mask"].astype(np.int64),
    }


@torch.inference_mode()
def forward(whole: WholeModel, inputs: dict[str, NDArray[Any]]) -> Maps:
    maps: Maps = whole(*(torch.from_numpy(values) for values in inputs.values())).numpy()
    return maps


def onnx_methods(whole: WholeModel, inputs: list[dict[str, NDArray[Any]]], folder: Path) -> dict[str, Method]:
    """Return the whole model in ONNX Runtime, in float32 and with 8 bits."""
    if not all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime", "onnxscript")):
        return {}
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    paths = {
        name: folder / f"{name.replace(' ', '-')}-{len(inputs[0]['input_ids'])}.onnx" for name in ("float32", "int8")
    }
    example = tuple(torch.from_numpy(values) for values in inputs[0].values())
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        torch.onnx.export(
            copy.deepcopy(whole),
            example,
            str(paths["float32"]),
            input_names=list(inputs[0]),
            dynamo=True,
            verbose=False,
        )
    quantize_dynamic(
        paths["float32"], paths["int8"], weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"]
    )
    methods: dict[str, Method] = {}
    for name, path in paths.items():
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        given = {each.name for each in session.get_inputs()}
        methods[f"whole, ONNX Runtime {name}"] = lambda n, session=session, given=given: session.run(
            None, {key: values for key, values in inputs[n].items() if key in given}
        )[0]
    return methods


def openvino_methods(whole: WholeModel, inputs: list[dict[str, NDArray[Any]]]) -> dict[str, Method]:
    """Return the whole model in OpenVINO, in float32 and with weights of 8 bits."""
    if not library.is_installed():
        return {}
    openvino, core = library.load(), library.core()
    example = {name: torch.from_numpy(values) for name, values in inputs[0].items()}

    def converted() -> Any:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            shapes = [(name, openvino.PartialShape(list(values.shape))) for name, values in inputs[0].items()]
            return openvino.convert_model(whole, example_input=example, input=shapes)

    models = {"float32": converted()}
    if importlib.util.find_spec("nncf"):
        import nncf

        models["int8"] = nncf.compress_weights(converted(), mode=nncf.CompressWeightsMode.INT8_SYM)
    methods: dict[str, Method] = {}
    for name, model in models.items():
        hint = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        request = core.compile_model(model, "CPU", hint).create_infer_request()
        methods[f"whole, OpenVINO {name}"] = lambda n, request=request: np.array(
            next(iter(request.infer(inputs[n]).values()))
        )
    return methods


if __name__ == "__main__":
    main()
