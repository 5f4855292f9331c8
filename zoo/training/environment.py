"""With what a run is made: versions, devices, compiler; all of it must be the same for the same bits."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
from typing import Any

import keras

PACKAGES = ("tensorflow", "keras", "tensorflow-text", "jax", "sentencepiece", "numpy")


def environment(devices: list[str], parts: int, xla: dict[str, Any], deterministic: bool) -> dict[str, Any]:
    """What env.json says of the machine and its software."""
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "python": platform.python_version(),
        "versions": versions,
        "backend": keras.backend.backend(),
        "devices": devices,
        "cpus": cores(),
        "parts": parts,
        "xla": xla,
        "deterministic": deterministic,
    }


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What makes a difference in the last bits to a run that goes on, as lines."""
    old, new = ({**env.get("versions", {}), **env} for env in (before, now))
    return [
        f"{key}: {_short(old[key])} when the run began, now {_short(new.get(key))}"
        for key in (*PACKAGES, "backend", "devices", "parts", "xla")
        if key in old and old[key] != new.get(key)
    ]


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "on" if value.get("on") else "off"
    return ", ".join(value) if isinstance(value, list) else str(value)
