"""Any figure of the validation may decide which weights are the best and when training stops."""

from __future__ import annotations

import math

import pytest
import tiny

from zoo import tasks
from zoo.training.step_tensorflow import TensorFlowStep


@pytest.mark.parametrize(
    ("metric", "figures", "best", "stops"),
    [
        ("repetition_rate", [9.0, 4.0, 4.0, 6.0], (4.0, 4), 8),
        ("chrf_lc", [9.0, 4.0, 9.0, 20.0], (9.0, 2), 6),
        ("bleu_lc", [math.nan, 1.0, math.nan, 0.5], (1.0, 4), 8),
    ],
)
def test_patience_for_any_figure(tmp_path, monkeypatch, metric, figures, best, stops) -> None:
    left = iter(figures)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tasks.Translator, "validate", lambda *_: ({metric: next(left)}, []))
    monkeypatch.setattr(TensorFlowStep, "train", lambda self, batch: 1.0)
    monkeypatch.setattr(TensorFlowStep, "evaluate", lambda self, batch: (1.0, 1.0))
    overrides = ("train.steps=20", "train.patience=2", "train.validate_every=2", f"train.metric={metric}")
    outcome, _ = tiny.train(tiny.translator(tmp_path), tmp_path / "run", *overrides)
    assert (outcome.progress.best, outcome.progress.best_step) == best
    assert outcome.stopped_early and outcome.progress.step == stops
