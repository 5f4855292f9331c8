"""`zoo predict`: one answer a line, and nothing else on standard output."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click
from zoo.cli import options, output

from zoo import runtime


@click.command()
@click.argument("model", metavar="RUN|NAME|EXPORTED")
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@click.option("--file", type=click.Path(path_type=Path), help="Texts, one a line; - is standard input.")
@click.option("--beams", type=click.IntRange(1, 64), help="Hypotheses followed (default: decode.beams).")
@click.option(
    "--n-best",
    type=click.IntRange(1, 64),
    help="Answers a text, a line each (default: decode.n_best); candidates for each [MASK].",
)
@click.option("--prefix", help="How each translation begins.")
@click.option("--seed", type=click.IntRange(0), help="Decides what is drawn, if anything is.")
@click.option(
    "--alignments", is_flag=True, help="Which source token each token looked at, as JSON; of translations."
)
@click.option("--xla", is_flag=True, help="Compile with XLA: slow at first, then faster; for many texts.")
@options.decode
@click.option("--json", "as_json", is_flag=True, help="One JSON object a text, with scores.")
@options.allow_code
def command(
    model: str,
    texts: tuple[str, ...],
    file: Path | None,
    beams,
    n_best,
    prefix,
    seed,
    alignments: bool,
    xla: bool,
    decode: tuple[str, ...],
    as_json: bool,
) -> None:
    """Answer TEXTs with a run folder, a shipped model or an exported one: a .tflite, an ONNX folder, a SavedModel.

    A translator answers with a text, a classifier with a label, a tagger with WORD/TAG for each word, a masked
    language model with the text in which each [MASK] is filled in. A line break in an answer is printed as a blank,
    any other control character as U+FFFD; --json holds them as they are.
    Without TEXT and --file, or with the text `-`, texts are read from standard input, one a line.
    """
    from zoo.errors import UserError
    from zoo.text import json_text, one_line, valid

    if file and texts:
        raise UserError("give texts or --file, not both")
    questions = read_lines(file) if file else list(texts)
    if not file and (not texts or texts == ("-",)):
        questions = read_lines(Path("-"))
    if not questions:
        return
    asked = {"prefix": prefix, "seed": seed, "alignments": alignments or None}
    asked = {name: value for name, value in asked.items() if value is not None}
    if runtime.kind_of(model):
        if beams or n_best or asked or decode or xla:
            raise UserError(
                f"{model}: how an exported model answers was settled when it was written, one answer a text; "
                "--beams, --n-best, --prefix, --seed, --alignments, --decode and --xla need the run"
            )
        exported = load_exported(model)
        if exported.task == "language_modeling":
            raise UserError(generates(model))
        fills = exported.task == "masked_language_modeling"
        found = [[answer] for answer in exported.answers(questions)]
    else:
        from zoo.hub import find_model

        path = find_model(model)  # before TensorFlow starts, which takes seconds

        from zoo.cli import quiet

        quiet.start()
        from zoo.loading import load

        task = load(path, decode=decode)
        task.xla = xla
        fills = task.fills
        found = _of_task(task, model, questions, beams, n_best, asked)
    for question, answers in zip(questions, found, strict=True):
        records = [answer.record() for answer in answers]
        if as_json or alignments:
            content = records[0] if len(records) == 1 else {"answers": records}
            output.echo(json_text({"text": valid(question), **content}))
        else:
            for record in records:
                output.echo(one_line(record["answer"]))
                if n_best:
                    _print_candidates(record.get("masks", ()))
    if fills:
        _note_unfilled(questions, [answers[0].text for answers in found])


def _print_candidates(masks) -> None:
    """What each [MASK] might be, a line each."""
    from zoo.text import json_text

    for number, candidates in enumerate(masks, 1):
        named = (f"{json_text(found['token'])} {found['probability']:.1%}" for found in candidates)
        output.echo(f"  [MASK] {number}: {'  '.join(named)}")


def _note_unfilled(questions: list[str], answers: list[str]) -> None:
    """Why a text comes back as it was."""
    from zoo.data.reading import HIDDEN

    bare = sum(HIDDEN not in text for text in questions)
    if bare:
        count = f"{bare} of {len(questions)} texts" if len(questions) > 1 else "a text"
        output.echo(f"note: {count} without {HIDDEN}: there is nothing to fill in", err=True)
    if any(HIDDEN in text for text in answers):
        output.echo(f"note: a {HIDDEN} behind data.max_length tokens is not read: it stays", err=True)


def generates(model: str) -> str:
    """What is said of a language model."""
    return f"{model}: a language model goes on from a prompt: use `zoo generate {shlex.quote(model)} --prompt ...`"


def _of_task(task, model: str, questions: list[str], beams, n_best, asked: dict) -> list[list]:
    from zoo.errors import UserError

    if task.generates:
        raise UserError(generates(model))
    given = {"beams": beams, **asked} if task.fills else {"beams": beams, "n-best": n_best, **asked}
    strange = [f"--{name}" for name, value in given.items() if value is not None]
    if strange and not task.searches:
        raise UserError(f"{', '.join(strange)}: for translation; this is {task.called}")
    if not task.searches:
        return task.answers(questions, n_best)
    decode = task.recipe.decode
    if decode.sample:
        if beams or (n_best or 1) > 1:
            raise UserError("--beams and --n-best are for a search, and decode.sample says to draw")
        followed, n_best = None, 1
    else:
        n_best = n_best or min(decode.n_best, beams or decode.beams)
        followed = beams or max(decode.beams, n_best)
        if n_best > followed:
            raise UserError(f"--n-best {n_best} is more than --beams {followed}; raise --beams")
    if "prefix" in asked:
        asked = {**asked, "prefixes": [asked["prefix"]] * len(questions)}
        del asked["prefix"]
    return task.answers(questions, n_best, followed, **asked)


def load_exported(path: str):
    """An exported model; of those a SavedModel alone wants TensorFlow."""
    if runtime.kind_of(path) == "saved_model":
        from zoo.cli import quiet

        quiet.start()
    return runtime.load(path)


def read_lines(file: Path) -> list[str]:
    """The lines of a file or of standard input, UTF-8, split at line feeds only."""
    from zoo.errors import UserError

    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        from zoo.encodings import convert

        command = convert(content, "utf-8", None if str(file) == "-" else file)
        raise UserError(f"{file}:{line}: not UTF-8; convert it with `{command}`") from error
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [line.rstrip("\r") for line in lines]
