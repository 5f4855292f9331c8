"""One training step on TensorFlow, with XLA or without, on one device or several."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from zoo.config.training import Train
from zoo.data.objectives import IGNORE
from zoo.errors import UserError
from zoo.training.cluster import find_cluster
from zoo.training.environment import cores
from zoo.training.loss_scale import LossScale
from zoo.training.optim import clip_factor, global_norm


class TensorFlowStep:
    """Loss, gradient and update as one `tf.function`.

    Without XLA it is traced once, for all shapes; with XLA it is compiled once for each shape of a batch.
    A step whose loss or gradient is not finite changes no weight and nothing of the optimizer. Several devices each
    take their share of the rows; made under the scope of a `tf.distribute` strategy, the step uses its devices. On one
    device a batch may be computed in parts, side by side.

    Args:
        model, optimizer: what is trained, and by what.
        loss: has `of(model, inputs, labels, training)`, as in losses.py.
        input_ranks, label_rank: number of axes of the model's inputs, by name, and of the labels.
        xla: whether XLA compiles the step.
        clip_norm: largest norm of all gradients together; None: any.
        accumulates: whether a step has several batches.
        scales: whether the loss is scaled, for float16.
        parts: of a batch that are computed at the same time (`share_cores`); on one device, without XLA.
    """

    def __init__(
        self,
        model,
        optimizer,
        loss,
        input_ranks: Mapping[str, int],
        label_rank: int,
        xla: bool = False,
        clip_norm: float | None = None,
        accumulates: bool = False,
        scales: bool = False,
        parts: int = 1,
    ):
        self.model, self.optimizer, self.loss, self.clip_norm = model, optimizer, loss, clip_norm
        self.variables = model.trainable_variables
        optimizer.build(self.variables)
        self.scale = LossScale(optimizer) if scales else None
        # Statistics of batch normalisation, which a bad batch spoils on its way to the loss.
        self.statistics = [v for v in model.non_trainable_variables if "moving_" in v.path]
        self.strategy = tf.distribute.get_strategy() if tf.distribute.has_strategy() else None
        if self.strategy:  # the gradients that it is given are those of all devices already
            optimizer._all_reduce_sum_gradients = lambda pairs: pairs
        self.replicas = self.strategy.num_replicas_in_sync if self.strategy else 1
        self.parts = parts
        self.sums = self._zeros() if accumulates else None

        ids = {name: tf.TensorSpec([None] * rank, tf.int32, name) for name, rank in input_ranks.items()}
        labels = tf.TensorSpec([None] * label_rank, tf.int32, "labels")
        options = dict(autograph=False, jit_compile=True) if xla else dict(autograph=False)
        # XLA needs static shapes to bound the loops of a recurrent network: no signature then.
        signature = None if xla else (ids, labels, tf.TensorSpec([], tf.float32, "count"))
        self._train = tf.function(
            self._add if accumulates else self._whole, input_signature=signature, **options
        )
        self._finish = tf.function(self._update_by_sums, **options)
        self._evaluate = tf.function(self._total, input_signature=(ids, labels), autograph=False)

    def train(self, *batches) -> float:
        """Updates the weights once, by all these batches; returns the mean loss of their labels.

        NaN or infinity means that loss or gradient was not finite, and that nothing was changed.
        """
        labels = sum(np.count_nonzero(batch.labels != IGNORE) for batch in batches)
        count = tf.constant(max(labels, 1), tf.float32)
        before = [tf.identity(v.value) for v in self.statistics]
        results = [self._train(*_tensors(batch, self.replicas * self.parts), count) for batch in batches]
        loss = float(self._finish() if self.sums else results[0])
        if before and not np.isfinite(loss):
            for variable, value in zip(self.statistics, before, strict=True):
                variable.assign(value)
        return loss

    def evaluate(self, batch) -> tuple[float, float]:
        """Sum of the losses (without label smoothing) and number of labels, for the perplexity."""
        total, count = self._evaluate(*_tensors(batch, self.parts))
        return float(total), float(count)

    def sync(self) -> None:
        """Nothing to do: the model's variables are the state."""

    @property
    def compilations(self) -> int:
        """How often the training step was traced or compiled for a batch."""
        return self._train.experimental_get_tracing_count()

    # --- in the graph; "replica" is what each device does for itself ---

    def _total(self, inputs, labels):
        parts = self._parts_of(inputs, labels)
        found = [self.loss.of(self.model, *part, training=False) for part in parts]
        return [tf.add_n(values) for values in zip(*found, strict=True)]

    def _whole(self, inputs, labels, count):
        def replica(inputs, labels, count):
            return self._of_all_devices(*self._gradients(inputs, labels, count))

        return self._update(*self._run(replica, inputs, labels, count))

    def _add(self, inputs, labels, count):
        def replica(inputs, labels, count):
            for sum_, value in zip(self.sums, self._gradients(inputs, labels, count), strict=True):
                if value is not None:
                    sum_.assign_add(value)

        self._run(replica, inputs, labels, count)

    def _update_by_sums(self):
        def replica():
            values = [tf.identity(s) for s in self.sums]
            with tf.control_dependencies(values):
                for s in self.sums:
                    s.assign(tf.zeros_like(s))
            used = zip(values, self.used, strict=True)
            return self._of_all_devices(*(value if is_used else None for value, is_used in used))

        return self._update(*self._run(replica))

    def _gradients(self, inputs, labels, count):
        """This device's share of the mean loss, and its gradients; None for weights that the loss does not know."""
        if self.replicas > 1:
            index = tf.distribute.get_replica_context().replica_id_in_sync_group
            inputs, labels = _share(inputs, labels, index, self.replicas)
        parts = self._parts_of(inputs, labels)
        found = [self._gradients_of_part(*part, count) for part in parts]
        summed = [None if values[0] is None else tf.add_n(values) for values in zip(*found, strict=True)]
        self.used = [value is not None for value in summed]
        return summed

    def _gradients_of_part(self, inputs, labels, count):
        with tf.GradientTape() as tape:
            total, _ = self.loss.of(self.model, inputs, labels, training=True)
            loss = total / count
            scaled = loss * self.scale.scale if self.scale else loss
        gradients = tape.gradient(scaled, [v.value for v in self.variables])
        # An embedding's gradient lists rows, some twice: as a whole matrix its norm is right.
        return loss, *(None if g is None else tf.convert_to_tensor(g) for g in gradients)

    def _parts_of(self, inputs, labels):
        """Nothing joins them but their sum: TensorFlow computes them at the same time."""
        if self.parts == 1:
            return [(inputs, labels)]
        return [_share(inputs, labels, index, self.parts) for index in range(self.parts)]

    def _of_all_devices(self, loss, *gradients):
        if self.replicas > 1:
            known = [g for g in gradients if g is not None]
            context = tf.distribute.get_replica_context()
            loss, *known = context.all_reduce(tf.distribute.ReduceOp.SUM, [loss, *known])
            left = iter(known)
            gradients = [None if g is None else next(left) for g in gradients]
        return loss, global_norm(gradients), list(gradients)

    def _update(self, loss, norm, gradients):
        """Updates if loss and gradients are finite; returns the loss, NaN if not."""
        loss, norm = self._first(loss), self._first(norm)
        finite = tf.math.is_finite(norm)

        def apply():
            def replica(gradients, norm):
                unscaled = 1.0 / self.scale.scale if self.scale else 1.0
                factor = unscaled * clip_factor(norm * unscaled, self.clip_norm)
                self.optimizer.apply([None if g is None else g * factor for g in gradients], self.variables)

            self._run(replica, gradients, norm)
            return loss

        # Not inside a replica: a branch there could not update the variables of all devices.
        told = tf.cond(finite & tf.math.is_finite(loss), apply, lambda: tf.constant(np.nan))
        if self.scale:
            told = tf.where(~finite & self.scale.can_shrink(), loss, told)
            self.scale.update(finite)
        return told

    # --- devices ---

    def _run(self, function, *args):
        return self.strategy.run(function, args=args) if self.strategy else function(*args)

    def _first(self, value):
        return self.strategy.experimental_local_results(value)[0] if self.strategy else value

    def _zeros(self):
        """What loss and gradients of a step's batches are added up in; each device has its own."""
        kind = dict(trainable=False, synchronization=tf.VariableSynchronization.ON_READ)
        return [
            tf.Variable(tf.zeros(shape), **kind, aggregation=tf.VariableAggregation.SUM)
            for shape in ((), *(v.shape for v in self.variables))
        ]


