"""Small models and weights that hide nothing, for the tests of layers, models and decoders."""

from __future__ import annotations

import numpy as np

from zoo import registry
from zoo.config.recipe import MODEL_SECTIONS
from zoo.contract.cases import VOCABULARY, case, randomize

__all__ = ["array", "random_ids", "randomize", "small_model"]


def small_model(name: str, seed: int = 0, **changes):
    """A small model of the registry with random weights, biases included."""
    model_class = registry.resolve("model", name)
    return case(name, model_class, MODEL_SECTIONS[name], **changes).make(seed)


def random_ids(shape, seed: int = 0):
    """Ids of ordinary tokens: neither padding nor a special mark."""
    return np.random.default_rng(seed).integers(4, VOCABULARY, shape).astype("int32")


def array(x) -> np.ndarray:
    """A tensor of any precision as a NumPy array; bfloat16 and float16 as float32."""
    from keras import ops

    x = ops.convert_to_tensor(x)
    return ops.convert_to_numpy(ops.cast(x, "float32") if "float" in str(x.dtype) else x)
