"""What a person sees of a training: a bar with speed and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from zoo.training.event_file import EventFile


class Reporter:
    """Progress on `console` (standard error), figures for TensorBoard.

    Args:
        console: where to print.
        folder: of the TensorBoard files.
        step, steps: where the run stands and where it ends.
    """

    def __init__(self, console: Console, folder: Path, step: int, steps: int):
        self.console = console
        self.events = EventFile(folder, step)
        self.progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn("{task.fields[speed]} tokens/s"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task("training", total=steps, completed=step, loss="-", speed="-")
        self.steps = steps
        self.since, self.tokens = time.monotonic(), 0

    def __enter__(self):
        self.progress.start()
        return self

    def __exit__(self, *error):
        self.progress.stop()

    def step(self, step: int, tokens: int) -> None:
        """One step more."""
        self.tokens += tokens
        self.progress.update(self.task, completed=step)

    def training(self, step: int, loss: float, learning_rate: float) -> float:
        """The figures of the last steps; returns tokens/s since the last call."""
        speed = self.tokens / max(time.monotonic() - self.since, 1e-9)
        self.progress.update(self.task, loss=f"{loss:.3f}", speed=f"{speed:,.0f}")
        if not self.console.is_terminal:
            left = f"step {step}/{self.steps}  loss {loss:.4f}  {speed:,.0f} tokens/s"
            self.console.print(left, highlight=False)
        self.scalars(step, train_loss=loss, learning_rate=learning_rate, tokens_per_second=speed)
        self.restart_clock()
        return speed

    def restart_clock(self) -> None:
        """Time spent on validation or saving is not training time."""
        self.since, self.tokens = time.monotonic(), 0

    def scalars(self, step: int, **figures: float) -> None:
        """Figures for TensorBoard."""
        self.events.scalars(step, **{name: value for name, value in figures.items() if math.isfinite(value)})

    def samples(self, step: int, lines: Sequence[str]) -> None:
        """Questions and answers of a validation, on the screen and for TensorBoard."""
        for line in lines:
            self.line(line)
        if lines:
            self.events.text(step, "samples", lines)

    def line(self, text: str) -> None:
        """One line above the bar."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
