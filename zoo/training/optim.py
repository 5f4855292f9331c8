"""Optimizers and learning-rate schedules as a recipe names them."""

from __future__ import annotations

import math

import keras
from keras import ops

from zoo.config.training import Train


@keras.saving.register_keras_serializable("zoo")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise from 0 to the highest rate, then a constant, or a fall.

    With s = step + 1, w = warm-up, N = all steps, after the warm-up: `constant: r`,
    `inverse_sqrt: r sqrt(w / s)` (Vaswani et al. 2017, section 5.3, with r for its scale),
    `cosine: r (1 + cos(pi (s - w) / (N - w))) / 2`.
    """

    def __init__(self, name: str, learning_rate: float, warmup: int, steps: int):
        self.name, self.learning_rate, self.warmup, self.steps = name, learning_rate, warmup, steps

    def __call__(self, step):
        s = ops.cast(step, "float32") + 1.0
        w = float(max(self.warmup, 1))
        if self.name == "inverse_sqrt":
            after = ops.sqrt(w / ops.maximum(s, w))
        elif self.name == "cosine":
            done = ops.clip((s - w) / max(self.steps - w, 1.0), 0.0, 1.0)
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
    """The optimizer of a recipe's `train` section."""
    common = dict(
        learning_rate=make_schedule(train),
        beta_2=train.beta_2,
        global_clipnorm=train.clip_norm,
        use_ema=train.ema > 0.0,
        ema_momentum=train.ema or 0.99,
    )
    if train.optimizer == "adam":
        return keras.optimizers.Adam(**common)
    optimizer = keras.optimizers.AdamW(**common, weight_decay=train.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "norm", "gamma", "beta"])
    return optimizer
