"""The tokens that are no text, and which of them an answer may hold."""

from __future__ import annotations

import numpy as np
from keras import ops

PAD_ID, BOS_ID, EOS_ID = 0, 2, 3
NEVER = -1e9
"""A log-probability that no sum of real ones reaches; scores are float32."""


def forbid(logits):
    """Logits (B, V) with which neither padding nor the begin mark is ever said."""
    forbidden = np.zeros((1, logits.shape[-1]), "float32")
    forbidden[:, [PAD_ID, BOS_ID]] = NEVER
    return logits + ops.convert_to_tensor(forbidden)
