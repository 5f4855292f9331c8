"""From a trained model to files that run without this project, each proved to answer as Python does.

This module only directs: the work is done by `zoo.export.worker` in a process of its own, on the CPU, so
that a crash of a converter is a message and no file depends on a GPU.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from zoo import user_code
from zoo.errors import UserError
from zoo.export.build import FILES, MAX_DROP, NEEDS, check_quantize
from zoo.export.process import exit_reason, tail

REPORT = "export.json"


def export(
    source,
    formats: Sequence[str],
    out: str | Path | None = None,
    *,
    beams: int | None = None,
    max_length: int | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    decode: Sequence[str] = (),
    batch: int = 1,
    quantize: str = "none",
    xla: bool = False,
    samples: int | None = None,
    metric_samples: int | None = None,
    max_drop: float = MAX_DROP,
    texts: Sequence[str] | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> list[dict]:
    """Exports a model and compares each file with Python's answers; what differs is not kept.

    A quantised file may differ; it is measured, and not kept where it has lost too much.

    Args:
        source: a run folder, the name of a shipped model, or a task as `zoo.load` gives it.
        formats: of `FILES`.
        out: folder for the files (default: `export` in the run, `exports/<name>` for other sources).
        beams: hypotheses that a translator follows, 1 for greedy (default: the recipe's).
        max_length: longest answer in tokens (default: the recipe's).
        temperature, top_k, top_p: how a language model draws (default: as the recipe says).
        decode: what is otherwise in the recipe's section `decode`: ["no_repeat_ngram=3"].
        batch: texts that a TFLite file takes at once; the other formats take any number.
        quantize: "none", "float16" or "dynamic_int8", the weights of a TFLite file.
        xla: compile the SavedModel's ids core with XLA.
        samples: validation texts to compare on (default: `export.samples` of the recipe).
        metric_samples: rows of validation on which the recipe's figure is measured again (default:
            `export.metric_samples`); 0 measures nothing.
        max_drop: points of that figure that a file may lose (zoo/export/metric.py).
        texts: texts to compare on instead of validation texts.
        progress: is told what goes on.

    Returns: a report for each file, which is also written into `export.json` beside them.
    """
    formats = list(dict.fromkeys(formats))
    unknown = [name for name in formats if name not in FILES]
    if unknown or not formats:
        raise UserError(
            f"unknown export format '{', '.join(unknown)}': give one or more of {', '.join(FILES)}"
        )
    for name in formats:
        missing = [package for package in NEEDS.get(name, ()) if importlib.util.find_spec(package) is None]
        if missing:
            raise UserError(
                f"the format '{name}' needs {', '.join(missing)}: pip install 'sequence-zoo[{name}]'"
            )
    check_quantize(formats, quantize)
    if quantize != "none" and metric_samples == 0:
        raise UserError(
            "--metric-samples 0: what a quantised file has lost must be measured; give at least 1"
        )
    search = dict(beams=beams, length=max_length, temperature=temperature, top_k=top_k, top_p=top_p)
    with tempfile.TemporaryDirectory(prefix="zoo-export-") as scratch:
        if not isinstance(source, str | Path):
            out = out or Path("exports") / source.recipe.name.rsplit("/", 1)[-1]
            source = save_task(source, Path(scratch) / "task")
        request = {
            "source": str(source),
            "formats": formats,
            "out": str(out) if out else None,
            "texts": list(texts) if texts else None,
            "allow_code": user_code.allowed(),
            "samples": samples,
            "metric_samples": metric_samples,
            "max_drop": max_drop,
            "build": {"batch": batch, "quantize": quantize, "xla": xla},
            "decode": list(decode),
            "search": {name: value for name, value in search.items() if value is not None},
        }
        return _converse(request, Path(scratch) / "stderr", progress)


def save_task(task, folder: Path) -> Path:
    """A task as a folder that `zoo.load` reads."""
    from zoo.recipe import dump_recipe

    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(dump_recipe(task.recipe), encoding="utf-8")
    task.tokenizer.save(folder / "tokenizer")
    if task.labels:
        (folder / "labels.json").write_text(json.dumps(list(task.labels)), encoding="utf-8")
    task.model.save_weights(folder / "model.weights.h5")
    return folder


def _converse(request: dict, log: Path, progress: Callable[[str], None]) -> list[dict]:
    """Starts the worker, hands it the request and collects its reports."""
    # No GPU: Keras writes cuDNN kernels into any graph that it traces in sight of one.
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-P", "-m", "zoo.export.worker"]
    reports, doing = [], "loading the model"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment
        ) as worker,
    ):
        try:
            with contextlib.suppress(BrokenPipeError):  # it died at once; its exit code says so below
                worker.stdin.write(json.dumps(request))
                worker.stdin.close()
            for line in worker.stdout:
                event = json.loads(line)
                if event["event"] == "error":
                    raise UserError(*event["problems"])
                if event["event"] == "start":
                    doing = f"writing and comparing the {event['format']}"
                    progress(doing)
                else:
                    reports.append(event["report"])
                    _remember(Path(event["folder"]) / REPORT, event["report"])
        except BaseException:
            worker.kill()
            raise
    if worker.returncode:
        output = log.read_text(encoding="utf-8", errors="replace")
        raise UserError(
            f"the export died while {doing} ({exit_reason(worker.returncode)}); nothing of it was kept",
            tail(output),
        )
    return reports


def _remember(path: Path, report: dict) -> None:
    """Writes a report beside the file it is about; those of other formats stay."""
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        old = {}
    beside = path.with_name(f".partial.{path.name}")
    name = Path(report["path"]).name
    beside.write_text(json.dumps({**old, name: report}, indent=2), encoding="utf-8")
    os.replace(beside, path)
