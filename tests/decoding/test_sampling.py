"""Sampling: what is drawn has the probabilities that it should have, and the same numbers draw the same text."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops
from model_tools import array, randomize
from toy import BOS, EOS, PAD, Toy, trimmed

from zoo.compile import jit
from zoo.config.rnn import RNNLanguageModel
from zoo.decoding import sampling
from zoo.decoding.loop import decode
from zoo.decoding.rules import restrict
from zoo.decoding.settings import Decoding
from zoo.registry import resolve

LENGTH = 9
PROMPTS = np.array([[4, 5, 6, 5], [6, 4, 0, 0], [5, 0, 0, 0], [0, 0, 0, 0]], "int32")


class ToyLanguageModel(Toy):
    """The toy by the tokens so far alone; its prompt is kept as a language model keeps it."""

    def __init__(self, **options):
        super().__init__(**options)
        self.table[:, EOS] -= 1.5  # longer texts show more

    def encode(self, token_ids):
        return {"prompt": token_ids}

    def init_cache(self, memory, length):
        return {"state": ops.zeros((ops.shape(memory["prompt"])[0],), "int32")}

    def step(self, token, position, cache, memory):
        bias = ops.zeros((ops.shape(token)[0], self.table.shape[1]))
        return super().step(token, position, cache, {"bias": bias})

    def next(self, tokens):
        """Probabilities of the token after these, in float64."""
        state = 0
        for position, token in enumerate(tokens):
            state = (state * 3 + token + position) % len(self.table)
        logits = self.table[state].astype("float64")
        if self.end_at is not None and len(tokens) - 1 >= self.end_at:
            logits[EOS] += 200.0
        logits[[PAD, BOS]] = -np.inf
        return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()


def uniforms(rows, length=LENGTH, seed=0):
    return np.random.default_rng(seed).random((rows, length), "float32")


def choose(logits, numbers, temperature, top_k, top_p):
    """What is drawn of what may be said."""
    text = np.zeros((len(logits), 1), "int32")
    logits = restrict(ops.convert_to_tensor(logits), text, 0, None, Decoding(length=1))
    return sampling.choose(logits, numbers, temperature, top_k, top_p)


def texts(model, prompts, numbers, temperature=1.0, top_k=None, top_p=None, **options):
    """Prompts and what follows them, (B, S + L)."""
    length = numbers.shape[1] or LENGTH
    how = Decoding(length, sample=True, temperature=temperature, top_k=top_k, top_p=top_p, **options)
    return decode(model, prompts, how, numbers)[0][:, 0]


def drawn(model, prompts, numbers, *settings, **options):
    """What follows the prompts, (B, L)."""
    found, length = array(texts(model, prompts, numbers, *settings, **options)), numbers.shape[1]
    begins = np.maximum((prompts != PAD).sum(1), 1) if "prompt" in model.encode(prompts) else [1] * len(found)
    return np.stack([row[n : n + length] for row, n in zip(found, begins, strict=True)])


def kept(p, top_k=None, top_p=None):
    """The textbook's cuts, by sorting: which tokens may be drawn, and how probable each is then."""
    order = sorted(range(len(p)), key=lambda i: (-p[i], i))
    order = order[:top_k] if top_k else order
    total, some = sum(p[i] for i in order), []
    for i in order:
        some.append(i)
        if top_p is not None and sum(p[j] for j in some) / total >= top_p:
            break
    cut = np.zeros_like(p)
    cut[some] = p[some]
    return cut / cut.sum()


def softmax(logits, temperature=1.0):
    e = np.exp((logits - logits.max()) / temperature)
    return e / e.sum()


LOGITS = np.random.default_rng(5).normal(0.0, 1.5, 12).astype("float32")
CUTS = [(1.0, None, None), (0.5, None, None), (1.0, 4, None), (1.5, None, 0.8), (0.8, 6, 0.7), (1.0, 99, 1.0)]


