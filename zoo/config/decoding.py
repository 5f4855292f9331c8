"""The `decode`, `export` and `expect` sections: how answers are searched, exported and measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from zoo.config.base import NonNegativeInt, PositiveInt, Section
from zoo.config.metrics import Metric


class Decode(Section):
    """How `zoo eval`, `zoo predict` and `zoo generate` find the answer.

    "Tokens" of an answer are those that the model says: not the prompt of a language model, nor a forced beginning.
    """

    sample: bool | None = None
    """Draw each token instead of searching for the best answer (default: a language model draws, a translator
    searches)."""
    beams: Annotated[int, Field(ge=1, le=64)] = 1
    """Hypotheses kept at each step of a search; 1 is greedy."""
    normalization: Literal["gnmt", "mean"] = "gnmt"
    """What divides an answer's log-probability: "gnmt", ((5 + tokens) / 6) ** length_penalty; "mean", its tokens."""
    length_penalty: Annotated[float, Field(ge=0.0)] = 0.6
    """Exponent of the GNMT normalization; 0 for none."""
    early_stopping: Literal["all", "bound", "best"] = "bound"
    """When a search with beams ends. "all": all hypotheses have ended. "bound": n_best have, and nothing can overtake
    them any more, which gives the same answers sooner. "best": the best one at the moment has, which may miss a
    better one."""
    n_best: PositiveInt = 1
    """Answers given for each text, best first."""
    min_length: NonNegativeInt = 0
    """Tokens before an answer may end."""
    max_length: PositiveInt | None = None
    """Longest answer in tokens, the end mark included (default: data.max_length)."""
    min_ratio: Annotated[float, Field(ge=0.0)] = 0.0
    """The same as min_length, for each token of the source."""
    max_ratio: Annotated[float, Field(gt=0.0)] | None = None
    """Tokens of an answer at most for each token of the source; the narrower of the two bounds counts."""
    temperature: Annotated[float, Field(ge=0.0)] = 1.0
    """Draw from softmax(logits / temperature); 0 always takes the most probable token."""
    top_k: PositiveInt | None = None
    """Draw from this many most probable tokens only."""
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Draw from the fewest most probable tokens that together have this probability."""
    repetition_penalty: Annotated[float, Field(gt=0.0)] = 1.0
    """Scores of tokens that the text holds already are divided by it, negative ones multiplied; 1 for none."""
    no_repeat_ngram: NonNegativeInt = 0
    """No run of so many tokens comes twice in a text; 0 allows all."""
    forbidden: list[Annotated[str, Field(min_length=1)]] = []
    """Words that are never said, as the tokenizer cuts them at the beginning of a word and inside one."""


class Export(Section):
    """How `zoo export` makes and checks its files."""

    beams: Annotated[int, Field(ge=1, le=64)] | None = None
    """Hypotheses that an exported translator follows, in every format (default: decode.beams)."""
    samples: PositiveInt = 100
    """Validation texts on which the exported file must answer as Python does."""
    metric_samples: Annotated[int, Field(ge=0)] = 200
    """Rows of validation (of a language model: windows) on which the recipe's metric is measured again, by the
    exported file; 0 measures nothing."""


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
