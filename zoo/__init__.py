"""Sequence models for Keras 3: from a YAML recipe to a served file.

`import zoo` alone loads no TensorFlow; what needs it is imported when it is called.
"""

from __future__ import annotations

from pathlib import Path

from zoo.registry import register

__version__ = "0.1.0"
__all__ = ["from_recipe", "list_recipes", "load", "register"]


def load(name_or_folder: str | Path, checkpoint: str = "best", allow_code: bool = False):
    """A trained model with its tokenizer; see `zoo.loading.load`."""
    from zoo.loading import load

    return load(name_or_folder, checkpoint, allow_code)


def list_recipes() -> list[str]:
    """The names of the recipes that come with the package."""
    from zoo.hub import recipe_names

    return recipe_names()


def from_recipe(name_or_path: str | Path, *overrides: str, allow_code: bool = False):
    """The untrained task of a recipe, with the tokenizer that it describes.

    Example: `zoo.from_recipe("translation/dates-multi-lstm-tiny", "model.units=64")`
    """
    from zoo.data.datasets import load_dataset
    from zoo.data.vocabulary import make_tokenizer
    from zoo.recipe import load_recipe
    from zoo.tasks import build_task

    recipe = load_recipe(name_or_path, overrides, allow_code).recipe
    dataset = load_dataset(recipe)
    return build_task(recipe, make_tokenizer(recipe, dataset), dataset.labels(recipe.task))
