"""The loss: cross-entropy whose weights come from the labels."""

from __future__ import annotations

import keras
from keras import ops

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


@keras.saving.register_keras_serializable("zoo")
class MaskedCrossEntropy(keras.losses.Loss):
    """Mean cross-entropy over the labels that count, for `model.compile`.

    `L = 1/n sum_t -log p(y_t)`, t over the n labels that are not -1.

    Args:
        label_smoothing: share of the probability spread over the vocabulary.

    Call arguments:
        y_true: (B, T) or (B,) int, -1 where nothing counts.
        y_pred: logits (B, T, V) or (B, V).

    Returns: a scalar.

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

    def call(self, y_true, y_pred):
        total, count = cross_entropy(ops.cast(y_true, "int32"), y_pred, self.label_smoothing)
        return total / ops.maximum(count, 1.0)

    def get_config(self):
        return {"label_smoothing": self.label_smoothing, "name": self.name}