@pytest.mark.parametrize(("temperature", "top_k", "top_p"), CUTS)
def test_tokens_are_drawn_with_their_probabilities(temperature, top_k, top_p) -> None:
    """Chi-square over 20 000 draws, at a level of one in a thousand; what is cut off never comes."""
    count = 20_000
    numbers = uniforms(1, count)[0]
    tokens = array(choose(np.tile(LOGITS, (count, 1)), numbers, temperature, top_k, top_p))
    logits = LOGITS.astype("float64")
    logits[[PAD, BOS]] = -np.inf
    p = kept(softmax(logits, temperature), top_k, top_p)
    found = np.bincount(tokens, minlength=len(p))
    assert not found[p == 0.0].any()
    expected = count * p[p > 0.0]
    chi_square = ((found[p > 0.0] - expected) ** 2 / expected).sum()
    assert chi_square < {3: 16.3, 4: 18.5, 9: 27.9}.get(len(expected) - 1, 30.0)


@pytest.mark.parametrize("top_k", [1, 2, 5, 11])
@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 1.0])
def test_what_may_be_drawn_is_what_a_sort_says(top_k, top_p) -> None:
    """All of it is drawn by numbers close enough to each other, and nothing else."""
    grid = ((np.arange(4000) + 0.5) / 4000).astype("float32")
    for cut in ((top_k, None), (None, top_p), (top_k, top_p)):
        tokens = array(choose(np.tile(LOGITS, (4000, 1)), grid, 1.0, *cut))
        logits = LOGITS.astype("float64")
        logits[[PAD, BOS]] = -np.inf
        p = kept(softmax(logits), *cut)
        assert set(tokens) == set(np.flatnonzero(p > 1 / 2000))
        np.testing.assert_allclose(np.bincount(tokens, minlength=len(p)) / 4000, p, atol=2 / 4000)


@pytest.mark.parametrize("number", [0.0, 0.25, np.nextafter(np.float32(1), np.float32(0)), 1.0])
@pytest.mark.parametrize("temperature", [1e-45, 1e-5, 1.0, 1e30])
def test_the_edges(number, temperature) -> None:
    """The first and the last number, heat and cold, logits far apart: always a token that may be said."""
    spread = np.array([[9e3, -9e3, 9e3, 5.0, 5.0, -1e4], [3.0, 2.0, 9.0, 2.0, 2.0, 2.0]], "float32")
    for top_k, top_p in ((None, None), (2, None), (None, 1e-6), (3, 1.0)):
        tokens = array(choose(spread, np.full(2, number, "float32"), temperature, top_k, top_p))
        assert not {PAD, BOS} & set(tokens)
        if temperature < 1e-3 and top_p == 1e-6:
            assert tokens.tolist() == [3, 1], "of equals the first"


def test_equal_tokens_come_in_the_order_of_their_ids() -> None:
    flat, numbers = np.zeros((4, 6), "float32"), np.array([0.1, 0.3, 0.6, 0.9], "float32")
    assert array(choose(flat, numbers, 1.0, None, None)).tolist() == [1, 3, 4, 5]
    assert array(choose(flat, numbers, 1.0, 2, None)).tolist() == [1, 1, 3, 3]
    assert array(choose(flat, numbers, 1.0, None, 0.6)).tolist() == [1, 1, 3, 4]
    assert array(choose(flat, numbers, 0.0, None, None)).tolist() == [1] * 4


