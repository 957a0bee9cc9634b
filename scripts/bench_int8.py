"""Compare ways to quantize the vision encoder to 8 bits, by their masks. Speed is not measured.

    python scripts/bench_int8.py [--images 200] [--model FOLDER]

The products of the encoder are computed in PyTorch from rounded weights and activations, so that ways can be compared
that a processor does not have. Weights have 8 bits and a scale for each output. Activations have one scale for each
group of channels of a token, for each token, or for each tensor. The first two are found while the network runs, the
last is calibrated on 64 other images, from the largest values or without the largest 0.01 %.

"outliers": a few channels of each normalisation are multiplied by 50, and the weights that read them divided by 50, as
in the published weights, which have such channels. This leaves the network in float32 unchanged.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout needs no installation

from clipseg_live.model.openvino.quantization import GROUP
from clipseg_live.model.pytorch import clipseg
from clipseg_live.model.segmenter import Segmenter
from scripts.training.evaluate_shapes import drawn, questions

CALIBRATED = 64
"""Images for calibration."""
OUTLIERS, OUTLIER_FACTOR = 3, 50.0
"""Channels of each normalisation that are scaled, and by how much."""
SHARE = 0.9999
"""Share of the activations within the calibrated range, where it is not the largest value."""

Quantizer = Callable[[Tensor, str], Tensor]
"""Rounds activations (..., channels) of the product with the given name."""
linear = functional.linear


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200, help="drawn images (%(default)s)")
    parser.add_argument("--model", default="shapes", help="a model's name or folder (%(default)s)")
    options = parser.parse_args()
    print("| weights | activations | error of the features | mean difference | IoU of present prompts | agreement |")
    print("|---|---|--:|--:|--:|--:|")
    for title in ("as they are", "outliers"):
        segmenter = Segmenter.load(options.model, device="cpu", dtype="float32", engine="torch")
        products = encoder_products(segmenter)
        if title == "outliers":
            plant_outliers(segmenter)
        ways = quantizers(calibrate(segmenter, products))
        exact = list(run(segmenter, options.images))
        print(row(title, "float32 weights too", exact, exact))
        for name, way in ways.items():
            with quantized(products, way):
                print(row(title, name, list(run(segmenter, options.images)), exact), flush=True)


def quantizers(ranges: dict[str, tuple[float, float]]) -> dict[str, Quantizer]:
    """Return the ways to round activations, with the calibrated ranges of each product."""
    return {
        "float32": lambda values, name: values,
        f"groups of {GROUP}": lambda values, name: by_group(values, GROUP),
        "tokens": lambda values, name: by_group(values, values.shape[-1]),
        "tensors, calibrated by largest": lambda values, name: rounded(values, ranges[name][0] / 127),
        f"tensors, calibrated by {SHARE:.2%}": lambda values, name: rounded(values, ranges[name][1] / 127),
    }


Result = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Features, maps at the image's size, and true masks of the present prompts."""


def run(segmenter: Segmenter, images: int) -> Iterator[Result]:
    """Segment drawn images, each with its prompts for present objects."""
    rng = np.random.default_rng([7, 5])
    for number in range(images):
        image = drawn(rng, number)
        selected = [each for each in questions(image, rng) if np.array(each[1].expected)[image.owner].any()]
        if not selected:
            continue
        truth = np.stack([np.array(question.expected)[image.owner] for _, question, _ in selected])
        found = segmenter.segment(image.pixels, [prompt for _, _, prompt in selected])
        yield features_of(segmenter), found.at(*image.owner.shape), truth


def features_of(segmenter: Segmenter) -> np.ndarray:
    cached: Any = segmenter._seen[0][1]
    return np.concatenate([values.numpy().ravel() for values in (cached.conditioned, *cached.later)])


def row(title: str, name: str, results: list[Result], exact: list[Result]) -> str:
    errors, differences, ious, agreements = [], [], [], []
    for (features, maps, truth), (wanted, expected, _) in zip(results, exact, strict=True):
        errors.append(np.linalg.norm(features - wanted) / np.linalg.norm(wanted))
        differences.append(np.abs(maps - expected).mean())
        ious += [iou(a > 0.5, b) for a, b in zip(maps, truth, strict=True)]
        agreements += [iou(a > 0.5, b > 0.5) for a, b in zip(maps, expected, strict=True)]
    return (
        f"| {title} | {name} | {np.mean(errors):.2%} | {np.mean(differences):.5f} | {np.mean(ious):.4f} | "
        f"{np.mean(agreements):.4f} |"
    )


