"""What is asked of the decoder, once for all tasks; the recipe's `decode` section says it in the same words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Decoding:
    """How an answer is found. Everything here is fixed when the decoder is compiled.

    "Chosen" tokens are those that the decoder says, the end mark included: not a prompt or forced prefix.

    Args:
        length: chosen tokens at most.
        min_length: chosen tokens, the end mark not counted, at least.
        min_ratio, max_ratio: the same for each source token (its end mark not counted), rounded up; the narrower
            bound counts.
        beams: N, hypotheses followed; 1 is greedy.
        normalization: what the log-probability of n chosen tokens is divided by: "gnmt",
            `((5 + n) / 6) ** length_penalty`, or "mean", n.
        length_penalty: see there; 0 compares plain log-probabilities.
        early_stopping: when a beam is done: "all", all hypotheses have ended; "bound", `n_best` have ended and no
            other can overtake them, however probable its further tokens: the same answers as "all", sooner;
            "best", the best one of the moment has ended: sooner still, and perhaps another answer.
        n_best: hypotheses that the answer has to hold, for "bound".
        sample: draw each token (zoo/decoding/sampling.py) instead of searching; there is one hypothesis then.
        temperature, top_k, top_p: how it draws.
        repetition_penalty: scores of tokens that the text holds already, prompt included, are divided by it where
            they are positive and multiplied where they are negative (Keskar et al. 2019, arXiv:1909.05858,
            section 4.1); 1 changes nothing.
        no_repeat_ngram: no run of so many tokens comes twice, prompt included (Paulus et al. 2017,
            arXiv:1705.04304, section 2.5); 0 allows all.
        forbidden: runs of tokens that are never said.
    """

    length: int
    min_length: int = 0
    min_ratio: float = 0.0
    max_ratio: float | None = None
    beams: int = 1
    normalization: str = "gnmt"
    length_penalty: float = 0.0
    early_stopping: str = "all"
    n_best: int = 1
    sample: bool = False
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0
    forbidden: tuple[tuple[int, ...], ...] = ()

    @property
    def hypotheses(self) -> int:
        """N."""
        return 1 if self.sample else self.beams
