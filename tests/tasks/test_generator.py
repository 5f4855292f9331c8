"""A text in, what comes next out; and how well the next token is foretold."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zoo.config import Recipe
from zoo.data.datasets import Split
from zoo.data.tokenizers import train_tokenizer
from zoo.tasks import build_task

PROMPTS = ["Row, row", "", "船", "Gently down the stream, 🙂", "L", "Row, row"]
TEXT = "Row, row, row your boat,\nGently down the stream. 船 🙂\n"
MAX_LENGTH = 10


def make(tokenizer: dict, model: dict | None = None, **decode):
    """Untrained, with weights so large that some tokens are likelier than others."""
    recipe = Recipe.model_validate(
        {
            "name": "test/rhyme",
            "task": "language_modeling",
            "data": {"name": "tinyshakespeare", "max_length": 16},
            "tokenizer": tokenizer,
            "model": {"name": "rnn_language_model", "embedding_dim": 8, "units": 8, **(model or {})},
            "train": {"steps": 1, "batch_tokens": 64, "learning_rate": 1e-2, "label_smoothing": 0.1},
            "decode": {"max_length": MAX_LENGTH, **decode},
        }
    )
    task = build_task(recipe, train_tokenizer(recipe.tokenizer, [TEXT]))
    random = np.random.default_rng(3)
    for variable in task.model.trainable_variables:
        variable.assign(random.normal(0.0, 0.7, variable.shape))
    return task


@pytest.fixture(scope="module")
def generator():
    return make({"name": "character"})


def test_a_text_begins_with_its_prompt(generator) -> None:
    found = generator.generate(PROMPTS)
    for prompt, answer in zip(PROMPTS, found, strict=True):
        assert answer.prompt == prompt and answer.text == prompt + answer.continuation == str(answer)
        assert len(answer.continuation) <= MAX_LENGTH
    assert len({answer.continuation for answer in found}) == len(PROMPTS), "each prompt has its own numbers"
    assert generator.generate([]) == []
    with pytest.raises(TypeError, match="a list of texts"):
        generator.generate("Row")


def test_the_seed_and_the_place_decide_and_nothing_else(generator) -> None:
    found = generator.generate(PROMPTS, seed=1)
    assert generator.generate(PROMPTS, seed=1) == found != generator.generate(PROMPTS, seed=2)
    assert generator.generate(PROMPTS[:2], seed=1) == found[:2], "neighbours do not matter"
    assert (
        generator.generate(PROMPTS[:2], seed=1, max_length=4)[0].text == found[0].text[: len("Row, row") + 4]
    )


def test_without_temperature_each_prompt_has_one_answer(generator) -> None:
    found = generator.generate(PROMPTS, temperature=0.0)
    assert found[0] == found[-1]
    assert generator.generate(PROMPTS, temperature=0.0, seed=5) == found
    assert generator.generate(PROMPTS, top_k=1, seed=5) == found
    assert generator.generate(PROMPTS, top_p=1e-6, seed=5) == found
    ids = [*generator.tokenizer.encode("Row, row")]
    for _ in range(MAX_LENGTH):
        logits = np.array(generator.model({"token_ids": np.array([ids], "int32")}))[0, -1]
        logits[[0, 2]] = -np.inf
        ids.append(int(logits.argmax()))
        if ids[-1] == 3:
            break
    assert found[0].text == generator.tokenizer.decode(ids)


def test_the_recipe_decides_where_nothing_is_said(generator) -> None:
    cold = make({"name": "character"}, temperature=0.0)
    assert cold.generate(PROMPTS) == generator.generate(PROMPTS, temperature=0.0)
    assert cold.generate(PROMPTS, temperature=1.0) == generator.generate(PROMPTS, temperature=1.0)


@pytest.mark.parametrize(
    "tokenizer", [{"name": "word"}, {"name": "byte"}, {"name": "sentencepiece", "vocabulary_size": 284}]
)
def test_the_prompt_stays_as_it_was_written(tokenizer) -> None:
    """Also where the tokenizer would write it otherwise: two spaces, a space at the end, an unknown word."""
    task = make(tokenizer)
    for answer in task.generate(["Row,  row ", "unknown 鸟", "your"], temperature=1.5):
        assert answer.text.startswith(answer.prompt) and "</s>" not in answer.continuation
    read = task.tokenizer.encode("Row, row")
    assert task.read(["Row, row"])[0]["token_ids"].tolist() == read
    assert task.read([""])[0]["token_ids"].tolist() == [2]


def test_every_token_is_foretold_once(generator, tmp_path, monkeypatch) -> None:
    """Against the sum by hand over windows that do not overlap, each without memory, label smoothing left out."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    documents = [TEXT, "L", "Life is but a dream. 🙂"]
    stream = [2]
    for number, document in enumerate(documents):
        stream += ([3] if number else []) + generator.tokenizer.encode(document)
    nats, tokens = 0.0, 0
    for start in range(0, len(stream) - 1, 16):
        window = stream[start : start + 17]
        logits = np.array(generator.model({"token_ids": np.array([window[:-1]], "int32")}))[0].astype(
            "float64"
        )
        log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        nats -= sum(log_p[i, token] for i, token in enumerate(window[1:]))
        tokens += len(window) - 1
    assert tokens == len(stream) - 1 and tokens % 16
    figures, answers = generator.score(Split(documents, [""] * 3))
    whole = "".join(documents)
    assert answers == [] and figures["tokens"] == tokens
    assert figures["loss"] == pytest.approx(nats / tokens, rel=1e-5)
    assert figures["perplexity"] == pytest.approx(math.exp(nats / tokens), rel=1e-5)
    assert figures["bits_per_character"] == pytest.approx(nats / math.log(2) / len(whole), rel=1e-5)
    assert figures["bits_per_byte"] == pytest.approx(nats / math.log(2) / len(whole.encode()), rel=1e-5)


