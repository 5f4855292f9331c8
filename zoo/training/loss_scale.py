"""The scale of the loss under float16, whose numbers below 6e-8 are zero and above 65504 infinite."""

from __future__ import annotations

import keras
from keras import ops

FIRST, GROWS_AFTER, LEAST = 2.0**15, 2000, 1.0


class LossScale:
    """Multiplies the loss before its gradient is taken, as much as the gradients bear.

    The scale is halved at each step whose gradients overflow, and doubled after GROWS_AFTER steps without one
    (Micikevicius et al. 2018, arXiv:1710.03740, section 3.2). It is a variable of the optimizer, so that it is
    saved with the others.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer):
        first = keras.initializers.Constant(FIRST)
        self.scale = optimizer.add_variable((), first, dtype="float32", name="loss_scale")
        self.steps = optimizer.add_variable((), "zeros", dtype="int32", name="steps_without_overflow")

    def can_shrink(self):
        """Whether an overflow is the scale's fault; below LEAST it is the model's."""
        return ops.greater(self.scale, LEAST)

    def update(self, finite):
        """After a step whose gradients were finite, or not."""
        steps = ops.where(finite, self.steps + 1, 0)
        grows = ops.greater_equal(steps, GROWS_AFTER)
        self.scale.assign(self.scale * ops.where(finite, ops.where(grows, 2.0, 1.0), 0.5))
        self.steps.assign(ops.where(grows, 0, steps))
