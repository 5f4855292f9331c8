"""What the decoder may say: each rule against the same rule in plain Python, over whole answers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from keras import ops
from model_tools import array
from toy import BOS, EOS, PAD, Toy

from zoo.compile import jit
from zoo.decoding.loop import decode
from zoo.decoding.rules import restrict
from zoo.decoding.settings import Decoding
from zoo.decoding.tokens import NEVER

SOURCES = np.array([[7, 8, 9], [10, 11, 0], [12, 0, 0], [9, 8, 30]], "int32")
LENGTH = 5


def answers(toy, sources=SOURCES, prefix=None, **options):
    """The hypotheses of each source up to their end marks, and their scores."""
    how = Decoding(**{"length": LENGTH, **options})
    text, scores = decode(toy, sources, how, prefix=prefix)
    return [[without_padding(a) for a in row] for row in array(text)[:, :, 1:]], array(scores)


def without_padding(row):
    row = [int(i) for i in row]
    while row and row[-1] == PAD:
        row.pop()
    assert PAD not in row and EOS not in row[:-1]
    return tuple(row)


def best_of_all(toy, source, allowed, length=LENGTH, beams=60, length_penalty=0.6):
    """Every likely answer of which `allowed` says yes of each token behind those before it, best first.

    The probabilities are those among what is allowed, at each token.
    """
    found = []
    for answer in toy.all_answers(length):
        total = 0.0
        for place, token in enumerate(answer):
            if not allowed(answer[:place], token):
                break
            choices = [t for t in (EOS, *toy.words) if allowed(answer[:place], t)]
            log_p = {t: toy.log_p(source, (*answer[:place], t))[-1] for t in choices}
            total += log_p[token] - np.logaddexp.reduce(list(log_p.values()))
        else:
            found.append((total / ((5 + len(answer)) / 6) ** length_penalty, answer))
    return sorted(found, reverse=True)


def check(toy, allowed, **options):
    """A beam that holds every likely answer finds the best of all that are allowed."""
    found, scores = answers(toy, beams=60, length_penalty=0.6, **options)
    for row, source in enumerate(SOURCES):
        expected = best_of_all(toy, source, allowed)[:8]
        assert found[row][: len(expected)] == [answer for _, answer in expected]
        np.testing.assert_allclose(scores[row, : len(expected)], [s for s, _ in expected], rtol=1e-4)
    return found


@pytest.mark.parametrize("least", [1, 3, 4])
def test_an_answer_has_its_minimum(least) -> None:
    check(Toy(), lambda before, token: token != EOS or len(before) >= least, min_length=least)


def test_forbidden_words_are_not_said_alone_or_as_a_run() -> None:
    def allowed(before, token):
        return token != 4 and (*before, token)[-2:] != (5, 6) and (*before, token)[-3:] != (6, 6, 5)

    plain, _ = answers(Toy(), beams=60)
    assert any(not allowed(a[:i], a[i]) for row in plain for a in row[:8] for i in range(len(a)))
    check(Toy(), allowed, forbidden=((4,), (5, 6), (6, 6, 5)))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_no_run_of_n_tokens_comes_twice(n) -> None:
    def allowed(before, token):
        run = (*before, token)
        if len(run) < n:
            return True
        return run[-n:] not in {run[i : i + n] for i in range(len(run) - n)}

    found = check(Toy(seed=3), allowed, no_repeat_ngram=n)
    for answer in itertools.chain.from_iterable(row[:5] for row in found):
        runs = [answer[i : i + n] for i in range(len(answer) - n + 1)]
        assert len(set(runs)) == len(runs)


@pytest.mark.parametrize("penalty", [0.5, 1.7])
def test_scores_of_what_was_said_are_divided_or_multiplied(penalty) -> None:
    logits = np.array([[9.0, 1.0, 9.0, 2.0, 4.0, -3.0], [0.5, -1.0, 9.0, 2.0, 4.0, 3.0]], "float32")
    text = np.array([[BOS, 4, 5, 4, PAD], [BOS, 1, 1, 5, PAD]], "int32")
    found = array(restrict(logits, text, 3, None, Decoding(9, repetition_penalty=penalty)))
    expected = logits.copy()
    for row, said in enumerate(({4, 5}, {1, 5})):
        for token in said:
            expected[row, token] *= 1 / penalty if expected[row, token] > 0 else penalty
    kept = [1, EOS, 4, 5]
    np.testing.assert_allclose(found[:, kept], expected[:, kept], rtol=1e-6)
    assert (found[:, [PAD, BOS]] < NEVER).all()


def test_forbidding_everything_still_says_a_token_of_the_vocabulary() -> None:
    forbidden = tuple((i,) for i in range(64) if i not in (PAD, BOS))
    found, _ = answers(Toy(), forbidden=forbidden, min_length=2)
    assert not {PAD, BOS} & {token for (answer,) in found for token in answer}


def test_bounds_relative_to_the_source() -> None:
    """Sources of 3, 2 and 1 tokens, the last of which stands for the end mark: 2, 1 and 1 are counted."""
    toy = Toy(words=(4, 5, 6))
    toy.table[:, EOS] = -30.0  # ends only where it must
    found, _ = answers(toy, length=9, max_ratio=1.5)
    assert [len(answer) for (answer,) in found] == [4, 3, 3, 4]  # ceil(1.5 * n) and a place for the end mark
    toy.table[:, EOS] = 30.0  # ends as soon as it may
    found, _ = answers(toy, length=9, min_ratio=1.5)
    assert [len(answer) for (answer,) in found] == [4, 3, 3, 4]
    assert all(answer[-1] == EOS for (answer,) in found)
    found, _ = answers(toy, length=9, min_ratio=1.5, min_length=3)
    assert [len(answer) for (answer,) in found] == [4, 4, 4, 4]


@pytest.mark.parametrize("beams", [1, 4])
def test_a_prefix_is_said_first_and_costs_nothing(beams) -> None:
    """What follows is what the model says behind it, searched as without."""
    toy, prefix = Toy(seed=1), np.array([[4, 5], [6, 0], [0, 0], [5, 5]], "int32")
    found, scores = answers(toy, prefix=prefix, beams=beams, length_penalty=0.0)
    for row, source in enumerate(SOURCES):
        known = tuple(int(i) for i in prefix[row] if i)
        assert all(answer[: len(known)] == known for answer in found[row])
        assert len(found[row][0]) <= len(known) + LENGTH
        live = [known]
        for _ in range(LENGTH):
            grown = [a for a in live if a[-1:] == (EOS,)]
            grown += [(*a, t) for a in live if a[-1:] != (EOS,) for t in (EOS, *toy.words)]
            live = sorted(grown, key=lambda a: -sum(toy.log_p(source, a)[len(known) :]))[:beams]
        assert found[row] == live
        exact = [sum(toy.log_p(source, a)[len(known) :]) for a in live]
        np.testing.assert_allclose(scores[row], exact, rtol=1e-5)
    alone, _ = answers(toy, SOURCES[:1], prefix=prefix[:1], beams=beams, length_penalty=0.0)
    assert alone[0] == found[0]


@pytest.mark.parametrize("normalization", ["gnmt", "mean"])
@pytest.mark.parametrize("seed", range(6))
def test_the_bound_stops_early_and_changes_nothing(normalization, seed) -> None:
    steps, texts = {}, {}
    for rule in ("all", "bound"):
        toy = Toy(seed=seed)
        options = dict(normalization=normalization, length_penalty=1.0, length=12, n_best=2)
        found, scores = answers(toy, beams=4, early_stopping=rule, **options)
        steps[rule], texts[rule] = (
            toy.steps,
            [(row[:2], list(s[:2])) for row, s in zip(found, scores, strict=True)],
        )
    assert texts["bound"] == texts["all"]
    assert steps["bound"] <= steps["all"]


def test_stopping_at_the_best_is_sooner_and_may_miss_a_better_one() -> None:
    worse = sooner = 0
    for seed in range(20):
        found = {}
        for rule in ("bound", "best"):
            toy = Toy(seed=seed)
            texts, scores = answers(
                toy, SOURCES[:1], beams=4, length=9, length_penalty=2.0, early_stopping=rule
            )
            found[rule] = (toy.steps, texts[0][0], scores[0, 0])
            assert texts[0][0][-1] == EOS or len(texts[0][0]) == 9
        assert found["best"][2] <= found["bound"][2] + 1e-6
        worse += found["best"][1] != found["bound"][1]
        sooner += found["best"][0] < found["bound"][0]
    assert worse and sooner


def test_what_a_row_says_does_not_depend_on_when_others_stop() -> None:
    for rule in ("all", "bound", "best"):
        options = dict(beams=4, length=9, length_penalty=2.0, early_stopping=rule, n_best=1)
        together, scores = answers(Toy(seed=4), **options)
        for row in range(len(SOURCES)):
            alone, alone_scores = answers(Toy(seed=4), SOURCES[row : row + 1], **options)
            assert alone[0][0] == together[row][0]
            assert alone_scores[0, 0] == pytest.approx(scores[row, 0], rel=1e-5)


def test_the_mean_is_the_mean() -> None:
    toy = Toy(seed=5)
    found, scores = answers(toy, beams=5, normalization="mean")
    for row, source in enumerate(SOURCES):
        exact = [np.mean(toy.log_p(source, answer)) for answer in found[row]]
        np.testing.assert_allclose(scores[row], exact, rtol=1e-5)
        assert exact == sorted(exact, reverse=True)


@pytest.mark.parametrize("xla", [False, True])
def test_compiled_and_eager_keep_the_same_rules(xla) -> None:
    toy = Toy(seed=6)
    how = Decoding(
        7, 2, beams=3, forbidden=((5,), (4, 6)), no_repeat_ngram=2, repetition_penalty=1.3, max_ratio=3.0,
        early_stopping="bound", length_penalty=0.6,
    )  # fmt: skip
    prefix = np.array([[4], [0], [6], [0]], "int32")

    def function(given):
        return decode(toy, given["ids"], how, prefix=given["prefix"])

    compiled = jit(function, [], {"ids": (2, "int32"), "prefix": (2, "int32")}, xla=xla)
    given = {"ids": ops.convert_to_tensor(SOURCES), "prefix": ops.convert_to_tensor(prefix)}
    (text, scores), (found, found_scores) = function(given), compiled(given)
    np.testing.assert_array_equal(array(found), array(text))
    np.testing.assert_allclose(array(found_scores), array(scores), rtol=1e-5)


def test_the_rules_are_builtin_operators_of_tflite() -> None:
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    toy = Toy(seed=6)
    how = Decoding(
        6, 1, beams=3, forbidden=((5,), (4, 6)), no_repeat_ngram=2, repetition_penalty=1.3, max_ratio=3.0,
        early_stopping="bound", length_penalty=0.6,
    )  # fmt: skip

    @tf.function(input_signature=[tf.TensorSpec([1, None], tf.int32, name="ids")], autograph=False)
    def function(ids):
        text, scores = decode(toy, ids, how)
        return {"text": text, "scores": scores}

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], tf.Module()
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    runner = Interpreter(model_content=converter.convert()).get_signature_runner()
    for source in SOURCES:
        ids = source[source != PAD][None]
        found, expected = runner(ids=ids), function(ops.convert_to_tensor(ids))
        np.testing.assert_array_equal(found["text"], array(expected["text"]))
        np.testing.assert_allclose(found["scores"], array(expected["scores"]), rtol=1e-5)


def test_ties_are_settled_alike_in_every_runtime() -> None:
    """All tokens are equal: of equals the first one wins, in each step of a beam and among its candidates."""
    onnxruntime = pytest.importorskip("onnxruntime")
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    from zoo.export.onnx import convert as to_onnx
    from zoo.export.tflite import convert as to_tflite

    toy = Toy(vocabulary=300)  # so many that `top_k` looks at blocks first
    toy.table[:], toy.source[:] = 0.0, 0.0
    how = Decoding(3, beams=2, length_penalty=0.0)

    def function(ids):
        text, scores = decode(toy, ids, how)
        return {"text": text, "scores": scores}

    inputs = {"ids": ("int32", (None,))}
    ids = np.array([[7, 8, 9]], "int32")
    runner = Interpreter(model_content=to_tflite({"found": (function, inputs)}, [])).get_signature_runner(
        "found"
    )
    session = onnxruntime.InferenceSession(to_onnx(function, inputs).SerializeToString())
    found = {
        "eager": array(function(ids)["text"]),
        "XLA": array(tf.function(function, jit_compile=True)(tf.constant(ids))["text"]),
        "TFLite": runner(ids=ids)["text"],
        "ONNX": session.run(["text"], {"ids": ids})[0],
    }
    for name, text in found.items():
        assert text[0, :, 1:].tolist() == [[EOS, PAD, PAD], [1, 1, 1]], name