def test_texts_have_the_probability_of_the_model() -> None:
    """Chains of draws: the share of every text of two tokens is the product of the model's probabilities."""
    model, count = ToyLanguageModel(seed=3), 8000
    prompt = [4, 6]
    found = drawn(model, np.tile(np.array(prompt, "int32"), (count, 1)), uniforms(count, 2, seed=1))
    expected = {}
    first = model.next(prompt)
    for a in np.flatnonzero(first > 1e-9):
        if a == EOS:
            expected[(EOS, PAD)] = first[a]
        else:
            second = model.next([*prompt, a])
            expected.update({(a, b): first[a] * second[b] for b in np.flatnonzero(second > 1e-9)})
    texts, counts = np.unique(found, axis=0, return_counts=True)
    shares = {tuple(map(int, text)): n / count for text, n in zip(texts, counts, strict=True)}
    assert set(shares) <= set(expected) and sum(expected.values()) == pytest.approx(1.0)
    for text, p in expected.items():
        assert shares.get(text, 0.0) == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / count) + 1e-9)


def test_no_temperature_is_the_most_probable_token_each_time() -> None:
    model = ToyLanguageModel(seed=2)
    found = drawn(model, PROMPTS, uniforms(4), temperature=0.0)
    np.testing.assert_array_equal(found, drawn(model, PROMPTS, uniforms(4, seed=9), 1.0, top_k=1))
    for prompt, answer in zip(PROMPTS, found, strict=True):
        tokens = [int(i) for i in prompt if i != PAD] or [BOS]
        said = trimmed(answer)
        for token in said:
            assert token == model.next(tokens).argmax()
            tokens.append(token)
        assert said[-1] == EOS or len(said) == LENGTH
    assert len({trimmed(answer) for answer in found}) > 2


def test_prompts_of_different_lengths_are_as_each_alone() -> None:
    model, numbers = ToyLanguageModel(seed=1), uniforms(4, seed=3)
    together = drawn(model, PROMPTS, numbers)
    np.testing.assert_array_equal(drawn(model, np.pad(PROMPTS, ((0, 0), (0, 3))), numbers), together)
    for row, prompt in enumerate(PROMPTS):
        alone = prompt[prompt != PAD] if prompt.any() else np.array([BOS], "int32")
        np.testing.assert_array_equal(drawn(model, alone[None], numbers[row : row + 1])[0], together[row])
    assert len({trimmed(answer) for answer in together}) == 4


def test_what_is_finished_stays_and_the_loop_ends_with_the_last() -> None:
    model = ToyLanguageModel(end_at=5)
    found = drawn(model, PROMPTS, uniforms(4, 40))
    assert model.steps <= 6
    for prompt, answer in zip(PROMPTS, found, strict=True):
        assert trimmed(answer)[-1] == EOS and not {PAD, BOS} & set(trimmed(answer))
        assert len(trimmed(answer)) <= 6 - max((prompt != PAD).sum(), 1) + 1
    np.testing.assert_array_equal(drawn(model, PROMPTS, uniforms(4, 40)[:, :6])[:, :6], found[:, :6])


def test_the_loop_ends_when_every_place_is_filled() -> None:
    model = ToyLanguageModel()
    model.table[:, EOS] = -60.0
    found = drawn(model, PROMPTS, uniforms(4, 3))
    assert (found != PAD).all() and model.steps == 4 + 3 - 1


def test_a_translation_can_be_drawn_too() -> None:
    """A `Seq2Seq` model has no prompt: its text begins with the begin mark."""
    toy, sources = Toy(seed=2), np.array([[7, 8, 9], [10, 11, 0]], "int32")
    expected = array(decode(toy, sources, Decoding(6))[0])[:, 0, 1:]
    np.testing.assert_array_equal(drawn(toy, sources, uniforms(2, 6), temperature=0.0), array(expected))
    several = {trimmed(drawn(toy, sources, uniforms(2, 6, seed=s))[0]) for s in range(5)}
    assert len(several) > 2


