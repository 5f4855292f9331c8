"""What an exported model of one task takes, computes and says; one subclass for each task.

A file answers in three steps, of which each form of file holds what it can: `read` makes tensors of texts,
`compute` is the model with its search, `say` makes texts of tensors. A SavedModel has all three; a TFLite file
has `compute`, and its runtime does the rest in Python.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.errors import UserError

ABSOLUTE, RELATIVE = 1e-4, 1e-3
"""How far a score or a probability may lie from Python's."""
TIE = 1e-4
"""Answers whose scores in Python lie nearer than this are equally good: rounding decides between them."""


class Kind:
    """A task on its way out.

    Args:
        task: model, tokenizer, recipe and labels.
        form: of zoo/export/build.py.
        chosen: settings of the search, which are fixed in the file; None is as the recipe says.
    """

    choices: tuple[str, ...] = ()
    """Settings of the search that a task of this kind has."""
    inputs: dict[str, tuple[str, tuple]] = {"ids": ("int32", (None,))}
    """Name of each input of `compute` -> its type, and its shape without the batch."""
    padding: dict[str, int] = {}
    """Name of an output over time -> what stands behind its end."""
    seeded = False
    """Whether a SavedModel takes a seed beside its texts."""
    inside = False
    """Whether `read` encodes texts that go on where another ended."""
    cuts = True
    """Whether `read` cuts texts at data.max_length."""
    figures: tuple[str, ...] = ()
    """Figures of zoo/config/metrics.py that a file's answers give."""

    def __init__(self, task, form: str = "saved_model", **chosen):
        self.task, self.recipe, self.form = task, task.recipe, form
        strange = [name for name, value in chosen.items() if value is not None and name not in self.choices]
        if strange:
            raise UserError(f"{', '.join(map(option, strange))}: not a setting of {task.recipe.task}")
        self.search = task.settings(**{name: chosen.get(name) for name in self.choices})

    # What the file holds, as keras.ops and tf functions.

    def compute(self, **inputs) -> dict:
        """Tensors (B, ...) by the names of `inputs` -> named tensors (B, ...)."""
        raise NotImplementedError

    def core(self, **inputs) -> dict:
        """The task's `core`; ids that are a file's only input are called just that there."""
        return self.task.core(self.by_core(inputs), **self.search)

    def by_core(self, inputs: dict) -> dict:
        """The inputs of `compute` by the names of `core`."""
        return {"token_ids" if name == "ids" else name: value for name, value in inputs.items()}

    def others(self) -> dict:
        """What a file can be asked beside `compute`: name -> function(**inputs) -> dict, and its inputs."""
        return {}

    @property
    def steps(self) -> tuple[str, int] | None:
        """Of what writes text: the name of the ids that `encode` takes, and how many tokens `step` may add."""
        return None

    def report(self) -> dict:
        """The settings, for the report."""
        names = {"length": "max_length"}
        return {names.get(name, name): value for name, value in self.task.told(self.search).items()}

    def outputs(self) -> dict[str, tuple[str, list]]:
        """Name of each output of a TFLite file -> its type and shape, for its signature.json."""
        raise NotImplementedError

    def read(self, tokenizer, text, width: int | None, seed=None) -> dict:
        """Texts (B,) -> the inputs of `compute`, of that width; `tokenizer` is a `GraphTokenizer`."""
        raise NotImplementedError

    def say(self, tokenizer, text, inputs: dict, computed: dict) -> dict:
        """Texts (B,), what `read` and `compute` made of them -> what is said, (B,) each."""
        raise NotImplementedError

    # What it is compared with, in Python.

    def samples(self, split, count: int) -> list[str]:
        """Texts from all over a split, always the same ones."""
        return [split.sources[i] for i in evenly(len(split), count)]

    def rows(self, texts: Sequence[str]) -> list[dict]:
        """What a runner is asked: texts, and the inputs of `compute` that they come to, unpadded."""
        read = self.task.read(texts)
        return [{"text": text, "inputs": self.ids(row)} for text, row in zip(texts, read, strict=True)]

    def graded(self, split, count: int) -> tuple[list[dict], list]:
        """Rows whose right answers are known, from all over a split, and these answers."""
        places = evenly(len(split), count)
        return self.rows([split.sources[i] for i in places]), [split.targets[i] for i in places]

    def measured(self, answers: Sequence[dict], gold: Sequence) -> dict[str, float]:
        """The `figures` of answers to `graded` rows."""
        raise NotImplementedError

    def forced(self, row: dict, answer: dict) -> tuple[list[int], list[int], list[float]]:
        """What `step` is fed along an answer, the tokens that it is asked for, and their log-probabilities."""
        raise NotImplementedError

    def scored(self, answers: Sequence[dict]) -> list[dict]:
        """Rows for what `others` do, made of answers."""
        return []

    def ids(self, row: dict[str, np.ndarray]) -> dict[str, list]:
        """What the task reads, by the names of `inputs`."""
        return {name: row["token_ids" if name == "ids" else name].tolist() for name in self.inputs}

    def computed(self, rows: Sequence[dict]) -> list[dict[str, np.ndarray]]:
        """Python's `core` of the rows."""
        given = [
            self.by_core(
                {name: np.array(row["inputs"][name], kind) for name, (kind, _) in self.inputs.items()}
            )
            for row in rows
        ]
        return self.task.compute(given, self.search)

    def expected(self, rows: Sequence[dict]) -> list[dict]:
        """Python's answers: what is said, and as "ids: <name>" what is computed."""
        return [
            self.trimmed(self.said(found, row.get("text")), row)
            for found, row in zip(self.computed(rows), rows, strict=True)
        ]

    def said(self, computed: dict[str, np.ndarray], text: str | None) -> dict:
        """One row of `core` as the answer that the file should give; without a text of what it computes alone."""
        raise NotImplementedError

    def trimmed(self, answer: dict, row: dict) -> dict:
        """An answer without the padding of its batch."""
        ends = {f"ids: {name}": value for name, value in self.padding.items()}
        return {
            name: without_end(value, ends[name]) if name in ends else value for name, value in answer.items()
        }

    def is_tie(self, row: dict, python: dict, exported: dict) -> bool:
        """Whether Python itself finds the other answer as good as its own."""
        raise NotImplementedError


