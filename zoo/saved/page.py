"""card.md: the card of a saved model as people read it, and the table of all of them.

It says what card.yaml says, and below its last comment what somebody wrote.
"""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Iterable
from pathlib import Path

from zoo import files
from zoo.config.metrics import HIGHER_IS_BETTER
from zoo.config.tasks import STREAMS
from zoo.saved.card import Card, Sample, Score, Seeds, Training
from zoo.text import one_line

PAGE = "card.md"
REST = "<!-- `zoo publish` writes what stands above from card.yaml; what stands below is kept -->"

NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "exact_match": "exact match",
    "loss": "loss",
    "carried_loss": "loss with carried state",
    "perplexity": "perplexity",
    "bits_per_character": "bits a character",
    "bleu": "BLEU, cased",
    "bleu_lc": "BLEU, lower-cased",
    "chrf": "chrF",
    "chrf_lc": "chrF, lower-cased",
    "repetition_rate": "answers that repeat themselves",
}
"""Figures that a card has."""
SHARES = ("accuracy", "macro_f1", "exact_match", "repetition_rate")
"""Those in per cent."""
SPLITS = {"val": "validation", "test": "test"}


def write_page(folder: Path, card: Card) -> None:
    """card.md; what stood below its last comment stays."""
    path = folder / PAGE
    rest = path.read_text(encoding="utf-8").partition(REST)[2] if path.is_file() else "\n"
    files.write(path, page(card) + rest)


def page(card: Card) -> str:
    """card.md up to what people write themselves."""
    parts = [f"# {card.name}", card.summary, _table(_facts(card)), "## Scores", _scores(card)]
    if card.seeds:
        parts.append(_seeds(card.seeds))
    parts += ["## Samples", *_samples(card)]
    if card.exports:
        parts += ["## Exports", _exports(card)]
    parts += ["## Limits", _limits(card), REST]
    return "\n\n".join(parts)


def models_table(cards: Iterable[Card], folder: str) -> str:
    """Models in Markdown: what each does, its figure, its size.

    Args:
        folder: where their folders are, seen from the page that the table stands in.
    """
    rows = [
        (
            f"[`{card.name}`]({folder}/{card.name}/card.md)",
            card.summary,
            said(card.score)
            + (f"; mean of {len(card.seeds.values)} seeds {_mean(card.seeds)}" if card.seeds else ""),
            f"{card.parameters / 1e6:.2f} M",
            _time(card.training),
        )
        for card in cards
    ]
    return _table(rows, ("model", "what it does", "reaches", "parameters", "trained in"))


def said(score: Score) -> str:
    """A score as people say it: `accuracy 80.2 % (test)`."""
    return f"{figure(score.metric, score.figures[score.metric])} ({SPLITS.get(score.split, score.split)})"


def figure(metric: str, value: float) -> str:
    """`accuracy 80.2 %`, `loss 1.646`."""
    return f"{NAMES.get(metric, metric)} {number(metric, value)}"


def number(metric: str, value: float) -> str:
    """With as many digits as mean something."""
    if metric in SHARES:
        return f"{value:.1f} %"
    return f"{value:.1f}" if HIGHER_IS_BETTER.get(metric) else f"{value:.3f}"


def _facts(card: Card) -> list[tuple[str, str]]:
    data, training = card.data, card.training
    counted = "documents" if card.task in STREAMS else "rows"
    rows = ", ".join(f"{split} {count:,}" for split, count in data.rows.items())
    best = "" if training.best_step in (None, training.steps) else f", weights of step {training.best_step:,}"
    versions = ", ".join(f"{name} {version}" for name, version in training.versions.items())
    return [
        ("recipe", f"`{card.recipe}`; [recipe.yaml](recipe.yaml) has every key"),
        ("model", f"{card.model}; {card.parameters:,} parameters, kept in {card.weights}"),
        ("data", f"{data.name}: {rows} {counted}" + (f"; {data.address}" if data.address else "")),
        (
            "licence",
            card.licence + ("" if data.licence in card.licence else f"; of the data: {data.licence}"),
        ),
        (
            "trained",
            f"`{training.command}`: {training.steps:,} steps{best}, {training.tokens:,} tokens, {_time(training)}, "
            f"{versions}, {'XLA' if training.xla else 'no XLA'}",
        ),
    ]


def _time(training: Training) -> str:
    """Minutes and machine."""
    gpus = sum("GPU" in device or "cuda" in device for device in training.devices)
    count, what = (gpus, "GPU") if gpus else (training.cpus, "CPU core")
    machine = f"{count} {what}{'s' * (count > 1)}" if count else "a CPU"
    return f"{training.minutes:.3g} minutes on {machine}"


