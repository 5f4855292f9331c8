"""What writes text: the decoder's settings from the recipe, and what goes into it beside the text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from zoo.data.tokenizers import UNK
from zoo.decoding.settings import Decoding
from zoo.registry import did_you_mean
from zoo.tasks.base import Task

SETTINGS = tuple(field.name for field in fields(Decoding))
BESIDE = {"uniforms": (2, "float32"), "prefix": (2, "int32")}
"""Inputs of `core` that only some questions have."""


class Writer(Task):
    """A task that decodes. Every key of the recipe's `decode` section is an option of its answers."""

    draws = False
    """Whether it draws where the recipe does not say."""

    def settings(self, **options) -> dict[str, Any]:
        """The fields of `Decoding`; an option that is None is as the recipe says."""
        decode, options = self.recipe.decode, {**options}
        if "max_length" in options:
            options["length"] = options.pop("max_length")
        for name in set(options).difference(SETTINGS):
            hint = did_you_mean(name, SETTINGS) or f"; there are {', '.join(SETTINGS)}"
            raise TypeError(f"{type(self).__name__} has no option {name}{hint}")
        said = {name: getattr(decode, name) for name in SETTINGS if name != "length"}
        said["length"] = decode.max_length or self.recipe.data.max_length
        said["sample"] = self.draws if decode.sample is None else decode.sample
        said |= {name: value for name, value in options.items() if value is not None}
        said["forbidden"] = self.runs(said["forbidden"])
        return {name: said[name] for name in SETTINGS}

    def told(self, settings):
        """Those that decide, and what is not as usual."""
        usual = {field.name: field.default for field in fields(Decoding)}
        usual |= {"early_stopping": "bound", "length_penalty": self.recipe.decode.length_penalty}
        always = ("temperature", "top_k", "top_p") if settings["sample"] else ("beams", "length_penalty")
        hidden = {"sample", "n_best"}
        return {
            name: value
            for name, value in settings.items()
            if name in ("length", *always) or (name not in hidden and value != usual[name])
        }

    def runs(self, words: Iterable) -> tuple[tuple[int, ...], ...]:
        """The ids of words at the beginning of a word and inside one; what has ids already stays."""
        found = []
        for word in words:
            if not isinstance(word, str):
                found.append(tuple(word))
                continue
            for ids in (self.tokenizer.encode(word), self.tokenizer.encode_inside(word)):
                if ids and UNK not in ids:  # what the tokenizer cannot write is never said anyway
                    found.append(tuple(ids))
        return tuple(dict.fromkeys(found))

    def inputs_of(self, rows: Sequence) -> dict[str, tuple[int, str]]:
        """What goes into `core` with these rows."""
        return {**self.core_inputs, **{name: kind for name, kind in BESIDE.items() if name in rows[0]}}

    def batch(self, rows) -> dict[str, np.ndarray]:
        ids = super().batch([{"token_ids": row["token_ids"]} for row in rows])
        if "uniforms" in rows[0]:
            ids["uniforms"] = np.stack([row["uniforms"] for row in rows])
        if "prefix" in rows[0]:
            ids["prefix"] = side_by_side([row["prefix"] for row in rows])
        return ids


def side_by_side(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Ids of different lengths as a batch, padded on the right: (B, L) int32."""
    batch = np.zeros((len(rows), max(map(len, rows))), "int32")
    for place, row in zip(batch, rows, strict=True):
        place[: len(row)] = row
    return batch
