"""The `masking` section: which tokens a masked language model is asked for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from zoo.config.base import Section
from zoo.config.data import FilePath

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Masking(Section):
    """What is hidden in a window of text, anew each time that it is read; the same of validation."""

    unit: Literal["token", "whole_word", "span", "phrase"] = "token"
    """What is hidden whole: a token, a word, a span of words (SpanBERT), a phrase or else a word (ERNIE)."""
    rate: Annotated[float, Field(gt=0.0, le=0.5)] = 0.15
    """Share of the tokens of a window that are asked for."""
    replaced: Share = 0.8
    """Share of these that the model sees as the sign for hidden."""
    random: Share = 0.1
    """Share of these that it sees as some other token; the rest it sees as they are."""
    span_length: Annotated[float, Field(ge=1.0, le=10.0)] = 5.0
    """Mean of the geometric distribution that the words of a span are drawn from; 10 at most are taken."""
    phrases: FilePath | None = None
    """File of phrases, one a line (null: what the statistics of the training text make one)."""