def iou(mask: np.ndarray, other: np.ndarray) -> float:
    union = int((mask | other).sum())
    return int((mask & other).sum()) / union if union else 1.0


def encoder_products(segmenter: Segmenter) -> dict[int, str]:
    """Return the names of the encoder's linear layers by the addresses of their weights."""
    layers = segmenter.network.vision.encoder.layers[: segmenter.network.depth]
    return {
        module.weight.data_ptr(): f"{number}.{name}"
        for number, layer in enumerate(layers)
        for name, module in layer.named_modules()
        if isinstance(module, nn.Linear)
    }


@torch.inference_mode()
def plant_outliers(segmenter: Segmenter) -> None:
    """Scale channels of the normalisations, and the weights that read them, without a change of the network."""
    for layer in segmenter.network.vision.encoder.layers[: segmenter.network.depth]:
        attention = layer.self_attn
        readers = (attention.q_proj, attention.k_proj, attention.v_proj), (layer.mlp.fc1,)
        for normalisation, products in zip((layer.layer_norm1, layer.layer_norm2), readers, strict=True):
            normalisation.weight[:OUTLIERS] *= OUTLIER_FACTOR
            normalisation.bias[:OUTLIERS] *= OUTLIER_FACTOR
            for product in products:
                product.weight[:, :OUTLIERS] /= OUTLIER_FACTOR


def calibrate(segmenter: Segmenter, products: dict[int, str]) -> dict[str, tuple[float, float]]:
    """Return the largest activation and the one at ``SHARE`` of each product, over other images."""
    largest: dict[str, list[float]] = {}
    most: dict[str, list[float]] = {}

    def note(values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        name = products.get(weight.data_ptr())
        if name is not None:
            sizes = values.abs().flatten()
            largest.setdefault(name, []).append(float(sizes.max()))
            most.setdefault(name, []).append(float(sizes.kthvalue(max(1, round(SHARE * sizes.numel()))).values))
        return linear(values, weight, bias)

    rng = np.random.default_rng([8, 5])
    with replaced(note):
        for number in range(CALIBRATED):
            image = drawn(rng, number)
            segmenter.segment(image.pixels, [prompt for _, _, prompt in questions(image, rng)][:1])
    return {name: (max(largest[name]), float(np.mean(most[name]))) for name in largest}


@contextmanager
def quantized(products: dict[int, str], way: Quantizer) -> Iterator[None]:
    """Compute the products of the encoder from rounded weights and activations."""
    weights: dict[str, Tensor] = {}

    def product(values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        name = products.get(weight.data_ptr())
        if name is None:
            return linear(values, weight, bias)
        if name not in weights:
            weights[name] = rounded(weight, weight.abs().amax(dim=1, keepdim=True) / 127)
        return linear(way(values, name), weights[name], bias)

    with replaced(product):
        yield


@contextmanager
def replaced(product: Callable[..., Tensor]) -> Iterator[None]:
    """Compute linear layers with ``product``, and each MLP from its linear layers instead of in place."""
    mlp = clipseg._mlp
    functional.linear = product  # type: ignore[assignment]
    clipseg._mlp = lambda layer, hidden, scratch, rows: layer(hidden)
    try:
        yield
    finally:
        functional.linear, clipseg._mlp = linear, mlp


def by_group(values: Tensor, size: int) -> Tensor:
    """Round with a scale for each group of ``size`` channels of a token."""
    groups = values.unflatten(-1, (-1, size))
    scale = groups.abs().amax(dim=-1, keepdim=True).clamp_min(1e-12) / 127
    return rounded(groups, scale).flatten(-2)


def rounded(values: Tensor, scale: Tensor | float) -> Tensor:
    """Round to 255 levels."""
    return (values / scale).round().clamp(-127, 127) * scale


if __name__ == "__main__":
    main()
