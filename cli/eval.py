"""`zoo eval`: the figures of a run or shipped model on a split."""

from __future__ import annotations

import re
from pathlib import Path

import click
from zoo.cli import options

CLASSES, CONFUSIONS = 20, 5
"""So many at most are shown on a terminal."""


@click.command()
@click.argument("model", metavar="RUN|NAME")
@click.option("--split", type=click.Choice(["train", "val", "test"]), default="val", show_default=True)
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Score on this file instead, in the form of the model's own data files; of a model without: a text, a tab "
    "and its answer a line (or CoNLL-U of a tagger, text of a language model).",
)
@click.option("--beams", type=click.IntRange(1, 64), help="Hypotheses followed (default: decode.beams).")
@click.option(
    "--length-penalty", type=click.FloatRange(0.0), help="Exponent (default: decode.length_penalty)."
)
@click.option("--xla", is_flag=True, help="Decode with XLA: slow at first, then faster.")
@options.decode
@click.option("--checkpoint", type=click.Choice(["best", "last"]), default="best", show_default=True)
@click.option(
    "--judge", metavar="RUN|NAME", help="A classifier: does it know again what a language model writes?"
)
@click.option("--samples", type=click.IntRange(1), help="Texts that are written for --judge (default: 500).")
@click.option("--seed", type=click.IntRange(0), help="Decides what is drawn for --judge (default: 0).")
@click.option(
    "--carry-state",
    is_flag=True,
    help="Of a recurrent language model: also the figures with its state carried from window to window.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@options.allow_code
def command(
    model: str,
    split: str,
    file: Path | None,
    beams,
    length_penalty,
    xla: bool,
    decode: tuple[str, ...],
    checkpoint: str,
    judge,
    samples,
    seed,
    carry_state: bool,
    as_json: bool,
) -> None:
    """Score RUN (a run folder) or NAME (of `zoo ls saved`) on a split of its own data, or on a --file.

    The figures go to standard output and, for a run or an average of one, into its folder eval/, with the answers
    beside them. A translator's are told by the length of the source too, which `zoo plot --by-length` draws; a
    classifier's and a tagger's for each class, with what is mistaken for what. A terminal shows these as tables, --json
    has all of them.

    A language model reads a split in windows of data.max_length tokens, each without memory of those before it. With
    --carry-state a recurrent one also reads it as the one text that it is: carried_loss, carried_perplexity, ...

    With --judge a language model of labelled texts is asked for a text of each label in turn, as its recipe
    decodes, and the classifier says what it takes each for. Reported are the share that it takes for what was
    asked, different pairs of words over all pairs (distinct_2), and the share copied word for word from train.
    """
    from zoo.errors import UserError
    from zoo.hub import find_model

    if judge is None and (samples is not None or seed is not None):
        raise UserError("--samples and --seed are for --judge")
    if judge and carry_state:
        raise UserError("--judge reads what a model writes, --carry-state what it foretells: one at a time")
    if judge and file:
        raise UserError("--file is for figures of answers, --judge for texts that are written: one at a time")
    path = find_model(model)  # before TensorFlow starts, which takes seconds
    judge_path = find_model(judge) if judge else None

    from zoo.cli import quiet

    quiet.start()
    from zoo.data.datasets import load_dataset, load_file
    from zoo.data.encoded import check_known
    from zoo.loading import load

    task = load(path, checkpoint, decode=decode)
    task.xla = xla
    if not task.searches and (beams or length_penalty is not None):
        raise UserError(f"--beams and --length-penalty are for translation; this is {task.called}")
    if carry_state and not task.carries_state:
        raise UserError(
            "--carry-state is for recurrent language models, whose state goes on from one window to the next; "
            f"this is {task.called} with model.name {task.recipe.model.name}"
        )
    if judge_path:
        _judge(task, load(judge_path), path, model, samples or 500, seed or 0, as_json)
        return
    rows = load_file(task.recipe, file) if file else load_dataset(task.recipe).splits().get(split)
    if rows is None:
        raise UserError(
            f"{model}: its data has no split '{split}'; `zoo eval {model} --file FILE` scores on a file"
        )
    if task.labels is not None:
        check_known(rows, task.recipe.task, task.labels)
    options = {"beams": beams, "length_penalty": length_penalty} if task.searches else {}
    if carry_state:
        options = {"carry_state": True}
    figures, answers = task.score(rows, **options)
    followed = {"beams": beams or task.recipe.decode.beams} if task.searches else {}
    chosen = {"length_penalty": length_penalty, "checkpoint": checkpoint if checkpoint != "best" else None}
    followed |= {key: value for key, value in chosen.items() if value is not None}
    said = {"decode": list(decode)} if decode else {}
    split = f"file-{file.stem}" if file else split  # a file may be called val.tsv, and is not that split
    result = {"split": split, "rows": len(rows), **followed, **said, **figures}
    carried = ["carried"] * carry_state
    name = "-".join([split, *(f"{key}{value}" for key, value in followed.items()), *carried, *decode])
    name = re.sub(r"[^\w.=-]+", "_", name)  # a file's name
    _report(path, model, name, result, answers, as_json)


def _judge(task, judging, path, model: str, samples: int, seed: int, as_json: bool) -> None:
    """Writes the texts beside the figures, one JSON object a line: they may hold line breaks."""
    from zoo.data.datasets import load_dataset
    from zoo.judge import judge
    from zoo.text import json_text

    figures, rows = judge(task, judging, load_dataset(task.recipe).train, samples, seed)
    lines = [json_text(row) for row in rows]
    _report(path, model, "judge", {"judge": judging.recipe.name, **figures}, lines, as_json)


def _report(path, model: str, name: str, result: dict, answers: list[str], as_json: bool) -> None:
    """Into the folder of a run, and to standard output."""
    from zoo.cli.output import is_terminal, print_json, table

    from zoo import files
    from zoo.text import one_line
    from zoo.training.kept import RECORD
    from zoo.training.run_folder import RunFolder

    folder = RunFolder(path)
    if folder.resolved.exists() or (path / RECORD).exists():
        files.write_json(folder.evaluations / f"{name}.json", result)
        if answers:
            files.write(folder.evaluations / f"{name}.txt", "\n".join(map(one_line, answers)) + "\n")
    if as_json:
        print_json(result)
        return
    flat = {key: value for key, value in result.items() if not isinstance(value, dict)}
    flat.pop("length_unit", None)
    flat |= {f"recognised {label}": share for label, share in result.get("per_label", {}).items()}
    table([{"figure": key, "value": value} for key, value in flat.items()], title=model)
    if is_terminal():
        _details(result)


def _details(result: dict) -> None:
    """What stands behind the figures, for people: of each class or length, and what is mistaken for what."""
    from zoo.cli.output import cell, echo, table

    lengths, classes = result.get("by_length", {}), result.get("per_class", {})
    if lengths:
        unit = result["length_unit"]
        rows = [{unit: length, **figures} for length, figures in lengths.items()]
        echo()
        table(rows, title="by length")
    if len(classes) > CLASSES:
        echo(f"\n{len(classes)} classes: --json has the figures of each")
    elif classes:
        counted = "words" if "words" in result else "rows"
        rows = [{"class": name, **figures, counted: figures["support"]} for name, figures in classes.items()]
        echo()
        table(rows, ("class", "precision", "recall", "f1", counted), title="by class")
    mistaken = result.get("confusions", {})
    pairs = [(count, gold, said) for gold, others in mistaken.items() for said, count in others.items()]
    if pairs:
        echo("\nmost often mistaken, right -> answered")
    for count, gold, said in sorted(pairs, key=lambda pair: -pair[0])[:CONFUSIONS]:
        echo(f"  {cell(gold)} -> {cell(said)}: {count}")
