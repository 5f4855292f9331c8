"""Hostile texts through whole artefacts: no crash, no special id, the same answer as Python.

One tiny model of each task, as a SavedModel that takes bytes and as a TFLite file behind `zoo.runtime`. All ten
thousand take minutes; a few hundred, of each class some, run with the fast tests.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from strings import strings

sys.path.insert(0, str(Path(__file__).parents[1] / "export"))
from small_tasks import make_task

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
        {"hidden_dim": 8, "intermediate_dim": 8, "num_heads": 1, "num_layers": 1},
    ),
}
SECTIONS = {"tagging": {"tokenizer": {"name": "byte"}}, "language_modeling": {"decode": {"max_length": 4}}}


@pytest.fixture(scope="module", params=MODELS)
def task(request):
    name, section = MODELS[request.param]
    return make_task(name, section, **SECTIONS.get(request.param, {}))


@pytest.fixture(scope="module", params=["saved_model", "tflite"])
def artefact(request, task, tmp_path_factory):
    """(kind, path) of a file of that form."""
    from zoo.export import worker
    from zoo.export.kinds import KINDS

    form = request.param
    kind, path = KINDS[task.recipe.task](task, form), tmp_path_factory.mktemp("files") / f"model.{form}"
    worker.WRITERS[form](kind, path, False)
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
    from zoo.export import run_saved_model, run_tflite, verify
    from zoo.runtime.tflite import load

    kind, path = artefact
    questions = asked(kind, count)
    texts = [text for _, text in questions]
    rows = kind.rows(texts)
    no_special_ids(kind, rows)
    expected = kind.expected(rows)
    if kind.form == "saved_model":
        given = run_saved_model.answers(
            str(path), [{**row, "text": content} for row, (content, _) in zip(rows, questions, strict=True)]
        )
    else:
        given = run_tflite.answers(str(path), rows)
        runtime = load(path)
        batch, seed = run_saved_model.BATCH, run_saved_model.SEED
        if runtime.task == "language_modeling":
            parts = [texts[i : i + batch] for i in range(0, len(texts), batch)]
            found = [answer for part in parts for answer in runtime.generate(part, seed=seed)]
        else:
            found = runtime.answers(texts)
        for answer, other in zip(found, given["answers"], strict=True):
            assert_same_words(runtime.task, answer, other)
    figures = verify.compare(verify.Exam(kind, rows, expected), given, kind.form)
    assert figures["samples"] == len(texts) and figures["ties"] <= count // 500
    for answer in given["answers"]:
        for said in answer.values():
            assert not isinstance(said, str) or said.encode().decode() == said


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
    import tensorflow as tf

    from zoo.runtime.tflite import load

    kind, path = artefact
    text = "ab " * 40_000
    if kind.form == "tflite":
        model = load(path)

        def ask():
            return model.answers(["short", text])
    else:
        serve = tf.saved_model.load(str(path)).signatures["serving_default"]
        seed = {"seed": tf.constant(1)} if kind.seeded else {}

        def ask():
            return serve(text=tf.constant(["short", text]), **seed)

    if kind.cuts:
        assert ask() and len(kind.task.answer([text])) == 1
        return
    for refuses in (ask, lambda: kind.task.answer(["short", text])):
        with pytest.raises((UserError, tf.errors.InvalidArgumentError), match=r"tokens.*read at most"):
            refuses()


def test_long_texts_are_answered_few_at_once(task):
    """So many tokens at once, padding included, however many and long the texts are; each once."""
    lengths = [3] * 200 + [700] * 30 + [5000, 9000, 1]
    parts = list(task.parts(lengths))
    assert sorted(i for part in parts for i in part) == list(range(len(lengths)))
    sizes = [(len(part), max(lengths[i] for i in part)) for part in parts]
    assert all(count <= 64 and (count == 1 or count * longest <= 8192) for count, longest in sizes)
    assert sizes[0] == (64, 3) and sizes[-1] == (1, 9000) and (11, 700) in sizes
    assert list(task.parts([])) == []
