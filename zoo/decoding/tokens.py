"""The tokens that are no text."""

from __future__ import annotations

PAD_ID, BOS_ID, EOS_ID = 0, 2, 3
SPECIAL = 4
"""Ids below it are no text of any vocabulary; 1 is what the tokenizer does not know."""
NEVER = -1e9
"""A log-probability that no sum of real ones reaches; scores are float32."""
