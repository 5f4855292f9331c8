"""The two blocks of the Transformer: attention and feed-forward, each inside a residual connection."""

from __future__ import annotations

import keras

from zoo.layers.feed_forward import FeedForward
from zoo.layers.masks import prefix_mask
from zoo.layers.multi_head import MultiHeadAttention
from zoo.layers.portable import put


class TransformerBlock(keras.layers.Layer):
    """What both blocks share: their arguments, and how a sub-layer is wrapped."""

    def __init__(
        self,
        num_heads: int,
        intermediate_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        activation: str = "relu",
        normalize_first: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads, self.intermediate_dim = num_heads, intermediate_dim
        self.dropout, self.attention_dropout = dropout, attention_dropout
        self.activation, self.normalize_first = activation, normalize_first

    def _add_sublayers(self, shape, **sublayers):
        """Build each sub-layer with its norm; `_residual` finds them by name."""
        for name, layer in sublayers.items():
            norm = keras.layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm", dtype=self.dtype_policy)
            layer.build(shape)
            norm.build(shape)
            setattr(self, name, layer)
            setattr(self, f"{name}_norm", norm)
        self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)

    def _attention(self, name):
        return MultiHeadAttention(self.num_heads, self.attention_dropout, name=name, dtype=self.dtype_policy)

    def _feed_forward(self):
        return FeedForward(
            self.intermediate_dim,
            self.activation,
            self.dropout,
            name="feed_forward",
            dtype=self.dtype_policy,
        )

    def _residual(self, x, norm, sublayer, training=None):
        """Post-LN: norm(x + f(x)). Pre-LN: x + f(norm(x))."""
        if self.normalize_first:
            return x + self.dropout_layer(sublayer(norm(x)), training=training)
        return norm(x + self.dropout_layer(sublayer(x), training=training))

    def compute_output_shape(self, inputs_shape, *args, **kwargs):
        return inputs_shape

    def get_config(self):
        names = (
            "num_heads",
            "intermediate_dim",
            "dropout",
            "attention_dropout",
            "activation",
            "normalize_first",
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("zoo")
class TransformerEncoderBlock(TransformerBlock):
    """Self-attention, then feed-forward.

    Post-LN: `x = LN(x + SelfAttention(x))`, `x = LN(x + FFN(x))`;
    pre-LN: `x = x + SelfAttention(LN(x))`, `x = x + FFN(LN(x))`.

    Args:
        num_heads: attention heads.
        intermediate_dim: width inside the feed-forward layer.
        dropout: on each sub-layer's output and inside the feed-forward layer.
        attention_dropout: on the attention weights.
        activation: of the feed-forward layer.
        normalize_first: pre-LN instead of the paper's post-LN; the stack then ends with one more norm,
            which is the model's.

    Call arguments:
        inputs: (B, S, D).
        attention_mask: bool, broadcastable to (B, H, S, S), True = may be attended to.

    Returns: (B, S, D).

    Masking: by `attention_mask`; what stands at masked positions comes out as anything and must not be read.

    Errors: a ValueError when num_heads does not divide D.

    Differs from the paper: the choice of pre-LN, and dropout inside the feed-forward layer.

    Example:
        >>> import numpy as np
        >>> TransformerEncoderBlock(2, 16)(np.ones((2, 5, 8), "float32")).shape
        TensorShape([2, 5, 8])

    Reference: Vaswani et al. 2017, arXiv:1706.03762, section 3.1; pre-LN: Xiong et al. 2020, arXiv:2002.04745
    """

    def build(self, inputs_shape):
        self._add_sublayers(
            inputs_shape,
            attention=self._attention("attention"),
            feed_forward=self._feed_forward(),
        )

    def call(self, inputs, attention_mask=None, training=None):
        x = self._residual(
            inputs,
            self.attention_norm,
            lambda y: self.attention(y, y, attention_mask, training=training),
            training,
        )
        return self._residual(
            x, self.feed_forward_norm, lambda y: self.feed_forward(y, training=training), training
        )


@keras.saving.register_keras_serializable("zoo")
class TransformerDecoderBlock(TransformerBlock):
    """Masked self-attention, attention to the encoder's output, then feed-forward.

    As `TransformerEncoderBlock`, with `x + Attention(x, memory)` between the two.

    Args:
        num_heads: attention heads.
        intermediate_dim: width inside the feed-forward layer.
        dropout: on each sub-layer's output and inside the feed-forward layer.
        attention_dropout: on the attention weights.
        activation: of the feed-forward layer.
        normalize_first: pre-LN instead of the paper's post-LN.

    Call arguments:
        inputs: (B, T, D).
        memory: (B, S, D), the encoder's output, of the same width.
        attention_mask: bool, broadcastable to (B, H, T, T): the causal mask.
        memory_mask: bool, broadcastable to (B, H, T, S).

    Returns: (B, T, D). `step` does the same for one position with a cache of keys and values.

    Masking: by the two masks.

    Errors: a ValueError when num_heads does not divide D.

    Differs from the paper: the choice of pre-LN, and dropout inside the feed-forward layer.

    Example:
        >>> import numpy as np
        >>> from zoo.layers.masks import causal_mask
        >>> x, memory = np.ones((2, 3, 8), "float32"), np.ones((2, 5, 8), "float32")
        >>> TransformerDecoderBlock(2, 16)(x, memory, attention_mask=causal_mask(3)).shape
        TensorShape([2, 3, 8])

    Reference: Vaswani et al. 2017, arXiv:1706.03762, section 3.1
    """

    def build(self, inputs_shape, memory_shape=None):
        self._add_sublayers(
            inputs_shape,
            self_attention=self._attention("self_attention"),
            cross_attention=self._attention("cross_attention"),
            feed_forward=self._feed_forward(),
        )

    def call(self, inputs, memory, attention_mask=None, memory_mask=None, training=None):
        projected = self.cross_attention.project_memory(memory)
        return self._forward(
            inputs,
            lambda y: self.self_attention(y, y, attention_mask, training=training),
            projected,
            memory_mask,
            training,
        )

    def step(self, inputs, position, cache, projected, memory_mask):
        """One position (B, 1, D): cache = keys and values (B, H, L, K) of the positions before it."""
        written = []

        def self_attention(y):
            new = self.self_attention.project_memory(y)
            written.extend(put(old, position, n, axis=2) for old, n in zip(cache, new, strict=True))
            length = cache[0].shape[2]
            return self.self_attention.attend(y, *written, prefix_mask(length, position))

        x = self._forward(inputs, self_attention, projected, memory_mask, training=False)
        return x, tuple(written)

    def _forward(self, x, self_attention, projected, memory_mask, training):
        x = self._residual(x, self.self_attention_norm, self_attention, training)
        x = self._residual(
            x,
            self.cross_attention_norm,
            lambda y: self.cross_attention.attend(y, *projected, memory_mask, training),
            training,
        )
        return self._residual(
            x, self.feed_forward_norm, lambda y: self.feed_forward(y, training=training), training
        )
