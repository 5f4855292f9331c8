"""One training step on TensorFlow, with XLA or without."""

from __future__ import annotations

import tensorflow as tf


class TensorFlowStep:
    """Loss, gradient and update as one `tf.function`.

    Without XLA it is traced once, for all shapes; with XLA it is compiled once for each shape of a batch.

    Args:
        model, optimizer: what is trained, and by what.
        loss: has `total(labels, outputs, smoothing)`, as in losses.py.
        xla: whether XLA compiles the step.
        input_ranks, label_rank: number of axes of the model's inputs, by name, and of the labels.
    """

    def __init__(self, model, optimizer, loss, xla: bool, input_ranks: dict, label_rank: int):
        self.model, self.optimizer, self.xla = model, optimizer, xla
        optimizer.build(model.trainable_variables)
        signature = (
            {name: tf.TensorSpec([None] * rank, tf.int32, name=name) for name, rank in input_ranks.items()},
            tf.TensorSpec([None] * label_rank, tf.int32, name="labels"),
        )

        def train(inputs, labels):
            with tf.GradientTape() as tape:
                total, count = loss.of(model, inputs, labels, training=True)
                mean = total / tf.maximum(count, 1.0)
            variables = model.trainable_variables
            gradients = tape.gradient(mean, variables)
            optimizer.apply(gradients, variables)
            return mean

        def evaluate(inputs, labels):
            return loss.of(model, inputs, labels, training=False)

        # XLA needs static shapes to bound the loops of a recurrent network: no signature then.
        options = dict(autograph=False, jit_compile=True) if xla else dict(autograph=False)
        self._train = tf.function(train, input_signature=None if xla else signature, **options)
        self._evaluate = tf.function(evaluate, input_signature=signature, autograph=False)

    def train(self, batch) -> float:
        """Updates the weights; returns the mean loss of the batch."""
        return float(self._train(*_tensors(batch)))

    def evaluate(self, batch) -> tuple[float, float]:
        """Sum of the losses (without label smoothing) and number of labels, for the perplexity."""
        total, count = self._evaluate(*_tensors(batch))
        return float(total), float(count)

    def sync(self) -> None:
        """Nothing to do: the model's variables are the state."""

    @property
    def compilations(self) -> int:
        """How often the training step was traced or compiled."""
        return self._train.experimental_get_tracing_count()


def _tensors(batch):
    return {name: tf.constant(x) for name, x in batch.inputs.items()}, tf.constant(batch.labels)


def devices() -> list[str]:
    """The devices that TensorFlow sees, for the record of a run."""
    return [device.name for device in tf.config.list_logical_devices()]


def choose_xla(wanted: bool | str) -> tuple[bool, str]:
    """Whether XLA compiles, as `train.xla` wants, and why."""
    if wanted != "auto":
        return wanted, "train.xla says so"
    if tf.config.list_physical_devices("GPU"):
        return True, "there is a GPU"
    return False, "no GPU; on a CPU compiling costs more than it gives in short runs"


def make_deterministic() -> None:
    """From now on only kernels that add up in the same order each time; before anything is computed."""
    tf.config.experimental.enable_op_determinism()
