"""Words in, a tag for each of them out: all words, in order, whoever stands in the next row."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from zoo.config import Recipe
from zoo.contract.cases import randomize
from zoo.data.datasets import Split
from zoo.data.tokenizers import UNK, train_tokenizer
from zoo.tasks import Tagging, build_task

TAGS = ["DET", "NOUN", "PUNCT", "VERB", "名词"]
TEXTS = [
    "the dog sees my dog .",
    "狗",
    "",
    "  the\tdog  ",
    "🙂 naïve\u00a0word",
    "x" * 90,
    "dog " * 40,
    "my dog",
]


WORDS, SUBWORDS = {"name": "word"}, {"name": "sentencepiece", "vocabulary_size": 284}
RNN = {"name": "rnn_tagger", "embedding_dim": 8, "units": 8, "character_dim": 6}
TRANSFORMER = {
    "name": "transformer_tagger",
    "num_layers": 1,
    "hidden_dim": 8,
    "intermediate_dim": 8,
    "num_heads": 2,
}
KINDS = {
    "softmax": (WORDS, RNN),
    "crf": (WORDS, {**RNN, "crf": True}),
    "sub-words": (SUBWORDS, TRANSFORMER),
}


def make_tagger(kind: str):
    """Untrained, with weights so large that the words have different tags."""
    tokenizer, model = KINDS[kind]
    recipe = Recipe.model_validate(
        {
            "name": "test/tags",
            "task": "tagging",
            "data": {"name": "ud_ewt", "max_length": 16},
            "tokenizer": tokenizer,
            "model": model,
            "train": {"steps": 1, "batch_tokens": 64, "learning_rate": 1e-2},
        }
    )
    task = build_task(recipe, train_tokenizer(recipe.tokenizer, TEXTS * 3), TAGS)
    randomize(task.model, seed=8, spread=0.8)
    return task


@pytest.fixture(scope="module", params=KINDS)
def tagger(request):
    return make_tagger(request.param)


@pytest.fixture(scope="module")
def reader():
    """One that reads characters."""
    return make_tagger("softmax")


def test_every_word_has_a_tag(tagger) -> None:
    found = tagger.tag(TEXTS)
    assert [[word for word, _ in words] for words in found] == [
        ["the", "dog", "sees", "my", "dog", "."],
        ["狗"],
        [],
        ["the", "dog"],
        ["🙂", "naïve\u00a0word"],
        ["x" * 90],
        ["dog"] * 40,  # longer than data.max_length
        ["my", "dog"],
    ]
    used = {tag for words in found for _, tag in words}
    assert used <= set(TAGS) and len(used) > 2


def test_the_order_stays_and_neighbours_do_not_matter(tagger) -> None:
    together = tagger.tag(TEXTS)
    assert together == [tagger.tag([text])[0] for text in TEXTS]
    assert tagger.tag(TEXTS[::-1]) == together[::-1]
    assert tagger.tag([]) == []


def test_a_text_may_be_a_list_of_words(tagger) -> None:
    assert tagger.tag([["the", "dog"], [], ["🙂", "naïve\u00a0word"]]) == tagger.tag([TEXTS[3], "", TEXTS[4]])
    assert [word for word, _ in tagger.tag([["New York", "sees"]])[0]] == ["New York", "sees"]
    with pytest.raises(TypeError, match="a list of texts"):
        tagger.tag("the dog")


def test_the_first_piece_of_a_word_has_its_tag() -> None:
    """By hand: the model's scores at the places where a word begins, whatever stands at the others."""
    tagger = make_tagger("sub-words")
    words = ["sees", "naïve", "狗", "unheard-of"]
    pieces = tagger.tokenizer.encode_words(words)
    assert max(map(len, pieces)) > 2
    ids = np.array([[i for row in pieces for i in row]])
    scores = np.array(tagger.model({"token_ids": ids, "character_ids": np.zeros((1, *ids.shape[1:], 24))}))
    firsts = [sum(map(len, pieces[:i])) for i in range(len(words))]
    expected = [(word, TAGS[scores[0, place].argmax()]) for word, place in zip(words, firsts, strict=True)]
    assert tagger.tag([" ".join(words)]) == [expected]


def test_an_empty_word_keeps_its_place(tagger) -> None:
    (found,) = tagger.tag([["the", "", "dog"]])
    assert [word for word, _ in found] == ["the", "", "dog"]


def test_the_characters_tell_unknown_words_apart(reader) -> None:
    words = ["".join(letters) for letters in itertools.product("abc", repeat=3)]
    assert {i for row in reader.tokenizer.encode_words(words) for i in row} == {UNK}
    assert len({tag for ((_, tag),) in reader.tag([[word] for word in words])}) > 1


def test_an_answer_as_a_person_and_as_a_program_reads_it(tagger) -> None:
    (answer,) = tagger.answer(["the dog"])
    assert answer == Tagging(("the", "dog"), answer.tags)
    assert str(answer) == f"the/{answer.tags[0]} dog/{answer.tags[1]}"
    assert answer.record() == {"answer": str(answer), "words": ["the", "dog"], "tags": list(answer.tags)}


def test_the_figures_are_of_all_words(tagger) -> None:
    sources = [text for text in TEXTS if text.strip()]
    said = [[tag for _, tag in words] for words in tagger.tag(sources)]
    gold = [" ".join(tags) for tags in said]
    figures, answers = tagger.score(Split(sources, gold))
    assert answers == gold
    assert figures["accuracy"] == figures["exact_match"] == figures["macro_f1"] == 100.0
    wrong = [*said[0]]
    wrong[0] = next(tag for tag in TAGS if tag != wrong[0])
    figures, _ = tagger.score(Split(sources, [" ".join(wrong), *gold[1:]]))
    assert figures["words"] == sum(map(len, said)) == 54
    assert figures["accuracy"] == pytest.approx(100 * 53 / 54)
    assert figures["exact_match"] == pytest.approx(100 * 6 / 7)
    assert set(figures["per_class"]) == set(TAGS)


def test_compile_and_fit_like_any_keras_model(tagger) -> None:
    sources = ["the dog sees my dog .", "my dog", "."] * 4
    targets = ["DET NOUN VERB DET NOUN PUNCT", "DET NOUN", "PUNCT"] * 4
    inputs, labels = tagger.examples(sources, targets)
    assert labels.shape == inputs["token_ids"].shape == inputs["character_ids"].shape[:2]
    assert labels[1][labels[1] >= 0].tolist() == [0, 1]
    assert (labels.shape == (12, 6)) == tagger.tokenizer.whole_words
    weights = tagger.model.get_weights()
    tagger.compile(optimizer="adam", loss=tagger.loss_function(), jit_compile=False)
    tagger.optimizer.build(tagger.trainable_variables)  # made inside `fit`, they have the step traced twice
    losses = tagger.fit(inputs, labels, epochs=8, batch_size=12, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    tagger.model.set_weights(weights)
