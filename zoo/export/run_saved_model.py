"""Answers texts with exported SavedModels; this file imports tensorflow and tensorflow_text alone.

    python -I run_saved_model.py FOLDER TEXTS.jsonl [FOLDER TEXTS.jsonl ...]

Each line of a file of texts is `{"text": ..., "inputs": {...}}`, the inputs being what the tokenizer makes of
the text, and the numbers that a language model draws by. Standard output is one JSON object a model: the
answers, and the milliseconds that a text alone takes.
"""

import json
import sys
import time

import tensorflow as tf
import tensorflow_text  # noqa: F401 - registers the tokenizer's operators

BATCH = 32
TIMED = 25
SEED = 7


def answers(folder, rows):
    model = tf.saved_model.load(folder)
    by_text, by_ids = model.signatures["serving_default"], model.signatures["ids"]
    # What draws its words takes a seed beside the texts.
    seeds = {} if "seed" not in names(by_text) else {"seed": tf.constant(SEED)}

    found = []
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        said = plain(by_text(text=tf.constant([row["text"] for row in part]), **seeds))
        given = {
            name: padded([row["inputs"][name] for row in part], spec) for name, spec in names(by_ids).items()
        }
        computed = plain(by_ids(**given))
        both = {**said, **{f"ids: {name}": value for name, value in computed.items()}}
        found += [{name: value[i] for name, value in both.items()} for i in range(len(part))]

    for name, value in by_text(text=tf.constant([], tf.string), **seeds).items():
        assert value.shape[0] == 0, f"{name} of no texts has the shape {value.shape}"

    milliseconds = []
    for row in rows[: TIMED + 1]:
        start = time.perf_counter()
        plain(by_text(text=tf.constant([row["text"]]), **seeds))
        milliseconds.append((time.perf_counter() - start) * 1000)
    # The first one still compiles.
    return {"answers": found, "milliseconds": milliseconds[1:] or milliseconds}


def names(function):
    """Name of each input -> its TensorSpec."""
    return function.structured_input_signature[1]


def padded(rows, spec):
    """Nested lists as one tensor, filled up with zeros; an axis that the signature leaves open is as long as
    the longest row."""
    ragged = tf.ragged.constant(rows, dtype=spec.dtype, inner_shape=tuple(spec.shape[2:]))
    return ragged.to_tensor(shape=[None, *spec.shape[1:]])


def plain(outputs):
    """Tensors as lists, bytes as texts."""
    lists = {name: value.numpy().tolist() for name, value in outputs.items()}
    return {
        name: [x.decode() if isinstance(x, bytes) else x for x in values] for name, values in lists.items()
    }


if __name__ == "__main__":
    for folder, texts in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        with open(texts, encoding="utf-8") as lines:
            print(json.dumps(answers(folder, [json.loads(line) for line in lines])), flush=True)
    assert "zoo" not in sys.modules, "imported zoo"
