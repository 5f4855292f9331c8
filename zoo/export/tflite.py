"""A TFLite file: ids in, answer out, the whole decode loop inside, made of builtin operators alone.

Tokenizer, labels, recipe and a description of the signature are appended to the same file as a zip
archive, which the interpreter does not mind; `zoo.runtime.tflite` runs it without TensorFlow.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError

from zoo.errors import UserError
from zoo.export.build import Build
from zoo.export.kinds import Kind
from zoo.export.parts import parts
from zoo.export.portable import without_cudnn
from zoo.runtime.tflite import append

REFUSED = ("CUSTOM", "FLEX", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE")
"""Operators that Python's interpreter does not have, or that stand for weights left outside the file."""

Functions = Mapping[str, tuple[Callable, Mapping[str, tuple[str, tuple]]]]
"""Signature -> function(**inputs) -> dict, and its inputs: name -> type, shape without the batch."""


def export_tflite(kind: Kind, path: str | Path, build: Build) -> Counter:
    """Writes the file; it answers `build.batch` texts at a time, of any length.

    Returns: its operators and how often each stands in it.
    """
    without_cudnn(kind.task.model)
    functions = {"serving_default": (kind.compute, kind.inputs), **kind.others()}
    content = convert(functions, kind.task.model.variables, build.batch, build.quantize)
    found = operators(content)
    refuse(found)
    Path(path).write_bytes(content)
    append(path, parts(kind, kind.inputs, build.batch))
    return found


def convert(functions: Functions, variables, batch: int = 1, quantize: str = "none") -> bytes:
    """The flatbuffer of functions which read Keras `variables`.

    Weights that several functions read stand in it once. "float16" halves them; of "dynamic_int8" the larger
    matrices have 8 bits with a scale of their own, and products of them are computed in integers.
    """
    # A Keras model is no tf.Module: without one the converter leaves the weights out, and says nothing.
    module = tf.Module()
    module.weights = [variable.value for variable in variables]
    module.traced = {name: _traced(function, inputs, batch) for name, (function, inputs) in functions.items()}
    with tempfile.TemporaryDirectory(prefix="zoo-tflite-") as folder:
        tf.saved_model.save(module, folder, signatures=dict(module.traced))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(functions))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if quantize != "none":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        try:
            return converter.convert()
        except ConverterError as error:
            found = re.findall(r"TF (?:Select|Custom) ops: (.+)", str(error))
            raise _not_builtin(
                found or [line for line in str(error).splitlines() if "error" in line][:3]
            ) from None


def _traced(function: Callable, inputs: Mapping[str, tuple[str, tuple]], batch: int):
    # A fixed batch is what makes the recurrent loops builtin operators; the source length may stay open.
    signature = [tf.TensorSpec([batch, *shape], dtype, name=name) for name, (dtype, shape) in inputs.items()]
    return tf.function(
        lambda *tensors: function(**dict(zip(inputs, tensors, strict=True))),
        input_signature=signature,
        autograph=False,
    )


def operators(content: bytes) -> Counter:
    """The operators of a flatbuffer and how often each stands in it; custom ones as `CUSTOM <name>`."""
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    names = {number: name for name, number in vars(schema.BuiltinOperator).items()}
    found = Counter()
    for subgraph in map(model.Subgraphs, range(model.SubgraphsLength())):
        for operator in map(subgraph.Operators, range(subgraph.OperatorsLength())):
            code = model.OperatorCodes(operator.OpcodeIndex())
            # Old operators stand in the narrow field, new ones in the wide one.
            name = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
            found[f"CUSTOM {code.CustomCode().decode()}" if name == "CUSTOM" else name] += 1
    return found


def refuse(found: Counter) -> None:
    """Raises where an operator keeps the file from running in `ai_edge_litert`."""
    bad = sorted(name for name in found if name.upper().startswith(REFUSED))
    if bad:
        raise _not_builtin(bad)


def _not_builtin(names: list[str]) -> UserError:
    return UserError(
        f"the model has operators that TFLite's interpreter does not: {', '.join(names)}; "
        "a layer of it must be written otherwise (zoo/layers/portable.py says how)"
    )
