"""The tokenizer that a recipe describes: trained on its own training split, or that of another run."""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from zoo import hub
from zoo.config import Recipe, rules
from zoo.config.tokenizer import Trained
from zoo.data.datasets import Dataset
from zoo.data.tokenizers import Tokenizer, train_tokenizer
from zoo.errors import UserError


def make_tokenizer(recipe: Recipe, dataset: Dataset) -> Tokenizer:
    """Trained, or read from the run that the recipe names; what kind that one is, is only known now."""
    if recipe.tokenizer.name != "pretrained":
        return train_tokenizer(recipe.tokenizer, dataset.tokenizer_texts(recipe.task))
    folder = hub.find_pretrained("tokenizer.run", recipe.tokenizer.run)
    tokenizer = Tokenizer.load(folder / "tokenizer")
    try:
        found = TypeAdapter(Trained).validate_python(tokenizer.config)
    except ValidationError:
        raise UserError(
            f"{folder / 'tokenizer'}: does not say how it was made; train that run again"
        ) from None
    problems = rules.errors(recipe.model_copy(update={"tokenizer": found}))
    said = [f"{key}: {says} (it is that of {folder})" for key, says in problems]
    if said:
        raise UserError(*said)
    return tokenizer
