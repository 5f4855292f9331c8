"""What every model of the registry promises."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from model_tools import SEQ2SEQ, SMALL, VOCABULARY, array, random_ids, random_inputs, randomize, small_model

from zoo import registry
from zoo.layers.masks import PAD_ID
from zoo.training.losses import IGNORE, MaskedCrossEntropy

every_model = pytest.mark.parametrize("name", SMALL)
every_seq2seq = pytest.mark.parametrize("name", SEQ2SEQ)
ELSEWHERE = Path(__file__).with_name("logits_elsewhere.py")


SHALLOW = {
    "rnn_classifier": dict(num_layers=1, rnn_kernel="xla"),
    "rnn_seq2seq": dict(num_encoder_layers=1, rnn_kernel="xla"),
    "transformer": dict(num_decoder_layers=1),
}
"""Less to compile, where a test compiles."""


def logits_of(model, inputs):
    return array(model(inputs))


def variants(name):
    """The model as in the table, and where it matters in its other form."""
    other = {
        "transformer": dict(normalize_first=False),
        "rnn_classifier": dict(bidirectional=False, pooling="mean"),
    }
    return [small_model(name), *([small_model(name, **other[name])] if name in other else [])]


def labels_for(name, inputs):
    """Labels that the inputs do not give away; the last of a sequence does not count."""
    if name not in SEQ2SEQ:
        return np.arange(len(inputs["token_ids"])) % SMALL[name]["num_classes"]
    labels = random_ids(inputs["decoder_token_ids"].shape, seed=7)
    labels[:, -1] = IGNORE
    return labels


def test_the_table_is_complete():
    assert set(SMALL) == set(registry.MODELS)


@every_model
def test_logits(name):
    logits = small_model(name)(random_inputs(name))
    assert tuple(logits.shape) == ((2, 4, VOCABULARY) if name in SEQ2SEQ else (2, 3))
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"


def changed_at_each_place(ids):
    """Row t is the one row of `ids` with another token at t, in one batch: (1, T) -> (T, T)."""
    return np.where(np.eye(ids.shape[1], dtype=bool), 1, ids).astype("int32")


@every_model
def test_logits_read_every_source_token(name):
    model, inputs = small_model(name), random_inputs(name, batch=1)
    key = next(iter(inputs))
    before = logits_of(model, inputs)
    batch = {k: np.repeat(ids, 5, axis=0) for k, ids in inputs.items()}
    after = logits_of(model, {**batch, key: changed_at_each_place(inputs[key])})
    assert (np.abs(after - before).reshape(5, -1).max(-1) > 1e-4).all()


@every_model
def test_padding_changes_nothing(name):
    for model in variants(name):
        inputs = random_inputs(name)
        key = next(iter(inputs))
        inputs[key][1, 3:] = PAD_ID  # a shorter neighbour
        padded = {k: np.pad(ids, ((0, 0), (0, 7))) for k, ids in inputs.items()}
        expected, actual = logits_of(model, inputs), logits_of(model, padded)
        actual = actual[:, : expected.shape[1]] if name in SEQ2SEQ else actual
        np.testing.assert_allclose(actual, expected, atol=2e-6)
        alone = logits_of(model, {k: ids[1:, :3] if k == key else ids[1:] for k, ids in inputs.items()})
        np.testing.assert_allclose(alone, expected[1:], atol=2e-6)


@every_seq2seq
def test_no_decoder_looks_ahead(name):
    for model in variants(name):
        inputs = random_inputs(name, batch=1, target=6)
        before = logits_of(model, inputs)[0]
        after = logits_of(
            model,
            {
                "encoder_token_ids": np.repeat(inputs["encoder_token_ids"], 6, axis=0),
                "decoder_token_ids": changed_at_each_place(inputs["decoder_token_ids"]),
            },
        )
        for t in range(6):
            np.testing.assert_allclose(after[t, :t], before[:t], atol=2e-6)
            assert np.abs(after[t, t] - before[t]).max() > 1e-3


@every_seq2seq
def test_steps_with_a_cache_give_the_logits_of_the_whole(name):
    for model in variants(name):
        inputs = random_inputs(name, target=6)
        inputs["encoder_token_ids"][1, 3:] = PAD_ID
        whole = logits_of(model, inputs)
        memory = model.encode(inputs["encoder_token_ids"])
        cache = model.init_cache(memory, 9)
        for t in range(6):
            logits, cache = model.step(inputs["decoder_token_ids"][:, t], t, cache, memory)
            np.testing.assert_allclose(array(logits), whole[:, t], atol=5e-6)


@every_model
def test_all_weights_are_there_before_the_first_call(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Keras warns of lost masks and of unbuilt layers
        model = registry.resolve("model", name)(**SMALL[name]).build_from_ids()
        before = [w.path for w in model.weights]
        model(random_inputs(name))
        assert [w.path for w in model.weights] == before
        fresh = registry.resolve("model", name)(**SMALL[name])
        fresh(random_inputs(name))
    assert len(before) > 5
    assert [w.shape for w in fresh.weights] == [w.shape for w in model.weights]


@every_model
def test_config_round_trip(name, tmp_path):
    model, inputs = small_model(name, dtype="mixed_float16"), random_inputs(name)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    assert type(again) is type(model)
    assert again.keywords == model.keywords
    assert again.dtype_policy.name == "mixed_float16"
    again.build_from_ids().set_weights(model.get_weights())
    np.testing.assert_array_equal(logits_of(again, inputs), logits_of(model, inputs))

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(logits_of(loaded, inputs), logits_of(model, inputs))


@every_model
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_low_precision(name, policy):
    exact, inputs = small_model(name), random_inputs(name, batch=3)
    inputs[next(iter(inputs))][2] = PAD_ID  # a row of nothing but padding, which fills up a batch
    model = small_model(name, dtype=policy)
    logits = model(inputs)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert np.isfinite(array(logits)).all()
    np.testing.assert_allclose(array(logits)[:2], logits_of(exact, inputs)[:2], atol=0.25)
    if name in SEQ2SEQ:
        memory = model.encode(inputs["encoder_token_ids"])
        cache = model.init_cache(memory, 4)
        token = inputs["decoder_token_ids"][:, 0]
        step, after = model.step(token, 0, cache, memory)
        np.testing.assert_allclose(array(step), array(logits)[:, 0], atol=0.15)
        kinds = [[str(x.dtype) for x in keras.tree.flatten(nest)] for nest in (cache, after)]
        assert kinds[0] == kinds[1]  # a loop's variables keep their type


@every_model
def test_compile_and_fit(name):
    keras.utils.set_random_seed(1)
    model = registry.resolve("model", name)(**{**SMALL[name], **SHALLOW.get(name, {})})
    inputs = random_inputs(name, batch=8)
    inputs[next(iter(inputs))][5:, 3:] = PAD_ID
    labels = labels_for(name, inputs)
    model.compile(keras.optimizers.Adam(0.03), MaskedCrossEntropy(), jit_compile=False)
    before = float(MaskedCrossEntropy()(labels, model(inputs)))
    losses = model.fit(inputs, labels, epochs=30, batch_size=8, verbose=0).history["loss"]
    assert losses[0] == pytest.approx(before, rel=1e-4)  # dropout is 0, and no hidden mask weighs the loss
    assert losses[-1] < 0.5 * losses[0]


@every_model
def test_a_training_step_under_xla_is_the_same(name):
    inputs = random_inputs(name, batch=4)
    inputs[next(iter(inputs))][3, 3:] = PAD_ID
    labels, weights, losses = labels_for(name, inputs), [], []
    for xla in (False, True):
        model = randomize(small_model(name, **SHALLOW.get(name, {})), spread=0.3)
        model.compile(keras.optimizers.SGD(0.5), MaskedCrossEntropy(0.1), jit_compile=xla)
        losses.append([float(model.train_on_batch(inputs, labels)) for _ in range(3)])
        weights.append(model.get_weights())
    assert losses[0][2] < losses[0][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    for plain, compiled in zip(*weights, strict=True):
        np.testing.assert_allclose(compiled, plain, atol=2e-5)


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_fresh_process_gives_the_same_logits(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    expected = {}
    for name in SMALL:
        model, inputs = small_model(name), random_inputs(name)
        inputs[next(iter(inputs))][1, 3:] = PAD_ID
        model.save_weights(tmp_path / f"{name}.weights.h5")
        np.savez(tmp_path / f"{name}.inputs.npz", **inputs)
        expected[name] = logits_of(model, inputs)
    (tmp_path / "models.json").write_text(json.dumps(SMALL))
    process = subprocess.run(
        [sys.executable, str(ELSEWHERE), str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.split()[-1] == backend
    for name, logits in expected.items():
        tolerance = 0.0 if backend == "tensorflow" else 1e-5
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.logits.npy"), logits, rtol=0, atol=tolerance)
