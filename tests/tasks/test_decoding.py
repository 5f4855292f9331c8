"""What can be asked of the decoder of a translator and of a language model; the decoder itself is in tests/decoding."""

from __future__ import annotations

import numpy as np
import pytest
from test_generator import PROMPTS
from test_generator import make as make_generator
from test_translator_classifier import TEXTS
from test_translator_classifier import make as make_translator

from zoo.config.decoding import Decode
from zoo.data.tokenizers import BOS, EOS
from zoo.decoding.settings import Decoding
from zoo.errors import UserError
from zoo.tasks.writer import SETTINGS


@pytest.fixture(scope="module", params=[pytest.param("rnn_seq2seq", marks=pytest.mark.slow), "transformer"])
def translator(request):
    return make_translator(request.param)


@pytest.fixture(scope="module")
def generator():
    return make_generator({"name": "character"})


def test_every_key_of_a_recipe_reaches_the_decoder(translator) -> None:
    keys = set(Decode.model_fields)
    assert keys - {"max_length"} == set(SETTINGS) - {"length"}
    settings = translator.settings()
    assert Decoding(**settings).beams == 3 and settings["length"] == 8 and not settings["sample"]
    changed = translator.settings(max_length=5, no_repeat_ngram=2, normalization="mean", n_best=None)
    assert (changed["length"], changed["no_repeat_ngram"], changed["normalization"]) == (5, 2, "mean")


def test_an_unknown_option_is_an_error(translator, generator) -> None:
    with pytest.raises(TypeError, match="Translator has no option beam, did you mean 'beams'"):
        translator.translate(["a"], beam=3)
    with pytest.raises(TypeError, match="Generator has no option temprature, did you mean 'temperature'"):
        generator.generate(["a"], temprature=1.0)


def test_answers_begin_with_their_prefixes(translator) -> None:
    prefixes = ["le", "", "2021年", "x"]
    for beams in (1, 3):
        found = translator.translate_n_best(TEXTS[:4], prefixes=prefixes, beams=beams, n_best=beams)
        for several, prefix in zip(found, prefixes, strict=True):
            assert all(answer.text.startswith(prefix) for answer in several)
            assert all(len(answer.text) <= len(prefix) + 8 for answer in several)
        plain = translator.translate(TEXTS[1:2], beams=beams)
        assert found[1][0].text == plain[0], "an empty prefix changes nothing"
        alone = translator.translate(TEXTS[2:3], prefixes=prefixes[2:3], beams=beams)
        assert alone == [found[2][0].text]


def test_forbidden_words_do_not_come() -> None:
    translator = make_translator("rnn_seq2seq")
    free = translator.translate(TEXTS)
    said = [letter for letter in "".join(free) if letter in translator.tokenizer.pieces]
    common = max(said, key=said.count)
    assert not any(common in answer for answer in translator.translate(TEXTS, forbidden=[common, "年月"]))
    known = set(translator.tokenizer.pieces)
    pairs = (answer[i : i + 2] for answer in free for i in range(len(answer) - 1))
    pair = next(pair for pair in pairs if set(pair) <= known)
    assert not any(pair in answer for answer in translator.translate(TEXTS, forbidden=[pair]))


def test_no_run_comes_twice_and_the_minimum_is_kept(translator) -> None:
    for answer in translator.translate(TEXTS, no_repeat_ngram=1, max_length=6):
        assert len(set(answer)) == len(answer)
    for (answer,) in translator.translate_n_best(TEXTS, 1, min_length=7, alignments=True):
        assert len(answer.tokens) == 8 and "</s>" not in answer.tokens[:7]


def test_a_translation_can_be_drawn(translator) -> None:
    found = translator.translate(TEXTS[:1] * 12, sample=True, temperature=2.0, seed=1)
    assert len(set(found)) > 6, "each text has its own numbers"
    assert found == translator.translate(TEXTS[:1] * 12, sample=True, temperature=2.0, seed=1)
    assert found != translator.translate(TEXTS[:1] * 12, sample=True, temperature=2.0, seed=2)
    cold = translator.translate(TEXTS, sample=True, temperature=0.0)
    assert cold == translator.translate(TEXTS, beams=1)
    with pytest.raises(ValueError, match="n_best is 3, but only 1 beams"):
        translator.translate_n_best(TEXTS, 3, sample=True)


