"""The `decode`, `export` and `expect` sections: how answers are searched, exported and measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from zoo.config.base import PositiveInt, Section
from zoo.config.metrics import Metric


class Decode(Section):
    """How `zoo eval`, `zoo predict` and `zoo generate` find the answer."""

    beams: Annotated[int, Field(ge=1, le=64)] = 1
    """Hypotheses kept at each step; 1 is greedy."""
    length_penalty: Annotated[float, Field(ge=0.0)] = 0.6
    """Exponent a of the GNMT penalty ((5 + length) / 6) ** a that divides the score; 0 for none."""
    n_best: PositiveInt = 1
    """Answers given for each text, best first."""
    max_length: PositiveInt | None = None
    """Longest answer in tokens (default: data.max_length); of a language model, tokens after the prompt."""
    temperature: Annotated[float, Field(ge=0.0)] = 1.0
    """A language model draws from softmax(logits / temperature); 0 always takes the most probable token."""
    top_k: PositiveInt | None = None
    """Draw from this many most probable tokens only."""
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Draw from the fewest most probable tokens that together have this probability."""


class Export(Section):
    """How `zoo export` makes and checks its files."""

    beams: Annotated[int, Field(ge=1, le=64)] | None = None
    """Beams of the SavedModel (default: decode.beams); a TFLite file is greedy."""
    samples: PositiveInt = 100
    """Validation texts on which the exported file must answer as Python does."""


class Expect(Section):
    """The score a finished run of this recipe has."""

    metric: Metric
    """Which figure of `zoo eval`."""
    value: float
    """Its value."""
    tolerance: Annotated[float, Field(ge=0.0)]
    """How far below the value still passes."""
    split: Literal["val", "test"] = "val"
    """On which split."""
    minutes: Annotated[float, Field(gt=0.0)] | None = None
    """Training time on 2 CPU cores."""
