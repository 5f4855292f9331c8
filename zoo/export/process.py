"""How the end of another process is told."""

from __future__ import annotations

import signal


def exit_reason(code: int) -> str:
    """An exit code in words; negative ones are signals."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def tail(text: str, lines: int = 20) -> str:
    """The end of a program's output."""
    return "\n".join(text.strip().splitlines()[-lines:])