def test_what_each_token_looked_at(translator) -> None:
    """The weights of the whole model that reads the answer, whoever stands beside it."""
    several = translator.translate_n_best(TEXTS, 2, alignments=True)
    for text, answers in zip(TEXTS, several, strict=True):
        (source,) = (row["token_ids"] for row in translator.read([text]))
        for answer in answers:
            weights = answer.alignment
            assert weights.shape == (len(answer.tokens), len(answer.source_tokens))
            assert answer.source_tokens[-1] == "</s>" and len(source) == len(answer.source_tokens)
            np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-5)
            ids = [translator.tokenizer.pieces.index(token) for token in answer.tokens]
            assert translator.tokenizer.decode(ids) == answer.text
            inputs = {
                "encoder_token_ids": source[None],
                "decoder_token_ids": np.array([[BOS, *ids[:-1]]], "int32"),
            }
            expected = np.array(translator.model.alignments(inputs))[0]
            np.testing.assert_allclose(weights, expected, atol=1e-5)
            record = answer.record()
            assert record["tokens"] == list(answer.tokens) and len(record["alignment"]) == len(ids)
    assert "alignment" not in translator.translate_n_best(["a"])[0][0].record()


def test_no_attention_no_alignments() -> None:
    from test_translator_classifier import MODELS

    MODELS["rnn_seq2seq"]["attention"] = "none"
    try:
        translator = make_translator("rnn_seq2seq")
    finally:
        del MODELS["rnn_seq2seq"]["attention"]
    with pytest.raises(UserError, match="no alignments"):
        translator.translate_n_best(["a"], alignments=True)


def test_texts_that_are_searched_for(generator) -> None:
    """Beams for a language model: never worse than greedy, and the score is that of the model."""
    greedy = generator.generate(PROMPTS, sample=False)
    beams = generator.generate(PROMPTS, sample=False, beams=5, length_penalty=0.0)
    assert greedy == generator.generate(PROMPTS, temperature=0.0)
    better = 0
    for prompt, one, other in zip(PROMPTS, greedy, beams, strict=True):
        scores = [log_p(generator, prompt, found) for found in (one, other)]
        assert scores[1] >= scores[0] - 1e-4
        better += scores[1] > scores[0] + 1e-4
    assert better


def log_p(generator, prompt: str, found) -> float:
    """Of what follows the prompt, as the whole model says."""
    known = [int(i) for i in generator.read([prompt])[0]["token_ids"]]
    behind = generator.tokenizer.encode(found.continuation)
    behind = behind if len(behind) == 10 else [*behind, EOS]
    ids = np.array([[*known, *behind]], "int32")
    logits = np.array(generator.model({"token_ids": ids}))[0].astype("float64")
    logits[:, [0, BOS]] = -np.inf
    logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
    return sum(logits[len(known) + i - 1, token] for i, token in enumerate(behind))


@pytest.mark.parametrize("options", [{}, {"temperature": 0.0}, {"top_k": 3, "no_repeat_ngram": 2}])
@pytest.mark.parametrize("tokenizer", ["character", "byte"])
def test_a_stream_says_what_generate_says(tokenizer, options) -> None:
    """Piece by piece; a character of several bytes comes whole."""
    generator = make_generator({"name": tokenizer})
    whole = generator.generate(PROMPTS, seed=3, max_length=9, **options)
    for number, prompt in enumerate(PROMPTS[:4]):
        pieces = list(generator.stream(prompt, seed=3, number=number, max_length=9, **options))
        assert "".join(pieces) == whole[number].continuation
        assert all(pieces)


def test_several_beams_are_not_streamed(generator) -> None:
    with pytest.raises(ValueError, match="several beams cannot be streamed"):
        next(generator.stream("a", sample=False, beams=2))


def test_compiled_by_xla_the_answers_are_the_same(translator, generator) -> None:
    plain = translator.translate(TEXTS[:3], beams=2), generator.generate(PROMPTS[:2], seed=5)
    translator.xla = generator.xla = True
    try:
        assert plain == (translator.translate(TEXTS[:3], beams=2), generator.generate(PROMPTS[:2], seed=5))
    finally:
        translator.xla = generator.xla = False
