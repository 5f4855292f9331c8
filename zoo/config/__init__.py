"""The schema of a recipe: one file for each component, each default written once."""

from zoo.config.recipe import Recipe

__all__ = ["Recipe"]
