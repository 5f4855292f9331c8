"""What must hold in the `decode` section; zoo/config/rules.py has the rest."""

from __future__ import annotations

from zoo.config.decoding import Decode
from zoo.config.recipe import Recipe
from zoo.config.rule import Rule

WRITERS = ("translation", "language_modeling")


def draws(r: Recipe) -> bool:
    """Whether answers are drawn, not searched for."""
    return r.task == "language_modeling" if r.decode.sample is None else r.decode.sample


def changed(r: Recipe, key: str) -> bool:
    """Whether a key of the section says something."""
    return r.task in WRITERS and getattr(r.decode, key) != getattr(Decode(), key)


def strange(r: Recipe, key: str) -> bool:
    """Whether a key has no effect, though nobody said `sample`, which would turn off others on purpose."""
    return changed(r, key) and r.decode.sample is None


ERRORS = [
    Rule(
        "decode.n_best",
        lambda r: r.task == "language_modeling" and not draws(r) and r.decode.n_best > 1,
        "a language model goes on in one way: ask several times (`zoo generate --samples`)",
    ),
    Rule(
        "decode.n_best",
        lambda r: r.task == "translation" and not draws(r) and r.decode.n_best > r.decode.beams,
        "{r.decode.n_best} answers cannot come from {r.decode.beams} beams: raise decode.beams",
    ),
    Rule(
        "decode.max_length",
        lambda r: r.decode.max_length == 1 and r.task == "translation",
        "1 token is the end mark alone: give at least 2",
    ),
    Rule(
        "decode.min_length",
        lambda r: r.task in WRITERS and r.decode.min_length >= (r.decode.max_length or r.data.max_length),
        "{r.decode.min_length} tokens and an end mark do not fit into the longest answer "
        "(decode.max_length, or else data.max_length): lower it",
    ),
    Rule(
        "decode.max_ratio",
        lambda r: r.task in WRITERS and r.decode.max_ratio and r.decode.max_ratio < r.decode.min_ratio,
        "{r.decode.max_ratio} is below decode.min_ratio ({r.decode.min_ratio}): raise it",
    ),
    *(
        Rule(
            f"decode.{key}",
            lambda r, key=key: strange(r, key) and not draws(r),
            "the answer is searched for, not drawn: remove it, or say decode.sample: true",
        )
        for key in ("temperature", "top_k", "top_p")
    ),
    *(
        Rule(
            f"decode.{key}",
            lambda r, key=key: strange(r, key) and draws(r),
            "the answer is drawn token by token and there are no beams: remove it, or say decode.sample: false",
        )
        for key in ("beams", "n_best", "length_penalty", "normalization", "early_stopping")
    ),
    *(
        Rule(
            f"decode.{key}",
            lambda r, key=key: r.task == "language_modeling" and changed(r, key),
            "a language model has no source to measure by: use decode.min_length and decode.max_length",
        )
        for key in ("min_ratio", "max_ratio")
    ),
]

WARNINGS = [
    Rule(
        "decode.max_length",
        lambda r: (
            r.task == "translation"
            and r.decode.max_length is not None
            and r.decode.max_length > r.data.max_length
        ),
        "{r.decode.max_length} is longer than any text in training (data.max_length {r.data.max_length})",
    ),
    Rule(
        "decode.length_penalty",
        lambda r: changed(r, "length_penalty") and r.decode.normalization == "mean",
        "the mean has no exponent: no effect",
    ),
    Rule(
        "decode.temperature",
        lambda r: r.decode.temperature == 0 and (r.decode.top_k is not None or r.decode.top_p is not None),
        "0 always takes the most probable token: top_k and top_p have no effect",
    ),
    Rule(
        "decode",
        lambda r: r.task not in WRITERS and r.decode != Decode(),
        "a {role} does not search for its answer: this section has no effect",
    ),
]
