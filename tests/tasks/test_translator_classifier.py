"""Text in, answers out: in order, whatever the text, whoever its neighbours are."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.config import Recipe
from zoo.data.tokenizers import train_tokenizer
from zoo.tasks import build_task

TEXTS = ["3 March 2021", "le 14 juillet 1999", "", "2021年3月3日", "🙂", "x" * 200, "1. Mai 2004", "a", "a"]
LABELS = ["bad", "good", "中性"]
MODELS = {
    "rnn_classifier": {"embedding_dim": 8, "units": 8},
    "rnn_seq2seq": {"embedding_dim": 8, "units": 8},
    "transformer": {
        "num_encoder_layers": 1,
        "num_decoder_layers": 1,
        "hidden_dim": 16,
        "intermediate_dim": 16,
        "num_heads": 2,
    },
}


def make(model: str, n_best: int = 1, spread: float | None = 0.7):
    """Untrained, with weights so large that most texts have an answer of their own."""
    classifies = model == "rnn_classifier"
    recipe = Recipe.model_validate(
        {
            "name": f"test/{model}",
            "task": "classification" if classifies else "translation",
            "data": {"name": "sst2" if classifies else "dates", "max_length": 24},
            "tokenizer": {"name": "character"},
            "model": {"name": model, **MODELS[model]},
            "train": {"steps": 1, "batch_tokens": 64, "learning_rate": 1e-2},
            "decode": {} if classifies else {"beams": 3, "max_length": 8, "n_best": n_best},
        }
    )
    task = build_task(recipe, train_tokenizer(recipe.tokenizer, TEXTS), LABELS if classifies else None)
    if spread:
        random = np.random.default_rng(1)
        for variable in task.model.trainable_variables:
            variable.assign(random.normal(0.0, spread, variable.shape))
    return task


@pytest.fixture(scope="module")
def translator():
    return make("rnn_seq2seq")


@pytest.fixture(scope="module")
def classifier():
    return make("rnn_classifier")


def test_answers_keep_the_order_and_know_no_neighbours(translator) -> None:
    together = translator.translate(TEXTS)
    assert together == [translator.translate([text])[0] for text in TEXTS]
    assert translator.translate(TEXTS[::-1]) == together[::-1]
    assert len(set(together)) >= len(TEXTS) - 2, "the answers are too dull to show a difference"
    assert together[-1] == together[-2]


def test_more_texts_than_a_batch(translator) -> None:
    many = [f"{i} {'x' * (i * 7 % 20)}" for i in range(translator.batch_size + 7)]
    answers = translator.translate(many, beams=1)
    for i in (0, translator.batch_size - 1, len(many) - 1):
        assert translator.translate([many[i]], beams=1) == [answers[i]]


def test_labels_keep_the_order_and_know_no_neighbours(classifier) -> None:
    together = classifier.classify(TEXTS)
    for text, answer in zip(TEXTS, together, strict=True):
        assert answer.label in LABELS
        assert list(answer.probabilities) == LABELS
        assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-5)
        assert answer.probability == max(answer.probabilities.values()) == answer.probabilities[answer.label]
        assert classifier.classify([text])[0].probability == pytest.approx(answer.probability, abs=1e-5)
    assert len({round(answer.probability, 4) for answer in together}) >= len(TEXTS) - 2


def test_no_text_has_no_answer(translator, classifier) -> None:
    assert translator.translate([]) == [] and translator.translate_n_best([]) == []
    assert classifier.classify([]) == []


def test_a_text_that_is_too_long_is_cut(translator, classifier) -> None:
    """23 characters and the end mark fit."""
    cut = "x" * 22 + "3"
    assert translator.translate([cut + "1" * 99]) == translator.translate([cut])
    long, fits, shorter = classifier.classify([cut + "1" * 99, cut, cut[:-1]])
    assert long == fits != shorter


def test_one_text_for_a_list_is_refused(translator, classifier) -> None:
    for ask in (translator.translate, translator.translate_n_best, classifier.classify):
        with pytest.raises(TypeError, match="a list of texts"):
            ask("3 March 2021")


def test_n_best(translator) -> None:
    found = translator.translate_n_best(TEXTS[:3], n_best=3)
    assert [len(answers) for answers in found] == [3, 3, 3]
    for answers in found:
        assert [a.score for a in answers] == sorted((a.score for a in answers), reverse=True)
        assert len({a.text for a in answers}) > 1
    assert [answers[0].text for answers in found] == translator.translate(TEXTS[:3])
    assert translator.translate(TEXTS[:3], beams=1) == translator.translate(
        TEXTS[:3], beams=1, length_penalty=2.0
    )
    with pytest.raises(ValueError, match="n_best is 4, but only 3 beams"):
        translator.translate_n_best(TEXTS[:1], n_best=4)


def test_max_length_bounds_the_answer(translator) -> None:
    assert all(len(answer) <= 3 for answer in translator.translate(TEXTS, beams=1, max_length=3))
    assert any(len(answer) > 3 for answer in translator.translate(TEXTS, beams=1))


def test_the_recipe_decides_where_nothing_is_said(translator) -> None:
    task = make("rnn_seq2seq", n_best=2)
    assert [len(answers) for answers in task.translate_n_best(TEXTS[:2])] == [2, 2]
    assert task.translate(TEXTS[:2]) == translator.translate(TEXTS[:2], beams=3)


def test_the_seed_decides_the_weights() -> None:
    one, two = (make("transformer", spread=None).model.get_weights() for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("model", ["rnn_classifier", "transformer"])
def test_compile_and_fit_like_any_keras_model(model) -> None:
    task = make(model)
    inputs, labels = task.examples(TEXTS, LABELS * 3 if task.labels else ["2021-03-03"] * 9)
    assert len(labels) == len(TEXTS) and {len(x) for x in inputs.values()} == {len(TEXTS)}
    assert max(x.shape[1] for x in inputs.values()) <= 24
    before = task.classify(TEXTS) if task.labels else task.translate_n_best(TEXTS, beams=1)
    task.compile(optimizer="adam", loss=task.loss_function(), jit_compile=False)
    task.optimizer.build(task.trainable_variables)  # made inside `fit`, they have the step traced twice
    losses = task.fit(inputs, labels, epochs=12, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 0.05
    after = task.classify(TEXTS) if task.labels else task.translate_n_best(TEXTS, beams=1)
    assert after != before, "the compiled answers must see the new weights"


def test_the_loss_is_the_mean_over_the_tokens_not_the_rows(translator) -> None:
    """A short text beside a long one: padding counts for nothing."""
    rows = [("a", "2"), ("x" * 20, "1" * 20)]

    def loss(*pairs):
        inputs, labels = translator.examples(*zip(*pairs, strict=True))
        value = translator.loss_function()(labels, translator(inputs, training=False))
        return float(value), int((labels != -1).sum())

    (both, total), (short, few), (long, many) = loss(*rows), loss(rows[0]), loss(rows[1])
    assert (total, few, many) == (23, 2, 21)
    assert both == pytest.approx((few * short + many * long) / total, rel=1e-4)
