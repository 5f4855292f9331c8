"""text (B,), seed () -> text (B,), prompt included; token_ids (B, P), uniforms (B, L) -> ids (B, P + L), score (B,).

Where the answer is searched for instead of drawn there is neither a seed nor uniforms.
`score`: token_ids (B, S) -> log_p (B, S).
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from zoo import answers
from zoo.compile import jit
from zoo.data.encoded import encode_split
from zoo.data.pipeline import make_batches
from zoo.data.reading import LONGEST_PROMPT, pad
from zoo.data.tokenizers import BOS, PAD
from zoo.decoding.rules import restrict
from zoo.decoding.sampling import choose
from zoo.decoding.settings import Decoding
from zoo.export.build import SEVERAL
from zoo.export.kinds.base import TIE, Kind, evenly, log_softmax_of, parting
from zoo.export.kinds.reading import instead_of_nothing, padded, within
from zoo.export.run_saved_model import BATCH, SEED
from zoo.layers.portable import float32
from zoo.metrics import perplexity

PROMPT = 16
"""Tokens of the longest prompt that is tried."""


class GeneratorKind(Kind):
    """A language model that continues a text, by random numbers that come with the question."""

    choices = ("length", "beams", "temperature", "top_k", "top_p")
    padding = {"ids": PAD}
    cuts = False
    figures = ("loss", "perplexity")

    def __init__(self, task, form="saved_model", **chosen):
        super().__init__(task, form, **chosen)
        longest = task.model.longest
        if longest is not None and not task.length_is_named(chosen.get("length")):
            # so that prompts fit before what follows them
            self.search["length"] = max(1, min(self.search["length"], longest - PROMPT + 1))
        if form not in SEVERAL:  # nothing in its answers says how probable anything was
            self.figures = ()
        self.length = self.search["length"]
        self.room = min(PROMPT, answers.room_behind(self.length, longest))
        if self.room < 1:
            raise answers.too_long(self.length, longest, longest)
        self.inputs = {"token_ids": ("int32", (None,))}
        self.seeded = self.search["sample"]
        if self.seeded:
            self.inputs["uniforms"] = ("float32", (self.length,))

    def compute(self, **inputs):
        return self.core(**inputs)

    def score(self, token_ids):
        """The log-probability of each token behind those before it; 0 of the first and of padding. S >= 2."""
        # The last token is not read, so that a text may be one longer than the model's positions.
        logits = float32(self.task.model({"token_ids": token_ids[:, :-1]}, training=False))
        said = token_ids[:, 1:]
        log_p = ops.where(ops.equal(said, PAD), 0.0, log_p_of(logits, said))
        return {"log_p": ops.concatenate([ops.zeros_like(log_p[:, :1]), log_p], axis=1)}

    def score_by_steps(self, token_ids):
        """The same token by token: of a TFLite file `score` and `compute` then share their weights, for which
        the converter makes other constants where a model reads a whole text at once."""
        model, length = self.task.model, ops.shape(token_ids)[1]
        memory = model.encode(token_ids)
        places = ops.expand_dims(ops.arange(length, dtype="int32"), 0)

        def step(position, log_p, cache):
            logits, cache = model.step(ops.take(token_ids, position, axis=1), position, cache, memory)
            said = ops.expand_dims(log_p_of(float32(logits), ops.take(token_ids, position + 1, axis=1)), 1)
            return position + 1, ops.where(ops.equal(places, position + 1), said, log_p), cache

        start = (
            ops.convert_to_tensor(0, "int32"),
            ops.zeros(ops.shape(token_ids), "float32"),
            model.init_cache(memory, length),
        )
        log_p = ops.while_loop(lambda position, *others: position < length - 1, step, start)[1]
        return {"log_p": ops.where(ops.equal(token_ids, PAD), 0.0, log_p)}

    def others(self):
        score = self.score_by_steps if self.form == "tflite" else self.score
        return {"score": (score, {"token_ids": ("int32", (None,))})}

    @property
    def steps(self):
        return "token_ids", self.length

    def outputs(self):
        return {"ids": ("int32", [1, None]), "score": ("float32", [1])}

    def read(self, tokenizer, text, width, seed=None):
        ids = within(tokenizer.tokenize(text), LONGEST_PROMPT)
        read = {"token_ids": padded(instead_of_nothing(ids, BOS))}
        if self.seeded:
            read["uniforms"] = uniforms(tf.shape(text)[0], self.length, seed)
        return read

    def say(self, tokenizer, text, inputs, computed):
        """As `Generation.of`: the prompt stays as it was written."""

        def decoded(ids):
            return tokenizer.detokenize(tf.RaggedTensor.from_tensor(ids, padding=PAD))

        ids, prompt = computed["ids"], inputs["token_ids"]
        known = tf.reduce_sum(tf.cast(prompt != PAD, tf.int32), axis=1, keepdims=True)
        behind = tf.expand_dims(tf.range(tf.shape(ids)[1]), 0) >= known
        whole, beginning = decoded(ids), decoded(prompt)
        continuation = tf.where(
            starts_with(whole, text),
            rest(whole, text),
            tf.where(
                starts_with(whole, beginning),
                rest(whole, beginning),
                decoded(tf.where(behind, ids, BOS)),  # a begin mark is not written
            ),
        )
        return {"text": tf.strings.join([text, continuation])}

    def samples(self, split, count):
        """Beginnings of windows from all over the split, of 1 to PROMPT tokens if what follows them leaves room."""
        tokenizer = self.task.tokenizer
        stream = [i for text in split.sources for i in tokenizer.encode(text)]
        starts = [i * len(stream) // count for i in range(count)]
        return [tokenizer.decode(stream[s : s + 1 + i % self.room]) for i, s in enumerate(starts)]

    def ids(self, row):
        return {"token_ids": row["token_ids"].tolist()}

    def rows(self, texts):
        """With the numbers to draw by: a SavedModel's own, for a text at its place in the runner's batch."""
        rows = super().rows(texts)
        if not self.seeded:
            return rows
        if self.form == "saved_model":
            drawn = uniforms(BATCH, self.length, SEED).numpy()
        else:
            drawn = answers.uniforms(BATCH, self.length, SEED)
        for i, row in enumerate(rows):
            row["inputs"]["uniforms"] = drawn[i % BATCH].tolist()
        return rows

    def graded(self, split, count):
        """Windows of validation, as `zoo eval` reads them, with the token behind each."""
        stream = encode_split(split, self.task.tokenizer, self.recipe.task)
        windows = make_batches(self.recipe, stream, training=False)
        starts = windows.starts()
        rows = [
            {"score": stream.sources.ids[start : start + windows.length + 1].tolist()}
            for start in starts[evenly(len(starts), count)]
        ]
        return rows, [None] * len(rows)

    def scored(self, answers):
        return [{"score": answer["ids: ids"]} for answer in answers if len(answer["ids: ids"]) > 1]

    def measured(self, answers, gold):
        nats = -sum(sum(answer["score: log_p"]) for answer in answers)
        loss = nats / sum(len(answer["score: log_p"]) - 1 for answer in answers)
        return {"loss": loss, "perplexity": perplexity(loss)}

    def forced(self, row, answer):
        ids = answer["ids: ids"]
        logits = self.task.model({"token_ids": np.array([ids[:-1]], "int32")}, training=False)
        return ids[:-1], ids[1:], log_softmax_of(keras.ops.convert_to_numpy(logits)[0], ids[1:])

    def expected(self, rows):
        asked = iter(super().expected([row for row in rows if "score" not in row]))
        scores = iter(self._scores([row["score"] for row in rows if "score" in row]))
        return [{"score: log_p": next(scores)} if "score" in row else next(asked) for row in rows]

    def _scores(self, rows) -> list[list[float]]:
        """Python's `score` of rows of ids."""
        score = jit(lambda given: self.score(**given), self.task.model.variables, {"token_ids": (2, "int32")})
        found = []
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            log_p = score(pad([{"token_ids": np.array(row, "int32")} for row in part]))["log_p"]
            log_p = keras.ops.convert_to_numpy(log_p).tolist()
            found += [values[: len(row)] for values, row in zip(log_p, part, strict=True)]
        return found

    def said(self, computed, text):
        return {"text": self.task.say(computed, text).text, "ids: ids": computed["ids"].tolist()}

    def is_tie(self, row, python, exported):
        """Where the answers part, a number a little smaller or larger draws the other token."""
        ours, theirs = python["ids: ids"], exported["ids: ids"]
        prompt = len(row["inputs"]["token_ids"])
        place = parting(ours, theirs)
        if place is None or place < prompt or place >= min(len(ours), len(theirs)):
            return False
        how, before = Decoding(**self.search), np.array([ours[:place]], "int32")
        logits = self.task.model({"token_ids": before}, training=False)[:, -1]
        logits = restrict(float32(logits), before, place - 1, None, how)
        if not how.sample or how.temperature == 0:
            values = keras.ops.convert_to_numpy(logits)[0]
            return bool(abs(values[ours[place]] - values[theirs[place]]) <= TIE)
        drawn = row["inputs"]["uniforms"][place - prompt]
        near = (min(max(drawn + step, 0.0), 1.0) for step in (-TIE, TIE))
        cuts = (how.temperature, how.top_k, how.top_p)
        return any(int(choose(logits, np.array([u], "float32"), *cuts)[0]) == theirs[place] for u in near)


def log_p_of(logits, tokens):
    """The log-probabilities of tokens (...) under logits (..., V)."""
    return ops.squeeze(ops.take_along_axis(ops.log_softmax(logits), ops.expand_dims(tokens, -1), axis=-1), -1)


def uniforms(count, length: int, seed):
    """(count, length) numbers in [0, 1) that a seed () makes the same on every machine."""
    seeds = tf.stack([tf.cast(seed, tf.int32), 0])
    return tf.random.stateless_uniform([count, length], seeds, alg="philox")


def starts_with(texts, beginnings):
    """(B,) bool; in bytes."""
    size = tf.strings.length(beginnings)
    return tf.equal(tf.strings.substr(texts, tf.zeros_like(size), size), beginnings)


def rest(texts, beginnings):
    """What follows a beginning as long as this one: (B,)."""
    size = tf.strings.length(texts)
    start = tf.minimum(tf.strings.length(beginnings), size)
    return tf.strings.substr(texts, start, size - start)
