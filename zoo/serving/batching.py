"""One thread for the model, and a queue in front of it: requests that wait share a batch.

While the model computes, others arrive; the next batch takes as many of them as fit. So batches grow with the
load by themselves, and a request that comes alone is computed at once (or after `max_wait_ms`).
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from zoo.errors import UserError
from zoo.serving.limits import Limits
from zoo.serving.models import Model, Tensors

log = logging.getLogger("zoo.serving")


class Full(Exception):
    """So many texts wait that no more are taken."""


class ModelError(Exception):
    """The model failed; what it said stays in the server, for it may repeat texts."""


@dataclass(eq=False)
class Job:
    """One request.

    Args:
        signature: the name of what is asked for.
        inputs: its tensors.
        rows: how many texts they hold.
        done: is told the outputs or the error, from the model's thread.
    """

    signature: str
    inputs: Tensors
    rows: int
    done: Callable[[Tensors | Exception], None]
    arrived: float = field(default_factory=time.monotonic)

    @property
    def texts(self) -> int:
        """What it counts for in the queue; without texts as much as with one."""
        return max(1, self.rows)


class Batcher:
    """The queue and the thread.

    Args:
        limits: of the server.
        observe: is told texts, requests and seconds of each batch.
    """

    def __init__(self, limits: Limits, observe: Callable[[int, int, float], None]):
        self._limits, self._observe = limits, observe
        self._model: Model | None = None
        self._thread: threading.Thread | None = None
        self._jobs: deque[Job] = deque()
        self._waiting, self._stopping = 0, False
        self._changed = threading.Condition()

    @property
    def waiting(self) -> int:
        """Texts in the queue."""
        return self._waiting

    @property
    def alive(self) -> bool:
        """Whether somebody computes."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, load: Callable[[], Model], loaded: Callable[[Model | Exception], None]) -> None:
        """Loads a model and answers with it, both in the thread; `loaded` is told how loading went."""

        def work():
            try:
                self._model = load()
                self._model.warm_up()
            except Exception as error:
                loaded(error)
                return
            loaded(self._model)
            while batch := self._next():
                start = time.perf_counter()
                self._answer(batch)
                texts = sum(job.rows for job in batch)
                self._observe(texts, len(batch), time.perf_counter() - start)

        self._thread = threading.Thread(target=work, name="model", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Takes a job; raises Full where it does not fit."""
        with self._changed:
            if self._stopping or self._waiting + job.texts > self._limits.max_queue:
                raise Full
            self._jobs.append(job)
            self._waiting += job.texts
            self._changed.notify()

    def withdraw(self, job: Job) -> None:
        """Gives a job up that nobody waits for any more; one that is computed already is computed to the end."""
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)
                self._waiting -= job.texts

    def stop(self, seconds: float) -> None:
        """Answers what was taken, and ends the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(seconds)

    def _next(self) -> list[Job]:
        """The oldest job and those that go with it; nothing when the end has come."""
        with self._changed:
            while True:
                if not self._jobs:
                    if self._stopping:
                        return []
                    self._changed.wait()
                    continue
                left = self._jobs[0].arrived + self._limits.max_wait_ms / 1000 - time.monotonic()
                if left <= 0 or self._stopping or self._waiting >= self._limits.max_batch:
                    break
                self._changed.wait(left)
            batch = self._together()
            for job in batch:
                self._jobs.remove(job)
                self._waiting -= job.texts
            return batch

    def _together(self) -> list[Job]:
        """The oldest job with the next ones that may share its batch, as many as fit."""
        first, *others = self._jobs
        batch, texts = [first], first.texts
        if self._model.signatures[first.signature].mixes:
            for job in others:
                if job.signature == first.signature and texts + job.texts <= self._limits.max_batch:
                    batch.append(job)
                    texts += job.texts
        return batch

    def _answer(self, batch: Sequence[Job]) -> None:
        try:
            outputs = self._run(batch)
        except Exception as error:
            if len(batch) > 1:  # one of them is to blame; the others get their answers
                for job in batch:
                    self._answer([job])
                return
            if not isinstance(error, UserError):
                # Frames without the message, which may repeat what was asked.
                frames = "".join(traceback.format_tb(error.__traceback__))
                log.error("the model failed with %s\n%s", type(error).__name__, frames)
                error = ModelError()
            batch[0].done(error)
            return
        for job, part in zip(batch, outputs, strict=True):
            job.done(part)

    def _run(self, batch: Sequence[Job]) -> list[Tensors]:
        name = batch[0].signature
        if len(batch) == 1:
            return [self._model.run(name, batch[0].inputs)]
        inputs = {key: np.concatenate([job.inputs[key] for job in batch]) for key in batch[0].inputs}
        outputs = self._model.run(name, inputs)
        ends = np.cumsum([job.rows for job in batch])
        if any(value.ndim == 0 or len(value) != ends[-1] for value in outputs.values()):
            raise ValueError("the outputs are not one for each text")
        starts = ends - [job.rows for job in batch]
        return [
            {key: value[start:end] for key, value in outputs.items()}
            for start, end in zip(starts, ends, strict=True)
        ]
