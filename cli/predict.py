"""`zoo predict`: one answer a line, and nothing else on standard output."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click


@click.command()
@click.argument("model", metavar="RUN|NAME|FILE.tflite")
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@click.option("--file", type=click.Path(path_type=Path), help="Texts, one a line; - is standard input.")
@click.option("--beams", type=click.IntRange(1, 64), help="Hypotheses followed (default: decode.beams).")
@click.option(
    "--n-best", type=click.IntRange(1, 64), help="Answers a text, a line each (default: decode.n_best)."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a text, with scores.")
def command(model: str, texts: tuple[str, ...], file: Path | None, beams, n_best, as_json: bool) -> None:
    """Answer TEXTs with a run folder, a shipped model or an exported .tflite file.

    Without TEXT and --file, or with the text `-`, texts are read from standard input, one a line.
    """
    from zoo.errors import UserError

    if file and texts:
        raise UserError("give texts or --file, not both")
    questions = _read(file) if file else list(texts)
    if not file and (not texts or texts == ("-",)):
        questions = _read(Path("-"))
    if not questions:
        return
    if model.endswith(".tflite"):
        if beams or n_best:
            raise UserError(f"{model}: a TFLite file answers greedily; --beams and --n-best need the run")
        from zoo.runtime.tflite import load

        runtime = load(model)
        answers = _of_tflite(runtime, questions)
    else:
        from zoo.hub import find_model

        path = find_model(model)  # before TensorFlow starts, which takes seconds

        from zoo.cli import quiet

        quiet.start()
        from zoo.loading import load

        answers = _of_task(load(path), questions, beams, n_best)
    for question, found in zip(questions, answers, strict=True):
        if as_json:
            click.echo(json.dumps({"text": question, **_record(found)}, ensure_ascii=False))
        else:
            for answer in found:
                click.echo(" ".join(answer["answer"].splitlines()))


def _record(found: list[dict]) -> dict:
    """One answer as it is; several as a list."""
    return found[0] if len(found) == 1 else {"answers": found}


def _of_task(task, questions: list[str], beams, n_best) -> list[list[dict]]:
    from zoo.errors import UserError

    if task.recipe.task == "classification":
        if beams or n_best:
            raise UserError("--beams and --n-best are for translation; this is a classifier")
        return [
            [{"answer": c.label, "probability": c.probability, "probabilities": c.probabilities}]
            for c in task.classify(questions)
        ]
    decode = task.recipe.decode
    n_best = n_best or min(decode.n_best, beams or decode.beams)
    followed = beams or max(decode.beams, n_best)
    if n_best > followed:
        raise UserError(f"--n-best {n_best} is more than --beams {followed}; raise --beams")
    return [
        [{"answer": t.text, "score": t.score} for t in found]
        for found in task.translate_n_best(questions, n_best, followed)
    ]


def _of_tflite(runtime, questions: list[str]) -> list[list[dict]]:
    if runtime.task == "classification":
        return [[{"answer": c.label, "probability": c.probability}] for c in runtime.classify(questions)]
    return [[{"answer": text}] for text in runtime.translate(questions)]


def _read(file: Path) -> list[str]:
    """The lines of a file or of standard input, UTF-8, split at line feeds only."""
    from zoo.errors import UserError

    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{file}:{line}: not UTF-8; convert it with `iconv -t utf-8`") from error
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [line.rstrip("\r") for line in lines]
