"""Weights of 8 bits for the vision encoder of a converted network."""

from typing import Any

import numpy as np

from clipseg_live.model.openvino import library

_LAYERS = "self.layers."
"""Start of the names of the encoder's weights; the decoder's reductions have other names and stay in float."""

_LEVELS = 127
"""Largest integer weight."""

GROUP = 32
"""Consecutive activations of a token that share a scale, where the processor multiplies in 8 bits."""


def compress_weights(network: Any) -> int:
    """Replace the weights of the encoder's matrix products by 8-bit integers with a scale for each output, in place.

    Return the number of products that were changed. Activations stay in float in the network; OpenVINO quantizes them
    while it runs, for each token and group, on processors that multiply in 8 bits.

    Args:
        network: vision encoder, as read from its file.
    """
    opset: Any = library.load().opset13
    changed = 0
    for product in network.get_ops():
        if product.get_type_name() != "MatMul":
            continue
        constant = product.input_value(1).get_node()
        if constant.get_type_name() != "Constant" or not constant.get_friendly_name().startswith(_LAYERS):
            continue
        weights = np.array(constant.data, np.float32)
        inputs = 1 if product.get_attributes()["transpose_b"] else 0
        scale = np.abs(weights).max(axis=inputs, keepdims=True) / np.float32(_LEVELS)
        scale[scale == 0] = 1
        levels = opset.constant(np.rint(weights / scale).astype(np.int8))
        restored = opset.multiply(opset.convert(levels, "f32"), opset.constant(scale.astype(np.float32)))
        product.input(1).replace_source_output(restored.output(0))
        changed += 1
    return changed
