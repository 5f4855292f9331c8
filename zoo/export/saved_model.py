"""A SavedModel that takes strings and returns strings, tokenizer and decode loop included.

It runs wherever `import tensorflow, tensorflow_text` runs; nothing of the zoo or of Keras is asked for:

    model = tf.saved_model.load(folder)
    model.signatures["serving_default"](text=tf.constant(["How are you?"]))

| signature | takes | gives |
| --- | --- | --- |
| `serving_default` | texts (B,), of a language model a seed () | what is said |
| `ids` | what stands between tokenizer and answer | what is computed |
| `encode`, `step` | zoo/export/steps.py; of what writes text | logits, token by token |
| `score` | ids (B, S); of a language model | the log-probability of each |

zoo/export/kinds says for each task what they are; docs/exporting.md has examples.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import tensorflow as tf

from zoo.data.tokenizers_graph import GraphTokenizer, valid
from zoo.export.build import Build
from zoo.export.kinds import Kind
from zoo.export.portable import without_cudnn
from zoo.export.steps import Steps


class Exported(tf.Module):
    """Weights, tokenizer and the functions.

    Args:
        kind: the task with its search.
        xla: compile the ids core; texts that are cut then have one length, for each shape compiles anew.
    """

    def __init__(self, kind: Kind, xla: bool):
        super().__init__()
        model = kind.task.model
        without_cudnn(model)
        # A Keras model is no tf.Module: its variables are tracked by hand, else they are not saved.
        self.weights = [variable.value for variable in model.variables]
        self.tokenizer = GraphTokenizer(kind.task.tokenizer, kind.inside)
        self.kind = kind
        self.width = kind.recipe.data.max_length if xla and kind.cuts else None
        specs = [
            tf.TensorSpec([None, *(axis or self.width for axis in shape)], dtype, name=name)
            for name, (dtype, shape) in kind.inputs.items()
        ]

        def from_ids(*tensors):
            return kind.compute(**dict(zip(kind.inputs, tensors, strict=True)))

        self.core = tf.function(
            from_ids,
            input_signature=specs,
            jit_compile=xla or None,  # False would forbid it to whoever loads this
            autograph=False,
        )
        self.ids = tf.function(self.compute, input_signature=specs, autograph=False)
        seed = [tf.TensorSpec([], tf.int32, name="seed")] if kind.seeded else []
        self.serve = tf.function(
            self.answer,
            input_signature=[tf.TensorSpec([None], tf.string, name="text"), *seed],
            autograph=False,
        )
        others = {name: self._traced(*other) for name, other in kind.others().items()}
        if kind.steps:
            steps = Steps(model, *kind.steps)
            others |= {"encode": steps.encode, "step": steps.step}
        # What no attribute of the module leads to is not saved.
        self.others = others

    @property
    def signatures(self) -> dict:
        return {"serving_default": self.serve, "ids": self.ids, **self.others}

    def read(self, text, *seed) -> dict[str, tf.Tensor]:
        """Texts (B,) -> the inputs of the ids core."""
        return self.kind.read(self.tokenizer, text, self.width, *seed)

    def compute(self, *tensors) -> dict[str, tf.Tensor]:
        """The ids core, of a row of padding where there is no row: some of TensorFlow's kernels do not know
        the shape of nothing."""
        count = tf.shape(tensors[0])[0]
        missing = tf.cast(tf.equal(count, 0), tf.int32)
        rows = [tf.pad(x, [[0, missing], *[[0, 0]] * (x.shape.rank - 1)]) for x in tensors]
        return {name: x[:count] for name, x in self.core(*rows).items()}

    def answer(self, text, *seed) -> dict[str, tf.Tensor]:
        text = valid(text)
        inputs = self.read(text, *seed)
        computed = self.compute(*(inputs[name] for name in self.kind.inputs))
        return self.kind.say(self.tokenizer, text, inputs, computed)

    @staticmethod
    def _traced(function, inputs):
        specs = [tf.TensorSpec([None, *shape], dtype, name=name) for name, (dtype, shape) in inputs.items()]
        return tf.function(
            lambda *tensors: function(**dict(zip(inputs, tensors, strict=True))),
            input_signature=specs,
            autograph=False,
        )


def export_saved_model(kind: Kind, folder: str | Path, build: Build) -> Counter:
    """Writes the SavedModel; returns its operators and how often each stands in it."""
    module = Exported(kind, build.xla)
    tf.saved_model.save(module, str(folder), signatures=module.signatures)
    return operators(folder)


def operators(folder: str | Path) -> Counter:
    """The operators of a SavedModel and how often each stands in its functions."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel.FromString((Path(folder) / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return Counter(node.op for node in nodes)
