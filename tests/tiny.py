"""Recipes so small that training takes seconds, and their runs, for the tests of the whole line."""

from __future__ import annotations

import io
from pathlib import Path

TRANSLATOR = """\
name: test/dates
task: translation
data: {name: dates, train: 300, val: 16, test: 8, max_length: 24, buckets: [16]}
tokenizer: {name: character}
model: {name: rnn_seq2seq, attention: bahdanau, embedding_dim: 8, units: 16, dropout: 0.2}
train: {steps: 10, batch_tokens: 256, learning_rate: 0.02, validate_every: 5, save_every: 5, log_every: 1, xla: false}
decode: {beams: 2, max_length: 12}
"""

TRANSFORMER = """\
extends: {extends}
name: test/dates-transformer
data: {{buckets: []}}
model: {{name: transformer, num_encoder_layers: 1, num_decoder_layers: 1, hidden_dim: 16, intermediate_dim: 16,
  num_heads: 2, dropout: 0.1}}
train: {{steps: 6, validate_every: 3, save_every: 3, warmup: 20}}
"""

CLASSIFIER = """\
name: test/colours
task: classification
data: {name: labeled, train: train.txt, val: val.txt, dir: DIR, max_length: 12}
tokenizer: {name: byte}
model: {name: rnn_classifier, embedding_dim: 8, units: 8, dropout: 0.2}
train: {steps: 6, batch_tokens: 256, learning_rate: 0.02, validate_every: 2, save_every: 2, log_every: 1, xla: false}
"""
WORDS = {"warm": ["red", "orange", "yellow", "火"], "cold": ["blue", "teal", "navy", "蓝"]}


def translator(folder: Path) -> Path:
    """The file of a recipe for dates."""
    path = folder / "dates.yaml"
    path.write_text(TRANSLATOR, encoding="utf-8")
    return path


def transformer(folder: Path) -> Path:
    """The same by a Transformer, with a warm-up."""
    path = folder / "transformer.yaml"
    path.write_text(TRANSFORMER.format(extends=translator(folder).name), encoding="utf-8")
    return path


def classifier(folder: Path) -> Path:
    """The file of a recipe for warm and cold colours, with its data beside it."""
    rows = [f"{label} {word} {i % 7}" for i in range(30) for label in WORDS for word in WORDS[label]]
    (folder / "train.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "val.txt").write_text("\n".join(rows[:16]) + "\n", encoding="utf-8")
    path = folder / "colours.yaml"
    path.write_text(CLASSIFIER.replace("DIR", str(folder)), encoding="utf-8")
    return path


def train(recipe: Path, run: Path, *overrides: str, fresh: bool = False):
    """(outcome, what was printed)."""
    from rich.console import Console

    from zoo.recipe import load_recipe
    from zoo.training import loop

    said = io.StringIO()
    outcome = loop.train(load_recipe(recipe, overrides), run, fresh, Console(file=said, width=200))
    return outcome, said.getvalue()
