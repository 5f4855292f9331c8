"""Heads: from the vectors of a network to the logits of what it says. Logits are always float32.

A head holds the kernel and bias of its output matrix itself.
"""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.dropout import Dropout
from zoo.layers.normalization import LayerNormalization
from zoo.layers.pooling import MaskedPooling
from zoo.layers.portable import float32


def add_output_weights(head, width: int, outputs: int) -> None:
    """Gives a head its `kernel` (D, outputs) and `bias`, kept in float32 under mixed precision."""
    head.kernel = head.add_weight(
        name="kernel", shape=(width, outputs), initializer="glorot_uniform", autocast=False
    )
    head.bias = head.add_weight(name="bias", shape=(outputs,), initializer="zeros", autocast=False)


def output_scores(x, kernel, bias):
    """`x W + b`: the product in the precision of x, because it is large; the sum in float32."""
    return float32(ops.matmul(x, ops.cast(kernel, x.dtype))) + bias


@keras.saving.register_keras_serializable("zoo")
class LanguageModelHead(keras.layers.Layer):
    """Which token comes next: a score for each token of the vocabulary.

    `logits = x W + b`, `p(next) = softmax(logits)`. W is a matrix of its own; `TiedEmbedding.logits` is the
    head that shares the embeddings.

    Args:
        vocabulary_size: V.

    Call arguments:
        inputs: (..., D).

    Returns: (..., V), float32 whatever the precision policy.

    Masking: none needed; positions do not meet.

    Differs from the paper: nothing.

    Example:
        >>> import numpy as np
        >>> LanguageModelHead(10)(np.ones((2, 3, 4), "float32")).shape
        TensorShape([2, 3, 10])

    Reference: Bengio et al. 2003, A Neural Probabilistic Language Model, section 2
    """

    def __init__(self, vocabulary_size: int, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size

    def build(self, inputs_shape):
        add_output_weights(self, inputs_shape[-1], self.vocabulary_size)

    def call(self, inputs):
        return output_scores(inputs, self.kernel, self.bias)

    def compute_output_shape(self, inputs_shape):
        return (*inputs_shape[:-1], self.vocabulary_size)

    def get_config(self):
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size}


@keras.saving.register_keras_serializable("zoo")
class MaskedLMHead(keras.layers.Layer):
    """Which token stood at a masked place: one more layer, then the embeddings once more.

    `logits = LN(gelu(x W + b)) E^T + c`, E the matrix of the token embeddings, which is passed in.

    Args:
        vocabulary_size: V.

    Call arguments:
        inputs: (..., D): the vectors of the masked places. Take them out of the sequence first; the output
            matrix is the dear part.
        embeddings: E, (V, D).

    Returns: (..., V), float32 whatever the precision policy.

    Masking: none needed; positions do not meet.

    Differs from the paper: nothing; the paper's code has what its text leaves out (W, gelu and norm).

    Example:
        >>> import numpy as np
        >>> from zoo.layers import TiedEmbedding
        >>> embedding = TiedEmbedding(10, 4)
        >>> x = embedding(np.array([[1, 2, 3]]))
        >>> MaskedLMHead(10)(x, embedding.embeddings).shape
        TensorShape([1, 3, 10])

    Reference: Devlin et al. 2019, arXiv:1810.04805, section 3.1; tied: Press and Wolf 2017, arXiv:1608.05859
    """

    def __init__(self, vocabulary_size: int, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size

    def build(self, inputs_shape, embeddings_shape=None):
        width = inputs_shape[-1]
        self.dense = keras.layers.Dense(width, activation="gelu", name="dense", dtype=self.dtype_policy)
        self.norm = LayerNormalization(name="norm", dtype=self.dtype_policy)
        self.dense.build(inputs_shape)
        self.norm.build(inputs_shape)
        self.bias = self.add_weight(
            name="bias", shape=(self.vocabulary_size,), initializer="zeros", autocast=False
        )

    def call(self, inputs, embeddings):
        return output_scores(
            self.transform(inputs), ops.transpose(ops.convert_to_tensor(embeddings)), self.bias
        )

    def transform(self, inputs):
        """The layer before the scores: (..., D)."""
        return self.norm(self.dense(inputs))

    def compute_output_shape(self, inputs_shape, embeddings_shape=None):
        return (*inputs_shape[:-1], self.vocabulary_size)

    def get_config(self):
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size}


@keras.saving.register_keras_serializable("zoo")
class ClassifierHead(keras.layers.Layer):
    """One label for a text: its tokens become one vector, which is scored.

    `logits = dropout(pool_t x_t) W + b`, t over the real tokens.

    Args:
        num_classes: C.
        pooling: see `MaskedPooling`.
        dropout: on the pooled vector.

    Call arguments:
        inputs: (B, T, D).
        padding_mask: (B, T) bool, True = is a token.

    Returns: (B, C), float32 whatever the precision policy.

    Masking: by `padding_mask`. A row without a token gives the bias alone.

    Errors: a ValueError for another pooling.

    Differs from the paper: the pooling of Collobert et al. with one linear layer after it.

    Example:
        >>> import numpy as np
        >>> mask = np.array([[True, True, False]])
        >>> ClassifierHead(2)(np.ones((1, 3, 4), "float32"), mask).shape
        TensorShape([1, 2])

    Reference: Collobert et al. 2011, arXiv:1103.0398, section 3.2
    """

    def __init__(self, num_classes: int, pooling: str = "mean", dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.num_classes, self.pooling, self.dropout = num_classes, pooling, dropout
        self.pooling_layer = MaskedPooling(pooling, dtype=self.dtype_policy)
        self.dropout_layer = Dropout(dropout, dtype="float32")

    def build(self, inputs_shape, padding_mask_shape=None):
        add_output_weights(self, inputs_shape[-1], self.num_classes)

    def call(self, inputs, padding_mask, training=None):
        pooled = self.dropout_layer(self.pooling_layer(inputs, padding_mask), training=training)
        return output_scores(pooled, self.kernel, self.bias)

    def compute_output_shape(self, inputs_shape, padding_mask_shape=None):
        return (inputs_shape[0], self.num_classes)

    def get_config(self):
        names = ("num_classes", "pooling", "dropout")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("zoo")
class TaggerHead(keras.layers.Layer):
    """One label for each token.

    `logits_t = dropout(x_t) W + b`.

    Args:
        num_classes: C.
        dropout: on the vectors.

    Call arguments:
        inputs: (B, T, D).

    Returns: (B, T, C), float32 whatever the precision policy.

    Masking: none needed; positions do not meet. What stands at padding must not be read.

    Differs from the paper: nothing.

    Example:
        >>> import numpy as np
        >>> TaggerHead(5)(np.ones((2, 3, 4), "float32")).shape
        TensorShape([2, 3, 5])

    Reference: Graves and Schmidhuber 2005, Framewise Phoneme Classification, section 2
    """

    def __init__(self, num_classes: int, dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.num_classes, self.dropout = num_classes, dropout
        self.dropout_layer = Dropout(dropout, dtype=self.dtype_policy)

    def build(self, inputs_shape):
        add_output_weights(self, inputs_shape[-1], self.num_classes)

    def call(self, inputs, training=None):
        return output_scores(self.dropout_layer(inputs, training=training), self.kernel, self.bias)

    def compute_output_shape(self, inputs_shape):
        return (*inputs_shape[:-1], self.num_classes)

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes, "dropout": self.dropout}
