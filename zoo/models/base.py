"""What the rest of the zoo asks of a model.

Every model is a plain `keras.Model` that takes a dict of integer ids and derives its masks from
them, so that nothing has to travel beside the ids. Padding is 0, on the right.

A classifier maps `{"token_ids": (B, S)}` to logits `(B, C)`.

A sequence-to-sequence model maps `{"encoder_token_ids": (B, S), "decoder_token_ids": (B, T)}` to
logits `(B, T, V)`, and has three methods for decoding, which give the same logits one at a time:

- `encode(token_ids) -> memory`: a dict of tensors, batch first; it does not change while decoding.
- `init_cache(memory, length) -> cache`: a nest of tensors, batch first; it changes with each step.
- `step(token, position, cache, memory) -> logits, cache`: token (B,), logits (B, V).
"""

from __future__ import annotations

import keras


class ZooModel(keras.Model):
    """A model built by keywords, which are its config: `type(model)(**model.get_config())`."""

    input_names: tuple[str, ...] = ()

    def __init__(self, *, name=None, dtype=None, trainable=True, **keywords):
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.keywords = keywords

    def get_config(self):
        return {**super().get_config(), **self.keywords}

    def build_from_ids(self):
        """Create all weights, by shapes alone."""
        if not self.built:
            self.build({name: (None, None) for name in self.input_names})
        return self


class Classifier(ZooModel):
    """Text -> logits of the labels."""

    input_names = ("token_ids",)


class Seq2Seq(ZooModel):
    """Text -> logits of the next target token; see the module for the decoding protocol."""

    input_names = ("encoder_token_ids", "decoder_token_ids")

    def encode(self, token_ids):
        raise NotImplementedError

    def init_cache(self, memory, length: int):
        raise NotImplementedError

    def step(self, token, position, cache, memory):
        raise NotImplementedError