@pytest.mark.parametrize("cell", ["simple_rnn", "lstm", "gru"])
def test_with_its_state_carried_every_token_is_foretold_from_all_before_it(
    cell, tmp_path, monkeypatch
) -> None:
    """Against the whole stream in one window; windows of 5 do not end where the stream does."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    monkeypatch.setattr("zoo.tasks.generator.AT_ONCE", 5)
    task = make({"name": "character"}, model={"cell": cell, "num_layers": 2, "dropout": 0.5})
    documents = [TEXT, "L", "Life is but a dream. 🙂"]
    stream = [2]
    for number, document in enumerate(documents):
        stream += ([3] if number else []) + task.tokenizer.encode(document)
    assert (len(stream) - 1) % 5 and (len(stream) - 1) % 16
    logits = np.array(task.model({"token_ids": np.array([stream[:-1]], "int32")}))[0].astype("float64")
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    loss = -np.mean([log_p[i, token] for i, token in enumerate(stream[1:])])
    split = Split(documents, [""] * 3)
    figures, _ = task.score(split, carry_state=True)
    assert figures["carried_loss"] == pytest.approx(loss, rel=1e-5)
    assert figures["carried_perplexity"] == pytest.approx(math.exp(loss), rel=1e-5)
    bits = loss * figures["tokens"] / math.log(2)
    assert figures["carried_bits_per_character"] == pytest.approx(bits / len("".join(documents)), rel=1e-5)
    assert figures["carried_bits_per_byte"] == pytest.approx(
        bits / len("".join(documents).encode()), rel=1e-5
    )
    alone, _ = task.score(split)
    assert alone == {name: value for name, value in figures.items() if not name.startswith("carried_")}
    assert abs(figures["loss"] - loss) > 1e-3, "weights so large that what stands before a window matters"


def test_a_validation_is_quick_and_shows_samples(generator) -> None:
    figures, samples = generator.validate(Split([TEXT * 9, "second"], ["", ""]), loss=2.0, samples=3)
    assert figures == {"perplexity": pytest.approx(math.exp(2.0))}
    assert len(samples) == 3 and all(TEXT[:20] in sample and "->" in sample for sample in samples)
    assert len(set(samples)) == 3
    assert generator.validate(Split([TEXT], [""]), loss=1e9, samples=0) == ({"perplexity": math.inf}, [])


def test_compile_and_fit_like_any_keras_model() -> None:
    task = make({"name": "character"})
    inputs, labels = task.examples([TEXT * 4], [""])
    assert labels.shape == inputs["token_ids"].shape == (-(-len(TEXT) * 4 // 16), 16)
    before = task.generate(PROMPTS, temperature=0.0)
    task.compile(optimizer="adam", loss=task.loss_function(), jit_compile=False)
    task.optimizer.build(task.trainable_variables)  # made inside `fit`, they have the step traced twice
    losses = task.fit(inputs, labels, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 0.05
    assert task.generate(PROMPTS, temperature=0.0) != before, "the compiled answers must see the new weights"
