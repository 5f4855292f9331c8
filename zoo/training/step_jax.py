"""One training step on JAX: the same interface as on TensorFlow, always compiled by XLA."""

from __future__ import annotations

import os

import jax
import keras
from keras import ops


class JaxStep:
    """Loss, gradient and update as one `jax.jit`; the state lives here and `sync` writes it into the model."""

    def __init__(self, model, optimizer, loss, xla: bool, input_ranks: dict, label_rank: int):
        self.model, self.optimizer = model, optimizer
        optimizer.build(model.trainable_variables)
        self._shapes = set()

        def mean_loss(trainable, fixed, inputs, labels):
            with self._holding(trainable, fixed) as scope:
                total, count = loss.of(model, inputs, labels, training=True)
            fixed = [scope.get_current_value(v) for v in model.non_trainable_variables]
            return total / ops.maximum(count, 1.0), fixed

        def train(state, inputs, labels):
            trainable, fixed, slots = state
            (value, fixed), gradients = jax.value_and_grad(mean_loss, has_aux=True)(
                trainable, fixed, inputs, labels
            )
            trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
            return (trainable, fixed, slots), value

        def evaluate(trainable, fixed, inputs, labels):
            with self._holding(trainable, fixed):
                return loss.of(model, inputs, labels, training=False)

        self._train, self._evaluate = jax.jit(train, donate_argnums=0), jax.jit(evaluate)
        self._state = None

    def train(self, batch) -> float:
        """Updates the weights; returns the mean loss of the batch."""
        if self._state is None:
            self._state = tuple([jax.numpy.copy(v.value) for v in group] for group in self._groups())
        self._shapes.add(batch.shape)
        self._state, loss = self._train(self._state, batch.inputs, batch.labels)
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

    def _holding(self, trainable, fixed):
        """A scope in which the model has these weights."""
        variables = [*self.model.trainable_variables, *self.model.non_trainable_variables]
        return keras.StatelessScope(zip(variables, [*trainable, *fixed], strict=True))

    def _groups(self):
        model = self.model
        return model.trainable_variables, model.non_trainable_variables, self.optimizer.variables


def devices() -> list[str]:
    """The devices that JAX sees, for the record of a run."""
    return [str(device) for device in jax.devices()]


def choose_xla(wanted: bool | str) -> tuple[bool, str]:
    """Whether XLA compiles, whatever `train.xla` wants, and why."""
    return True, "JAX always compiles with XLA"


def make_deterministic() -> None:
    """XLA is asked for deterministic kernels on a GPU; elsewhere it has no others. JAX must not have started."""
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()
