"""The losses: sums over the labels that count, and how many those are.

What counts is said by the labels alone, so a mask that Keras lost on the way does no harm. Each loss is a
`keras.losses.Loss` for `compile`, and has one more method for a training loop of one's own, where sums of
several batches or machines are added before they are divided:

    total(labels, outputs, smoothing=True) -> sum, count

`smoothing=False` leaves label smoothing out, as a validation loss and its perplexity want it. `of(model, inputs,
labels, training)` is the `total` of what a model makes of its inputs, by the cheapest way.
"""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.crf import log_likelihood
from zoo.layers.portable import float32
from zoo.training.vocabulary_loss import vocabulary_cross_entropy

IGNORE = -1
"""The label of what does not count: padding, and rows that fill up a batch."""


def cross_entropy(labels, logits, label_smoothing: float = 0.0):
    """Sum of the losses of all labels that count, and their number.

    `loss = -log p_y + e (z_y - mean(z))`, which is the cross-entropy with the distribution that gives `1 - e`
    to the label y and spreads e over all V: the first term is a fused kernel, so no (..., V) array of
    probabilities is kept.

    Args:
        labels: (...) int; IGNORE counts for nothing.
        logits: (..., V) float32.
        label_smoothing: e.
    """
    counts = ops.not_equal(labels, IGNORE)
    safe = ops.where(counts, labels, 0)
    losses = ops.sparse_categorical_crossentropy(safe, logits, from_logits=True)
    if label_smoothing:
        chosen = ops.squeeze(ops.take_along_axis(logits, ops.expand_dims(safe, -1), axis=-1), -1)
        losses = losses + label_smoothing * (chosen - ops.mean(logits, axis=-1))
    total = ops.sum(ops.where(counts, losses, 0.0))
    return total, ops.sum(ops.cast(counts, "float32"))


LARGE = 1024
"""Pieces of a vocabulary from which on it is worth it to go through its scores some rows at a time."""


@keras.saving.register_keras_serializable("zoo")
class MaskedCrossEntropy(keras.losses.Loss):
    """Mean cross-entropy over the labels that count, for `model.compile`.

    `L = 1/n sum_t -log p(y_t)`, t over the n labels that are not -1.

    Args:
        label_smoothing: share of the probability spread over the vocabulary.

    Call arguments:
        y_true: (B, T) or (B,) int, -1 where nothing counts.
        y_pred: logits (B, T, V) or (B, V).

    Returns: a scalar. `total(labels, outputs, smoothing=True)` gives the sum and n.

    Masking: by the labels alone, so a mask that Keras lost on the way does no harm.

    Differs from the paper: nothing.

    Example:
        >>> import numpy as np
        >>> loss = MaskedCrossEntropy()(np.array([[1, -1]]), np.zeros((1, 2, 4), "float32"))
        >>> round(float(loss), 4)  # log 4
        1.3863

    Reference: Szegedy et al. 2016, arXiv:1512.00567, section 7 (label smoothing)
    """

    def __init__(self, label_smoothing: float = 0.0, name: str = "masked_cross_entropy"):
        super().__init__(name=name, reduction="sum")
        self.label_smoothing = label_smoothing

    def total(self, labels, outputs, smoothing: bool = True):
        """Sum of the losses of all labels that count, and their number; without `smoothing` for validation."""
        return cross_entropy(labels, outputs, self.label_smoothing if smoothing else 0.0)

    def of(self, model, inputs, labels, training: bool):
        """`total(labels, model(inputs), smoothing=training)`, without the scores of a large vocabulary."""
        if not hasattr(model, "before_logits") or model.vocabulary_size < LARGE:
            return self.total(labels, model(inputs, training=training), smoothing=training)
        x = model.before_logits(inputs, training=training)
        smoothing = self.label_smoothing if training else 0.0
        return vocabulary_cross_entropy(labels, x, *model.output_matrix(), smoothing, gradient=training)

    def call(self, y_true, y_pred):
        total, count = self.total(ops.cast(y_true, "int32"), y_pred)
        return total / ops.maximum(count, 1.0)

    def get_config(self):
        return {"label_smoothing": self.label_smoothing, "name": self.name}


@keras.saving.register_keras_serializable("zoo")
class CRFLoss(keras.losses.Loss):
    """Negative log-likelihood of whole sequences of tags under a linear-chain CRF, for each tag.

    `L = 1/n sum_b -log p(y_b | x_b)`, n the number of labels that are not -1.

    Args: none.

    Call arguments:
        y_true: tags, (B, S) int, -1 at padding.
        y_pred: potentials of the layer `CRF`, (B, S, K, K).

    Returns: a scalar. `total(labels, outputs, smoothing=True)` gives the sum and n; there is no smoothing.

    Masking: by the labels and by the potentials. A row without labels counts for nothing; a row with labels
    must have one for each of its words.

    Differs from the paper: the sum is divided by the number of tags and not of sentences, so that it stands
    beside the cross-entropy of a tagger without a CRF.

    Example:
        >>> import numpy as np
        >>> round(float(CRFLoss()(np.array([[1, 0]]), np.zeros((1, 2, 4, 4), "float32"))), 4)  # log 4
        1.3863

    Reference: Lafferty et al. 2001, section 3; Lample et al. 2016, arXiv:1603.01360, section 2.2
    """

    def __init__(self, name: str = "crf_loss"):
        super().__init__(name=name, reduction="sum")

    def total(self, labels, outputs, smoothing: bool = True):
        """Sum of the negative log-likelihoods of all rows that have labels, and the number of labels."""
        counts = ops.not_equal(labels, IGNORE)
        rows = log_likelihood(float32(outputs), ops.where(counts, labels, 0), counts)
        total = ops.sum(ops.where(ops.any(counts, axis=1), -rows, 0.0))
        return total, ops.sum(ops.cast(counts, "float32"))

    def of(self, model, inputs, labels, training: bool):
        """`total(labels, model(inputs))`."""
        return self.total(labels, model(inputs, training=training))

    def call(self, y_true, y_pred):
        total, count = self.total(ops.cast(y_true, "int32"), y_pred)
        return total / ops.maximum(count, 1.0)

    def get_config(self):
        return {"name": self.name}
