"""What a server takes on, and how long it waits: the defaults of `zoo serve`."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.errors import UserError


@dataclass(frozen=True)
class Limits:
    """Bounds of one server; what passes them is refused with a reason.

    Args:
        max_batch: texts that are given to the model at once, of one request or of several.
        max_wait_ms: how long a request waits for others to share its batch with, while the model is idle.
        max_queue: texts that may wait for the model; beyond them a request is refused (503).
        timeout_s: seconds until a request that was not answered is given up (504).
        max_body: bytes of a request's body (413).
        max_texts: texts of a request (413).
        max_characters: characters of a text, and ids of a row (413).
    """

    max_batch: int = 32
    max_wait_ms: float = 0.0
    max_queue: int = 256
    timeout_s: float = 30.0
    max_body: int = 1_000_000
    max_texts: int = 64
    max_characters: int = 2_000

    def __post_init__(self):
        if self.max_queue < self.max_texts:
            raise UserError(
                f"--max-queue {self.max_queue} is less than --max-texts {self.max_texts}: a request that is "
                "allowed would never fit; raise the one or lower the other"
            )
