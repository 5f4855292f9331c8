"""Answers questions with exported SavedModels; this file imports tensorflow and tensorflow_text alone.

    python -I run_saved_model.py FOLDER QUESTIONS.jsonl [FOLDER QUESTIONS.jsonl ...]

Each line of a file of questions is one of

    {"text": ..., "inputs": {...}}   asks `serving_default` and `ids`; the inputs are what the tokenizer makes of
                                     the text, and the numbers that a language model draws by. With "given" and
                                     "asked", two lists of tokens, also `encode` and `step`: how probable is each
                                     that is asked for, behind those that were given?
    {"inputs": {...}}                asks `ids`
    {"score": [...]}                 asks `score`: how probable is each token of a text?

Standard output is one JSON object a model: the answers and, of a model that is asked alone, the milliseconds
that calls take.
"""

import json
import sys
import time
from itertools import groupby

import tensorflow as tf
import tensorflow_text  # noqa: F401 - registers the tokenizer's operators

BATCH = 32
CALLS, SECONDS = 25, 5
"""How long calls are timed: so many, in no more than that."""
SEED = 7


class Model:
    def __init__(self, folder):
        self.signatures = tf.saved_model.load(folder).signatures
        # What draws its words takes a seed beside the texts.
        self.seeds = {} if "seed" not in names(self.by_text) else {"seed": tf.constant(SEED)}

    @property
    def by_text(self):
        return self.signatures["serving_default"]

    def answers(self, rows):
        found = []
        for _, alike in groupby(rows, key=lambda row: ("text" in row, "score" in row)):
            alike = list(alike)
            for start in range(0, len(alike), BATCH):
                found += self.answer(alike[start : start + BATCH])
        return found

    def answer(self, rows):
        """Of rows of one kind."""
        if "score" in rows[0]:
            log_p = self.ask("score", [{"token_ids": row["score"]} for row in rows])["log_p"]
            return [
                {"score: log_p": values[: len(row["score"])]} for values, row in zip(log_p, rows, strict=True)
            ]
        said = self.say([row["text"] for row in rows]) if "text" in rows[0] else {}
        computed = self.ask("ids", [row["inputs"] for row in rows])
        both = {**said, **{f"ids: {name}": value for name, value in computed.items()}}
        found = [{name: value[i] for name, value in both.items()} for i in range(len(rows))]
        stepped = [i for i, row in enumerate(rows) if "given" in row]
        if stepped:
            for i, log_p in zip(stepped, self.along([rows[i] for i in stepped]), strict=True):
                found[i]["steps: log_p"] = log_p
        return found

    def say(self, texts):
        return plain(self.by_text(text=tf.constant(texts, tf.string), **self.seeds))

    def ask(self, signature, rows):
        return plain(self.signatures[signature](**self.tensors(signature, rows)))

    def tensors(self, signature, rows):
        specs = names(self.signatures[signature])
        return {name: padded([row[name] for row in rows], spec) for name, spec in specs.items()}

    def along(self, rows):
        """The log-probability of each token that is asked for."""
        step, state = self.signatures["step"], self.signatures["encode"]
        state = state(**self.tensors("encode", [row["inputs"] for row in rows]))
        spec = tf.TensorSpec([None, None], tf.int32)
        given, asked = (padded([row[name] for row in rows], spec) for name in ("given", "asked"))
        found = []
        for position in range(given.shape[1]):
            out = step(token=given[:, position], position=tf.constant(position), **state)
            log_p = tf.nn.log_softmax(out.pop("logits"))
            found.append(tf.gather(log_p, asked[:, position], batch_dims=1))
            state = {**state, **out}  # the memory stays, the cache is the next one
        found = tf.stack(found, axis=1).numpy().tolist()
        return [values[: len(row["asked"])] for values, row in zip(found, rows, strict=True)]


def latency(model, rows):
    """Texts at once -> "text" (to text) and "ids" (to ids, what the model alone takes) -> milliseconds."""
    found = {}
    for size in (1, BATCH):
        batches = [(rows * size)[i : i + size] for i in range(len(rows))]
        prepared = [
            ([row["text"] for row in batch], model.tensors("ids", [row["inputs"] for row in batch]))
            for batch in batches[:CALLS]
        ]
        found[size] = {
            "text": timed([lambda texts=texts: model.say(texts) for texts, _ in prepared]),
            "ids": timed([lambda ids=ids: plain(model.signatures["ids"](**ids)) for _, ids in prepared]),
        }
    return found


def timed(calls):
    """The milliseconds of each; the first one, which may still compile, is called once before."""
    calls[0]()
    end, found = time.perf_counter() + SECONDS, []
    for call in calls:
        start = time.perf_counter()
        call()
        found.append((time.perf_counter() - start) * 1000)
        if time.perf_counter() > end:
            break
    return found


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


def main(folder, rows, alone):
    model = Model(folder)
    found = model.answers(rows)
    for name, value in model.by_text(text=tf.constant([], tf.string), **model.seeds).items():
        assert value.shape[0] == 0, f"{name} of no texts has the shape {value.shape}"
    texts = [row for row in rows if "text" in row][:BATCH]
    return {"answers": found, "latency": latency(model, texts) if alone else {}}


if __name__ == "__main__":
    for folder, questions in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        with open(questions, encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        print(json.dumps(main(folder, rows, alone=len(sys.argv) == 3)), flush=True)
    assert "zoo" not in sys.modules, "imported zoo"
