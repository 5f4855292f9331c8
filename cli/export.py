"""`zoo export`: files that run without this project, each compared with Python before it is kept."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
from zoo.cli import output
from zoo.cli.options import allow_code

COLUMNS = {
    "format": lambda report: report["format"],
    "size": lambda report: _bytes(report["size"]),
    "operators": lambda report: sum(report["operators"].values()),
    "texts compared": lambda report: report["samples"],
    "differences": lambda report: report["differences"],
    "ties": lambda report: report["ties"],
    "ms p50": lambda report: report["latency_ms"]["p50"],
    "ms p95": lambda report: report["latency_ms"]["p95"],
    "runs on": lambda report: report["runs_on"],
}


@click.command()
@click.argument("model", metavar="RUN|NAME")
@click.option(
    "--format", "formats", default="saved_model,tflite", show_default=True, help="Formats, with commas."
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder (default: RUN/export or exports/NAME).")
@click.option("--beams", type=click.IntRange(1, 64), help="Beams of the SavedModel (default: the recipe's).")
@click.option(
    "--max-length", type=click.IntRange(2), help="Longest answer in tokens (default: the recipe's)."
)
@click.option("--temperature", type=click.FloatRange(0), help="Of a language model; 0 draws nothing.")
@click.option("--top-k", type=click.IntRange(1), help="Of a language model: draw from so many tokens only.")
@click.option(
    "--top-p",
    type=click.FloatRange(0, 1, min_open=True),
    help="Of a language model: draw from this share only.",
)
@click.option("--xla", is_flag=True, help="Compile the SavedModel with XLA; TensorFlow Serving refuses it.")
@allow_code
@click.option("--json", "as_json", is_flag=True, help="The reports as JSON on standard output.")
def command(model: str, formats: str, out: Path | None, xla: bool, as_json: bool, **search) -> None:
    """Export RUN (a run folder) or NAME (of `zoo ls saved`) to files that run without this project.

    \b
    saved_model  a folder: strings in, strings out; runs with tensorflow and tensorflow_text
    tflite       a file: one text at a time, translated greedily; runs with ai-edge-litert, no TensorFlow
    onnx         a folder: runs with onnxruntime, no TensorFlow; to write it, pip install 'sequence-zoo[onnx]'
    keras        a file: the network alone, ids in, logits out, for Keras with this package

    Each is loaded in a fresh process and must answer validation texts as Python does; otherwise it is not
    kept, and the exit code is 2. Standard output is the path of each file, one a line.
    """

    from zoo.export import export

    names = [name.strip() for name in formats.split(",") if name.strip()]
    reports = export(
        model,
        names,
        out,
        xla=xla,
        **search,
        progress=lambda line: output.echo(f"{line} …", err=True),
    )
    if as_json:
        output.print_json(reports)
        return
    for report in reports:
        output.echo(report["path"])
    rows = [[output.cell(value(report)) for value in COLUMNS.values()] for report in reports]
    for line in ["", *output.plain_lines([list(COLUMNS), *rows]), "", "Try next:", *_next(reports)]:
        output.echo(line, err=True)


def _next(reports: list[dict]) -> list[str]:
    """Commands that ask the new files something."""
    light = "  {zoo} {verb} {path} {text}"
    commands = {
        "tflite": light,
        "onnx": light,
        "keras": "  {python} -c 'import sys, keras, zoo.models; "
        "keras.saving.load_model(sys.argv[1]).summary()' {path}",
        "saved_model": "  {python} -c 'import sys, tensorflow as tf, tensorflow_text; "
        'print(tf.saved_model.load(sys.argv[1]).signatures["serving_default"]'
        "(text=tf.constant(sys.argv[2:]){seed}))' {path} {text}",
    }
    lines = []
    for report in reports:
        generates = report["task"] == "language_modeling"
        text = shlex.quote(report["example"])
        lines.append(
            commands[report["format"]].format(
                path=shlex.quote(report["path"]),
                verb="generate" if generates else "predict",
                text=f"--prompt {text}" if generates and report["format"] != "saved_model" else text,
                seed=", seed=tf.constant(1)" if generates else "",
                zoo=output.program("zoo"),
                python=output.program("python"),
            )
        )
    return lines


def _bytes(number: int) -> str:
    """A size as people read it."""
    for unit in ("B", "KB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} MB" if number < 1000 else f"{number / 1000:.3g} GB"
