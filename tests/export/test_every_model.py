"""Exported files of every model answer as Python does, in a process that never imports the zoo.

All files of one form are asked in one process, for starting it takes longer than any answer. The fast tests
export one model of each family, the slow ones all of them with their cells, attentions and positions.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_tasks import FAST, TEXTS, VARIANTS, make_task, texts_of

from zoo import registry

FORMS = ("saved_model", "tflite")
"""The others are in files of their own, for not everybody has what they need."""


def exported(
    sections: dict[str, dict], folder, forms=FORMS, build=None
) -> dict[tuple[str, str], dict | Exception]:
    """(form, name) -> what was asked and answered, or why it was not."""
    from zoo.export import verify, worker
    from zoo.export.build import Build
    from zoo.export.kinds import KINDS

    build = build or Build()
    found, written = {}, {form: {} for form in forms}
    for number, (name, section) in enumerate(sections.items()):
        try:
            task = make_task(name, section)
            for form in forms:
                kind, path = KINDS[task.recipe.task](task, form), folder / f"{number}.{form}"
                worker.WRITERS[form](kind, path, build)
                written[form][name] = (path, verify.exam(kind, texts_of(task)))
        except Exception as error:  # it is that model's own test that fails
            found |= {(form, name): error for form in forms if name not in written[form]}
    for form, files in written.items():
        given = verify.run_alone(form, [(path, asked.rows) for path, asked in files.values()])
        for (name, (_, asked)), answers in zip(files.items(), given, strict=True):
            found[form, name] = (asked, {**answers, "path": files[name][0]})
    return found


def check(found: dict, form: str, name: str) -> None:
    from zoo.export import verify

    if isinstance(found[form, name], Exception):
        raise found[form, name]
    asked, given = found[form, name]
    figures = verify.compare(asked, given, form)
    # Between 42 answers of random weights a tie is no fault, and which fall is decided by the machine's rounding.
    assert figures["differences"] == 0 and figures["ties"] <= 1
    assert figures["samples"] >= len(TEXTS)
    # `compare` has compared; this looks at what was said, by the words of the task's own verbs.
    kind, texts = asked.kind, texts_of(asked.kind.task)
    said = [answer[SAID[kind.recipe.task]] for answer in given["answers"][: len(texts)]]
    assert len(set(said)) > (1 if kind.recipe.task == "classification" else 8), (
        "too dull to show a difference"
    )
    if kind.recipe.task == "classification":
        assert said == [answer.label for answer in kind.task.classify(TEXTS)]
    elif kind.recipe.task == "tagging":
        assert said == [" ".join(tag for _, tag in words) for words in kind.task.tag(TEXTS)]
    elif kind.recipe.task == "masked_language_modeling":
        assert said == [str(filling) for filling in kind.task.fill(texts)]
    elif kind.recipe.task == "translation":
        assert said == kind.task.translate(TEXTS, beams=kind.search["beams"])
    else:
        assert all(text.startswith(prompt) for text, prompt in zip(said, TEXTS, strict=True))


SAID = {
    "language_modeling": "text",
    "masked_language_modeling": "text",
    "classification": "label",
    "tagging": "tags",
    "translation": "text",
}


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    return exported(FAST, tmp_path_factory.mktemp("families"))


@pytest.fixture(scope="module")
def variants(tmp_path_factory):
    return exported(VARIANTS, tmp_path_factory.mktemp("variants"))


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("form", FORMS)
def test_answers_as_python(families, form, name):
    check(families, form, name)


def test_an_interpreter_whose_memory_grows(tmp_path):
    """A first call of 23 tokens and more was answered wrongly by ai-edge-litert 2.3, the second one rightly."""
    name = "gpt sinusoidal"
    check(exported({name: VARIANTS[name]}, tmp_path, ("tflite",)), "tflite", name)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("form", FORMS)
def test_every_variant(variants, form, name):
    check(variants, form, name)
    if form == "tflite":
        compare_runtime(*variants[form, name])


def test_no_model_is_forgotten():
    """A model that is registered is exported: in the fast tests its family, in the slow ones itself."""
    assert {name.split()[0] for name in VARIANTS} == set(registry.MODELS)
    assert set(FAST) <= set(registry.MODELS)


LOOP = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    signatures = tf.saved_model.load(asked["folder"]).signatures
    ids, prompt = tf.constant(asked["ids"]), tf.constant(asked["prompt"])
    print(json.dumps(greedy(signatures, ids, prompt, asked["length"]).numpy().tolist()), flush=True)
assert "zoo" not in sys.modules
"""


