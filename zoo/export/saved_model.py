"""A SavedModel that takes strings and returns strings, tokenizer and decode loop included.

It runs wherever `import tensorflow, tensorflow_text` runs; nothing of the zoo or of Keras is asked for:

    model = tf.saved_model.load(folder)
    model.signatures["serving_default"](text=tf.constant(["How are you?"]))

Two endpoints: `serving_default` takes texts (B,), `ids` takes what stands between tokenizer and
answer, token ids (B, S).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import keras
import tensorflow as tf

from zoo.data.tokenizers_graph import GraphTokenizer
from zoo.decoding.search import beam_search, greedy_search
from zoo.export.portable import without_cudnn

UNK_ID, EOS_ID = 1, 3


class Exported(tf.Module):
    """What all tasks share: weights, tokenizer and how a text becomes source ids.

    Args:
        task: model, tokenizer and recipe.
        xla: compile the ids core; it then has one source length, for each shape compiles anew.
    """

    def __init__(self, task, xla: bool):
        super().__init__()
        without_cudnn(task.model)
        # A Keras model is no tf.Module: its variables are tracked by hand, else they are not saved.
        self.weights = [variable.value for variable in task.model.variables]
        self.tokenizer = GraphTokenizer(task.tokenizer)
        self.max_length = task.recipe.data.max_length
        self.width = self.max_length if xla else None
        shape = [None, self.width]
        self.core = tf.function(
            lambda ids: self.answer(task.model, ids),
            input_signature=[tf.TensorSpec(shape, tf.int32, name="ids")],
            jit_compile=xla or None,  # False would forbid it to whoever loads this
            autograph=False,
        )
        self.ids = tf.function(
            lambda ids: self.core(ids),
            input_signature=[tf.TensorSpec(shape, tf.int32, name="ids")],
            autograph=False,
        )
        self.serve = tf.function(
            lambda text: self.say(self.core(self.source_ids(text))),
            input_signature=[tf.TensorSpec([None], tf.string, name="text")],
            autograph=False,
        )

    def source_ids(self, text):
        """Ids (one `<unk>` for an empty text) cut to max_length - 1, then the end mark: (B,) -> (B, S)."""
        pieces = self.tokenizer.tokenize(text)[:, : self.max_length - 1]
        empty = tf.cast(tf.equal(pieces.row_lengths(), 0), tf.int64)
        unknown = tf.fill(tf.reshape(tf.reduce_sum(empty), [1]), UNK_ID)
        end = tf.fill([tf.shape(text)[0], 1], EOS_ID)
        rows = tf.concat([pieces, tf.RaggedTensor.from_row_lengths(unknown, empty), end], axis=1)
        ids = rows.to_tensor(shape=[None, self.width])
        # Without a text there is no widest one; the loops of the model still want one place.
        missing = tf.cast(tf.equal(tf.shape(ids)[1], 0), tf.int32)
        return ids if self.width else tf.pad(ids, [[0, 0], [0, missing]])

    def answer(self, model, ids) -> dict[str, tf.Tensor]:
        raise NotImplementedError

    def say(self, answer: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        raise NotImplementedError


class ExportedTranslator(Exported):
    """text (B,) -> {"text": (B,), "score": (B,)}; ids (B, S) -> {"ids": (B, L), "score": (B,)}."""

    def __init__(self, task, beams: int, length_penalty: float, max_length: int, xla: bool):
        self.search = (beams, length_penalty, max_length)
        super().__init__(task, xla)

    def answer(self, model, ids):
        beams, length_penalty, max_length = self.search
        if beams == 1:
            answer, score = greedy_search(model, ids, max_length)
            return {"ids": answer, "score": score}
        answers, scores = beam_search(model, ids, max_length, beams, length_penalty)
        return {"ids": answers[:, 0], "score": scores[:, 0]}

    def say(self, answer):
        rows = tf.RaggedTensor.from_tensor(answer["ids"], padding=0)
        return {"text": self.tokenizer.detokenize(rows), "score": answer["score"]}


class ExportedClassifier(Exported):
    """text (B,) -> {"label": (B,), "probability": (B,), "probabilities": (B, C)}; ids -> probabilities."""

    def __init__(self, task, xla: bool):
        self.labels = list(task.labels)
        super().__init__(task, xla)

    def answer(self, model, ids):
        logits = model({"token_ids": ids}, training=False)
        return {"probabilities": keras.ops.softmax(keras.ops.cast(logits, "float32"))}

    def say(self, answer):
        best = tf.argmax(answer["probabilities"], axis=-1)
        return {
            "label": tf.gather(tf.constant(self.labels), best),
            "probability": tf.reduce_max(answer["probabilities"], axis=-1),
            **answer,
        }


def export_saved_model(
    task,
    folder: str | Path,
    beams: int = 1,
    length_penalty: float = 0.0,
    max_length: int | None = None,
    xla: bool = False,
) -> Counter:
    """Writes the SavedModel; beams, length_penalty and max_length are of the answers.

    Returns: its operators and how often each stands in it.
    """
    if task.recipe.task == "classification":
        module = ExportedClassifier(task, xla)
    else:
        length = max_length or task.recipe.decode.max_length or task.recipe.data.max_length
        module = ExportedTranslator(task, beams, length_penalty, length, xla)
    signatures = {"serving_default": module.serve, "ids": module.ids}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return operators(folder)


def operators(folder: str | Path) -> Counter:
    """The operators of a SavedModel and how often each stands in its functions."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel.FromString((Path(folder) / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return Counter(node.op for node in nodes)
