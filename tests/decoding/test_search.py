"""Greedy and beam search: against all answers written down, and the same however they are run."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops
from model_tools import array, random_ids, randomize, small_model
from toy import BOS, EOS, PAD, UNK, Toy, trimmed

from zoo.compile import jit
from zoo.decoding.loop import decode
from zoo.decoding.settings import Decoding

SOURCE = np.array([[7, 8, 9]], "int32")
SOURCES = np.array([[7, 8, 9], [10, 11, 0], [12, 0, 0], [9, 8, 30]], "int32")


def beam_search(model, sources, length, beams, length_penalty, **options):
    how = Decoding(length=length, beams=beams, length_penalty=length_penalty, **options)
    text, scores = decode(model, sources, how)
    return text[:, :, 1:], scores


def greedy_search(model, sources, length):
    text, scores = decode(model, sources, Decoding(length=length))
    return text[:, 0, 1:], scores[:, 0]


def beam(model, sources, length, beams, penalty=1.0, **options):
    answers, scores = beam_search(model, sources, length, beams, penalty, **options)
    return array(answers), array(scores)


def greedy(model, sources, length):
    answers, scores = greedy_search(model, sources, length)
    return array(answers), array(scores)


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, 2.0])
def test_a_wide_beam_finds_the_best_of_all_answers(length_penalty):
    toy = Toy()
    answers, scores = beam(toy, SOURCES, 4, 60, length_penalty)  # 121 likely answers, 40 on the way to them
    for row, source in enumerate(SOURCES):
        expected = toy.best_of_all(source, 4, length_penalty)[:20]
        assert [trimmed(a) for a in answers[row, :20]] == [a for _, a in expected]
        np.testing.assert_allclose(scores[row, :20], [s for s, _ in expected], rtol=1e-5)


def test_the_length_penalty_decides():
    best = {p: trimmed(beam(Toy(), SOURCE, 4, 60, p)[0][0, 0]) for p in (0.0, 5.0)}
    assert len(best[0.0]) < len(best[5.0])


@pytest.mark.parametrize("beams", [1, 2, 3, 5])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_a_narrow_beam_is_the_textbook_one(beams, length_penalty):
    toy = Toy(seed=1)
    answers, scores = beam(toy, SOURCES, 7, beams, length_penalty)
    for row, source in enumerate(SOURCES):
        expected = toy.beam(source, 7, beams, length_penalty)
        assert [trimmed(a) for a in answers[row]] == expected
        exact = [toy.score(source, a, length_penalty) for a in expected]
        np.testing.assert_allclose(scores[row], exact, rtol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_the_n_best_are_sorted_and_distinct(seed):
    answers, scores = beam(Toy(seed=seed), SOURCES, 6, 8)
    assert (np.diff(scores, axis=1) <= 0).all()
    for row in answers:
        assert len({trimmed(a) for a in row}) == 8
        assert not (row == BOS).any()


def test_one_beam_is_greedy():
    toy = Toy(seed=2)
    answers, scores = beam(toy, SOURCES, 6, 1, 0.0)
    expected, log_p = greedy(toy, SOURCES, 6)
    np.testing.assert_array_equal(answers[:, 0], expected)
    np.testing.assert_allclose(scores[:, 0], log_p, rtol=1e-6)
    for row, source in enumerate(SOURCES):
        assert log_p[row] == pytest.approx(toy.score(source, trimmed(expected[row])), rel=1e-5)


def test_what_is_finished_stays_as_it_is():
    toy = Toy(end_at=3)  # every answer ends with its fourth token at the latest
    short, short_scores = beam(toy, SOURCES, 4, 5)
    long, long_scores = beam(toy, SOURCES, 12, 5)
    np.testing.assert_array_equal(long[:, :, :4], short)
    assert (long[:, :, 4:] == PAD).all()
    np.testing.assert_array_equal(long_scores, short_scores)
    assert len({len(trimmed(a)) for a in short.reshape(-1, 4)}) > 1  # some had to wait for others


@pytest.mark.parametrize("search", [greedy, lambda *a: beam(*a, 5)], ids=["greedy", "beam"])
def test_the_loop_ends_with_the_last_answer(search):
    toy = Toy(end_at=3)
    search(toy, SOURCES, 50)
    assert 1 < toy.steps <= 4


def test_the_loop_ends_when_there_is_no_place_left():
    toy = Toy(words=(4, 5, 6))
    toy.table[:, EOS] = -60.0
    answers, _ = beam(toy, SOURCES, 5, 3)
    assert toy.steps == 5
    assert (answers != PAD).all()
    assert (answers != EOS).all()


@pytest.mark.parametrize("xla", [False, True])
def test_ties_go_to_the_first(xla):
    toy = Toy(vocabulary=8)
    toy.table[:], toy.source[:] = 0.0, 0.0  # all tokens are equal: the lowest id wins, never PAD or BOS
    answers, scores = jit(lambda ids: beam_search(toy, ids, 2, 3, 0.0), [], xla=xla)(SOURCE % 8)
    # After one place: UNK, EOS (finished), 4. The finished one is best; then the first hypothesis goes on.
    assert array(answers)[0].tolist() == [[EOS, PAD], [UNK, UNK], [UNK, EOS]]
    np.testing.assert_allclose(array(scores)[0], -np.log(6) * np.array([1, 2, 2]), rtol=1e-6)
    answer, _ = jit(lambda ids: greedy_search(toy, ids, 2), [], xla=xla)(SOURCE % 8)
    assert array(answer)[0].tolist() == [UNK, UNK]


LENGTH, BEAMS, PENALTY = 8, 3, 0.6
# Weights with which the answers differ in words and length; a test below sees to it.
WEIGHTS = {"rnn_seq2seq": dict(seed=6, spread=1.0), "transformer": dict(seed=1)}


@pytest.fixture(scope="module", params=WEIGHTS)
def model(request):
    changes = dict(num_encoder_layers=1)
    return randomize(small_model(request.param, **changes), **WEIGHTS[request.param])


IDS = random_ids((4, 6), seed=3)
IDS[1, 4:] = IDS[2, 2:] = PAD


def searches(model, xla=False):
    """Both searches as compiled functions."""
    functions = {
        "greedy": lambda ids: greedy_search(model, ids, LENGTH),
        "beam": lambda ids: beam_search(model, ids, LENGTH, BEAMS, PENALTY),
    }
    compiled = {name: jit(f, model.variables, xla=xla) for name, f in functions.items()}
    return {
        name: lambda ids, f=f: [array(x) for x in f(ops.convert_to_tensor(ids))]
        for name, f in compiled.items()
    }


@pytest.fixture(scope="module")
def compiled(model):
    return searches(model)


def test_the_answers_of_the_models_are_worth_comparing(compiled):
    answers, _ = compiled["beam"](IDS)
    found = {trimmed(a) for a in answers.reshape(-1, LENGTH)}
    assert len(found) > 6
    assert len({len(a) for a in found}) > 1


def log_probabilities(model, sources, answers):
    """Of the whole model, without a cache: (B, T, V) for answers (B, T)."""
    said = np.pad(answers[:, :-1], ((0, 0), (1, 0)), constant_values=BOS)
    logits = array(model({"encoder_token_ids": sources, "decoder_token_ids": said})).astype("float64")
    logits[..., [PAD, BOS]] = -np.inf
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def test_greedy_with_a_cache_is_greedy_without(model, compiled):
    """Each token is the whole model's best behind the tokens before it, so the whole answer is."""
    answers, scores = compiled["greedy"](IDS)
    log_p = log_probabilities(model, IDS, answers)
    for row, answer, score in zip(log_p, answers, scores, strict=True):
        said = trimmed(answer)
        assert said == tuple(row.argmax(-1)[: len(said)])
        assert score == pytest.approx(row.max(-1)[: len(said)].sum(), rel=1e-4)


