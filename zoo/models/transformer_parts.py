"""What the Transformers share: how positions enter, and the stack that reads a text.

| positions | where they act |
| --- | --- |
| sinusoidal, learned | added to the embeddings |
| rotary, transformer_xl | inside each self-attention |
| alibi, t5 | a bias on the scores of each self-attention, made once for all blocks of a stack |
| none | nowhere: the text is a bag of words |
"""

from __future__ import annotations

from keras import ops

from zoo.data.tokenizers import MASK
from zoo.layers.masks import key_mask
from zoo.layers.positions import LearnedPositionalEncoding, SinusoidalPositionalEncoding
from zoo.layers.relative_positions import ALiBi, T5RelativeBias


def added_positions(positions: str, max_sequence_length: int, dtype):
    """The layer that adds positions to embeddings, or None."""
    if positions == "sinusoidal":
        return SinusoidalPositionalEncoding(name="positions", dtype=dtype)
    if positions == "learned":
        return LearnedPositionalEncoding(max_sequence_length, name="positions", dtype=dtype)
    return None


def position_bias(positions: str, num_heads: int, side: str, dtype):
    """The layer that makes the bias of a stack (`side` "encoder" or "decoder"), or None."""
    name = f"{side}_position_bias"
    if positions == "alibi":
        return ALiBi(num_heads, name=name, dtype=dtype)
    if positions == "t5":
        return T5RelativeBias(num_heads, bidirectional=side == "encoder", name=name, dtype=dtype)
    return None


def bias_of_sequence(layer, length):
    """Each position against each, as `attention_bias`: (1, H, T, T), or None."""
    if layer is None:
        return None
    positions = ops.arange(length)
    return layer(positions, positions)


def bias_of_step(layer, position, length: int):
    """One position against all slots of a cache: (1, H, 1, L), or None."""
    if layer is None:
        return None
    here = ops.reshape(ops.convert_to_tensor(position, "int32"), (1,))
    return layer(here, ops.arange(length))


def embed_hidden(encoder, token_ids, hidden):
    """A text encoder's embeddings (B, S, D), of which hidden tokens (MASK) have the vector `hidden` (D,)."""
    seen = encoder.embed(ops.maximum(token_ids, 0))  # no kernel looks up an id below zero
    unseen = ops.expand_dims(ops.equal(token_ids, MASK), -1)
    return ops.where(unseen, ops.cast(hidden, seen.dtype) * encoder.scale, seen)


def at_places(x, places):
    """The vectors of x (B, S, D) at `places` (B, K): (B, K, D).

    By a product with rows of one 1: K is small, every target knows it, and its gradient is a product again.
    An x of one row (1, S, D) serves all rows of places.
    """
    here = ops.equal(ops.expand_dims(places, -1), ops.arange(ops.shape(x)[1], dtype=places.dtype))
    return ops.matmul(ops.cast(here, x.dtype), x)


def read(blocks, x, mask, bias_layer, training, attention_mask=None):
    """A stack of encoder blocks over embeddings x (B, S, D), of which mask (B, S) says the tokens.

    All tokens see each other, unless an attention_mask says what each may see.
    """
    bias = bias_of_sequence(bias_layer, ops.shape(x)[1])
    seen = key_mask(mask) if attention_mask is None else attention_mask
    for block in blocks:
        x = block(x, attention_mask=seen, attention_bias=bias, padding_mask=mask, training=training)
    return x
