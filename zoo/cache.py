"""The folder for what can be made or fetched again: $ZOO_CACHE, else ~/.cache/zoo."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir(part: str) -> Path:
    """A folder of the cache; it may not exist yet."""
    return Path(os.environ.get("ZOO_CACHE") or Path.home() / ".cache" / "zoo") / part
