"""What can be served: a name for it, its signatures, and a function from tensors to tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from zoo.errors import UserError
from zoo.hub import find_model
from zoo.runtime import kind_of
from zoo.serving.signatures import DEFAULT, Signature, of_task

Tensors = Mapping[str, np.ndarray]
HIDDEN_EXAMPLE = "a [MASK] b"


class Model(Protocol):
    """A model that is loaded."""

    signatures: Mapping[str, Signature]

    def run(self, signature: str, inputs: Tensors) -> Tensors:
        """What a signature makes of its inputs; UserError where they ask for what the model cannot do."""

    def warm_up(self) -> None:
        """Answers something, so that the first to ask does not wait for a compiler."""


class TextModel:
    """A task or an exported file that answers texts.

    Args:
        task: its name in the recipe.
        labels: of a classifier or tagger.
        answer: (texts, seed) -> an answer of zoo/answers.py for each.
        seeded: whether it draws, so that a request names a seed.
    """

    def __init__(
        self,
        task: str,
        labels: Sequence[str] | None,
        answer: Callable[[list[str], int], Sequence[Any]],
        seeded: bool = False,
    ):
        self._task, self._labels, self._answer = task, list(labels or ()), answer
        self.signatures = {DEFAULT: of_task(task, len(self._labels), seeded)}

    @classmethod
    def of_task(cls, task) -> TextModel:
        """A task as `zoo.load` gives it, which searches and draws as its recipe says."""
        seeded = task.generates and bool(task.settings()["sample"])

        def answer(texts: list[str], seed: int):
            return task.answer(texts, seed) if seeded else task.answer(texts)

        return cls(task.recipe.task, task.labels, answer, seeded)

    @classmethod
    def of_export(cls, model, origin: str = "") -> TextModel:
        """What `zoo.runtime.load` gives for a file or folder that needs no TensorFlow.

        Args:
            origin: where it lies, which is not told to those who ask.
        """
        seeded = model.draws

        def answer(texts: list[str], seed: int):
            try:
                return model.generate(texts, seed=seed) if seeded else model.answers(texts)
            except UserError as error:
                raise UserError(str(error).removeprefix(f"{origin}: ")) from error

        return cls(model.task, model.labels, answer, seeded)

    def run(self, signature: str, inputs: Tensors) -> Tensors:
        texts = inputs["text"].tolist()
        # NumPy's generators take no negative seed; a SavedModel does.
        answers = self._answer(texts, int(inputs.get("seed", 0)) % 2**32) if texts else []
        columns = [self._said(answer) for answer in answers]
        outputs = {}
        for name, tensor in self.signatures[signature].outputs.items():
            values = [column[name] for column in columns]
            if tensor.dtype == "DT_STRING":
                outputs[name] = np.array(values, object)
            else:
                outputs[name] = np.array(values, "float32").reshape(len(values), *tensor.shape[1:])
        return outputs

    def _said(self, answer: Any) -> dict[str, Any]:
        """An answer by the names of the signature, as zoo/export/kinds says it."""
        if self._task == "translation":
            return {"text": answer.text, "score": answer.score}
        if self._task == "classification":
            every = [answer.probabilities[label] for label in self._labels]
            return {"label": answer.label, "probability": answer.probability, "probabilities": every}
        if self._task == "tagging":
            return {"tags": " ".join(answer.tags), "words": " ".join(answer.words)}
        if self._task == "language_modeling":
            return {"text": answer.text}
        best = [candidates[0][1] for candidates in answer.candidates]
        return {"text": answer.text, "probability": float(np.prod(best, dtype="float32"))}

    def warm_up(self) -> None:
        self._answer([HIDDEN_EXAMPLE], 0)


class Source(NamedTuple):
    """Where a model is, and what it is called when nobody says."""

    form: str
    path: Path
    name: str
    version: int


NAMELESS = {"saved_model", "model", "onnx", "export", "exports", "exported", "checkpoints", ""}
"""Names of files and folders that say nothing of the model in them."""


def find(given: str) -> Source:
    """A SavedModel's folder, a folder of versions of it, an exported file, a run or a shipped model."""
    path, form = Path(given), kind_of(given)
    if form == "saved_model":
        number = path.resolve().name
        return Source(form, path, _name(path), int(number) if number.isdecimal() else 1)
    if form:
        if not path.exists():
            raise UserError(f"{path}: no such file")
        return Source(form, path, _name(path.with_suffix("") if path.is_file() else path), 1)
    versions = [p for p in path.glob("*/saved_model.pb") if p.parent.name.isdecimal()]
    if versions:
        newest = max(versions, key=lambda p: int(p.parent.name)).parent
        return Source("saved_model", newest, _name(path), int(newest.name))
    try:
        folder = find_model(given)
    except UserError as error:
        if path.is_dir():
            raise UserError(
                f"{path}: no model in it: no recipe.yaml, model.onnx or saved_model.pb, and no folders of versions"
            ) from error
        raise
    return Source("task", folder, _name(folder), 1)


def _name(path: Path) -> str:
    """The last part of a path that says which model it is; TensorFlow Serving's names have no colon."""
    for part in reversed(path.resolve().parts):
        if part not in NAMELESS and not part.isdecimal() and part != "/":
            return part.replace(":", "-")
    return "model"
