"""Keeps TensorFlow's start-up chatter from the user, and gives it back when the process dies.

TensorFlow writes to file descriptor 2 from C++ before any setting can stop it. `start()`, called before
TensorFlow is imported, lets descriptor 2 flow into a pipe that a small child process reads, and points
`sys.stderr` at the real standard error: what Python says arrives at once, what C++ says waits. When this
process ends in an orderly way (exit codes and user's mistakes included) the child drops what it holds;
after a crash, an abort or a signal it prints it.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import io
import logging
import os
import signal
import sys

_KEPT = 200_000  # bytes: the end of a long complaint is what matters
_started = False


def start() -> None:
    """Begins; a second call, a loaded TensorFlow, a system without fork or ZOO_CHATTER=1 change nothing."""
    global _started
    if _started or "tensorflow" in sys.modules or not hasattr(os, "fork") or os.environ.get("ZOO_CHATTER"):
        return
    try:
        real = os.dup(2)
    except OSError:  # standard error is closed: there is nobody to keep it from
        return
    _started = True
    os.environ.setdefault(
        "TF_CPP_MIN_LOG_LEVEL", "1"
    )  # warnings and errors are worth a replay, notes are not
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    sys.stderr.flush()
    chatter, chatter_in = os.pipe()
    orderly, orderly_in = os.pipe()
    if os.fork() == 0:
        # A grandchild belongs to nobody here, so that no wait() of ours ever meets it.
        if os.fork() == 0:
            os.close(chatter_in)
            os.close(orderly_in)
            _hold(chatter, orderly, real)
        os._exit(0)
    with contextlib.suppress(ChildProcessError):
        os.wait()
    os.close(chatter)
    os.close(orderly)
    os.dup2(chatter_in, 2)
    os.close(chatter_in)
    sys.stderr = io.TextIOWrapper(
        io.FileIO(real, "w"),
        encoding=sys.stderr.encoding or "utf-8",
        errors="backslashreplace",
        line_buffering=True,
    )
    faulthandler.enable(file=sys.stderr)
    _end_orderly(orderly_in)


def _end_orderly(pipe: int) -> None:
    """Tells the child of an orderly end: one that runs exit handlers and had no uncaught exception."""
    crashed = False
    hook = sys.excepthook

    def note(kind, value, traceback):
        nonlocal crashed
        crashed = not issubclass(kind, KeyboardInterrupt)
        hook(kind, value, traceback)

    def finish():
        if not crashed:
            os.write(pipe, b"1")

    sys.excepthook = note
    atexit.register(finish)


def _hold(chatter: int, orderly: int, real: int) -> None:
    """The child: reads until the last writer is gone, then drops or prints. Never returns."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        # Nobody who waits for our output may wait for the child too.
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        keep = {0, 1, 2, chatter, orderly, real}
        for descriptor in range(3, 256):
            if descriptor not in keep:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        held = b""
        while piece := os.read(chatter, 65536):
            held = (held + piece)[-_KEPT:]
        if held and not os.read(orderly, 1):
            os.write(real, b"The process ended unexpectedly. TensorFlow had said:\n" + held)
    finally:
        os._exit(0)
