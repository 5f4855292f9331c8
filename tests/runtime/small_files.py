"""Very small .tflite models that answer as a test can tell beforehand."""

from __future__ import annotations

import json

from zoo.data.tokenizers import Tokenizer

MAX_LENGTH = 12
LABELS = ["short", "长"]
INPUTS = {
    "translation": {"ids": ["int32", [1, None]]},
    "classification": {"ids": ["int32", [1, None]]},
    "tagging": {"token_ids": ["int32", [1, None]], "character_ids": ["int32", [1, None, 24]]},
    "language_modeling": {"token_ids": ["int32", [1, None]], "uniforms": ["float32", [1, 4]]},
}


def parts(task: str, tokenizer: Tokenizer) -> dict[str, bytes]:
    signature = {
        "task": task,
        "kind": "transformer",
        "inputs": INPUTS[task],
        "outputs": {},
        "max_length": MAX_LENGTH,
    }
    files = {
        "tokenizer.model": tokenizer.model_bytes,
        "signature.json": json.dumps(signature).encode(),
        "recipe.yaml": b"name: test\n",
    }
    if task in ("classification", "tagging"):
        files["labels.json"] = json.dumps(LABELS).encode()
    return files


def convert_all() -> dict[str, bytes]:
    """`echo` gives back its input with some padding, `length` labels by length, `words` tags by length, `abc`
    writes a letter for each number, `liar` answers with ids that nobody knows."""
    import tensorflow as tf

    def echo(ids):
        return {"ids": tf.pad(ids, [[0, 0], [0, 3]]), "score": tf.zeros([1])}

    def length(ids):
        long = tf.cast(tf.shape(ids)[1] > 8, tf.float32)
        return {"probabilities": tf.reshape(tf.stack([1.0 - 0.75 * long, 0.75 * long]), [1, 2])}

    def words(token_ids, character_ids):
        letters = tf.reduce_sum(tf.cast(tf.not_equal(character_ids, 0), tf.int32), axis=2)
        # Every byte is a piece of this test's tokenizer: the first one of a word has its tag.
        return {"tags": tf.where(letters > 0, tf.cast(letters > 3, tf.int32), -1) + 0 * token_ids}

    def abc(token_ids, uniforms):
        return {"ids": tf.concat([token_ids, tf.cast(uniforms * 26, tf.int32) + ord("a") + 4], axis=1)}

    def liar(ids):
        return {"ids": ids + 1000, "score": tf.zeros([1])}

    def convert(function, task) -> bytes:
        specs = [tf.TensorSpec(shape, dtype, name=name) for name, (dtype, shape) in INPUTS[task].items()]
        traced = tf.function(function, input_signature=specs, autograph=False)
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [traced.get_concrete_function()], tf.Module()
        )
        return converter.convert()

    tasks = {echo: "translation", liar: "translation", length: "classification", words: "tagging"}
    return {f.__name__: convert(f, task) for f, task in {**tasks, abc: "language_modeling"}.items()}
