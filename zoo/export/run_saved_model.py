"""Answers texts with an exported SavedModel; this file imports tensorflow and tensorflow_text alone.

    python -I run_saved_model.py FOLDER < texts.jsonl

Each line of standard input is `{"text": ..., "ids": [...]}`, the ids being what the tokenizer makes of the
text. Standard output is one JSON object: the answers, and the milliseconds that a text alone takes.
"""

import json
import sys
import time

import tensorflow as tf
import tensorflow_text  # noqa: F401 - registers the tokenizer's operators

BATCH = 32
TIMED = 25


def main(folder):
    rows = [json.loads(line) for line in sys.stdin]
    model = tf.saved_model.load(folder)
    serve, from_ids = model.signatures["serving_default"], model.signatures["ids"]
    width = from_ids.structured_input_signature[1]["ids"].shape[1]

    answers = []
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        by_text = serve(text=tf.constant([row["text"] for row in part]))
        padded = tf.ragged.constant([row["ids"] for row in part], dtype=tf.int32).to_tensor(
            shape=[None, width]
        )
        by_ids = from_ids(ids=padded)
        named = {**plain(by_text), **{f"ids: {name}": value for name, value in plain(by_ids).items()}}
        answers += [{name: value[i] for name, value in named.items()} for i in range(len(part))]

    for name, value in serve(text=tf.constant([], tf.string)).items():
        assert value.shape[0] == 0, f"{name} of no texts has the shape {value.shape}"

    milliseconds = []
    for row in rows[: TIMED + 1]:
        start = time.perf_counter()
        plain(serve(text=tf.constant([row["text"]])))
        milliseconds.append((time.perf_counter() - start) * 1000)
    assert "zoo" not in sys.modules, "imported zoo"
    # The first one still compiles.
    print(json.dumps({"answers": answers, "milliseconds": milliseconds[1:] or milliseconds}))


def plain(outputs):
    """Tensors as lists, bytes as texts."""
    lists = {name: value.numpy().tolist() for name, value in outputs.items()}
    return {
        name: [x.decode() if isinstance(x, bytes) else x for x in values] for name, values in lists.items()
    }


if __name__ == "__main__":
    main(sys.argv[1])
