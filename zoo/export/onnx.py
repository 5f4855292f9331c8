"""An ONNX folder: ids in, answer out, the whole decode loop inside; it runs in onnxruntime.

    model.onnx        batch and lengths are open
    tokenizer.model   the SentencePiece model
    signature.json    task, inputs, outputs, lengths
    labels.json       of a classifier or tagger
    recipe.yaml       for people
    SHA256SUMS        of all of them

ONNX has one space of names: ids that go in are called `token_ids`, where ids come out too.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import tensorflow as tf
import tf2onnx

from zoo.errors import UserError
from zoo.export.kinds import Kind
from zoo.export.onnx_graph import graphs, hoist_invariants
from zoo.export.onnx_weights import store
from zoo.export.parts import parts
from zoo.export.portable import without_cudnn
from zoo.runtime.onnx import write

OPSET = 17
"""Of the year 2022: newer runtimes read it, and the models need nothing newer."""


def export_onnx(kind: Kind, folder: str | Path, quantize: str = "none") -> Counter:
    """Writes the folder, with weights as `quantize` says; returns its operators and how often each stands in it."""
    without_cudnn(kind.task.model)
    inputs = {"token_ids" if name == "ids" else name: spec for name, spec in kind.inputs.items()}
    model = convert(lambda *tensors: kind.compute(**dict(zip(kind.inputs, tensors, strict=True))), inputs)
    store(model, quantize)
    found = operators(model)
    write(folder, model.SerializeToString(deterministic=True), parts(kind, inputs, None))
    return found


def convert(function, inputs: Mapping[str, tuple[str, tuple]]) -> onnx.ModelProto:
    """The graph of `function(*tensors) -> dict`; `inputs` are name -> (type, shape without the batch)."""
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    signature = [tf.TensorSpec([None, *shape], dtype, name=name) for name, (dtype, shape) in inputs.items()]
    traced = tf.function(function, input_signature=signature, autograph=False)
    try:
        model, _ = tf2onnx.convert.from_function(
            traced, signature, opset=OPSET, custom_op_handlers={"Erfc": (_erfc, [])}
        )
        hoist_invariants(model.graph)
        onnx.checker.check_model(model, full_check=True)
    except (
        ValueError,
        RuntimeError,
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
    ) as error:
        raise UserError(
            f"the model cannot be written as ONNX: {str(error).strip().splitlines()[0]}; "
            "a layer of it must be written otherwise (zoo/layers/portable.py says how)"
        ) from error
    _name_axes(model.graph, inputs)
    return model


def operators(model: onnx.ModelProto) -> Counter:
    """The operators of a model and how often each stands in it, the bodies of its loops included."""
    return Counter(node.op_type for graph in graphs(model.graph) for node in graph.node)


def _erfc(ctx, node, name, args):
    """TensorFlow computes GELU by 1 - erf(x), which ONNX has no operator for."""
    node.type = "Erf"
    one = ctx.make_const(f"{name}_one", np.array(1.0, "float32")).output[0]
    ctx.insert_new_node_on_output("Sub", node.output[0], name=f"{name}_erfc", inputs=[one, node.output[0]])


def _name_axes(graph: onnx.GraphProto, inputs: Mapping[str, tuple]) -> None:
    """Open axes under names that say what they are: whoever reads the signature sees which ones are equal."""
    for value in (*graph.input, *graph.output):
        asked = value.name in inputs
        for place, axis in enumerate(value.type.tensor_type.shape.dim):
            if not axis.HasField("dim_value"):
                own = value.name if value.name == "places" or not asked else "tokens"
                axis.dim_param = "batch" if place == 0 else own if asked else f"length of {own}"
