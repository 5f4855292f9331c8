"""One side of a comparison: a system in a process of its own, which does a round of work for each line it reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PEERS = Path(__file__).parent / "peers"


@dataclass
class Side:
    """Its environment ("" is this one), its script, its options, what it has."""

    label: str
    venv: str
    script: str
    options: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    process: subprocess.Popen | None = None

    def there(self, venvs: Path | None) -> bool:
        """Whether its environment is."""
        return not self.venv or bool(venvs and (venvs / self.venv).is_dir())

    def launch(self, what: str, model: str, data: Path, venvs: Path | None, *more: str) -> dict:
        """Builds it, and gives what it says then; where that fails, nothing, and it is without a process."""
        python = venvs / self.venv / "bin" / "python" if self.venv else sys.executable
        options = [word for option in self.options for word in ("--opt", option)]
        command = [python, "-W", "ignore", PEERS / "bench.py", what, self.script, "--models", model]
        with open(data / f"{self.label.replace(' ', '-')}.{what}.err", "w") as errors:
            self.process = subprocess.Popen(
                [*map(str, command), *more, *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "BENCH_DATA": str(data.resolve())},
            )
        return self._answer()

    def ask(self, line: str = "") -> dict:
        """A round; nothing where there is no process, or it ended."""
        if self.process is None:
            return {}
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self._answer()

    def stop(self) -> None:
        """Ends the process."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
            self.process = None

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.process = None
        return json.loads(line) if line else {}
