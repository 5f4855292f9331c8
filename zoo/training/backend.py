"""The step of the backend that Keras runs on."""

from __future__ import annotations

from types import ModuleType

import keras

from zoo.config.training import Train


def find_backend(config: Train) -> ModuleType:
    """step_tensorflow or step_jax, before anything is computed; deterministic where the recipe wants it."""
    if keras.backend.backend() == "jax":
        from zoo.training import step_jax as backend
    else:
        from zoo.training import step_tensorflow as backend
    if config.deterministic:
        backend.make_deterministic()
    return backend


def make_step(
    backend: ModuleType, config: Train, task, optimizer, batches, xla: bool = False, parts: int = 1
):
    """The training step of a task, for batches like these."""
    example = batches.batch(0)
    return backend.Step(
        task.model,
        optimizer,
        task.loss_function(),
        {name: x.ndim for name, x in example.inputs.items()},
        example.labels.ndim,
        xla=xla,
        clip_norm=config.clip_norm,
        accumulates=config.accumulate > 1,
        scales=config.precision == "float16",
        parts=parts,
    )
