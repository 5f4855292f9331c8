"""A SavedModel as it lies in a folder, asked through its signatures; needs tensorflow and tensorflow_text."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401 - registers the tokenizer's operators
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel as SavedModelProto

from zoo.errors import UserError
from zoo.serving.models import HIDDEN_EXAMPLE, Tensors
from zoo.serving.signatures import DEFAULT, Signature, Tensor


class SavedModel:
    """Its signatures are those of TensorFlow Serving.

    Args:
        folder: holds saved_model.pb.
    """

    def __init__(self, folder: str | Path):
        try:
            self.signatures = read_signatures(folder)
            self._loaded = tf.saved_model.load(str(folder))
            self._functions = {name: self._loaded.signatures[name] for name in self.signatures}
        except Exception as error:  # whatever TensorFlow raises for a damaged file
            reason = (str(error).splitlines() or [""])[0][:200]
            raise UserError(f"{folder}: TensorFlow does not load it ({reason}); export it again") from error
        if DEFAULT not in self.signatures:
            raise UserError(f"{folder}: has no signature {DEFAULT}; export it again with `zoo export`")

    def run(self, signature: str, inputs: Tensors) -> Tensors:
        wanted = self.signatures[signature].inputs
        given = {
            name: tf.constant(value.tolist(), getattr(tf, wanted[name].dtype[3:].lower()), value.shape)
            if value.dtype == object
            else tf.constant(value)
            for name, value in inputs.items()
            if name in wanted
        }
        try:
            found = self._functions[signature](**given)
        except (tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError) as error:
            said = re.search(r"a text has more tokens .*", str(error))
            raise UserError(
                said[0] if said else "the model cannot compute anything from these inputs"
            ) from error
        return {
            name: value.numpy() if value.shape.rank else np.array(value.numpy())
            for name, value in found.items()
        }

    def warm_up(self) -> None:
        inputs = {"text": np.array([HIDDEN_EXAMPLE], object), "seed": np.array(0, "int32")}
        wanted = self.signatures[DEFAULT].inputs
        if set(wanted) <= set(inputs):  # of a SavedModel that is not ours it is not known what it takes
            self.run(DEFAULT, {name: inputs[name] for name in wanted})


def read_signatures(folder: str | Path) -> dict[str, Signature]:
    """The signatures that can be called, without loading the model."""
    saved = SavedModelProto.FromString((Path(folder) / "saved_model.pb").read_bytes())
    return {
        name: Signature(_tensors(signature.inputs), _tensors(signature.outputs))
        for name, signature in saved.meta_graphs[0].signature_def.items()
        if signature.method_name
    }


def _tensors(side) -> dict[str, Tensor]:
    return {
        name: Tensor(
            types_pb2.DataType.Name(info.dtype),
            None
            if info.tensor_shape.unknown_rank
            else tuple(None if axis.size < 0 else axis.size for axis in info.tensor_shape.dim),
            info.name,
        )
        for name, info in sorted(side.items())
    }
