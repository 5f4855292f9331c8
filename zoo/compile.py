"""Compiling a function of tensors, the one thing that Keras leaves to its backends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import keras

Inputs = int | Mapping[str, tuple[int, str]]


def jit(function: Callable, variables: Sequence, inputs: Inputs = 2, xla: bool = False) -> Callable:
    """A compiled form of `function`, which may read `variables`.

    On TensorFlow it is traced once for all shapes (with `xla`, compiled once for each); on JAX always
    compiled, once for each shape.

    Args:
        inputs: what the function takes: one int32 tensor of this rank, or one dict of tensors, of which it
            says name -> (rank, dtype).
    """
    if keras.backend.backend() == "jax":
        return jit_any(function, variables)
    import tensorflow as tf

    def spec(rank: int, dtype: str, name: str | None = None):
        return tf.TensorSpec([None] * rank, dtype, name=name)

    if isinstance(inputs, int):
        signature = spec(inputs, "int32")
    else:
        signature = {name: spec(*kind, name) for name, kind in inputs.items()}
    return tf.function(function, input_signature=[signature], jit_compile=xla or None, autograph=False)


def jit_any(function: Callable, variables: Sequence, xla: bool = False) -> Callable:
    """The same for a function of any nests of tensors, compiled once for each of their shapes."""
    if keras.backend.backend() == "jax":
        import jax

        def pure(values, given):
            with keras.StatelessScope(state_mapping=zip(variables, values, strict=True)):
                return function(*given)

        compiled = jax.jit(pure)
        return lambda *given: compiled([v.value for v in variables], given)
    import tensorflow as tf

    return tf.function(function, jit_compile=xla or None, autograph=False, reduce_retracing=True)
