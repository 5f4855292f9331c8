"""What is counted while training, and what a training came to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoo.config.metrics import beats
from zoo.errors import UserError


@dataclass
class Progress:
    """What is counted while training; saved with the state, so that a run which goes on counts on."""

    step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    best: float | None = None
    best_loss: float | None = None
    """What decides between validations that are equally good: BLEU is 0 for long where data is little."""
    best_step: int = 0
    worse_in_a_row: int = 0
    validated: int = 0
    """The last step that was validated; a signal may stop a run before the validation of its last step."""
    skipped: int = 0
    """Batches that were left out because their loss or gradient was no number."""
    loss_sum: float = 0.0
    """Of the steps since the last line of metrics, with their number."""
    loss_count: int = 0
    metrics_lines: int = 0

    def take_loss(self) -> float | None:
        """The mean loss of the steps since the last call; None where every batch was left out."""
        mean = self.loss_sum / self.loss_count if self.loss_count else None
        self.loss_sum, self.loss_count = 0.0, 0
        return mean

    def note(self, metric: str, value: float, loss: float) -> bool:
        """Counts a validation of this step; returns whether it is the best so far, which no number never is."""
        known = float("-inf") if self.best_loss is None else self.best_loss  # older states do not hold it
        better = beats(metric, (value, loss), None if self.best is None else (self.best, known))
        if better:
            self.best, self.best_loss, self.best_step, self.worse_in_a_row = value, loss, self.step, 0
        else:
            self.worse_in_a_row += 1
        self.validated = self.step
        return better


@dataclass
class Outcome:
    """What a training came to."""

    run: Path
    progress: Progress
    metric: str
    figures: dict
    stopped_early: bool
    example: str
    """A first question for the model; empty where any text of its kind would do."""


class Diverged(UserError):
    """The loss is no number any more.

    Args:
        run: the run folder.
        progress: where it stands; the batch that spoilt the loss is not counted.
        metric: what decides the best checkpoint.
        loss: what it became.
        saved: step of the newest saved state, if there is one.
    """

    def __init__(self, run: Path, progress: Progress, metric: str, loss: float, saved: int | None):
        step, skipped = progress.step + 1, progress.skipped
        left_out = f", after the {skipped:,} that train.skip_nonfinite allows to leave out" if skipped else ""
        best = (
            f"{metric} {progress.best:.4g} at step {progress.best_step}"
            if progress.best is not None
            else None
        )
        super().__init__(
            f"{run}: loss or gradient became {loss} at step {step}{left_out}",
            f"  the state of step {saved} is saved" if saved else "  nothing was saved before",
            f"  the best checkpoint has val {best}"
            if best
            else "  there is no checkpoint yet: nothing was validated",
            "try a lower train.learning_rate, a longer train.warmup or a smaller train.clip_norm, "
            + (
                "from the best weights in another folder with --fork, or anew with --fresh"
                if best
                else "with --fresh"
            ),
            f"or leave out such batches: train.skip_nonfinite={max(10, 2 * skipped)}, and the same command goes on",
        )
        self.progress = progress
