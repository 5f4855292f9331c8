"""The tasks that can be exported: `KINDS[recipe.task](task, form, **chosen)`."""

from zoo.export.kinds.base import Kind
from zoo.export.kinds.classifier import ClassifierKind
from zoo.export.kinds.filler import FillerKind
from zoo.export.kinds.generator import GeneratorKind
from zoo.export.kinds.tagger import TaggerKind
from zoo.export.kinds.translator import TranslatorKind

KINDS = {
    "language_modeling": GeneratorKind,
    "masked_language_modeling": FillerKind,
    "classification": ClassifierKind,
    "tagging": TaggerKind,
    "translation": TranslatorKind,
}

__all__ = ["KINDS", "Kind"]
