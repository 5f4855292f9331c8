"""What every model of the registry promises: the checks of `zoo test`, over all of them and their choices."""

from __future__ import annotations

import pytest

from zoo import registry
from zoo.config.recipe import MODEL_SECTIONS
from zoo.contract.cases import case, together, variants
from zoo.contract.models import COMPILED, QUICK, checks_of, is_the_same_under_xla

XLA = ("rnn_seq2seq", "transformer")
"""One model a family is compiled by XLA in the fast tests; the others in the slow ones."""


def class_of(name):
    return registry.resolve("model", name)


def small(name):
    return case(name, class_of(name), MODEL_SECTIONS[name])


def other_choices(name):
    """Every other choice of a recipe, one at a time."""
    return list(variants(name, class_of(name), MODEL_SECTIONS[name]))[1:]


def test_every_model_has_a_section():
    assert set(MODEL_SECTIONS) == set(registry.MODELS)
    for name, section in MODEL_SECTIONS.items():
        assert section.task == class_of(name).task


@pytest.mark.parametrize("name", registry.MODELS)
def test_promises(name, subtests):
    made = small(name)
    for check in checks_of(made):
        if check is not is_the_same_under_xla or name in XLA:
            with subtests.test(promise=check.__name__):
                check(made)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in registry.MODELS if name not in XLA])
def test_the_others_under_xla(name):
    is_the_same_under_xla(small(name))


@pytest.mark.parametrize("name", registry.MODELS)
def test_masks_of_every_choice(name, subtests):
    """Several choices in one model, for making it is what takes time."""
    for variant in together(small(name), other_choices(name)):
        for check in checks_of(variant):
            if check in QUICK:
                with subtests.test(choices=str(variant), promise=check.__name__):
                    check(variant)


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.MODELS)
def test_promises_of_every_choice(name, subtests):
    for variant in other_choices(name):
        for check in checks_of(variant):
            if check not in COMPILED:
                with subtests.test(choice=str(variant), promise=check.__name__):
                    check(variant)


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.MODELS)
def test_training_of_every_choice(name, subtests):
    """Compiled, by XLA too; several choices in one model, for each model takes half a minute."""
    for variant in together(small(name), other_choices(name)):
        for check in COMPILED:
            with subtests.test(choices=str(variant), promise=check.__name__):
                check(variant)


def test_choices_that_are_taken_together():
    """None is left out, none undone by another, and they are fewer cases."""
    for name in registry.MODELS:
        base, others = small(name), other_choices(name)
        found = together(base, others)
        assert len(found) < len(others) or not others
        for other in others:
            choice = other.keywords.items() - base.keywords.items()
            assert any(choice <= each.keywords.items() for each in found), str(other)
