"""`zoo tokenizer`: train a vocabulary on text files or a recipe's data, and see what it does to a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from zoo.cli import output
from zoo.cli.options import allow_code

from zoo.errors import UserError
from zoo.text import valid

DEFAULT_SIZE = 8000
"""Pieces of a sub-word vocabulary when no recipe says how many."""


@click.group()
def command() -> None:
    """Train a tokenizer, or show the pieces of a text."""


@command.command()
@click.argument("inputs", nargs=-1, required=True, metavar="RECIPE [KEY=VALUE]...|FILE...")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write it to.")
@click.option("--name", help="Kind: sentencepiece (default), character, byte or word.")
@click.option("--vocabulary-size", type=int, help=f"Pieces (sentencepiece: {DEFAULT_SIZE} by default).")
@click.option("--model-type", help="How sub-words are chosen: unigram or bpe.")
@click.option("--character-coverage", type=float, help="Share of characters that get their own piece.")
@click.option("--byte-fallback/--no-byte-fallback", default=None, help="Write unseen characters as bytes.")
@click.option("--normalization", help="identity (exact), nmt_nfkc, or nmt_nfkc_cf (folds case).")
@click.option("--encoding", help="Encoding of the files (default: utf-8); .gz is unpacked.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@allow_code
def train(inputs: tuple[str, ...], out: Path, encoding: str | None, as_json: bool, **options: Any) -> None:
    """Train a tokenizer on FILEs, one text a line, or on the training split of RECIPE as it says.

    Options override the recipe's `tokenizer` section.
    """
    from zoo.data.tokenizers import train_tokenizer

    given = {key: value for key, value in options.items() if value is not None}
    if _is_recipe(inputs[0]):
        if encoding:
            raise UserError("--encoding is for files; a recipe says data.encoding")
        tokenizer, texts = _of_recipe(inputs[0], inputs[1:], given)
    else:
        texts = _lines(inputs, encoding or "utf-8")
        tokenizer = train_tokenizer(_config(given), texts)
    tokenizer.save(out)
    rows = tokenizer.encode_batch(texts)
    facts = {
        "folder": str(out),
        "kind": tokenizer.config["name"],
        "vocabulary_size": tokenizer.vocabulary_size,
        "texts": len(texts),
        "tokens_per_text": sum(map(len, rows)) / max(1, len(rows)),
        "unknown_rate": tokenizer.unknown_rate(texts),
        "sha256": tokenizer.fingerprint,
    }
    if as_json:
        output.print_json(facts)
    else:
        output.table([{"fact": key, "value": value} for key, value in facts.items()])


@command.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("text")
@click.option("--json", "as_json", is_flag=True, help="Print pieces, ids and the text they give as JSON.")
def show(folder: Path, text: str, as_json: bool) -> None:
    """Print the pieces of TEXT and their ids; DIR is a tokenizer's folder or a run's."""
    from zoo.data.tokenizers import MODEL_FILE, Tokenizer

    inside = folder / "tokenizer"
    tokenizer = Tokenizer.load(inside if (inside / MODEL_FILE).exists() else folder)
    text = valid(text)
    ids = tokenizer.encode(text)
    pieces = tokenizer.pieces
    if as_json:
        shown = {
            "text": text,
            "pieces": [pieces[i] for i in ids],
            "ids": ids,
            "decoded": tokenizer.decode(ids),
        }
        output.print_json(shown)
    else:
        output.table([{"piece": pieces[i], "id": i} for i in ids], columns=["piece", "id"])


def _is_recipe(text: str) -> bool:
    from zoo import hub

    return Path(text).suffix in (".yaml", ".yml") or text in hub.recipe_names()


def _of_recipe(name: str, overrides: Sequence[str], given: dict[str, Any]) -> tuple[Any, list[str]]:
    """The recipe's tokenizer with the options worked in, and the texts of the training split."""
    from zoo.data.datasets import load_dataset
    from zoo.data.vocabulary import make_tokenizer
    from zoo.recipe import load_recipe

    options = [
        f"tokenizer.{key}={str(value).lower() if isinstance(value, bool) else value}"
        for key, value in given.items()
    ]
    loaded = load_recipe(name, [*overrides, *options])
    for warning in loaded.warnings:
        output.echo(warning, err=True)
    recipe = loaded.recipe
    dataset = load_dataset(recipe)
    return make_tokenizer(recipe, dataset), dataset.tokenizer_texts(recipe.task)


def _config(given: dict[str, Any]) -> Any:
    """A `tokenizer` section made of the options alone."""
    from pydantic import TypeAdapter, ValidationError

    from zoo.config.tokenizer import Trained

    section = {"name": "sentencepiece", **given}
    if section["name"] == "sentencepiece":
        section.setdefault("vocabulary_size", DEFAULT_SIZE)
    try:
        return TypeAdapter(Trained).validate_python(section)
    except ValidationError as error:
        problems = []
        for item in error.errors(include_url=False):
            key = "name" if item["type"] == "union_tag_invalid" else str(item["loc"][-1])
            what = item["msg"]
            if item["type"] == "union_tag_invalid":
                what = (
                    f"'{section['name']}' is no kind of tokenizer; there are {item['ctx']['expected_tags']}"
                )
            elif item["type"] == "extra_forbidden":
                what = f"a {section['name']} tokenizer has no such setting"
            problems.append(f"--{key.replace('_', '-')}: {what}")
        raise UserError(*problems) from None


def _lines(files: Sequence[str], encoding: str) -> list[str]:
    """The lines of all files that are not blank."""
    from zoo.data.text_files import Reading

    try:
        reading = Reading({"train": encoding})
        texts = [line for file in files for line in reading.lines("train", Path(file)) or [] if line.strip()]
        problems = reading.all_problems()
    except UserError as error:
        texts, problems = [], error.problems
    if problems:
        # The reader speaks of the keys of a recipe; here they are arguments.
        said = (
            problem.replace("data.train: ", "")
            .replace("set data.encoding: ", "set --encoding ")
            .replace("data.encoding", "--encoding")
            for problem in problems
        )
        raise UserError(*said)
    return texts
