"""The promises of a model."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from zoo.contract.cases import LABELS, PAD, SHORT, VOCABULARY, Case, array, randomize

CLOSE = 2e-5
"""Float32 sums that are taken in another order differ by this little."""
ROUNDING = 1e-6
"""Gradients that cancel leave less than a tenth of this; of the zoo's own models, the smallest real one is 7e-5."""


def logits_of(model, inputs) -> np.ndarray:
    return array(model(inputs))


def has_the_right_shape(case: Case) -> None:
    """Outputs are float32, of the shape that the kind of model gives."""
    model, inputs = case.make(), case.inputs()
    outputs = model(inputs)
    batch, length = inputs[case.last_input].shape[:2]
    expected = {
        "classification": (batch, LABELS),
        "tagging": (batch, length, LABELS),
        "language_modeling": (batch, length, VOCABULARY),
        "masked_language_modeling": (batch, length, VOCABULARY),
        "translation": (batch, length, VOCABULARY),
    }[case.task]
    shape = tuple(outputs.shape)
    assert shape == expected or (case.task == "tagging" and shape == (*expected, LABELS)), (
        f"outputs have the shape {shape}, expected {expected}"
    )
    kind = keras.backend.standardize_dtype(outputs.dtype)
    assert kind == "float32", f"outputs are {kind}, expected float32"
    if case.task == "tagging":
        tags = array(model.best_tags(outputs))
        assert tags.shape == (batch, length), f"best_tags has the shape {tags.shape}"
        assert tags.min() >= 0 and tags.max() < LABELS, "best_tags gives tags that there are not"


def has_all_weights_at_once(case: Case) -> None:
    """All weights are there before the first call, and Keras has nothing to warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = case.make(spread=None)
        before = [w.path for w in model.weights]
        model(case.inputs())
        assert [w.path for w in model.weights] == before, "the first call made weights: build them in build()"
        fresh = case.model_class(**case.keywords)
        fresh(case.inputs())
    assert before, "the model has no weights"
    assert [w.shape for w in fresh.weights] == [w.shape for w in model.weights], (
        "built by a call, the weights have other shapes than built by build()"
    )


def comes_back_from_its_config(case: Case) -> None:
    """The config makes an equal model, and a .keras file too."""
    model, inputs = case.in_precision("mixed_float16").make(), case.inputs()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    assert type(again) is type(model), "the config gives another class: register it with Keras"
    assert again.keywords == model.keywords, f"the config gives {again.keywords}, not {model.keywords}"
    assert again.dtype_policy.name == "mixed_float16", "the config forgets the precision"
    again.build_from_ids().set_weights(model.get_weights())
    expected = logits_of(model, inputs)
    np.testing.assert_array_equal(logits_of(again, inputs), expected)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.keras")
        loaded = keras.saving.load_model(Path(folder) / "model.keras")
        np.testing.assert_array_equal(logits_of(loaded, inputs), expected)


def reads_every_token(case: Case) -> None:
    """Whichever token is changed, the outputs change; one that is asked for need not be read."""
    model, inputs = case.make(), case.inputs(batch=1)
    key, length = case.first_input, inputs[case.first_input].shape[1]
    before = logits_of(model, inputs)
    batch = {k: np.repeat(ids, length, axis=0) for k, ids in inputs.items()}
    after = logits_of(model, {**batch, key: _changed_at_each_place(inputs[key])})
    change = np.abs(after - before).reshape(length, -1).max(-1)
    if case.hides:
        change[inputs["order"][0] > 0] = np.inf
    assert (change > 1e-5).all(), f"changing token {int(change.argmin())} changes nothing"


def ignores_padding(case: Case) -> None:
    """Padding changes no output of a real token, nor does a longer neighbour in the batch."""
    model, inputs = case.make(), case.inputs()
    _shorten(case, inputs, 1, SHORT)
    padded = {k: np.pad(ids, [(0, 0), (0, 7), (0, 2)][: ids.ndim]) for k, ids in inputs.items()}
    expected, actual = logits_of(model, inputs), logits_of(model, padded)
    if not case.per_token:
        _same(actual, expected, "seven more paddings change the outputs")
    else:
        length = expected.shape[1]
        beside = inputs["token_ids" if case.task == "tagging" else case.last_input]
        real = np.ones(expected.shape[:2], bool) if case.hides else beside[..., :length] != PAD
        _same(actual[:, :length][real], expected[real], "seven more paddings change the outputs")
    short = {k: ids[1:, :SHORT] if k in case.read_inputs else ids[1:] for k, ids in inputs.items()}
    alone = logits_of(model, short)
    beside = expected[1:, : alone.shape[1]] if case.per_token else expected[1:]
    _same(alone, beside, "a shorter text has other outputs beside a longer one than alone")


def never_looks_ahead(case: Case) -> None:
    """Changing a token changes no output before it."""
    model, inputs = case.make(), case.inputs(batch=1, target=6)
    key = case.last_input
    length = inputs[key].shape[1]
    before = logits_of(model, inputs)[0]
    repeated = {k: np.repeat(ids, length, axis=0) for k, ids in inputs.items()}
    after = logits_of(model, {**repeated, key: _changed_at_each_place(inputs[key])})
    for t in range(length):
        _same(after[t, :t], before[:t], f"the outputs before token {t} depend on it")
        assert np.abs(after[t, t] - before[t]).max() > 1e-4, f"output {t} does not depend on token {t}"


def decodes_as_it_trains(case: Case) -> None:
    """One step after the other with a cache, the logits are those of the whole text at once."""
    model, inputs = case.make(), case.inputs(target=6)
    _shorten(case, inputs, 1, SHORT)
    if case.task == "language_modeling":
        inputs = case.inputs(source=6)
    whole, ids = logits_of(model, inputs), inputs[case.last_input]
    memory = model.encode(inputs[case.first_input])
    cache = model.init_cache(memory, 9)
    for t in range(ids.shape[1]):
        logits, cache = model.step(ids[:, t], t, cache, memory)
        _same(array(logits), whole[:, t], f"step {t} gives other logits than the whole text")


def carries_its_state(case: Case) -> None:
    """Windows of a text, each begun with the state in which the one before it ended, have the logits of the whole."""
    model, inputs = case.make(), case.inputs(source=7)
    ids = inputs[case.last_input]
    whole, cache = logits_of(model, inputs), model.init_cache(model.encode(ids), 7)
    for begin, end in ((0, 3), (3, 4), (4, 7)):
        x, cache = model.carry(ids[:, begin:end], cache)
        complaint = f"tokens {begin} to {end} give other logits behind a carried state than in the whole text"
        _same(array(model.logits(x)), whole[:, begin:end], complaint)


def keeps_hypotheses_apart(case: Case) -> None:
    """Hypotheses of a row that go on from each other: each one's logits are those of its own text alone."""
    model, inputs, count, rows = case.make(), case.inputs(target=6), 3, 2
    _shorten(case, inputs, 1, SHORT)
    source = inputs[case.first_input]
    if case.task == "language_modeling":
        source = source[:, :1]
    random = np.random.default_rng(4)
    said = np.repeat(inputs[case.last_input][:, :1], count, axis=0)  # all begin alike
    memory, cache = model.fan_out(model.encode(source), 9, count)
    for t in range(5):
        logits, cache = model.step(said[:, t], t, cache, memory)
        whole = {case.last_input: said}
        if case.task == "translation":
            whole[case.first_input] = np.repeat(source, count, axis=0)
        _same(array(logits), logits_of(model, whole)[:, t], f"step {t} mixes the texts of hypotheses")
        parents = (random.integers(0, count, (rows, count)) + np.arange(rows)[:, None] * count).reshape(-1)
        cache = model.reorder(cache, keras.ops.convert_to_tensor(parents.astype("int32")))
        token = random.integers(4, VOCABULARY, (rows * count, 1)).astype("int32")
        said = np.concatenate([said[parents], token], axis=1)


