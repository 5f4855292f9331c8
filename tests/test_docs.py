"""The docstrings of public classes: complete, and their examples run."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re

import pytest

import zoo.layers
import zoo.models
import zoo.training.losses
from zoo.models.text_encoder import TextEncoder

CLASSES = [
    *(getattr(zoo.layers, name) for name in zoo.layers.__all__),
    *(getattr(zoo.models, name) for name in zoo.models.__all__),
    zoo.training.losses.MaskedCrossEntropy,
    zoo.training.losses.CRFLoss,
]
SECTIONS = [
    "Args:",
    "Call arguments:",
    "Returns:",
    "Masking:",
    "Differs from the paper:",
    "Example:",
    "Reference:",
]
KERAS_OWN = {"self", "kwargs", "name", "dtype", "trainable", "training"}
every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


@every_class
def test_example_runs(cls):
    module = importlib.import_module(cls.__module__)
    (test,) = doctest.DocTestFinder(recurse=False).find(cls, cls.__name__, module)
    assert any("Example:" in test.docstring[: test.docstring.index(e.source)] for e in test.examples)
    said = []
    result = doctest.DocTestRunner().run(test, out=said.append)
    assert (result.failed, result.attempted > 0) == (0, True), "".join(said)


@every_class
def test_sections(cls):
    text = inspect.getdoc(cls)
    places = [text.find(f"\n{section}") for section in SECTIONS]
    assert -1 not in places, f"missing: {[s for s, place in zip(SECTIONS, places, strict=True) if place < 0]}"
    assert places == sorted(places)
    assert re.search(r"`[^`]*[=+][^`]*`", text[: places[0]]), "no equation in backticks before Args"
    assert re.fullmatch(r"\S.*\.", text.splitlines()[0]), "the first line is a sentence"


@every_class
def test_arguments_are_described(cls):
    text = inspect.getdoc(cls)
    described = {
        "__init__": text[text.index("Args:") : text.index("Call arguments:")],
        "call": text[text.index("Call arguments:") : text.index("Returns:")],
    }
    for method, part in described.items():
        names = set(inspect.signature(getattr(cls, method)).parameters)
        if "encoder" in names and method == "__init__":  # the keywords of the encoder, handed on as they are
            theirs = set(inspect.signature(TextEncoder.__init__).parameters) - {"block_class"}
            names = names - {"encoder"} | theirs
        missing = {n for n in names - KERAS_OWN if not re.search(rf"\b{n}\b", part)}
        assert not missing, f"{method}: {missing}"


@every_class
def test_errors_are_described(cls):
    body = ast.parse(inspect.cleandoc(inspect.getsource(cls)))
    if any(isinstance(node, ast.Raise) for node in ast.walk(body)):
        assert "\nErrors:" in inspect.getdoc(cls)
