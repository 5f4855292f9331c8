"""The `model` section of a model of the user's own: its keys are the arguments of its constructor."""

from __future__ import annotations

import functools
import inspect
import operator
import typing
from typing import Annotated, Any, Literal

from pydantic import Field, create_model
from pydantic.errors import PydanticSchemaGenerationError

from zoo import registry
from zoo.config import recipe as r
from zoo.config.base import Section
from zoo.errors import UserError

GIVEN = ("self", "vocabulary_size", "num_classes", "name", "dtype", "trainable")
"""Arguments that the zoo gives, or Keras."""


@functools.cache
def section_of(name: str, model_class: type) -> type[Section]:
    """The recipe section of a registered model, made from the signature of its constructor."""
    where = f"{model_class.__name__}.__init__"
    try:
        hints = typing.get_type_hints(model_class.__init__, include_extras=True)
    except NameError as error:
        raise UserError(f"{where}: an annotation cannot be read ({error})") from None
    fields: dict[str, Any] = {}
    for key, parameter in inspect.signature(model_class.__init__).parameters.items():
        if key in GIVEN or parameter.kind is parameter.VAR_KEYWORD:
            continue
        if parameter.kind is not parameter.KEYWORD_ONLY:
            raise UserError(
                f"{where}: '{key}' is not keyword-only; write `def __init__(self, *, ..., **kwargs)`"
            )
        if key not in hints:
            raise UserError(f"{where}: '{key}' has no type; recipes are checked by it, so write `{key}: int`")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[key] = (hints[key], default)
    try:
        section = create_model(
            model_class.__name__,
            __base__=Section,
            __module__=model_class.__module__,
            __doc__=inspect.getdoc(model_class),
            name=(Literal[name], ...),
            **fields,
        )
    except PydanticSchemaGenerationError as error:
        raise UserError(f"{where}: a type that no recipe can hold ({str(error).splitlines()[0]})") from None
    section.task = model_class.task
    section.objective = getattr(model_class, "objective", None)
    return section


def recipe_class() -> type[r.Recipe]:
    """The schema of recipes with the models that are registered at this moment."""
    return _recipe_class(tuple(registry.REGISTERED["model"].items()))


@functools.cache
def _recipe_class(models: tuple[tuple[str, type], ...]) -> type[r.Recipe]:
    if not models:
        return r.Recipe
    sections = [section_of(name, model_class) for name, model_class in models]
    union = functools.reduce(operator.or_, (*r.MODEL_SECTIONS.values(), *sections))
    model = Annotated[union, Field(discriminator="name", description="What learns.")]
    return create_model("Recipe", __base__=r.Recipe, __doc__=r.Recipe.__doc__, model=(model, ...))
