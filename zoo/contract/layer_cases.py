"""Small cases of a layer: how it is made, built and called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from zoo.contract.cases import randomize

Use = Callable[[keras.layers.Layer], Callable[[], Any]]
"""Builds a layer; what it returns calls the layer with its inputs."""


@dataclass(frozen=True)
class LayerCase:
    """A layer class, a small config, and how it is built and called."""

    name: str
    layer_class: type
    config: Mapping[str, Any]
    use: Use
    keeps_float32: bool = False
    """Whether it answers in float32 whatever the policy (sums, scores)."""

    def __str__(self) -> str:
        return self.name

    def make(self, **keywords):
        return self.layer_class(**self.config, **keywords)

    def output(self, layer, weights=None):
        """Builds the layer, gives it weights (random ones, if there are none), calls it."""
        call = self.use(layer)
        if weights is None:
            randomize(layer, spread=0.3)
        else:
            layer.set_weights(weights)
        return call()


def built_with(*shapes) -> Callable[..., Use]:
    """How to build a layer, and then to call it with these arguments."""

    def called_with(*arguments, **keywords) -> Use:
        def use(layer):
            layer.build(*shapes)
            return lambda: layer(*arguments, **keywords)

        return use

    return called_with


def of_shapes(name: str, layer_class: type, config: Mapping[str, Any], shapes: Sequence[tuple]) -> LayerCase:
    """The case of a layer that takes tensors of these shapes, the last place of each second row being padding."""
    random = np.random.default_rng(0)
    inputs = [random.normal(size=shape).astype("float32") for shape in shapes]
    keywords = {}
    if "padding_mask" in inspect.signature(layer_class.call).parameters:
        mask = np.ones(shapes[0][:2], bool)
        mask[1::2, -1] = False
        keywords["padding_mask"] = mask
    return LayerCase(name, layer_class, config, built_with(*shapes)(*inputs, **keywords))
