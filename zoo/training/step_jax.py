"""One training step on JAX: the same interface as on TensorFlow, always compiled by XLA."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import keras
import numpy as np

from zoo.config.training import Train
from zoo.data.objectives import IGNORE
from zoo.errors import UserError
from zoo.training.cluster import find_cluster
from zoo.training.loss_scale import LossScale
from zoo.training.optim import clip_factor, global_norm


class JaxStep:
    """Loss, gradient and update as one `jax.jit`; the state lives here and `sync` writes it into the model.

    A step whose loss or gradient is not finite changes no weight and nothing of the optimizer.

    Args: those of `TensorFlowStep`; XLA is always on, a batch always one part.
    """

    def __init__(
        self,
        model,
        optimizer,
        loss,
        input_ranks: Mapping[str, int],
        label_rank: int,
        xla: bool = True,
        clip_norm: float | None = None,
        accumulates: bool = False,
        scales: bool = False,
        parts: int = 1,
    ):
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.clip_norm, self.accumulates = clip_norm, accumulates
        optimizer.build(model.trainable_variables)
        self.scale = LossScale(optimizer) if scales else None
        self._shapes = set()
        self._whole, self._evaluate = jax.jit(self._train, donate_argnums=0), jax.jit(self._total)
        self._add, self._finish = (
            jax.jit(self._plus, donate_argnums=3),
            jax.jit(self._update, donate_argnums=(0, 2)),
        )
        self._state = None

    def train(self, *batches) -> float:
        """Updates the weights once, by all these batches; returns the mean loss of their labels.

        NaN or infinity means that loss or gradient was not finite, and that nothing was changed.
        """
        if self._state is None:
            self._state = tuple([jnp.copy(v.value) for v in group] for group in self._groups())
        self._shapes |= {batch.shape for batch in batches}
        labels = sum(np.count_nonzero(batch.labels != IGNORE) for batch in batches)
        count = np.float32(max(labels, 1))
        if not self.accumulates:
            (batch,) = batches
            self._state, loss = self._whole(self._state, batch.inputs, batch.labels, count)
            return float(loss)
        trainable, fixed, slots = self._state
        sums = jnp.zeros(()), [jnp.zeros_like(x) for x in trainable]
        for batch in batches:
            sums, fixed = self._add(trainable, fixed, slots, sums, batch.inputs, batch.labels, count)
        self._state, loss = self._finish(self._state, fixed, sums)
        return float(loss)

    def evaluate(self, batch) -> tuple[float, float]:
        """Sum of the losses (without label smoothing) and number of labels; call `sync` before."""
        values = [[v.value for v in group] for group in self._groups()[:2]]
        total, count = self._evaluate(*values, batch.inputs, batch.labels)
        return float(total), float(count)

    def sync(self) -> None:
        """Writes the state into the model and the optimizer, which own it until the next step."""
        if self._state is not None:
            for group, values in zip(self._groups(), self._state, strict=True):
                for variable, value in zip(group, values, strict=True):
                    variable.assign(value)
            self._state = None

    @property
    def compilations(self) -> int:
        """How many shapes the training step was compiled for."""
        return len(self._shapes)

    # --- what is compiled: values in, values out ---

    def _train(self, state, inputs, labels, count):
        trainable, fixed, slots = state
        (_, (loss, new)), gradients = self._gradients(trainable, fixed, slots, inputs, labels, count)
        return self._update(state, new, (loss, gradients))

    def _plus(self, trainable, fixed, slots, sums, inputs, labels, count):
        (_, (loss, fixed)), gradients = self._gradients(trainable, fixed, slots, inputs, labels, count)
        return jax.tree.map(jnp.add, sums, (loss, gradients)), fixed

    def _gradients(self, trainable, fixed, slots, inputs, labels, count):
        """((scaled loss, (this batch's part of the mean loss, what the model remembers)), gradients)."""
        with self._with(slots):
            scale = self.scale.scale.value if self.scale else 1.0

        def mean_loss(trainable):
            with self._holding(trainable, fixed) as scope:
                total, _ = self.loss.of(self.model, inputs, labels, training=True)
            new = [scope.get_current_value(v) for v in self.model.non_trainable_variables]
            return total / count * scale, (total / count, new)

        return jax.value_and_grad(mean_loss, has_aux=True)(trainable)

    def _update(self, state, new, sums):
        """Updates if loss and gradients are finite; returns the state and the loss, NaN if not."""
        trainable, fixed, slots = state
        loss, gradients = sums
        norm = global_norm(gradients)
        finite = jnp.isfinite(norm)
        with self._with(slots):
            unscaled = 1.0 / self.scale.scale.value if self.scale else 1.0
        factor = unscaled * clip_factor(norm * unscaled, self.clip_norm)

        def apply():
            clipped = [g * factor for g in gradients]
            after, slots_after = self.optimizer.stateless_apply(slots, clipped, trainable)
            return after, new, slots_after

        good = finite & jnp.isfinite(loss)
        trainable, fixed, slots = jax.lax.cond(good, apply, lambda: (trainable, fixed, slots))
        told = jnp.where(good, loss, jnp.nan)
        if self.scale:
            with self._with(slots) as scope:
                told = jnp.where(~finite & self.scale.can_shrink(), loss, told)
                self.scale.update(finite)
            slots = [scope.get_current_value(v) for v in self.optimizer.variables]
        return (trainable, fixed, slots), told

    def _total(self, trainable, fixed, inputs, labels):
        with self._holding(trainable, fixed):
            return self.loss.of(self.model, inputs, labels, training=False)

    def _holding(self, trainable, fixed):
        """A scope in which the model has these weights."""
        variables = [*self.model.trainable_variables, *self.model.non_trainable_variables]
        return keras.StatelessScope(zip(variables, [*trainable, *fixed], strict=True))

    def _with(self, slots) -> contextlib.AbstractContextManager:
        """In which the optimizer's variables have these values."""
        return keras.StatelessScope(state_mapping=zip(self.optimizer.variables, slots, strict=True))

    def _groups(self):
        model = self.model
        return model.trainable_variables, model.non_trainable_variables, self.optimizer.variables


def make_deterministic() -> None:
    """XLA is asked for deterministic kernels on a GPU; elsewhere it has no others. JAX must not have started."""
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()


def devices() -> list[str]:
    """The devices that JAX sees, for the record of a run."""
    return [str(device) for device in jax.devices()]


Step = JaxStep


def share_cores(config: Train, whole: bool = False) -> int:
    """1: XLA shares the cores."""
    return 1


def make_strategy() -> None:
    """One device."""
    if find_cluster().size > 1:
        raise UserError("TF_CONFIG: several processes need TensorFlow: unset KERAS_BACKEND")


def choose_xla(wanted: bool | str, strategy: None = None) -> tuple[bool, str]:
    """Whether XLA compiles, whatever `train.xla` wants, and why."""
    return True, "JAX always compiles with XLA"
