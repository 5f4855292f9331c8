"""Hostile texts through whole artefacts: no crash, no special id, the same answer as Python.

One tiny model of each task in every form of file, asked by the scripts that know no zoo and by `zoo.runtime`. All
ten thousand take minutes; a few hundred, of each class some, run with the fast tests.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_tasks import make_task
from strings import strings

from zoo.data.reading import LONGEST_PROMPT, LONGEST_SENTENCE
from zoo.data.tokenizers import BOS, EOS, MASK, UNK
from zoo.data.words import split_words
from zoo.errors import UserError
from zoo.text import valid

MODELS = {
    "classification": ("textcnn", {"embedding_dim": 8, "num_filters": 4}),
    "translation": ("rnn_seq2seq", {"embedding_dim": 8, "units": 8}),
    "tagging": ("rnn_tagger", {"embedding_dim": 8, "units": 8, "character_dim": 4}),
    "language_modeling": ("rnn_language_model", {"embedding_dim": 8, "units": 8}),
    "masked_language_modeling": (
        "bert",
        {"hidden_dim": 8, "intermediate_dim": 8, "num_heads": 2, "num_layers": 1},
    ),
}
SECTIONS = {"tagging": {"tokenizer": {"name": "byte"}}, "language_modeling": {"decode": {"max_length": 4}}}


QUICK = "translation"
"""The fast tests ask this one; the slow ones all."""


@pytest.fixture(
    scope="module",
    params=[name if name == QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS],
)
def task(request):
    name, section = MODELS[request.param]
    return make_task(name, section, **SECTIONS.get(request.param, {}))


@pytest.fixture(scope="module", params=["saved_model", "tflite", "onnx"])
def artefact(request, task, tmp_path_factory):
    """(kind, path) of a file of that form."""
    from zoo.export import worker
    from zoo.export.build import Build
    from zoo.export.kinds import KINDS

    form = request.param
    kind, path = KINDS[task.recipe.task](task, form), tmp_path_factory.mktemp("files") / f"model.{form}"
    worker.WRITERS[form](kind, path, Build())
    return kind, path


def is_too_long(kind, text: str) -> bool:
    """Whether it is refused: a sentence or a prompt that is not cut."""
    if kind.recipe.task == "tagging":
        return sum(map(len, kind.task.tokenizer.encode_words(split_words(text)))) > LONGEST_SENTENCE
    return kind.recipe.task == "language_modeling" and len(kind.task.tokenizer.encode(text)) > LONGEST_PROMPT


def asked(kind, count: int):
    """Of so many texts, those that are read at all; in a masked language model some have something hidden."""
    found = [hostile for hostile in strings(count) if not is_too_long(kind, valid(hostile.text))]
    assert len(found) > count * 0.98
    if kind.task.fills:
        hidden = (b"[MASK]", b" [MASK] ", b"[MASK][MASK]")
        return [with_mask(hostile.bytes, hidden[i % 3]) for i, hostile in enumerate(found)]
    return [(hostile.bytes, hostile.text) for hostile in found]


def with_mask(content: bytes, mask: bytes) -> tuple[bytes, str]:
    return content + mask + content[:20], (content + mask + content[:20]).decode("utf-8", "replace")


def check(artefact, count: int) -> None:
    from zoo.export import verify

    kind, path = artefact
    questions = asked(kind, count)
    texts = [text for _, text in questions]
    rows = kind.rows(texts)
    no_special_ids(kind, rows)
    given = answers_of(kind.form, path, rows, [content for content, _ in questions])
    figures = verify.compare(verify.Exam(kind, rows, kind.expected(rows)), given, kind.form)
    assert figures["samples"] == len(texts) and figures["ties"] <= count // 500
    for answer, other in zip(by_runtime(path, texts), given["answers"], strict=True):
        assert_same_words(kind.recipe.task, answer, other)


def answers_of(form: str, path: Path, rows, contents) -> dict:
    """Those of the scripts that run a file without the zoo; a SavedModel is sent bytes."""
    if form == "saved_model":
        from zoo.export import run_saved_model

        rows = [{**row, "text": content} for row, content in zip(rows, contents, strict=True)]
        return {"answers": run_saved_model.Model(str(path)).answers(rows)}
    if form == "onnx":
        from zoo.export import run_onnx

        return {"answers": run_onnx.Model(str(path)).answers(rows)}
    from zoo.export import run_tflite

    return {"answers": run_tflite.Model(str(path)).answers(rows)}


def by_runtime(path: Path, texts: list[str]) -> list:
    """Those of `zoo.runtime`, by the numbers that the scripts draw by."""
    from zoo import runtime
    from zoo.export.run_saved_model import BATCH, SEED

    model = runtime.load(path)
    if model.task != "language_modeling":
        return model.answers(texts)
    parts = [texts[i : i + BATCH] for i in range(0, len(texts), BATCH)]
    return [answer for part in parts for answer in model.generate(part, seed=SEED)]


def assert_same_words(task: str, answer, other: dict) -> None:
    """What the runtime says, and what the lone script says."""
    if task == "tagging":
        assert (" ".join(answer.words), " ".join(answer.tags)) == (other["words"], other["tags"])
    else:
        assert str(answer) == other["label" if task == "classification" else "text"]


def no_special_ids(kind, rows) -> None:
    """Text comes to none but <unk>, and to [MASK] where that is asked for; the marks around it are ours."""
    fills = kind.task.fills
    for row in rows:
        ids = np.array(row["inputs"].get("ids", row["inputs"].get("token_ids")))
        if kind.cuts:
            assert ids[-1] == EOS and 2 <= len(ids) <= kind.recipe.data.max_length
            ids = ids[:-1]
        elif ids.tolist() == [BOS]:
            assert not valid(row["text"]).strip(" ▁")
            continue
        assert ((ids > EOS) | (ids == UNK) | (fills & (ids == MASK))).all(), ascii(row["text"])


def test_a_few_hundred(artefact):
    check(artefact, 400)


@pytest.mark.slow
def test_ten_thousand(artefact):
    check(artefact, 10_000)


def test_too_long(artefact):
    """What is never cut is refused, with a reason, in Python as in every file; what is cut is answered."""
    from zoo import runtime

    kind, path = artefact
    texts, model = ["short", "ab " * 40_000], runtime.load(path)
    for ask in (kind.task.answer, model.answers):
        if kind.cuts:
            assert len(ask(texts)) == 2
        else:
            with pytest.raises(UserError, match=r"tokens.*read at most"):
                ask(texts)
