"""The two blocks of the Transformer: attention and feed-forward, each inside a residual connection."""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.dropout import Dropout
from zoo.layers.feed_forward import FeedForward
from zoo.layers.masks import cache_mask
from zoo.layers.multi_head import MultiHeadAttention
from zoo.layers.normalization import normalization_layer, normalize
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
        normalization: str = "layer",
        num_key_value_heads: int | None = None,
        rotary: bool = False,
        transformer_xl: bool = False,
        scale_attention: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads, self.num_key_value_heads = num_heads, num_key_value_heads
        self.rotary, self.transformer_xl = rotary, transformer_xl
        self.scale_attention = scale_attention
        self.intermediate_dim, self.activation = intermediate_dim, activation
        self.dropout, self.attention_dropout = dropout, attention_dropout
        self.normalization, self.normalize_first = normalization, normalize_first

    def _add_sublayers(self, shape, **sublayers):
        """Build each sub-layer with its norm, `<name>_norm`."""
        for name, layer in sublayers.items():
            norm = normalization_layer(self.normalization, name=f"{name}_norm", dtype=self.dtype_policy)
            layer.build(shape)
            norm.build(shape)
            setattr(self, name, layer)
            setattr(self, f"{name}_norm", norm)
        self.dropout_layer = Dropout(self.dropout, dtype=self.dtype_policy)

    def _attention(self, name, of_itself=True):
        return MultiHeadAttention(
            self.num_heads,
            self.attention_dropout,
            num_key_value_heads=self.num_key_value_heads,
            rotary=of_itself and self.rotary,
            transformer_xl=of_itself and self.transformer_xl,
            scale=self.scale_attention,
            name=name,
            dtype=self.dtype_policy,
        )

    def _feed_forward(self):
        return FeedForward(
            self.intermediate_dim,
            self.activation,
            self.dropout,
            name="feed_forward",
            dtype=self.dtype_policy,
        )

    def _cached(self, attention, y, position, cache, attention_mask, attention_bias):
        """Self-attention of one position (B, N, D), and the cache that now holds its keys and values too.

        The N hypotheses of a row stand at the same position. Their slots lie side by side, (B, G * N, L, K), and
        each query sees those of all, as far as the mask lets it: (B, G, N * L, K).
        """
        batch, count, heads = ops.shape(y)[0], y.shape[1], attention.num_key_value_heads
        length, width = ops.shape(cache[0])[2], attention.head_dim
        here = ops.zeros((1, count), "int32") + position  # not one behind the other
        new = attention.project_memory(y, positions=here)
        cache = tuple(
            put(old, position, ops.reshape(n, (batch, heads * count, 1, width)), axis=2)
            for old, n in zip(cache, new, strict=True)
        )
        keys, values = (ops.reshape(x, (batch, heads, count * length, width)) for x in cache)
        if attention_bias is not None and count > 1:
            attention_bias = ops.tile(attention_bias, (1, 1, 1, count))
        start = {"start": position} if attention.transformer_xl else {"positions": here}
        read = attention.attend(y, keys, values, attention_mask, attention_bias=attention_bias, **start)
        return read, cache

    def _feed(self, x, padding_mask, training):
        """The last sub-layer of both."""
        return self._residual(
            x,
            self.feed_forward_norm,
            lambda y: self.feed_forward(y, training=training),
            padding_mask,
            training,
        )

    def _residual(self, x, norm, sublayer, padding_mask, training):
        """Post-LN: norm(x + f(x)). Pre-LN: x + f(norm(x))."""
        if self.normalize_first:
            y = sublayer(normalize(norm, x, padding_mask, training))
            return x + self.dropout_layer(y, training=training)
        y = self.dropout_layer(sublayer(x), training=training)
        return normalize(norm, x + y, padding_mask, training)

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
            "normalization",
            "num_key_value_heads",
            "rotary",
            "transformer_xl",
            "scale_attention",
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def apart(result, weights: list):
    """What an attention read; its weights, if it gave them too, go to the list."""
    if isinstance(result, tuple):
        result, seen = result
        weights.append(seen)
    return result