@pytest.fixture(scope="module")
def loops(families):
    """What the loop of docs/exporting.md says, where there is only TensorFlow: name -> asked, answer."""
    page = (Path(__file__).parents[2] / "docs" / "exporting.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n([^`]*def greedy[^`]*)```", page)
    asked = {}
    for name in ("transformer", "rnn_seq2seq", "gpt", "rnn_language_model"):
        found, given = families["saved_model", name]
        translates = found.kind.recipe.task == "translation"
        ids = [row["inputs"]["ids" if translates else "token_ids"] for row in found.rows if "text" in row][:8]
        longest = max(map(len, ids)) if translates else 6  # prompts of one length
        ids = [(row + [0] * longest)[:longest] for row in ids if translates or len(row) >= longest]
        prompt = [[2]] * len(ids) if translates else ids
        asked[name] = {"folder": str(given["path"]), "ids": ids, "prompt": prompt, "length": 9}
    done = subprocess.run(
        [sys.executable, "-I", "-c", example + LOOP],
        input="\n".join(map(json.dumps, asked.values())),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    said = map(json.loads, done.stdout.splitlines()[-len(asked) :])
    return {name: (asked[name], answer) for name, answer in zip(asked, said, strict=True)}


@pytest.mark.parametrize("name", ["transformer", "rnn_seq2seq", "gpt", "rnn_language_model"])
def test_a_loop_of_ones_own(families, loops, name):
    """`encode` and `step` in a loop by somebody else find what Python's greedy search finds."""
    from zoo.data.tokenizers import EOS
    from zoo.decoding.loop import decode
    from zoo.decoding.settings import Decoding

    asked, answer = loops[name]
    model, ids = families["saved_model", name][0].kind.task.model, np.array(asked["ids"], "int32")
    assert len(ids) > 1
    expected = decode(model, ids, Decoding(length=9))[0][:, 0, len(asked["prompt"][0]) :]
    for ours, theirs in zip(np.asarray(expected).tolist(), answer, strict=True):
        end = ours.index(EOS) + 1 if EOS in ours else 9
        assert ours[:end] == theirs[:end]


def test_the_light_runtime_answers_as_python(families):
    for name in FAST:
        compare_runtime(*families["tflite", name])


def compare_runtime(asked, given) -> None:
    """zoo.runtime says what the tasks say, for all of them."""
    from zoo import runtime

    task, loaded = asked.kind.task, runtime.load(given["path"])
    if task.recipe.task == "language_modeling":
        assert loaded.generate(TEXTS, seed=3) == task.generate(TEXTS, seed=3)
        assert loaded.generate(TEXTS[:4], seed=3) == loaded.generate(TEXTS, seed=3)[:4]
        assert loaded.generate(TEXTS, seed=4) != loaded.generate(TEXTS, seed=3)
    elif task.recipe.task == "tagging":
        assert loaded.tag(TEXTS) == task.tag(TEXTS)
        assert str(loaded.answer(TEXTS[0])) == str(task.answer(TEXTS[:1])[0])
    elif task.recipe.task == "masked_language_modeling":
        texts = texts_of(task)
        ours, theirs = task.fill(texts), loaded.fill(texts)
        assert [x.text for x in ours] == [x.text for x in theirs]
        assert [len(x.candidates) for x in ours] == [len(x.candidates) for x in theirs]
    elif task.recipe.task == "classification":
        ours, theirs = task.classify(TEXTS), loaded.classify(TEXTS)
        assert [x.label for x in ours] == [x.label for x in theirs]
        np.testing.assert_allclose([x.probability for x in ours], [x.probability for x in theirs], atol=1e-4)
    else:
        assert loaded.translate(TEXTS) == task.translate(TEXTS, beams=asked.kind.search["beams"])


def test_a_saved_model_is_asked_by_the_same_verbs(families):
    from zoo import runtime

    for name in FAST:
        asked, given = families["saved_model", name]
        task, loaded = asked.kind.task, runtime.load(given["path"])
        assert loaded.task == task.recipe.task
        texts = texts_of(task) * 2  # more than one batch
        if loaded.task == "language_modeling":
            found = loaded.generate(texts, seed=3)
            assert [answer.prompt for answer in found] == texts
            assert [answer.text for answer in found] != [a.text for a in loaded.generate(texts, seed=4)]
            assert found == loaded.generate(texts, seed=3)
            # The second batch draws by other numbers than the first.
            assert len(found) > 32 and [a.text for a in found[:10]] != [
                a.text for a in loaded.generate([texts[32]] * 32 + texts[:10], seed=3)[32:]
            ]
        else:
            ours = task.answer(texts)
            assert [str(answer) for answer in loaded.answers(texts)] == [str(answer) for answer in ours]
            assert str(loaded.answer(texts[0])) == str(ours[0])