def test_a_text_is_its_prompt_and_what_follows_without_a_gap() -> None:
    model, numbers = ToyLanguageModel(seed=1), uniforms(4, seed=3)
    found, behind = array(texts(model, PROMPTS, numbers)), drawn(model, PROMPTS, numbers)
    for row, prompt, answer in zip(found, PROMPTS, behind, strict=True):
        prompt = [*prompt[prompt != PAD]] or [BOS]
        whole = [*prompt, *answer]
        assert row.tolist() == whole + [PAD] * (len(row) - len(whole))


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"), [(0.0, None, None), (0.9, None, None), (1.2, 3, 0.9)]
)
@pytest.mark.parametrize("xla", [False, True])
def test_compiled_draws_the_same(temperature, top_k, top_p, xla) -> None:
    model, numbers = ToyLanguageModel(seed=4), uniforms(4, seed=6)

    def function(inputs):
        prompt = inputs["token_ids"]
        return texts(model, prompt, inputs["uniforms"], temperature, top_k, top_p)

    compiled = jit(function, [], {"token_ids": (2, "int32"), "uniforms": (2, "float32")}, xla=xla)
    inputs = {"token_ids": ops.convert_to_tensor(PROMPTS), "uniforms": ops.convert_to_tensor(numbers)}
    expected = texts(model, PROMPTS, numbers, temperature, top_k, top_p)
    np.testing.assert_array_equal(array(compiled(inputs)), array(expected))


def test_a_real_model_with_its_states_draws_the_same_under_xla() -> None:
    """And the same as a loop that reads the whole text anew for each token."""
    model = small_language_model()
    numbers = uniforms(4, seed=2)

    def function(inputs):
        return texts(model, inputs["token_ids"], inputs["uniforms"], 0.9, None, 0.95)

    compiled = jit(
        function, model.variables, {"token_ids": (2, "int32"), "uniforms": (2, "float32")}, xla=True
    )
    whole = array(compiled({"token_ids": PROMPTS, "uniforms": numbers}))
    np.testing.assert_array_equal(whole, array(texts(model, PROMPTS, numbers, 0.9, None, 0.95)))
    found = drawn(model, PROMPTS, numbers, 0.9, None, 0.95)
    for prompt, answer, row in zip(PROMPTS, found, numbers, strict=True):
        tokens = [int(i) for i in prompt if i != PAD] or [BOS]
        for token, number in zip(trimmed(answer), row, strict=False):
            logits = array(model({"token_ids": np.array([tokens], "int32")}))[:, -1]
            assert token == array(choose(logits, np.array([number]), 0.9, None, 0.95))[0]
            tokens.append(token)
    assert len({trimmed(answer) for answer in found}) == 4


def small_language_model():
    section = RNNLanguageModel(name="rnn_language_model", embedding_dim=6, units=8, num_layers=2)
    model = resolve("model", section.name)(vocabulary_size=13, **section.model_dump(exclude={"name"}))
    return randomize(model.build_from_ids(), seed=4)


@pytest.mark.parametrize("token_ids", [[[4, 5, 6]], [[4]], [[0]]])
def test_tflite_draws_the_same(tflite, token_ids) -> None:
    token_ids, numbers = np.array(token_ids, "int32"), uniforms(1, seed=8)
    expected = texts(tflite.model, token_ids, numbers, 0.9, 5, 0.9)
    np.testing.assert_array_equal(tflite(token_ids=token_ids, uniforms=numbers), array(expected))


@pytest.fixture(scope="module")
def tflite():
    """The toy as a file of builtin operators, of which only the batch is fixed."""
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    model = ToyLanguageModel(seed=4)
    signature = [
        tf.TensorSpec([1, None], tf.int32, name="token_ids"),
        tf.TensorSpec([1, LENGTH], tf.float32, name="uniforms"),
    ]

    @tf.function(input_signature=signature, autograph=False)
    def function(token_ids, uniforms):
        return {"ids": texts(model, token_ids, uniforms, 0.9, 5, 0.9)}

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], tf.Module()
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    runner = Interpreter(model_content=converter.convert()).get_signature_runner()

    def run(**inputs):
        return runner(**inputs)["ids"]

    run.model = model
    return run
