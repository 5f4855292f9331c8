"""The folder for what can be made or fetched again: $ZOO_CACHE, else ~/.cache/zoo."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path


def cache_dir(part: str) -> Path:
    """A folder of the cache; it may not exist yet."""
    return Path(os.environ.get("ZOO_CACHE") or Path.home() / ".cache" / "zoo") / part


def keep_compilations() -> None:
    """Lets XLA keep what it compiles and find it again in the next process; before TensorFlow or JAX is imported.

    Compiled code is of one processor and one version: each has a folder. What the environment says comes first.
    """
    folder = cache_dir("xla") / _processor_and_versions()
    flags = os.environ.get("TF_XLA_FLAGS", "")
    if "--tf_xla_persistent_cache_directory" not in flags:
        os.environ["TF_XLA_FLAGS"] = f"{flags} --tf_xla_persistent_cache_directory={folder / 'tf'}".strip()
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder / "jax"))


def _processor_and_versions() -> str:
    said = [platform.machine()]
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        said += sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    for package in ("tensorflow", "jaxlib"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            said.append(importlib.metadata.version(package))
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]
