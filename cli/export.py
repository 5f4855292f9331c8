"""`zoo export`: files that run without this project, each compared with Python before it is kept."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
from zoo.cli import options, output


@click.command()
@click.argument("model", metavar="RUN|NAME")
@click.option(
    "--format",
    "formats",
    help="Formats, with commas (default: saved_model,tflite; with --quantize tflite).",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder (default: RUN/export or exports/NAME).")
@click.option(
    "--beams",
    "--beam",
    "beams",
    type=click.IntRange(1, 64),
    help="Hypotheses a translator follows (default: the recipe's); 1 is greedy, and the fastest.",
)
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
@options.decode
@click.option(
    "--batch",
    type=click.IntRange(1, 4096),
    default=1,
    show_default=True,
    help="Texts a TFLite file takes at once; other formats take any number.",
)
@click.option(
    "--quantize",
    type=click.Choice(["none", "float16", "dynamic_int8"]),
    default="none",
    show_default=True,
    help="Smaller weights.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(0),
    default=0.5,
    show_default=True,
    help="Points of the recipe's metric that a file may lose.",
)
@click.option(
    "--metric-samples",
    type=click.IntRange(0),
    help="Rows of validation that the metric is measured on (default: export.metric_samples); 0: not at all.",
)
@click.option("--xla", is_flag=True, help="Compile the SavedModel with XLA; TensorFlow Serving refuses it.")
@options.allow_code
@click.option("--json", "as_json", is_flag=True, help="The reports as JSON on standard output.")
def command(model: str, formats: str | None, out: Path | None, as_json: bool, **chosen) -> None:
    """Export RUN (a run folder) or NAME (of `zoo ls saved`) to files that run without this project.

    \b
    saved_model  a folder: strings in, strings out; runs with tensorflow and tensorflow_text
    tflite       a file; runs with ai-edge-litert, no TensorFlow
    onnx         a folder: runs with onnxruntime, no TensorFlow; to write it, pip install 'sequence-zoo[onnx]'
    keras        a file: the network alone, ids in, logits out, for Keras with this package

    Each is loaded in a fresh process, must answer validation texts as Python does, and is measured by the
    recipe's metric. One that answers otherwise, or (quantised) has lost more than --max-drop, is not kept, and
    the exit code is 2. Standard output is the path of each file, one a line.
    """

    from zoo.export import export

    if formats is None:
        formats = "saved_model,tflite" if chosen["quantize"] == "none" else "tflite"
    names = [name.strip() for name in formats.split(",") if name.strip()]
    reports = export(
        model,
        names,
        out,
        **chosen,
        progress=lambda line: output.echo(f"{line} …", err=True),
    )
    if as_json:
        output.print_json(reports)
        return
    for report in reports:
        output.echo(report["path"])
    rows = [_row(report) for report in reports]
    columns = list(max(rows, key=len))  # a format that is not measured has no figures
    cells = [[output.cell(row.get(column, "-")) for column in columns] for row in rows]
    table = output.plain_lines([columns, *cells])
    notes = ["times: median / 95th percentile in milliseconds", *map(_note, reports)]
    for line in ["", *table, "", *notes, "", "Try next:", *_next(reports)]:
        output.echo(line, err=True)


def _row(report: dict) -> dict:
    """A line of the table."""
    row = {
        "file": Path(report["path"]).name,
        "size": _bytes(report["size"]),
        "operators": sum(report["operators"].values()),
        "compared": report["samples"],
        "otherwise": report["differences"],
        "ties": report["ties"],
    }
    metric = report["metric"]
    if metric:
        row |= {metric["name"]: metric["export"], "in Python": metric["python"]}
    for size in (1, 32):
        measured = report["latency_ms"].get(str(size))
        for what, words in (("text", "text to text" if size == 1 else "texts"), ("ids", "ids alone")):
            times = measured and measured.get(what)
            row[f"{size} {words}"] = f"{times['p50']:.3g} / {times['p95']:.3g}" if times else "-"
    return row


def _note(report: dict) -> str:
    """What the table has no room for."""
    name, batch = Path(report["path"]).name, report["batch"]
    takes = "" if batch is None else f"takes {batch} text{'s' * (batch > 1)} at a time; "
    return f"{name}: {takes}runs on {report['runs_on']}"


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
                seed=", seed=tf.constant(1)" if "temperature" in report else "",
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
