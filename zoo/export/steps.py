"""A model's decoding protocol (zoo/models/base.py) as two functions of named tensors, for whoever loops himself.

    encode: ids (B, S)                            -> memory_* and cache_*
    step:   token (B,), position (), all of these -> logits (B, V), the next cache_*

Memory and cache are nests of tensors; here each tensor has a name of its own, made of its place in the nest:
`memory_mask`, `cache_0_1`. What they are is the model's business; a loop hands them on.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from zoo.models.base import LanguageModel


class Steps:
    """`encode` and `step` of a model, traced for any batch and any length of the ids.

    Args:
        model: what has `encode`, `init_cache` and `step`.
        ids: what the input of `encode` is called.
        length: tokens that the cache has room for; of a language model behind the ids.
    """

    def __init__(self, model, ids: str, length: int):
        self.model, self.length = model, length
        self._nests: dict[str, Any] = {}
        spec = tf.TensorSpec([None, None], tf.int32, name=ids)
        self.encode = tf.function(self._encode, input_signature=[spec], autograph=False)
        found = self.encode.get_concrete_function().structured_outputs
        self.names = list(found)
        state = [tf.TensorSpec(x.shape, x.dtype, name=name) for name, x in found.items()]
        token = tf.TensorSpec([None], tf.int32, name="token")
        position = tf.TensorSpec([], tf.int32, name="position")
        self.step = tf.function(self._step, input_signature=[token, position, *state], autograph=False)

    def _encode(self, ids):
        memory = self.model.encode(ids)
        known = tf.shape(ids)[1] if isinstance(self.model, LanguageModel) else 0
        cache = self.model.init_cache(memory, self.length + known)
        return {**self._flat("memory", memory), **self._flat("cache", cache)}

    def _step(self, token, position, *state):
        given = dict(zip(self.names, state, strict=True))
        logits, cache = self.model.step(
            token, position, self._nest("cache", given), self._nest("memory", given)
        )
        return {"logits": logits, **self._flat("cache", cache)}

    def _flat(self, name: str, nest) -> dict[str, tf.Tensor]:
        """Its tensors by their names; the form of the nest is kept for `_nest`."""
        self._nests.setdefault(name, keras.tree.map_structure(lambda _: 0, nest))
        return {
            "_".join(map(str, (name, *path))): tensor for path, tensor in keras.tree.flatten_with_path(nest)
        }

    def _nest(self, name: str, tensors: dict[str, tf.Tensor]):
        form = self._nests[name]
        names = ["_".join(map(str, (name, *path))) for path, _ in keras.tree.flatten_with_path(form)]
        return keras.tree.pack_sequence_as(form, [tensors[name] for name in names])
