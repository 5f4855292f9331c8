"""The promises of a layer."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from zoo.contract.cases import array, randomize
from zoo.contract.layer_cases import LayerCase


def comes_back_from_its_config(case: LayerCase) -> None:
    """The config makes an equal layer."""
    layer = case.make(dtype="mixed_bfloat16")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer), "the config gives another class: register it with Keras"
    assert again.dtype_policy.name == "mixed_bfloat16", "the config forgets the precision"
    old, new = layer.get_config(), again.get_config()
    assert new == old, f"the config comes back as {new}, not as {old}"
    lost = [key for key in case.config if key not in old]
    assert not lost, f"get_config leaves out {', '.join(lost)}"
    expected = leaves(case.output(layer))
    for a, b in zip(leaves(case.output(again, layer.get_weights())), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def survives_low_precision(case: LayerCase) -> None:
    """float16 and bfloat16 give finite outputs near those of float32; weights stay float32."""
    exact = case.make()
    expected = leaves(case.output(exact))
    assert all(np.isfinite(x).all() for x in expected), "NaN or infinity in float32"
    for policy in ("mixed_float16", "mixed_bfloat16"):
        layer = case.make(dtype=policy)
        output = case.output(layer, exact.get_weights())
        for actual, wanted in zip(leaves(output), expected, strict=True):
            assert np.isfinite(actual).all(), f"{policy}: NaN or infinity"
            possible = np.abs(wanted) < 1e6
            np.testing.assert_allclose(
                actual[possible], wanted[possible], atol=0.08, rtol=0.05, err_msg=policy
            )
        if not case.keeps_float32:
            kind = str(keras.tree.flatten(output)[0].dtype)
            assert policy.removeprefix("mixed_") in kind, f"{policy}: the output is {kind}"
        kept = {str(w.dtype) for w in layer.weights if "float" in str(w.dtype)}
        assert kept <= {"float32"}, f"{policy}: weights are {kept}"


def sends_gradients_everywhere(case: LayerCase) -> None:
    """The output's gradient reaches every weight."""
    layer = case.make()
    call = case.use(layer)
    randomize(layer, spread=0.3)
    with tf.GradientTape() as tape:
        outputs = [tf.cast(x, "float32") for x in keras.tree.flatten(call()) if "float" in str(x.dtype)]
        # Weighed unevenly: the sum of a softmax has no gradient at all.
        total = sum(
            tf.reduce_sum(x * tf.reshape(tf.range(tf.size(x), dtype="float32"), tf.shape(x)) % 7.0)
            for x in outputs
        )
    gradients = tape.gradient(total, [w.value for w in layer.trainable_variables])
    none = [w.path for w, g in zip(layer.trainable_variables, gradients, strict=True) if g is None]
    assert not none, f"no gradient reaches {', '.join(none)}"


def is_the_same_compiled(case: LayerCase) -> None:
    """Compiled by XLA it gives what it gives without."""
    layer = case.make()
    call = case.use(layer)
    randomize(layer, spread=0.3)
    expected = leaves(call())
    actual = tf.function(call, jit_compile=True, autograph=False)()
    for a, b in zip(leaves(actual), expected, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5, rtol=2e-5)


CHECKS = (
    comes_back_from_its_config,
    survives_low_precision,
    sends_gradients_everywhere,
    is_the_same_compiled,
)


def leaves(outputs) -> list[np.ndarray]:
    """All tensors of an output, as arrays."""
    return [array(x) for x in keras.tree.flatten(outputs)]
