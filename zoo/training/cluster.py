"""Which process of a training this one is, as the environment variable TF_CONFIG says.

Cluster schedulers set it for each process: {"cluster": {"chief": [address], "worker": [addresses]},
"task": {"type": "worker", "index": 0}}. Without a chief the first worker is it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from zoo.errors import UserError


@dataclass(frozen=True)
class Cluster:
    """How many processes train together, and which of them this one is, from 0."""

    size: int = 1
    number: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process is the one that validates and writes the run folder."""
        return self.number == 0


def find_cluster() -> Cluster:
    """The cluster that TF_CONFIG describes, or this process alone; an evaluator or a server is none of it."""
    text = os.environ.get("TF_CONFIG")
    if not text:
        return Cluster()
    try:
        config = json.loads(text)
        members = config.get("cluster", {})
        processes = [(kind, i) for kind in ("chief", "worker") for i in range(len(members.get(kind, ())))]
        if len(processes) < 2:
            return Cluster()
        task = config["task"]
        return Cluster(len(processes), processes.index((task["type"], int(task["index"]))))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"TF_CONFIG: does not say which chief or worker this process is ({error}); "
            "remove it to train with one process"
        ) from error
