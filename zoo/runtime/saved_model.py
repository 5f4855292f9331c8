"""A SavedModel folder: TensorFlow runs it, tokenizer and all; strings go in and come out.

A SavedModel is a program: load only those whose maker you trust.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
import tensorflow_text  # noqa: F401 - registers the tokenizer's operators

from zoo.answers import Classification, Filling, Generation, Tagging, Translation
from zoo.errors import UserError
from zoo.runtime.model import BATCH, REMEDY, Answer, broken
from zoo.text import valid

TASKS = {
    frozenset({"text", "score"}): "translation",
    frozenset({"label", "probability", "probabilities"}): "classification",
    frozenset({"tags", "words"}): "tagging",
    frozenset({"text", "probability"}): "masked_language_modeling",
    frozenset({"text"}): "language_modeling",
}
"""Names of the outputs -> task."""


def load(path: str | Path) -> SavedModel:
    """Loads a folder that `zoo export` wrote; raises UserError where it is damaged or of another maker."""
    try:
        return SavedModel(tf.saved_model.load(str(path)), str(path))
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, tf.errors.OpError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise broken(str(path), f"TensorFlow refuses it ({reason})") from None


class SavedModel:
    """A SavedModel with the verbs of `zoo.runtime.model.ExportedModel`.

    Args:
        loaded: what `tf.saved_model.load` gives.
        origin: its name in error messages.
    """

    def __init__(self, loaded, origin: str):
        self._origin, self._loaded = origin, loaded
        self._serve = loaded.signatures.get("serving_default")
        if self._serve is None:
            raise broken(origin, "it has no signature 'serving_default'")
        inputs, outputs = self._serve.structured_input_signature[1], self._serve.structured_outputs
        self.task = TASKS.get(frozenset(outputs))
        if self.task is None or set(inputs) - {"seed"} != {"text"}:
            raise broken(origin, f"its signature is {sorted(inputs)} -> {sorted(outputs)}")
        self._seeded = "seed" in inputs

    def answer(self, text: str) -> Answer:
        """The answer to one text; `str` of it is what one reads."""
        return self.answers([text])[0]

    def answers(self, texts: Sequence[str]) -> list[Answer]:
        """The answer to each text; of a language model, its continuation."""
        return self._answers(texts, 0)

    def generate(
        self, prompts: Sequence[str], max_length: int | None = None, seed: int = 0
    ) -> list[Generation]:
        """Continues each prompt; the seed and its number decide what is drawn."""
        if self.task != "language_modeling":
            raise UserError(f"{self._origin}: made for {self.task}, not for language_modeling")
        if max_length is not None:
            raise UserError(
                f"{self._origin}: how much a SavedModel adds was settled when it was exported; "
                f"{REMEDY} and --max-length"
            )
        return self._answers(prompts, seed)

    def _answers(self, texts: Sequence[str], seed: int) -> list[Answer]:
        if isinstance(texts, str):
            raise TypeError("texts must be a list of texts, not one text")
        found: list[Answer] = []
        for number, start in enumerate(range(0, len(texts), BATCH)):
            part = texts[start : start + BATCH]
            # Within a batch the place decides what is drawn: each batch has a seed of its own.
            drawn = {"seed": tf.constant((seed + 7919 * number) % 2**31)} if self._seeded else {}
            outputs = self._ask([valid(text).encode() for text in part], **drawn)
            plain = {name: value.numpy().tolist() for name, value in outputs.items()}
            for place, text in enumerate(part):
                found.append(self._say(text, {name: values[place] for name, values in plain.items()}))
        return found

    def _ask(self, texts: list[bytes], **drawn) -> dict:
        try:
            return self._serve(text=tf.constant(texts), **drawn)
        except tf.errors.InvalidArgumentError as error:
            refused = re.search(r"a text has more tokens .*", str(error))
            raise UserError(f"{self._origin}: {refused[0] if refused else error.message}") from None

    def _say(self, text: str, row: dict) -> Answer:
        row = {name: x.decode("utf-8", "replace") if isinstance(x, bytes) else x for name, x in row.items()}
        if self.task == "classification":
            # What the other labels are called stands in the graph alone.
            return Classification(row["label"], row["probability"], {row["label"]: row["probability"]})
        if self.task == "tagging":
            return (
                Tagging(tuple(row["words"].split(" ")), tuple(row["tags"].split(" ")))
                if row["words"]
                else Tagging((), ())
            )
        if self.task == "masked_language_modeling":
            return Filling(row["text"], ())
        if self.task == "translation":
            return Translation(row["text"], row["score"])
        return Generation(valid(text), row["text"][len(text) :])
