"""Ctrl-C and SIGTERM while training: the first saves after the step that is running, the second stops at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


class Stopped(KeyboardInterrupt):
    """Training was stopped by a signal.

    Args:
        number: of the signal.
        again: whether it was the second.
    """

    step: int | None = None
    """At which a state was saved because of it."""

    def __init__(self, number: int, again: bool = False):
        super().__init__(number, again)
        self.signal, self.again = signal.Signals(number), again


class StopSignals:
    """Handlers of both signals, in the main thread alone, where there are signals; the old ones come back."""

    def __init__(self):
        self.received: int | None = None
        self._at_once = True
        self._before: dict = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # What is ignored stays so (a job in the background of a script), and what is not Python's too.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def held_back(self, held: bool = True) -> Iterator[None]:
        """Here the first signal is only noted; within, with `held=False`, it raises at once, as it does outside."""
        before, self._at_once = self._at_once, not held
        try:
            if self._at_once:
                self.check()
            yield
        finally:
            self._at_once = before

    def check(self) -> None:
        """Raises `Stopped` if a signal was received."""
        if self.received is not None:
            raise Stopped(self.received)

    def _handle(self, number: int, frame) -> None:
        again, self.received = self.received is not None, number
        if again or self._at_once:
            raise Stopped(number, again)
