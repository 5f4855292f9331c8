"""Trained models with their tokenizer and one verb each: translate, classify, tag, generate, fill."""

from __future__ import annotations

import random
from collections.abc import Sequence

import keras

from zoo import registry
from zoo.answers import Classification, Filling, Generation, Tagging, Translation
from zoo.config import Recipe
from zoo.data.tokenizers import Tokenizer
from zoo.tasks.base import Task
from zoo.tasks.classifier import Classifier
from zoo.tasks.generator import Generator
from zoo.tasks.mask_filler import MaskFiller
from zoo.tasks.tagger import Tagger
from zoo.tasks.translator import Translator

__all__ = [
    "TASKS",
    "Classification",
    "Classifier",
    "Filling",
    "Generation",
    "Generator",
    "MaskFiller",
    "Tagger",
    "Tagging",
    "Task",
    "Translation",
    "Translator",
    "build_task",
]

TASKS: dict[str, type[Task]] = {
    "language_modeling": Generator,
    "masked_language_modeling": MaskFiller,
    "classification": Classifier,
    "tagging": Tagger,
    "translation": Translator,
}


def build_task(
    recipe: Recipe, tokenizer: Tokenizer, labels: Sequence[str] | None = None, precision: str = "float32"
) -> Task:
    """The task of a recipe with new weights, which `recipe.seed` decides.

    Args:
        recipe, tokenizer, labels: as `Task` takes them.
        precision: what layers compute in; weights are float32, and so are logits.
    """
    if keras.backend.backend() == "tensorflow":
        keras.utils.set_random_seed(recipe.seed)
    else:  # that would import TensorFlow too; initializers and dropout take their seeds from Python's generator
        random.seed(recipe.seed)
    keywords = recipe.model.model_dump(exclude={"name"})
    if labels is not None:
        keywords["num_classes"] = len(labels)
    if precision != "float32":
        keywords["dtype"] = f"mixed_{precision}"
    model_class = registry.resolve("model", recipe.model.name)
    model = model_class(vocabulary_size=tokenizer.vocabulary_size, **keywords)
    return TASKS[recipe.task](model, tokenizer, recipe, labels)