def test_the_score_of_each_beam_is_that_of_the_model(model, compiled):
    """The caches follow their hypotheses: the model, asked again, gives each answer the same score."""
    answers, scores = compiled["beam"](IDS)
    flat = answers.reshape(-1, LENGTH)
    log_p = log_probabilities(model, np.repeat(IDS, BEAMS, axis=0), flat)
    for row, answer, score in zip(log_p, flat, scores.reshape(-1), strict=True):
        said = trimmed(answer)
        total = sum(row[t, token] for t, token in enumerate(said))
        assert score == pytest.approx(total / ((5 + len(said)) / 6) ** PENALTY, rel=1e-4)


@pytest.mark.parametrize("search", ["greedy", "beam"])
def test_neither_batch_nor_padding_matter(compiled, search):
    answers, scores = compiled[search](IDS)
    padded, padded_scores = compiled[search](np.pad(IDS, ((0, 0), (0, 5))))
    np.testing.assert_array_equal(padded, answers)
    np.testing.assert_allclose(padded_scores, scores, atol=1e-4)
    for row, ids in enumerate(IDS):
        alone, alone_scores = compiled[search](ids[ids != PAD][None])
        np.testing.assert_array_equal(alone[0], answers[row])
        np.testing.assert_allclose(alone_scores[0], scores[row], atol=1e-4)


def test_compiled_is_as_eager(model, compiled):
    for found, expected in (
        (compiled["greedy"](IDS), greedy(model, IDS, LENGTH)),
        (compiled["beam"](IDS), beam(model, IDS, LENGTH, BEAMS, PENALTY)),
    ):
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_allclose(found[1], expected[1], atol=1e-4)


def test_xla_changes_nothing(model, compiled):
    found, expected = searches(model, xla=True)["beam"](IDS), compiled["beam"](IDS)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], atol=1e-4)
