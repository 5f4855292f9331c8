"""The tokenizer that a recipe describes: trained on its own training split, or that of another run."""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from zoo import hub
from zoo.config import Recipe, rules
from zoo.config.tokenizer import Trained
from zoo.data.datasets import Dataset
from zoo.data.masking import phrases_of
from zoo.data.tokenizers import Tokenizer, train_tokenizer
from zoo.errors import UserError


def make_tokenizer(recipe: Recipe, dataset: Dataset) -> Tokenizer:
    """The recipe's tokenizer, with the phrases of this training split where the recipe hides phrases."""
    texts = dataset.tokenizer_texts(recipe.task)
    if recipe.tokenizer.name == "pretrained":
        tokenizer = _of_another_run(recipe)
    else:
        tokenizer = train_tokenizer(recipe.tokenizer, texts)
    tokenizer.phrases = ()  # those of another run are not this one's
    if hides_phrases(recipe):
        tokenizer.phrases = tuple(phrases_of(recipe.masking, texts, tokenizer))
    return tokenizer


def hides_phrases(recipe: Recipe) -> bool:
    """Whether the recipe's tokenizer must know phrases."""
    return recipe.task == "masked_language_modeling" and recipe.masking.unit == "phrase"


def _of_another_run(recipe: Recipe) -> Tokenizer:
    """What kind it is, is only known when it is read: the rules about tokenizers are asked again."""
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
