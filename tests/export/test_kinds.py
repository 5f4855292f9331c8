"""Each kind of task by itself: what a graph reads, which settings it has, and when two answers are equally good."""

from __future__ import annotations

import numpy as np
import pytest
from small_tasks import make_task, texts_of

from zoo.errors import UserError


@pytest.fixture(scope="module", params=["rnn_language_model", "textcnn", "rnn_tagger", "transformer", "bert"])
def task(request):
    """One of each task."""
    sections = {
        "textcnn": {"embedding_dim": 8, "num_filters": 4},
        "rnn_tagger": {"embedding_dim": 8, "units": 8},
    }
    return make_task(request.param, sections.get(request.param))


def kind_of(task, form="saved_model", **chosen):
    from zoo.export.kinds import KINDS

    return KINDS[task.recipe.task](task, form, **chosen)


def test_the_graph_reads_as_the_pipeline(task):
    """Ids, empty and over-long texts and no text included; of a language model, numbers of its seed."""
    import tensorflow as tf

    from zoo.export.saved_model import Exported

    kind, texts = kind_of(task), texts_of(task)
    exported = Exported(kind, xla=False)
    seed = [tf.constant(7)] if kind.seeded else []
    given = {name: value.numpy() for name, value in exported.read(tf.constant(texts), *seed).items()}
    rows = [row["inputs"] for row in kind.rows(texts)]
    assert set(given) == set(rows[0]) == set(kind.inputs)
    for name, values in given.items():
        for value, row in zip(values, rows, strict=True):
            np.testing.assert_array_equal(value[: len(row[name])], row[name])
            assert not value[len(row[name]) :].any()
        nothing = exported.read(tf.constant([], tf.string), *seed)[name]
        assert nothing.shape[0] == 0 and nothing.shape[1] > 0
    fixed = Exported(kind, xla=True).read(tf.constant(["a"]), *seed)
    widths = {value.shape[1] for value in fixed.values()}
    assert widths == {32} if kind.cuts else 1 in widths, "XLA compiles each shape anew"


def test_the_numbers_of_a_seed():
    """Those of a text depend on its place alone, not on how many stand behind it."""
    from zoo.export.kinds.generator import uniforms

    few, many, others = uniforms(2, 9, 7).numpy(), uniforms(30, 9, 7).numpy(), uniforms(2, 9, 8).numpy()
    np.testing.assert_array_equal(few, many[:2])
    assert not np.isin(few, others).any() and len(np.unique(many)) == many.size
    # Philox of the seed 7, the same on every machine.
    np.testing.assert_allclose(few[0, :3], uniforms(1, 3, 7).numpy()[0], rtol=1e-6)


def test_settings(task):
    kind = kind_of(task, "tflite")
    wanted = {
        "language_modeling": {"max_length": 9, "temperature": 0.8, "top_k": 40, "top_p": 0.95},
        "masked_language_modeling": {"n_best": 1},
        "translation": {"beams": 3, "length_penalty": 0.6, "max_length": 12},
    }
    assert kind.report() == wanted.get(task.recipe.task, {})
    if task.recipe.task == "translation":
        assert kind_of(task).report() == kind.report(), "every form of file searches alike"
        assert kind_of(task, beams=2, length=5).report() == {**kind.report(), "beams": 2, "max_length": 5}
    elif task.recipe.task != "language_modeling":
        with pytest.raises(UserError, match=f"--beams: not a setting of {task.recipe.task}"):
            kind_of(task, beams=2)


def test_validation_samples(task):
    """Texts from all over a split, always the same; of a language model, short pieces of its text; with words
    hidden where they are filled in."""
    from zoo.data.datasets import Split

    texts = ["The world is everything ", "that is the case. 世界"] * 20
    split = Split(texts, texts)
    found = kind_of(task).samples(split, 10)
    assert found == kind_of(task).samples(split, 10) and len(found) == 10
    if task.recipe.task == "language_modeling":
        assert all(1 <= len(prompt) <= 16 for prompt in found) and len(set(found)) > 5
        return
    if task.fills:
        assert [text.count("[MASK]") for text in found] == [1, 2] * 5
        assert {len(text.split(" ")) for text in found} == {4}, "as many words as there were"
    else:
        assert set(found) <= set(texts)
    assert len(kind_of(task).samples(split, 1000)) == 40


def test_no_cudnn_kernel_is_traced():
    """Layers that would take one where there is a GPU are told not to."""
    from zoo.export.portable import without_cudnn

    model = make_task("rnn_seq2seq").model
    asked = [layer for layer in model._flatten_layers() if hasattr(layer, "use_cudnn")]
    for layer in asked:
        layer.use_cudnn = "auto"
    without_cudnn(model)
    assert asked and [layer.use_cudnn for layer in asked] == [False] * len(asked)