def _share(inputs, labels, index, count: int):
    """One of so many equal shares of the rows, whose number they divide."""
    rows = tf.shape(labels)[0] // count
    here = slice(index * rows, (index + 1) * rows)
    return {name: x[here] for name, x in inputs.items()}, labels[here]


def _tensors(batch, shares: int = 1):
    """The batch as tensors; so many rows more that the shares divide them, which have no label."""
    more = -len(batch.labels) % shares
    labels = np.concatenate([batch.labels, np.full_like(batch.labels[:1], IGNORE).repeat(more, axis=0)])
    inputs = {name: np.concatenate([x, x[:1].repeat(more, axis=0)]) for name, x in batch.inputs.items()}
    return {name: tf.constant(x) for name, x in inputs.items()}, tf.constant(labels)


Step = TensorFlowStep


MOST_PARTS = 4
"""Each is traced, and has its gradients in memory."""
PART = 512
"""Tokens of a batch (`train.batch_tokens`) that are worth a core of their own."""


_ours: tuple[int, int] | None = None
"""The threads of an operation and beside each other that share_cores chose."""


def share_cores(config: Train, whole: bool = False) -> int:
    """Parts of a batch that are computed at the same time, each on its own cores; before TensorFlow does anything else.

    What a small model multiplies is too small to be shared by several cores; halves of a batch side by side
    take less time (benchmarks/RESULTS.md). 1 where something else has the say: a GPU, XLA, other processes or devices,
    threads that the user or the program chose, or a model that wants the batch `whole`, for its statistics.
    """
    global _ours
    threads, cpu = tf.config.threading, tf.config.list_physical_devices("CPU")[0]
    chosen = threads.get_intra_op_parallelism_threads(), threads.get_inter_op_parallelism_threads()
    parts = min(cores(), config.batch_tokens // PART, MOST_PARTS)
    if (
        parts < 2
        or whole
        or config.xla is True
        or tf.config.list_physical_devices("GPU")
        or find_cluster().size > 1
        or len(tf.config.get_logical_device_configuration(cpu) or ()) > 1
        or not {"TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"}.isdisjoint(os.environ)
        or chosen not in ((0, 0), _ours)
    ):
        return 1
    wanted = cores() // parts, cores()
    try:
        threads.set_intra_op_parallelism_threads(wanted[0])
        threads.set_inter_op_parallelism_threads(wanted[1])
        _ours = wanted
    except RuntimeError:  # TensorFlow has its threads already
        return 1
    return parts


@functools.cache
def make_strategy() -> tf.distribute.Strategy | None:
    """The `tf.distribute` strategy of this process, made before TensorFlow does anything else; None: one device.

    One for all trainings of a process: the sums of a second one would be taken for those of the first.
    """
    if find_cluster().size > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([d.name for d in found]) if len(found) > 1 else None


def make_deterministic() -> None:
    """From now on only kernels that add up in the same order each time; before anything is computed."""
    tf.config.experimental.enable_op_determinism()


def devices() -> list[str]:
    """The devices that TensorFlow sees, for the record of a run."""
    return [device.name for device in tf.config.list_logical_devices()]


def choose_xla(wanted: bool | str, strategy: tf.distribute.Strategy | None = None) -> tuple[bool, str]:
    """Whether XLA compiles, as `train.xla` wants, and why."""
    if strategy:
        reason = "XLA hangs on several devices under tf.distribute (keras-team/keras#20763)"
        if wanted is True:
            raise UserError(f"train.xla: {reason}: set it to auto or false, or train on one device")
        return False, reason
    if wanted != "auto":
        return wanted, "train.xla says so"
    if tf.config.list_physical_devices("GPU"):
        return True, "there is a GPU"
    return False, "no GPU; on a CPU compiling costs more than it gives in short runs"