def evenly(length: int, count: int) -> list[int]:
    """At most `count` places from all over 0 to length."""
    count = min(count, length)
    return [i * length // count for i in range(count)]


def log_softmax_of(logits: np.ndarray, tokens: Sequence[int]) -> list[float]:
    """The log-probabilities of tokens (T,) under logits (T, V)."""
    logits = logits.astype("float64")
    top = logits.max(axis=-1, keepdims=True)
    log_p = logits - top - np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))
    return [float(row[token]) for row, token in zip(log_p, tokens, strict=True)]


def option(setting: str) -> str:
    """The command's word for a setting of the search."""
    return "--" + {"length": "max-length"}.get(setting, setting.replace("_", "-"))


def without_end(values: list, padding: int) -> list:
    """A list up to the last value that is no padding."""
    end = len(values)
    while end and values[end - 1] == padding:
        end -= 1
    return values[:end]


def parting(ours: list, theirs: list) -> int | None:
    """The first place where two lists differ; an end is a difference too."""
    longest = max(len(ours), len(theirs))
    return next((i for i in range(longest) if ours[i : i + 1] != theirs[i : i + 1]), None)


def same(python, exported, exact: bool = True) -> bool:
    """Equal; numbers with a fraction within the tolerance, or any where it need not be exact. NaN equals nothing."""
    if isinstance(python, float):
        if not isinstance(exported, float) or exported != exported:
            return False
        return not exact or distance(python, exported) <= ABSOLUTE + RELATIVE * abs(python)
    if isinstance(python, list):
        return len(python) == len(exported or []) and all(
            same(one, other, exact) for one, other in zip(python, exported or [], strict=True)
        )
    return python == exported


def distance(python, exported) -> float:
    """The largest difference of fractions in two answers."""
    if isinstance(python, list):
        return max(map(distance, python, exported), default=0.0)
    return abs(python - exported) if isinstance(python, float) else 0.0
