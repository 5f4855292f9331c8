"""Compiling a function of tensors, the one thing that Keras leaves to its backends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras


def jit(function: Callable, variables: Sequence, ids_rank: int = 2, xla: bool = False) -> Callable:
    """A compiled form of `function(token_ids)`, which may read `variables`.

    On TensorFlow it is traced once for all shapes (with `xla`, compiled once for each); on JAX always
    compiled, once for each shape.
    """
    if keras.backend.backend() == "jax":
        import jax

        def pure(values, token_ids):
            with keras.StatelessScope(state_mapping=zip(variables, values, strict=True)):
                return function(token_ids)

        compiled = jax.jit(pure)
        return lambda token_ids: compiled([v.value for v in variables], token_ids)
    import tensorflow as tf

    signature = [tf.TensorSpec([None] * ids_rank, tf.int32)]
    return tf.function(function, input_signature=signature, jit_compile=xla or None, autograph=False)