def survives_low_precision(case: Case) -> None:
    """float16 and bfloat16 give finite outputs near those of float32; so does a row of nothing but padding."""
    inputs = case.inputs(batch=3)
    for name in case.read_inputs:
        inputs[name][2] = PAD
    spread = 0.3  # weights as large as those of the other checks would make rounding errors the subject
    exact = case.make(spread=spread)
    expected = logits_of(exact, inputs)
    assert np.isfinite(expected).all(), "a row of nothing but padding gives NaN or infinity"
    for policy in ("mixed_float16", "mixed_bfloat16"):
        model = case.in_precision(policy).make(spread=spread)
        outputs = model(inputs)
        assert keras.backend.standardize_dtype(outputs.dtype) == "float32", (
            f"{policy}: outputs are not float32"
        )
        assert np.isfinite(array(outputs)).all(), f"{policy}: NaN or infinity"
        tolerance = 0.05 + 0.05 * float(np.abs(expected[:2]).max())
        if array(outputs).ndim == 4:  # potentials hold the impossible
            reach = np.abs(expected[:2]) < 1e3
            difference = np.abs(array(outputs)[:2] - expected[:2])[reach].max()
        else:
            difference = np.abs(array(outputs)[:2] - expected[:2]).max()
        assert difference < tolerance, f"{policy}: outputs differ from float32 by {difference:.3g}"
        if case.writes:
            memory = model.encode(inputs[case.first_input])
            cache = model.init_cache(memory, 4)
            _, after = model.step(inputs[case.last_input][:, 0], 0, cache, memory)
            kinds = [[str(x.dtype) for x in keras.tree.flatten(nest)] for nest in (cache, after)]
            assert kinds[0] == kinds[1], f"{policy}: a step changes the type of the cache, {kinds}"


