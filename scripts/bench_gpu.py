"""Compare the engine with transformers' own forward pass on a GPU, in each precision and for several numbers of
prompts.

    python scripts/bench_gpu.py [--device cuda] [--rounds 30] [--model FOLDER] [--json FILE] [--quick]

It needs no network: by default the weights are random, in the architecture of rd64-refined. It prints a Markdown table.
Both sides use the same frames, weights, device and precision, and end with probabilities on the host. Times are medians
of alternating runs. "difference" is the largest difference of a probability between the two sides. "from float32" is
the
largest and the mean difference between the engine in this precision and in float32. The engine itself chooses float32
where a lower precision changes masks visibly; here every precision is measured.

``--device cpu --quick`` is a smoke test with a small network.
"""

import argparse
import copy
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import CLIPSegConfig

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout needs no installation

from clipseg_live.core.errors import NoPrediction
from clipseg_live.core.prompts import Prompt
from clipseg_live.model.benchmark import PHRASES, benchmark
from clipseg_live.model.pytorch.clipseg import ClipSeg
from clipseg_live.model.random_weights import write_random_model
from clipseg_live.model.segmenter import Segmenter

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
COUNTS = (1, 4, 16)
TITLES = ("dtype", "prompts", "transformers ms", "engine ms", "engine frames/s", "ratio", "difference", "from float32")
Row = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> list[Row]:
    """Print the table, and return its rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, mps or cpu (%(default)s)")
    parser.add_argument("--rounds", type=int, default=30, help="runs of transformers for each value (%(default)s)")
    parser.add_argument("--model", help="a model's folder, instead of random weights")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--quick", action="store_true", help="one round with a small network")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as folder:
        configuration = small_configuration() if options.quick else None
        model = options.model or str(write_random_model(Path(folder) / "model", configuration=configuration))
        full = Segmenter.load(
            model, device=options.device, dtype="float32", size=64 if options.quick else None, engine="torch"
        )
        versions = f"PyTorch {torch.__version__}, transformers {transformers.__version__}"
        print(f"{device_name(full)}; {versions}; {full.size}²")
        print(line(TITLES))
        print(line(["---"] * 2 + ["---:"] * (len(TITLES) - 2)))
        rows = []
        for row in measure(full, 1 if options.quick else options.rounds):
            rows.append(row)
            print(line(cells(row)), flush=True)
        if options.json is not None:
            options.json.write_text(json.dumps({"machine": device_name(full), "rows": rows}, indent=1) + "\n", "utf-8")
    return rows


def measure(full: Segmenter, rounds: int) -> Iterator[Row]:
    """Yield a row for each precision and number of prompts.

    Args:
        full: The engine in float32.
        rounds: Runs of transformers for each value.
    """
    # Copies are made first: the copy of a page-locked buffer is not page-locked.
    engines = [full if dtype == torch.float32 else in_precision(full, dtype) for dtype in DTYPES]
    for engine in engines:
        for count in COUNTS:
            row: Row = {"dtype": engine.dtype, "prompts": count}
            try:
                largest, mean = differences(full, engine, count)
                times = asdict(next(benchmark(engine, (count,), rounds=rounds)))
            except NoPrediction as error:
                yield {**row, "problem": str(error)}
            else:
                yield {**row, **times, "largest_from_float32": largest, "mean_from_float32": mean}


def in_precision(full: Segmenter, dtype: torch.dtype) -> Segmenter:
    """Return a copy of the engine in another precision, even where its masks differ."""
    engine = copy.deepcopy(full)
    engine._adopt(ClipSeg(copy.deepcopy(full.network.network).to(dtype)))
    return engine


def differences(full: Segmenter, engine: Segmenter, count: int) -> tuple[float, float]:
    """Return the largest and the mean difference of a probability from float32, on an image of coarse noise."""
    image = np.random.default_rng(0).integers(0, 256, (45, 80, 3), np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    prompts = [Prompt.text(phrase) for phrase in PHRASES[:count]]
    expected, actual = (each.segment(image, prompts).probabilities for each in (full, engine))
    difference = np.abs(actual - expected)
    return float(difference.max()), float(difference.mean())


def small_configuration() -> CLIPSegConfig:
    """Return the configuration of a network that a CPU runs in milliseconds."""
    sides = {"intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2, "hidden_size": 32}
    ends = {"vocab_size": 600, "bos_token_id": 598, "eos_token_id": 599, "pad_token_id": 599}
    return CLIPSegConfig(
        vision_config={**sides, "patch_size": 16, "image_size": 64},
        text_config={**sides, **ends},
        projection_dim=24,
        extract_layers=[0, 1, 2],
        reduce_dim=16,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=64,
        use_complex_transposed_convolution=True,
    )


def cells(row: Row) -> list[str]:
    """Return the cells of a row of the table."""
    start = [row["dtype"], str(row["prompts"])]
    if "problem" in row:
        return [*start, row["problem"], *[""] * (len(TITLES) - 3)]
    times = [f"{row['reference_ms']:.2f}", f"{row['ours_ms']:.2f}", f"{1000 / row['ours_ms']:.0f}"]
    changes = f"{row['largest_from_float32']:.1e}, mean {row['mean_from_float32']:.1e}"
    return [*start, *times, f"{row['ratio']:.2f}", f"{row['max_difference']:.1e}", changes]


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def device_name(engine: Segmenter) -> str:
    """Return the name of the device."""
    device = engine.network.device
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    return f"{device} with {torch.get_num_threads()} threads"


if __name__ == "__main__":
    main()
