"""What tests of the loop share."""

from __future__ import annotations

import itertools

import pytest


@pytest.fixture
def quick(monkeypatch):
    """The class of the steps; validations get better and better."""

    from quick_steps import Step, scripted

    from zoo.training import loop

    def make_step(trainer):
        trainer.xla, trainer.devices = {}, []
        return Step(trainer)

    monkeypatch.setattr(loop.Trainer, "_make_step", make_step)
    monkeypatch.setattr(Step, "losses", itertools.repeat((1.0, 1.0)))
    scripted(monkeypatch, itertools.count(1.0))
    return Step
