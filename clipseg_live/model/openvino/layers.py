"""The vision encoder of a converted model, cut into small networks that run on some of the tokens.

The networks are cut out of the graph that ``conversion`` wrote, so they need no files of their own. They replace the
whole vision encoder, so that its weights are in memory once.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipseg_live.model.openvino import library

Tokens = NDArray[np.float32]
"""Values of tokens, float32 (tokens, channels)."""


class Network:
    """A compiled network.

    Args:
        outputs: outputs of nodes.
        inputs: parameters in the order of the arguments of ``run``.
        options: options of the compiler.
    """

    def __init__(self, outputs: list[Any], inputs: list[Any], options: dict[str, Any]) -> None:
        openvino = library.load()
        results = [openvino.opset13.result(each) for each in outputs]
        self.compiled = library.core().compile_model(openvino.Model(results, inputs), "CPU", options)
        self._request = self.compiled.create_infer_request()

    def run(self, *inputs: NDArray[Any]) -> list[NDArray[np.float32]]:
        """Return the outputs; they are overwritten by the next run."""
        arrays = [np.ascontiguousarray(each) for each in inputs]
        return list(self._request.infer(arrays, share_inputs=True, share_outputs=True).values())


@dataclass(frozen=True, slots=True)
class Layer:
    """Both networks of a layer, between which keys and values of other tokens are added.

    Attributes:
        projections: input (1, active, channels) → queries, keys and values of this shape.
        attention: input and queries (1, active, channels), keys and values (1, tokens, channels) → output
            (1, active, channels).
    """

    projections: Network
    attention: Network


@dataclass(frozen=True, slots=True)
class LayeredEncoder:
    """A vision encoder in parts.

    Attributes:
        embedding: pixels (1, height, width, 3) and position embeddings (1, tokens, channels) → input of the first
            layer, (1, tokens, channels).
        layers: layers, the first one first.
        reductions: outputs of the layers ``read``, (1, tokens, channels) each → what the decoder reads.
        read: numbers of layers, in the order of the inputs of ``reductions``.
    """

    embedding: Network
    layers: tuple[Layer, ...]
    reductions: Network
    read: tuple[int, ...]


def cut(network: Any, options: dict[str, Any]) -> LayeredEncoder:
    """Cut the vision encoder of a converted model into its layers, and compile them. The network is used up.

    Args:
        network: vision encoder, as read from its file.
        options: options of the compiler.
    """
    nodes = {node.get_friendly_name(): node for node in network.get_ops()}
    pixels, positions = (network.input(name).get_node() for name in ("pixels", "positions"))
    decoded = network.outputs[0].get_node().input_value(0)
    first = nodes["__module.layers.0.layer_norm1/aten::layer_norm/MVN"].input_value(0)
    parts: list[_LayerGraph] = []
    while f"__module.layers.{len(parts)}/aten::add/Add_1" in nodes:
        parts.append(_cut_layer(nodes, f"__module.layers.{len(parts)}"))
    read, inputs = [], []
    for number, part in enumerate(parts):
        targets = [each for each in part.output.get_target_inputs() if each.get_node().get_type_name() != "Result"]
        if targets:
            read.append(number)
            inputs.append(_replace(targets, part.output))
    return LayeredEncoder(
        Network([first], [pixels, positions], options),
        tuple(
            Layer(
                Network(part.projections, [part.entry], options),
                Network([part.output], [part.residual, *part.attended], options),
            )
            for part in parts
        ),
        Network([decoded], inputs, options),
        tuple(read),
    )


@dataclass(frozen=True, slots=True)
class _LayerGraph:
    entry: Any
    projections: list[Any]
    residual: Any
    attended: list[Any]
    output: Any


def _cut_layer(nodes: dict[str, Any], name: str) -> _LayerGraph:
    """Separate a layer from the one before, and its projections from its attention."""
    before = nodes[f"{name}.layer_norm1/aten::layer_norm/MVN"]
    added = nodes[f"{name}/aten::add/Add"]
    hidden = before.input_value(0)
    entry = _replace([before.input(0)], hidden)
    residual = _replace([each for each in added.inputs() if each.get_source_output() == hidden], hidden)
    projections = [nodes[f"{name}.self_attn.{kind}_proj/aten::linear/Add"].output(0) for kind in "qkv"]
    attended = [_replace(list(each.get_target_inputs()), each) for each in projections]
    return _LayerGraph(entry, projections, residual, attended, nodes[f"{name}/aten::add/Add_1"].output(0))


def _replace(targets: list[Any], source: Any) -> Any:
    """Return a new parameter of the type of ``source``, which the targets read instead."""
    parameter = library.load().opset13.parameter(source.get_partial_shape(), np.float32)
    for target in targets:
        target.replace_source_output(parameter.output(0))
    return parameter
