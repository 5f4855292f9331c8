"""A good recipe for each task, and the broken ones that broken_recipes.txt makes of them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

BASE = """\
name: test/base
task: translation
data:
  name: dates
  max_length: 32
  buckets: [16]
tokenizer:
  name: character
model:
  name: transformer
  num_encoder_layers: 1
  num_decoder_layers: 1
  hidden_dim: 32
  intermediate_dim: 64
  num_heads: 4
train:
  steps: 10
  batch_tokens: 256
  learning_rate: 1e-3
  warmup: 4
  validate_every: 10
  save_every: 10
"""
DATA = "  name: dates\n  max_length: 32\n  buckets: [16]\n"
MODEL = BASE[BASE.index("  name: transformer") : BASE.index("train:")]
RNN = "  name: rnn_seq2seq\n  embedding_dim: 8\n  units: {units}\n"
CLASSIFIER = "  name: rnn_classifier\n  embedding_dim: 8\n  units: 8\n"


def edited(*changes: tuple[str, str], base: str = BASE) -> str:
    """The base recipe with each first text replaced by the second."""
    text = base
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def other(task: str, data: str, tokenizer: str, model: str) -> str:
    """BASE for another task."""
    return edited(
        ("translation", task),
        (DATA, f"  name: {data}\n  max_length: 32\n"),
        ("character", tokenizer),
        (MODEL, f"  name: {model}\n  embedding_dim: 8\n" + ("  units: 8\n" if "rnn" in model else "")),
    )


LANGUAGE_MODEL = other("language_modeling", "tinyshakespeare", "character", "rnn_language_model")
MASKED = edited(
    ("translation", "masked_language_modeling"),
    (DATA, "  name: english\n  max_length: 32\n"),
    ("  num_encoder_layers: 1\n  num_decoder_layers: 1\n", "  num_layers: 1\n"),
    ("transformer", "bert"),
)
TAGGER = other("tagging", "ud_ewt", "word", "rnn_tagger")
BASES = {
    "transformer": BASE,
    "rnn": edited((MODEL, RNN.format(units=8))),
    "language model": LANGUAGE_MODEL,
    "tagger": TAGGER,
    "masked language model": MASKED,
    "textcnn": other("classification", "sst2", "word", "textcnn"),
}


def cases() -> dict[str, list[tuple[str, str, list[str]]]]:
    """group -> (title, broken recipe, lines that must be said), read from broken_recipes.txt."""
    groups: dict[str, list[tuple[str, str, list[str]]]] = {}
    for block in (Path(__file__).parent / "broken_recipes.txt").read_text(encoding="utf-8").split("\n\n")[1:]:
        if block.startswith("=== "):
            groups[block[4:]] = group = []
            continue
        lines = block.splitlines()
        base = next((BASES[line[2:]] for line in lines if line[0] == "@"), BASE)
        changes: list[tuple[str, str]] = []
        for before, line in pairwise(lines):
            if line[0] == "-" and before[0] != "-":
                changes.append(("", ""))
            if line[0] in "-+":
                old, new = changes[-1]
                text = line[2:] + "\n"
                changes[-1] = (old + text, new) if line[0] == "-" else (old, new + text)
        said = [line[2:] for line in lines if line[0] == ">"]
        assert said and changes, block
        group.append((lines[0][2:], edited(*changes, base=base), said))
    return groups


CASES = cases()
ALL = [case for group in CASES.values() for case in group]