@pytest.mark.parametrize(
    ("python", "exported", "equal"),
    [
        (1.0, 1.0009, True),
        (1.0, 1.002, False),
        (0.0, 0.00009, True),
        (0.5, float("nan"), False),
        (float("nan"), float("nan"), False),
        ([0.25, 0.75], [0.25, 0.75], True),
        ([0.25, 0.75], [0.25], False),
        ([4, 5, 3], [4, 5, 3], True),
        ([4, 5, 3], [4, 6, 3], False),
        ("a", "a ", False),
        ("a", None, False),
        (0.5, None, False),
        ([0.5], None, False),
    ],
)
def test_same(python, exported, equal):
    from zoo.export.kinds.base import same

    assert same(python, exported) is equal


def test_ties_of_translations():
    """Two words with the same vector are equally good; with different ones, the other answer is wrong."""
    task = make_task("transformer")
    embedding = task.model.embedding
    vectors, bias = embedding.embeddings.numpy(), embedding.bias.numpy()
    vectors[11] = vectors[10]
    bias[:] = 0.0
    embedding.embeddings.assign(vectors)
    embedding.bias.assign(bias)
    row = {"text": "a", "inputs": {"ids": [20, 3]}}
    greedy = kind_of(task, beams=1, length=4)
    ours, twin, other = ({"text": str(i), "ids: ids": [7, i, 3]} for i in (10, 11, 12))
    assert greedy.is_tie(row, ours, twin)
    assert not greedy.is_tie(row, ours, other)
    assert not greedy.is_tie(row, ours, {**ours, "text": "otherwise decoded"})

    beam = kind_of(task, beams=3, length=4)
    best, *_, worst = task.translate_n_best(["a"], 3, beams=3, length_penalty=0.6, max_length=4)[0]
    assert best.score - worst.score > 1e-3
    (row,) = beam.rows(["a"])
    assert not beam.is_tie(row, {"text": best.text}, {"text": worst.text})
    assert beam.is_tie(row, {"text": best.text}, {"text": best.text})


def test_ties_of_labels():
    def answer(label, *probabilities):
        every = list(probabilities)
        return {
            "label": label,
            "probability": max(every),
            "probabilities": every,
            "ids: probabilities": every,
        }

    kind = kind_of(make_task("textcnn", {"embedding_dim": 8, "num_filters": 4}))
    python = answer("bad", 0.45002, 0.44998, 0.1)
    assert kind.is_tie({}, python, answer("good", 0.45, 0.45, 0.1))
    assert not kind.is_tie({}, python, answer("中性", 0.45002, 0.44998, 0.1))
    assert not kind.is_tie({}, python, answer("good", 0.3, 0.6, 0.1))


@pytest.mark.parametrize("crf", [False, True])
def test_ties_of_tags(crf):
    """Tags whose weights are equal are equally good; the score of a sequence is that of the model's own search."""
    kind = kind_of(make_task("rnn_tagger", {"embedding_dim": 8, "units": 8, "crf": crf}))
    model = kind.task.model
    for variable in model.trainable_variables:  # tags 1 and 2 become the same
        if variable.path.split("/")[-2] in ("head", "crf") and variable.shape[-1] == 3:
            values = variable.numpy()
            values[..., 2] = values[..., 1]
            if values.shape == (3, 3):
                values[2] = values[1]
            variable.assign(values)
    (row,) = kind.rows(["one two 三 🙂"])
    (best,) = kind.expected([row])
    tags = best["ids: tags"]

    def other(swap):
        return {**best, "ids: tags": [swap.get(tag, tag) for tag in tags]}

    assert kind.is_tie(row, best, other({1: 2, 2: 1}))
    assert not kind.is_tie(row, best, {**best, "ids: tags": tags[:-1]})
    worse = other({0: 1, 1: 0, 2: 0})
    assert not kind.is_tie(row, best, worse)


def test_ties_of_drawn_words():
    """Another token is as good where a number a hair away draws it."""
    kind = kind_of(make_task("rnn_language_model", decode={"max_length": 3}))
    task = kind.task
    logits = np.asarray(task.model({"token_ids": np.array([[10, 11]], "int32")})[0, -1], "float64")
    logits[[0, 2]] = -np.inf
    p = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    first = 4 + int(np.minimum(p[4:-1], p[5:]).argmax())  # two neighbours that are drawn now and then
    border = float(p[: first + 1].sum())
    row = {"text": "a", "inputs": {"token_ids": [10, 11], "uniforms": [border - 2e-5, 0.5, 0.5]}}
    ours, neighbour, other = ({"text": "", "ids: ids": [10, 11, i, 12]} for i in (first, first + 1, 3))
    assert kind.is_tie(row, ours, neighbour)
    assert not kind.is_tie(row, ours, other)
    assert not kind.is_tie(row, ours, ours)