@keras.saving.register_keras_serializable("zoo")
class TransformerEncoderBlock(TransformerBlock):
    """Self-attention, then feed-forward.

    Post-LN: `x = LN(x + SelfAttention(x))`, `x = LN(x + FFN(x))`;
    pre-LN: `x = x + SelfAttention(LN(x))`, `x = x + FFN(LN(x))`.

    Under a causal mask it is also the block of a language model.

    Args:
        num_heads: attention heads.
        intermediate_dim: width inside the feed-forward layer.
        dropout: on each sub-layer's output and inside the feed-forward layer.
        attention_dropout: on the attention weights.
        activation: of the feed-forward layer; "geglu" and "swiglu" have a gate.
        normalize_first: pre-LN instead of the paper's post-LN; the stack then ends with one more norm,
            which is the model's.
        normalization: what stands for LN: "layer", "rms" or "batch".
        num_key_value_heads: heads of keys and values, each shared by a group of query heads; None: all.
        rotary: rotary positions inside the self-attention.
        transformer_xl: Transformer-XL's relative positions inside the self-attention.
        scale_attention: divide the scores by sqrt(K).

    Call arguments:
        inputs: (B, S, D).
        attention_mask: bool, broadcastable to (B, H, S, S), True = may be attended to.
        attention_bias: broadcastable to (B, H, S, S), added to the scores (ALiBi, T5). The model makes it
            once for all of its blocks.
        padding_mask: (B, S) bool, True = is a token; batch normalisation alone needs it.
        return_attention_scores: return the attention weights too.

    Returns: (B, S, D), or a pair of it and the attention weights (B, H, S, S). `step` does the same for one
    position with a cache of keys and values, as a language model writes.

    Masking: by `attention_mask`; what stands at masked positions comes out as anything and must not be read.

    Errors: a ValueError when num_heads does not divide D.

    Differs from the paper: the choice of pre-LN and of norm, and dropout inside the feed-forward layer.

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

    def call(
        self,
        inputs,
        attention_mask=None,
        attention_bias=None,
        padding_mask=None,
        training=None,
        return_attention_scores=False,
    ):
        weights = []

        def self_attention(y):
            return apart(
                self.attention(
                    y,
                    y,
                    attention_mask,
                    attention_bias,
                    training=training,
                    return_attention_scores=return_attention_scores,
                ),
                weights,
            )

        x = self._residual(inputs, self.attention_norm, self_attention, padding_mask, training)
        x = self._feed(x, padding_mask, training)
        return (x, *weights) if return_attention_scores else x

    def step(self, inputs, position, cache, attention_mask, attention_bias=None):
        """One position (B, 1, D): cache = keys and values (B, G, L, K) of the positions before it.

        With N hypotheses a row (B, N, D) and (B, G * N, L, K); the mask says who sees what, (B, 1, N, N * L).
        """
        written = []

        def self_attention(y):
            read, new_cache = self._cached(self.attention, y, position, cache, attention_mask, attention_bias)
            written.extend(new_cache)
            return read

        x = self._residual(inputs, self.attention_norm, self_attention, None, False)
        return self._feed(x, None, False), tuple(written)


@keras.saving.register_keras_serializable("zoo")
class TransformerDecoderBlock(TransformerBlock):
    """Masked self-attention, attention to the encoder's output, then feed-forward.

    As `TransformerEncoderBlock`, with `x + Attention(x, memory)` between the two.

    Args:
        num_heads: attention heads.
        intermediate_dim: width inside the feed-forward layer.
        dropout: on each sub-layer's output and inside the feed-forward layer.
        attention_dropout: on the attention weights.
        activation: of the feed-forward layer; "geglu" and "swiglu" have a gate.
        normalize_first: pre-LN instead of the paper's post-LN.
        normalization: what stands for LN: "layer", "rms" or "batch".
        num_key_value_heads: heads of keys and values, in both attentions; None: all.
        rotary: rotary positions inside the self-attention.
        transformer_xl: Transformer-XL's relative positions inside the self-attention.
        scale_attention: divide the scores of both attentions by sqrt(K).

    Call arguments:
        inputs: (B, T, D).
        memory: (B, S, D), the encoder's output, of the same width.
        attention_mask: bool, broadcastable to (B, H, T, T): the causal mask.
        memory_mask: bool, broadcastable to (B, H, T, S).
        attention_bias: broadcastable to (B, H, T, T), added to the scores of the self-attention.
        padding_mask: (B, T) bool, which inputs are tokens; batch normalisation alone needs it.
        return_attention_scores: return the weights of both attentions too.

    Returns: (B, T, D), or a triple of it and the weights of self-attention (B, H, T, T) and of
    cross-attention (B, H, T, S). `step` does the same for one position with a cache of keys and values.

    Masking: by the two masks.

    Errors: a ValueError when num_heads does not divide D.

    Differs from the paper: the choice of pre-LN and of norm, and dropout inside the feed-forward layer.

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
            cross_attention=self._attention("cross_attention", of_itself=False),
            feed_forward=self._feed_forward(),
        )

    def call(
        self,
        inputs,
        memory,
        attention_mask=None,
        memory_mask=None,
        attention_bias=None,
        padding_mask=None,
        training=None,
        return_attention_scores=False,
    ):
        weights = []

        def self_attention(y):
            return self.self_attention(
                y,
                y,
                attention_mask,
                attention_bias,
                training=training,
                return_attention_scores=return_attention_scores,
            )

        x = self._forward(
            inputs,
            lambda y: apart(self_attention(y), weights),
            lambda y: apart(
                self.cross_attention(
                    y,
                    memory,
                    memory_mask,
                    training=training,
                    return_attention_scores=return_attention_scores,
                ),
                weights,
            ),
            padding_mask,
            training,
        )
        return (x, *weights) if return_attention_scores else x

    def step(self, inputs, position, cache, projected, memory_mask, attention_bias=None, attention_mask=None):
        """One position (B, 1, D): cache = keys and values (B, G, L, K) of the positions before it.

        With N hypotheses a row (B, N, D) and (B, G * N, L, K); then an attention_mask says who sees what,
        (B, 1, N, N * L). All of them read the same memory.
        """
        seen = cache_mask(ops.shape(cache[0])[2], position) if attention_mask is None else attention_mask
        written = []

        def self_attention(y):
            read, new_cache = self._cached(self.self_attention, y, position, cache, seen, attention_bias)
            written.extend(new_cache)
            return read

        x = self._forward(
            inputs,
            self_attention,
            lambda y: self.cross_attention.attend(y, *projected, memory_mask),
            padding_mask=None,
            training=False,
        )
        return x, tuple(written)

    def _forward(self, x, self_attention, cross_attention, padding_mask, training):
        x = self._residual(x, self.self_attention_norm, self_attention, padding_mask, training)
        x = self._residual(x, self.cross_attention_norm, cross_attention, padding_mask, training)
        return self._feed(x, padding_mask, training)
