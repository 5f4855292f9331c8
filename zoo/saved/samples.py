"""Questions for a card, and what a saved model answers: the same call that shows them proves them."""

from __future__ import annotations

from collections.abc import Sequence

from sacrebleu.metrics import CHRF

from zoo.data.datasets import Split
from zoo.saved.card import Card, Sample

LOOKED_AT = 200
"""Rows of validation among which the best and the worst answers are looked for."""
LONGEST = 80
"""Characters of a question: a card is read by people."""
GOOD, BAD = 3, 2


def predicted(task, texts: Sequence[str]) -> list[str]:
    """What `zoo predict` prints for these texts."""
    return [str(answer) for answer in task.answer(list(texts))] if texts else []


def generated(task, prompt: str, seed: int) -> str:
    """What `zoo generate --prompt ... --seed ...` prints."""
    return task.generate([prompt], seed=seed)[0].text


def asked(task, texts: Sequence[str]) -> list[Sample]:
    """Samples of texts, or of prompts."""
    if task.generates:
        return [
            Sample(ask=text, answer=generated(task, text, seed), seed=seed)
            for seed, text in enumerate(texts, 1)
        ]
    return [
        Sample(ask=text, answer=answer) for text, answer in zip(texts, predicted(task, texts), strict=True)
    ]


def best_and_worst(task, split: Split) -> tuple[list[Sample], list[Sample]]:
    """Of the first short rows of validation the best answers, of different kinds first, and the worst that are wrong.

    A translation is as good as its chrF, a sentence as the share of its tags that are right, a label right or wrong.
    """
    rows = [(text, gold) for text, gold in split if len(text) <= LONGEST and text.isprintable()][:LOOKED_AT]
    answers = predicted(task, [text for text, _ in rows])
    golds = [_as_said(task, text, gold) for text, gold in rows]
    values = [_quality(task, answer, gold) for answer, gold in zip(answers, golds, strict=True)]
    first = set({gold: i for i, gold in reversed([*enumerate(golds)]) if values[i] == max(values)}.values())
    order = sorted(range(len(rows)), key=lambda i: (-values[i], i not in first))
    good = order[:GOOD]
    bad = [i for i in reversed(order) if values[i] < 1.0 and i not in good][:BAD]
    # Asked together, as the command in the card asks them.
    return tuple(
        _together(task, [rows[i][0] for i in chosen], [golds[i] for i in chosen]) for chosen in (good, bad)
    )


def reproduced(task, card: Card) -> list[str]:
    """Questions of a card that are answered otherwise now."""
    if task.generates:
        return [s.ask for s in card.asked if generated(task, s.ask, s.seed) != s.answer]
    return [
        sample.ask
        for group in (card.good, card.bad, card.asked)
        for sample, answer in zip(group, predicted(task, [s.ask for s in group]), strict=True)
        if sample.answer != answer
    ]


def _together(task, texts: list[str], golds: list[str]) -> list[Sample]:
    answers = predicted(task, texts)
    return [
        Sample(ask=text, answer=answer, gold=gold)
        for text, answer, gold in zip(texts, answers, golds, strict=True)
    ]


def _as_said(task, text: str, gold: str) -> str:
    """The right answer in the form in which answers are given."""
    if task.recipe.task != "tagging":
        return gold
    return " ".join(f"{word}/{tag}" for word, tag in zip(text.split(" "), gold.split(" "), strict=True))


def _quality(task, answer: str, gold: str) -> float:
    """From 0 to 1."""
    if task.recipe.task == "translation":
        return CHRF().sentence_score(answer, [gold]).score / 100.0
    if task.recipe.task == "tagging":
        pairs = list(zip(answer.split(" "), gold.split(" "), strict=False))
        return sum(one == other for one, other in pairs) / max(len(pairs), 1)
    return float(answer == gold)
