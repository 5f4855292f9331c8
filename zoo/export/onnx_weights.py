"""Weights of an ONNX model in fewer bits; they are computed with in float32, as before.

"float16" halves the larger weights. "dynamic_int8" keeps one byte of each number, and a scale for each column. The
products stay those of floats: onnxruntime's integer ones round a whole batch by one scale, so that a text would be
answered otherwise beside other texts, and they were no faster.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SMALLEST = 1024
"""Numbers of the smallest weight that is stored otherwise: biases and the like stay as they are."""


def store(model: onnx.ModelProto, quantize: str) -> None:
    """Changes how the weights of a model are stored."""
    if quantize == "none":
        return
    graph = model.graph
    for weight in [tensor for tensor in graph.initializer if _is_large(tensor)]:
        name, array = weight.name, numpy_helper.to_array(weight)
        graph.initializer.remove(weight)
        if quantize == "float16":
            stored = {f"{name} half": array.astype("float16")}
            nodes = [helper.make_node("Cast", [f"{name} half"], [name], to=TensorProto.FLOAT)]
        else:
            reach = np.abs(array).max(axis=tuple(range(array.ndim - 1)))
            scale = np.maximum(reach, np.float32(1e-30)) / np.float32(127)
            stored = {f"{name} bytes": np.round(array / scale).astype("int8"), f"{name} scale": scale}
            nodes = [
                helper.make_node("Cast", [f"{name} bytes"], [f"{name} numbers"], to=TensorProto.FLOAT),
                helper.make_node("Mul", [f"{name} numbers", f"{name} scale"], [name]),
            ]
        graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in stored.items())
        for place, node in enumerate(nodes):  # before anything that reads them
            graph.node.insert(place, node)


def _is_large(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1 and np.prod(tensor.dims) >= SMALLEST
