"""Recipes so small that training takes seconds, and their runs, for the tests of the whole line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np

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
model: {name: textcnn, embedding_dim: 8, num_filters: 4, kernel_sizes: [2, 3], dropout: 0.2}
train: {steps: 6, batch_tokens: 256, learning_rate: 0.02, validate_every: 2, save_every: 2, log_every: 1, xla: false}
"""
TAGGER = """\
name: test/tags
task: tagging
data: {name: conllu, train: train.conllu, val: val.conllu, dir: DIR, max_length: 8}
tokenizer: {name: word}
model: {name: rnn_tagger, embedding_dim: 8, units: 8, character_dim: 4, crf: true, dropout: 0.2}
train: {steps: 6, batch_tokens: 128, learning_rate: 0.02, validate_every: 2, save_every: 2, log_every: 1, xla: false}
"""

LANGUAGE_MODEL = """\
name: test/rhyme
task: language_modeling
data: {name: text, train: train.text, val: val.text, dir: DIR, max_length: 16}
tokenizer: {name: character}
model: {name: rnn_language_model, embedding_dim: 8, units: 16, dropout: 0.2}
train: {steps: 6, batch_tokens: 128, learning_rate: 0.02, validate_every: 2, save_every: 2, log_every: 1, xla: false,
  samples: 2}
decode: {max_length: 12, temperature: 0.8}
"""
MASKED = """\
name: test/hidden
task: masked_language_modeling
data: {name: text, train: [train.text, more.text], val: val.text, dir: DIR, max_length: 16}
tokenizer: {name: word}
model: {name: bert, num_layers: 1, hidden_dim: 16, intermediate_dim: 16, num_heads: 2, dropout: 0.1}
masking: {unit: phrase, rate: 0.2, phrases: phrases.txt}
train: {steps: 6, batch_tokens: 128, learning_rate: 0.02, validate_every: 2, save_every: 2, log_every: 1, xla: false,
  samples: 2}
"""
RHYME = "Row, row, row your boat,\nGently down the stream.\nMerrily, merrily, 船, merrily,\nLife is but a dream.\n"
TAGS = {"the": "DET", "my": "DET", "dog": "NOUN", "狗": "NOUN", "sees": "VERB", "hears": "VERB", ".": "PUNCT"}
SENTENCES = [
    "the dog sees my dog .",
    "my 狗 hears the dog .",
    "the 狗 sees",
    ".",
    "the dog hears my 狗 sees my dog .",
]
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


def tagger(folder: Path) -> Path:
    """The file of a recipe for parts of speech, with its data; the last sentence is longer than max_length."""
    for name, count in (("train", 60), ("val", 10)):
        lines = []
        for i in range(count):
            for number, word in enumerate(SENTENCES[i % len(SENTENCES)].split(), 1):
                lines.append(f"{number}\t{word}\t{word}\t{TAGS[word]}" + "\t_" * 6)
            lines.append("")
        (folder / f"{name}.conllu").write_text("\n".join(lines) + "\n", encoding="utf-8")
    path = folder / "tags.yaml"
    path.write_text(TAGGER.replace("DIR", str(folder)), encoding="utf-8")
    return path


def language_model(folder: Path) -> Path:
    """The file of a recipe for a rhyme, with its data beside it."""
    (folder / "train.text").write_text(RHYME * 20, encoding="utf-8")
    (folder / "val.text").write_text(RHYME * 2, encoding="utf-8")
    path = folder / "rhyme.yaml"
    path.write_text(LANGUAGE_MODEL.replace("DIR", str(folder)), encoding="utf-8")
    return path


def masked(folder: Path) -> Path:
    """The file of a recipe for hidden words of a rhyme, with its data beside it."""
    language_model(folder)
    (folder / "more.text").write_text(RHYME.lower() * 5, encoding="utf-8")
    (folder / "phrases.txt").write_text("row your\n船, merrily,\n", encoding="utf-8")
    path = folder / "hidden.yaml"
    path.write_text(MASKED.replace("DIR", str(folder)), encoding="utf-8")
    return path


def split(recipe: Path, name: str):
    """A split of a recipe's data."""
    from zoo.data.datasets import load_dataset
    from zoo.recipe import load_recipe

    return load_dataset(load_recipe(recipe).recipe).splits()[name]


def train(recipe: Path, run: Path, *overrides: str, fresh: bool = False):
    """(outcome, what was printed)."""
    from rich.console import Console

    from zoo.recipe import load_recipe
    from zoo.training import loop

    said = io.StringIO()
    outcome = loop.train(load_recipe(recipe, overrides), run, fresh, Console(file=said, width=200))
    return outcome, said.getvalue()


def metrics(run: Path) -> list[dict]:
    """The lines of metrics.jsonl."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def state(run: Path) -> tuple[list[np.ndarray], dict]:
    """Variables and progress of the newest saved state."""
    from zoo.training.run_folder import RunFolder

    newest = RunFolder(run).states.paths()[-1]
    with np.load(newest / "variables.npz") as arrays:
        values = [arrays[name] for name in sorted(arrays.files)]
    return values, json.loads((newest / "progress.json").read_text(encoding="utf-8"))


def same_state(one: Path, two: Path) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(state(one)[0], state(two)[0], strict=True))


TIMES = ("seconds", "tokens_per_second")
"""What two equal runs differ in."""


def outcome(run: Path) -> dict[str, object]:
    """All that must be the same bit by bit: state, metrics, samples, checkpoints, tokenizer, data."""
    import h5py

    values, progress = state(run)
    found: dict[str, object] = {f"variable {i}": value.tobytes() for i, value in enumerate(values)}
    found["progress"] = {key: value for key, value in progress.items() if key not in TIMES}
    found["metrics"] = [{k: v for k, v in line.items() if k not in TIMES} for line in metrics(run)]
    for path in sorted([*run.glob("samples/*"), *run.glob("tokenizer/*"), *run.glob("labels.json")]):
        found[str(path.relative_to(run))] = path.read_bytes()
    for path in sorted(run.glob("checkpoints/*.h5")):
        with h5py.File(path) as file:
            arrays: list = []
            file.visititems(lambda name, item, to=arrays: to.append((name, item)))
            for name, item in arrays:
                if isinstance(item, h5py.Dataset):
                    found[f"{path.name} {name}"] = np.asarray(item).tobytes()
    found["left"] = sorted(str(p.relative_to(run)) for p in run.rglob(".tmp.*"))
    return found


def differences(one: dict, two: dict) -> list[str]:
    """Names of what is not the same in two outcomes."""
    return [name for name in sorted({*one, *two}) if one.get(name) != two.get(name)]