def learns_with_fit(case: Case) -> None:
    """`compile` and `fit` train it: the loss is the one of the outputs, and it falls by half."""
    keras.utils.set_random_seed(1)
    model, inputs = case.make(spread=None), case.inputs(batch=8)
    for row in (5, 6, 7):
        _shorten(case, inputs, row, SHORT)
    labels, loss = case.labels(inputs), case.model_class.make_loss
    optimizer = keras.optimizers.Adam(0.03)
    optimizer.build(model.trainable_variables)  # made inside `fit`, its variables have the step traced twice
    model.compile(optimizer, loss(model), jit_compile=False)
    before = float(loss(model)(labels, model(inputs)))
    losses = model.fit(inputs, labels, epochs=30, batch_size=8, verbose=0).history["loss"]
    if not model.non_trainable_variables:  # batch statistics differ between training and not
        assert abs(losses[0] - before) < 1e-3 * abs(before) + 1e-4, (
            f"fit begins at the loss {losses[0]:.5f}, the outputs have {before:.5f}: a hidden mask, or dropout?"
        )
    assert losses[-1] < 0.5 * losses[0], f"30 steps brought the loss from {losses[0]:.3f} to {losses[-1]:.3f}"


def sends_gradients_everywhere(case: Case) -> None:
    """One step of plain gradient descent moves every weight."""
    model, inputs = case.make(spread=0.4), case.inputs(batch=6)
    model.compile(
        keras.optimizers.SGD(1.0), model.make_loss(), run_eagerly=True
    )  # one step: nothing to trace
    before = [array(w) for w in model.trainable_variables]
    model.train_on_batch(inputs, case.labels(inputs))
    still = [
        w.path
        for w, old in zip(model.trainable_variables, before, strict=True)
        if np.abs(array(w) - old).max() < ROUNDING and not _makes_no_difference(case, w.path)
    ]
    assert not still, f"no gradient reaches {', '.join(still)}"


def is_the_same_under_xla(case: Case) -> None:
    """Three training steps compiled by XLA give the losses and weights of three that are not compiled at all."""
    inputs = case.inputs(batch=4)
    _shorten(case, inputs, 3, SHORT)
    labels, weights, losses = case.labels(inputs), [], []
    for xla in (False, True):
        model = randomize(case.make(spread=None), spread=0.3)
        model.compile(keras.optimizers.SGD(0.3), model.make_loss(), jit_compile=xla, run_eagerly=not xla)
        losses.append([float(model.train_on_batch(inputs, labels)) for _ in range(3)])
        weights.append(model.get_weights())
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4, err_msg="losses under XLA and without")
    for plain, compiled in zip(*weights, strict=True):
        np.testing.assert_allclose(compiled, plain, atol=5e-5, err_msg="weights under XLA and without")


def checks_of(case: Case) -> list[Callable[[Case], None]]:
    """The promises that this kind of model gives, quick ones first."""
    every = [has_the_right_shape, has_all_weights_at_once, comes_back_from_its_config]
    every += [reads_every_token, ignores_padding, survives_low_precision, sends_gradients_everywhere]
    every += [learns_with_fit, is_the_same_under_xla]
    # What sees the tokens to come in training breaks both by design.
    if case.writes and case.keywords.get("causal", True):
        every += [never_looks_ahead, decodes_as_it_trains, keeps_hypotheses_apart]
    if getattr(case.model_class, "carries_state", False):
        every += [carries_its_state]
    return every


QUICK = (ignores_padding, never_looks_ahead)
"""Those that take a moment."""
COMPILED = (learns_with_fit, is_the_same_under_xla)
"""Those that compile the training step, which takes ten times as long as all others together."""


def _changed_at_each_place(ids: np.ndarray) -> np.ndarray:
    """Row t is the one row of `ids` with another token at t, in one batch: (1, T, ...) -> (T, T, ...)."""
    length = ids.shape[1]
    here = np.eye(length, dtype=bool).reshape(length, length, *[1] * (ids.ndim - 2))
    return np.where(here, 1, ids).astype("int32")


def _makes_no_difference(case: Case, path: str) -> bool:
    """What cancels: softmax does not see what a key's bias adds to every score, and batch normalisation takes
    away again what is added to every token before it: biases, what a decoder reads the offset of an encoder as,
    and the vector with which XLNet asks."""
    to_all = ("value/bias", "output/bias", "outer/bias", "encoder_norm/beta", "/asking")
    return path.endswith(("key/bias", *(to_all if case.keywords.get("normalization") == "batch" else ())))


def _shorten(case: Case, inputs: dict, row: int, length: int) -> None:
    """Padding from `length` on, in what is read (not in what a decoder is given)."""
    for name in case.read_inputs:
        inputs[name][row, length:] = PAD


def _same(actual, expected, complaint: str) -> None:
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{complaint}: shapes {actual.shape} and {expected.shape}"
    if actual.size:
        difference = float(np.abs(actual - expected).max())
        scale = 1.0 + float(np.abs(np.where(np.abs(expected) < 1e6, expected, 0.0)).max())
        assert difference <= CLOSE * scale, f"{complaint} (by {difference:.3g})"
