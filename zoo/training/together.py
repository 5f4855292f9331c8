"""Several processes, each with its own devices, that train one model; TensorFlow only.

The first process leads: it runs the whole of loop.py, and before each step tells the others its number. They
know nothing but that: a batch is a pure function of (seed, step). All that they need of its state, they are sent
before the first step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import tensorflow as tf
from rich.console import Console

from zoo.data.datasets import load_dataset
from zoo.data.encoded import encode_training
from zoo.data.pipeline import make_batches
from zoo.data.vocabulary import make_tokenizer
from zoo.errors import UserError
from zoo.recipe import LoadedRecipe
from zoo.tasks import build_task
from zoo.training.backend import find_backend, make_step
from zoo.training.cluster import Cluster
from zoo.training.freeze import freeze
from zoo.training.optim import make_optimizer

END = -1
"""Told instead of a step's number."""


class Leading:
    """The step of the leading process: what it does, the others are told first."""

    def __init__(self, step, tokenizer: str, number: Callable[[], int]):
        self.step, self.tokenizer, self.number = step, tokenizer, number
        self.begun = False

    def __getattr__(self, name):
        return getattr(self.step, name)

    def train(self, *batches) -> float:
        """The next step, in all processes."""
        with lost():
            self._tell(self.number())
            return self.step.train(*batches)

    def end(self) -> None:
        """The others end too."""
        with lost():
            self._tell(END)

    def _tell(self, number: int) -> None:
        if not self.begun:
            self.begun = True
            _agree_on(self.step.strategy, self.tokenizer)
            send_variables(self.step)
        tell(self.step.strategy, number)


def follow(loaded: LoadedRecipe, cluster: Cluster, console: Console) -> None:
    """All that a process does that does not lead."""
    recipe = loaded.recipe
    console.print(
        f"follows  process {cluster.number + 1} of {cluster.size}; the first one reports and writes the run folder"
    )
    backend = find_backend(recipe.train)
    strategy = backend.make_strategy()
    dataset = load_dataset(recipe)
    tokenizer, labels = make_tokenizer(recipe, dataset), dataset.labels(recipe.task)
    batches = make_batches(recipe, encode_training(recipe, dataset.train, tokenizer, labels), True, tokenizer)
    with strategy.scope():
        task = build_task(recipe, tokenizer, labels, recipe.train.precision)
        if recipe.train.freeze:
            freeze(task.model, recipe.train.freeze)
        step = make_step(backend, recipe.train, task, make_optimizer(recipe.train), batches)
    with lost():
        _agree_on(strategy, tokenizer.fingerprint)
        send_variables(step)
        count = recipe.train.accumulate
        while (number := tell(strategy)) != END:
            step.train(*(batches.batch(number * count + i) for i in range(count)))


@contextlib.contextmanager
def lost() -> Iterator[None]:
    """Another process that is gone is one clear error."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.InternalError, tf.errors.AbortedError) as error:
        raise UserError(
            "train: another process of this training is gone, and none can go on without it; start all of them "
            "again: they go on from the state that was saved last"
        ) from error


def tell(strategy, number: int = 0) -> int:
    """The leading process's number, in every process; waits until all ask."""
    return int(_sent(strategy, [tf.constant(number, tf.int64)])[0])


def send_variables(step) -> None:
    """All variables become those of the leading process."""
    variables = [*step.model.variables, *step.optimizer.variables]
    values = _sent(step.strategy, [tf.convert_to_tensor(v.value) for v in variables])
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _agree_on(strategy, tokenizer: str) -> None:
    mine = int(tokenizer[:15], 16)
    if tell(strategy, mine) != mine:
        raise UserError("train: this process reads other data than the first one: its tokenizer is another")


def _sent(strategy, values: list) -> list:
    """Values of the first replica of all, everywhere."""

    def replica(values):
        context = tf.distribute.get_replica_context()
        first = tf.equal(context.replica_id_in_sync_group, 0)
        sent = {}
        for kind in (True, False):  # one call takes numbers of one type
            chosen = [i for i, v in enumerate(values) if v.dtype.is_floating == kind]
            wide = [tf.cast(values[i], tf.float32 if kind else tf.int64) for i in chosen]
            found = (
                context.all_reduce("SUM", [tf.where(first, v, tf.zeros_like(v)) for v in wide])
                if wide
                else []
            )
            sent |= zip(chosen, found, strict=True)
        return [tf.cast(sent[i], v.dtype) for i, v in enumerate(values)]

    @tf.function(autograph=False)
    def send(values):
        return [strategy.experimental_local_results(v)[0] for v in strategy.run(replica, args=(values,))]

    return send(values)
