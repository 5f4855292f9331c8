"""Recurrent networks that give each word a tag (N -> N)."""

from __future__ import annotations

import keras
from keras import ops

from zoo.errors import UserError
from zoo.layers.bidirectional import Bidirectional
from zoo.layers.convolution import MaskedConv1D
from zoo.layers.crf import CRF, viterbi
from zoo.layers.dropout import Dropout
from zoo.layers.heads import TaggerHead
from zoo.layers.masks import padding_mask
from zoo.layers.pooling import MaskedPooling
from zoo.layers.rnn import recurrent_layer
from zoo.models.base import Tagger
from zoo.training.losses import CRFLoss

BYTES = 256 + 4
"""Ids of bytes: 0 is padding, 1 to 3 stand for no byte."""
BEGIN, END = 2, 3


@keras.saving.register_keras_serializable("zoo")
class RNNTagger(Tagger):
    """Words and their characters, (bi)recurrent layers, a tag for each word, with a CRF or without.

    `x_t = [E w_t; max_k conv(C b_t)_k]` with b_t the bytes of word t, `h = biRNN(x)`, `P_t = W h_t + b`; then
    `p(y_t) = softmax(P_t)`, or `p(y) = CRF(P)` for all tags together.

    Args:
        vocabulary_size, num_classes: sizes of input and output.
        cell, embedding_dim, units, num_layers, bidirectional, character_dim, crf, dropout, recurrent_dropout,
            rnn_kernel: as in `zoo.config.rnn.RNNTagger`, where they are described.

    Call arguments:
        inputs: {"token_ids": (B, S) int, one id a word; "character_ids": (B, S, W) int, the UTF-8 bytes of
            each word + 4}. Without character_dim the latter is not read.

    Returns: logits (B, S, num_classes), or with `crf` potentials (B, S, num_classes, num_classes); float32.
    `best_tags` reads the tags from either.

    Masking: derived from the ids (0 is padding): no real place depends on the padding.

    Errors: a UserError when label smoothing is asked of a CRF.

    Differs from the paper: Ma and Hovy convolve characters and start from vectors of words that were learnt
    elsewhere; here they are bytes, so that any script will do, between two marks of begin and end, and
    everything starts at random.

    Example:
        >>> import numpy as np
        >>> model = RNNTagger(vocabulary_size=10, num_classes=2, cell="lstm", embedding_dim=4, units=4,
        ...     num_layers=1, bidirectional=True, character_dim=3, crf=True, dropout=0.0,
        ...     recurrent_dropout=0.0, rnn_kernel="auto")
        >>> inputs = {"token_ids": np.array([[4, 5, 0]]), "character_ids": np.ones((1, 3, 6), "int32")}
        >>> outputs = model(inputs)
        >>> outputs.shape, model.best_tags(outputs).shape
        (TensorShape([1, 3, 2, 2]), TensorShape([1, 3]))

    Reference: Huang et al. 2015, arXiv:1508.01991; Ma and Hovy 2016, arXiv:1603.01354
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        num_classes: int,
        cell: str,
        embedding_dim: int,
        units: int,
        num_layers: int,
        bidirectional: bool,
        character_dim: int | None,
        crf: bool,
        dropout: float,
        recurrent_dropout: float,
        rnn_kernel: str,
        **kwargs,
    ):
        super().__init__(
            vocabulary_size=vocabulary_size,
            num_classes=num_classes,
            cell=cell,
            embedding_dim=embedding_dim,
            units=units,
            num_layers=num_layers,
            bidirectional=bidirectional,
            character_dim=character_dim,
            crf=crf,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            rnn_kernel=rnn_kernel,
            **kwargs,
        )
        dtype = self.dtype_policy
        self.embedding = _embedding(vocabulary_size, embedding_dim, "embedding", dtype)
        self.width = embedding_dim
        self.byte_embedding = self.convolution = None
        if character_dim:
            self.byte_embedding = _embedding(BYTES, character_dim, "byte_embedding", dtype)
            self.convolution = MaskedConv1D(character_dim, kernel_size=3, name="convolution", dtype=dtype)
            self.pooling = MaskedPooling("max", name="pooling", dtype=dtype)
            self.width += character_dim
        self.dropout = Dropout(dropout, dtype=dtype)
        self.recurrent = []
        for i in range(num_layers):
            layer = recurrent_layer(
                cell, units, rnn_kernel, f"{cell}_{i}", dtype, recurrent_dropout=recurrent_dropout
            )
            if bidirectional:
                layer = Bidirectional(layer, name=f"bidirectional_{i}", dtype=dtype)
            self.recurrent.append(layer)
        self.head = TaggerHead(num_classes, dropout, name="head", dtype=dtype)
        self.crf = CRF(num_classes, name="crf", dtype=dtype) if crf else None

    def build(self, input_shape):
        self.embedding.build((None, None))
        if self.convolution is not None:
            self.byte_embedding.build((None, None))
            self.convolution.build((None, None, self.byte_embedding.output_dim))
        width = self.width
        for layer in self.recurrent:
            layer.build((None, None, width))
            width = layer.compute_output_shape((None, None, width))[-1]
        self.head.build((None, None, width))
        if self.crf is not None:
            self.crf.build((None, None, self.head.num_classes))

    def call(self, inputs, training=None):
        mask = padding_mask(inputs["token_ids"])
        x = self.embedding(inputs["token_ids"])
        if self.convolution is not None:
            x = ops.concatenate([x, self.read_bytes(inputs["character_ids"])], axis=-1)
        for layer in self.recurrent:
            x = layer(self.dropout(x, training=training), mask=mask, training=training)
        # A copy leaves behind the mask that Keras hung on the states: the loss would take it for its own.
        scores = self.head(ops.copy(x), training=training)
        return scores if self.crf is None else self.crf(scores, mask)

    def read_bytes(self, character_ids):
        """What the convolution reads in each word: (B, S, W) -> (B, S, D)."""
        shape = ops.shape(character_ids)
        ids = ops.reshape(character_ids, (-1, shape[2]))  # every word is a little text
        gap = ops.zeros_like(ids[:, :1])
        ids, before = ops.concatenate([ids, gap], axis=1), ops.concatenate([gap + BEGIN, ids], axis=1)
        ends = ops.logical_and(ops.equal(ids, 0), ops.not_equal(before, 0))
        ids = ops.concatenate([gap + BEGIN, ops.where(ends, END, ids)], axis=1)
        mask = padding_mask(ids)
        read = self.pooling(self.convolution(self.byte_embedding(ids), mask), mask)
        return ops.cast(ops.reshape(read, (shape[0], shape[1], self.convolution.filters)), self.compute_dtype)

    def make_loss(self, label_smoothing: float = 0.0):
        if self.crf is None:
            return super().make_loss(label_smoothing)
        if label_smoothing:
            raise UserError(
                "a CRF scores whole sequences of tags, which cannot be smoothed: label_smoothing must be 0"
            )
        return CRFLoss()

    def best_tags(self, outputs):
        if self.crf is None:
            return ops.squeeze(ops.top_k(outputs, 1)[1], -1)
        return viterbi(outputs)[0]


def _embedding(vocabulary_size: int, width: int, name: str, dtype):
    """Vectors of length one on average, as Ma and Hovy draw them."""
    limit = (3.0 / width) ** 0.5
    initializer = keras.initializers.RandomUniform(-limit, limit)
    return keras.layers.Embedding(
        vocabulary_size, width, embeddings_initializer=initializer, name=name, dtype=dtype
    )
