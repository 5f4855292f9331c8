"""Optimizers, learning-rate schedules and clipping, as a recipe names them."""

from __future__ import annotations

import math

import keras
from keras import ops

from zoo.config.training import BETAS, Train

SPARED = ("bias", "norm", "gamma", "beta", "scale")
"""Parts of the names of weights that do not decay."""


@keras.saving.register_keras_serializable("zoo")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise from 0 to the highest rate, then a constant, or a fall.

    With s = step + 1, w = warm-up, N = all steps, after the warm-up: `constant: r`,
    `inverse_sqrt: r sqrt(w / s)` (Vaswani et al. 2017, section 5.3, with r for its scale),
    `linear: r (N - s) / (N - w)`, `cosine: r (1 + cos(pi (s - w) / (N - w))) / 2`.
    """

    def __init__(self, name: str, learning_rate: float, warmup: int, steps: int):
        self.name, self.learning_rate, self.warmup, self.steps = name, learning_rate, warmup, steps

    def __call__(self, step):
        s = ops.cast(step, "float32") + 1.0
        w = float(max(self.warmup, 1))
        done = ops.clip((s - w) / max(self.steps - w, 1.0), 0.0, 1.0)
        if self.name == "inverse_sqrt":
            after = ops.sqrt(w / ops.maximum(s, w))
        elif self.name == "linear":
            after = 1.0 - done
        elif self.name == "cosine":
            after = 0.5 * (1.0 + ops.cos(math.pi * done))
        else:
            after = ops.ones_like(s)
        return self.learning_rate * ops.where(s < w, s / w, after)

    def get_config(self):
        return {name: getattr(self, name) for name in ("name", "learning_rate", "warmup", "steps")}


def make_schedule(train: Train) -> Schedule:
    """The learning rate of a recipe's `train` section, by the number of the step, from 0."""
    return Schedule(train.schedule, train.learning_rate, train.warmup_steps, train.steps)


def make_optimizer(train: Train) -> keras.optimizers.Optimizer:
    """The optimizer of a recipe's `train` section; clipping is the step's business, see `clip_factor`."""
    common = dict(
        learning_rate=make_schedule(train),
        use_ema=train.ema > 0.0,
        ema_momentum=train.ema or 0.99,
        weight_decay=train.weight_decay or None,
    )
    if train.optimizer in BETAS:
        common["beta_2"] = BETAS[train.optimizer] if train.beta_2 is None else train.beta_2
    if train.optimizer == "adam":
        optimizer = keras.optimizers.Adam(**{**common, "weight_decay": None})
    elif train.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(**{**common, "weight_decay": train.weight_decay})
    elif train.optimizer == "adafactor":
        optimizer = keras.optimizers.Adafactor(**common)
    elif train.optimizer == "lion":
        optimizer = keras.optimizers.Lion(**common)
    else:
        optimizer = keras.optimizers.SGD(**common, momentum=train.momentum)
    optimizer.exclude_from_weight_decay(var_names=list(SPARED))
    return optimizer


def global_norm(gradients):
    """`sqrt(sum of all squares)`, in float32; infinite or NaN if a gradient is so. None counts for nothing."""
    squares = [ops.sum(ops.square(ops.cast(g, "float32"))) for g in gradients if g is not None]
    return ops.sqrt(ops.sum(ops.stack(squares)))


def clip_factor(norm, clip_norm: float | None):
    """What gradients of this norm are multiplied by, so that theirs is at most `clip_norm`."""
    return 1.0 if clip_norm is None else clip_norm / ops.maximum(norm, clip_norm)
