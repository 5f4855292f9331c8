"""Settings of the process for all tests; nothing here starts TensorFlow."""

import importlib.util
import os
import signal

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# A shell makes what a script starts with `&` ignore Ctrl-C, and processes started by it too; tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Tests marked `jax` start a process on JAX, which is an extra."""
    if importlib.util.find_spec("jax") is None:
        for item in items:
            if item.get_closest_marker("jax"):
                item.add_marker(pytest.mark.skip(reason="JAX is not installed"))
