"""What an exported graph must not take from the machine it was traced on."""

from __future__ import annotations


def without_cudnn(model) -> None:
    """Recurrent layers as a plain loop: Keras puts a cuDNN kernel into any graph traced where there is a GPU,
    and such a graph runs on no CPU."""
    for layer in model._flatten_layers():
        if hasattr(layer, "use_cudnn"):
            layer.use_cudnn = False