def _scores(card: Card) -> str:
    """A line for each figure, the one that counts first."""
    metric = card.score.metric
    names = [metric, *(name for name in card.scores[0].figures if name != metric)]
    counted = "tokens" if card.task in STREAMS else "rows"
    rows = [
        (f"**{NAMES[name]}**" if name == metric else NAMES[name], *_numbers(card.scores, name))
        for name in names
    ]
    rows.append((counted, *(f"{score.rows:,}" for score in card.scores)))
    signatures = {name: text for score in card.scores for name, text in score.signatures.items()}
    parts = [
        "Figures of the files beside this card:",
        _table(rows, ("", *(SPLITS.get(score.split, score.split) for score in card.scores))),
        "\n".join(["```bash", *(score.command for score in card.scores), "```"]),
        *(_by_length(score) for score in card.scores if score.by_length),
        "\n".join(f"- {NAMES.get(name, name)}: `{text}`" for name, text in signatures.items()),
    ]
    return "\n\n".join(filter(None, parts))


def _numbers(scores: Iterable[Score], name: str) -> list[str]:
    return [number(name, score.figures[name]) if name in score.figures else "-" for score in scores]


def _by_length(score: Score) -> str:
    """A table that lies on its side."""
    rows = [
        ("rows", *(f"{found.rows:,}" for found in score.by_length.values())),
        (NAMES["bleu_lc"], *(number("bleu_lc", found.bleu_lc) for found in score.by_length.values())),
    ]
    return (
        f"{SPLITS.get(score.split, score.split).capitalize()}, by the {score.length_unit} of the source:\n\n"
        + _table(rows, (score.length_unit, *score.by_length))
    )


def _mean(seeds: Seeds) -> str:
    return number(seeds.metric, statistics.fmean(seeds.values.values()))


def _seeds(seeds: Seeds) -> str:
    values = list(seeds.values.values())
    each = ", ".join(f"seed {seed}: {number(seeds.metric, value)}" for seed, value in seeds.values.items())
    spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    return (
        f"{len(values)} runs that differ in their seed alone reach {NAMES.get(seeds.metric, seeds.metric)} "
        f"{_mean(seeds)}{spread} on {SPLITS.get(seeds.split, seeds.split)}, mean and standard deviation ({each})."
    )


def _samples(card: Card) -> list[str]:
    parts = []
    for samples, heading in (
        (card.good, "Some of its best answers in validation:"),
        (card.bad, "Some of its worst:"),
        (card.asked, "Asked besides:" if card.good else "Asked:"),
    ):
        if samples:
            parts += [heading, _session(card, samples)]
        known = [f"`{_code(sample.gold)}`" for sample in samples if sample.gold not in (None, sample.answer)]
        if known:
            parts.append(f"The data says: {', '.join(known)}.")
    return parts or ["None was kept: `zoo publish --ask TEXT` keeps some."]


def _session(card: Card, samples: list[Sample]) -> str:
    """What one types, and what comes."""
    if any(sample.seed is not None for sample in samples):
        lines = []
        for sample in samples:
            asked = f"--prompt {_quoted(sample.ask)} --seed {sample.seed}"
            lines += [f"$ zoo generate {card.name} {asked}", sample.answer]
    else:
        ends = "-- " if any(sample.ask.startswith("-") for sample in samples) else ""  # of the options
        asked = ends + " ".join(_quoted(sample.ask) for sample in samples)
        lines = [f"$ zoo predict {card.name} {asked}", *(one_line(sample.answer) for sample in samples)]
    return "\n".join(["```console", *lines, "```"])


def _quoted(text: str) -> str:
    """A text for a shell, as a person would write it."""
    if "'" in text and not any(sign in text for sign in '"$`\\!'):
        return f'"{text}"'
    return shlex.quote(text)


def _exports(card: Card) -> str:
    rows = []
    for export in card.exports:
        told = "-"
        if export.metric is not None:
            told = f"{figure(export.metric, export.value)} (Python {number(export.metric, export.python)})"
        time = f"{export.p50_ms:.3g} ms" if export.p50_ms is not None else "-"
        size = f"{export.bytes / 1e6:.2f} MB"
        rows.append((export.file, size, told, f"{export.rows:,}", time, f"`{export.command}`"))
    counted = "windows" if card.task in STREAMS else "rows"
    table = _table(rows, ("file", "size", "figure", f"{counted} of validation", "one text", "command"))
    return (
        f"{table}\n\nEach was measured in its own runtime, in a process without this project; times are medians, of "
        "a machine with other work on it."
    )


def _limits(card: Card) -> str:
    lines = [
        f"It has seen {card.data.name} and nothing else: it knows the world from there, with the errors and the "
        "one-sidedness of that data."
    ]
    if card.task in ("translation", "classification"):
        lines.append(f"A text beyond {card.max_length} tokens is cut there.")
    if card.task == "classification":
        lines.append(
            "It has a label for every text, of another kind or language too; `--json` says how sure it is."
        )
    if "research" in card.data.licence:
        lines.append("Its weights are for research: the licence of the data allows no other use.")
    return "\n".join(f"- {line}" for line in lines)


def _table(rows: Iterable[Iterable[str]], heading: Iterable[str] = ("", "")) -> str:
    heading = list(heading)
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return one_line(text).replace("|", "\\|")


def _code(text: str) -> str:
    return one_line(text).replace("`", "'")
