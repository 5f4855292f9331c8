"""Weights that training leaves as they are (`train.freeze`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase

from zoo.errors import UserError
from zoo.registry import did_you_mean
from zoo.training.init_from import weights_by_name

SHOWN = 12


def freeze(model, names: Sequence[str]) -> str:
    """Takes weights out of training; returns one line for the user.

    Args:
        names: beginnings of weights' paths inside the model, or patterns of them.
    """
    weights = weights_by_name(model)
    unknown = [name for name in names if not any(_named(path, name) for path in weights)]
    if unknown:
        raise UserError(*(_no_such(name, weights) for name in unknown))
    frozen = {path for path in weights if any(_named(path, name) for name in names)}
    for path in frozen:
        weights[path].trainable = False
    for layer in model._flatten_layers(include_self=False):
        # A whole layer: batch normalisation then leaves its moving statistics alone too.
        if layer.weights and all(w.path.partition("/")[2] in frozen for w in layer.weights):
            layer.trainable = False
    if not model.trainable_variables:
        raise UserError("train.freeze: names every weight, nothing is left to train: name fewer")
    count = sum(math.prod(weights[path].shape) for path in frozen)
    return f"freeze  {len(frozen)} of {len(weights)} weights, {count:,} parameters stay as they are"


def _named(path: str, name: str) -> bool:
    name = name.rstrip("/")
    return fnmatchcase(path, name) or fnmatchcase(path, f"{name}/*")


def _no_such(name: str, paths: Sequence[str]) -> str:
    """What there is instead: something alike, or the parts of the model."""
    parts = {"/".join(path.split("/")[:depth]): None for path in paths for depth in range(1, 6)}
    outer = list(dict.fromkeys(path.split("/")[0] for path in paths))
    more = ", ..." if len(outer) > SHOWN else ""
    hint = did_you_mean(name, parts) or f"; there is {', '.join(outer[:SHOWN])}{more}"
    return f"train.freeze: no weight is called {name}{hint}"
