"""Writes and checks exported files, in a process of its own: some conversions end in a segmentation fault.

Reads one JSON request on standard input; standard output is a JSON object a line, on what happens.
`zoo.export.export` is the other end.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from zoo.errors import UserError
from zoo.export.build import MAX_DROP, NEEDS, Build, file_name

RUNS_ON = {
    "saved_model": "TensorFlow {tensorflow} with tensorflow_text",
    "tflite": "ai-edge-litert, sentencepiece and numpy; no TensorFlow",
    "onnx": "onnxruntime, sentencepiece and numpy; no TensorFlow",
    "keras": "Keras {keras} where zoo.models is imported; logits alone",
}


def main() -> int:
    request = json.load(sys.stdin)
    # Whatever C++ or a library prints must not stand between our lines.
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(**event):
        print(json.dumps(event), file=events, flush=True)

    try:
        from zoo import hub, loading, user_code
        from zoo.data.datasets import load_dataset

        if request["allow_code"]:
            user_code.allow()
        folder = hub.find_model(request["source"])
        out = Path(request["out"]) if request["out"] else default_folder(folder)
        task = loading.load(request["source"], decode=request["decode"])
        validation, asked = None, task.recipe.export
        count = asked.metric_samples if request["metric_samples"] is None else request["metric_samples"]
        if count or not request["texts"]:
            validation = load_dataset(task.recipe).val
        texts = request["texts"] or validation_texts(task, validation, request["samples"] or asked.samples)
        for form in request["formats"]:
            tell(event="start", format=form)
            report = make(
                task,
                form,
                out,
                texts,
                Build(**request["build"]),
                validation=validation,
                count=count,
                max_drop=request["max_drop"],
                **request["search"],
            )
            tell(event="done", report=report, folder=str(out))
    except UserError as error:
        tell(event="error", problems=error.problems)
        return 2
    return 0


def default_folder(folder: Path) -> Path:
    """Inside a run; for a shipped model, under the working folder."""
    return folder / "export" if (folder / "resolved.yaml").exists() else Path("exports") / folder.name


def validation_texts(task, validation, samples: int) -> list[str]:
    """Texts from all over the validation split, always the same ones."""
    from zoo.export.kinds import KINDS

    return KINDS[task.recipe.task](task).samples(validation, samples)


def make(
    task,
    form: str,
    out: Path,
    texts: Sequence[str],
    build: Build | None = None,
    *,
    validation=None,
    count: int = 0,
    max_drop: float = MAX_DROP,
    **search,
) -> dict:
    """One file: written under another name, compared and measured, then renamed. Returns its report.

    Args:
        task, form, out: what is exported, as what, into which folder.
        texts: what the file must answer as Python does.
        build: how it is made.
        validation, count: the split that it is measured on, and rows of it.
        max_drop: points of the figure that it may lose.
        search: settings of the search, as `zoo.export.export` takes them; None is as the recipe says.
    """
    from zoo.export.keras import verify_keras
    from zoo.export.kinds import KINDS
    from zoo.export.verify import verify

    start = time.perf_counter()
    build = build or Build()
    kind = KINDS[task.recipe.task](task, form, **search)
    xla = build.xla and form == "saved_model"
    final = out / file_name(form, build.quantize)
    beside = out / f".partial.{final.name}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove(beside)
        operators = WRITERS[form](kind, beside, build)
        if form == "keras":
            figures = verify_keras(kind, beside, texts)
        else:
            figures = verify(kind, beside, form, texts, validation, count, exact=build.quantize == "none")
            _refuse_loss(final.name, figures["metric"], max_drop, build.quantize)
        replace(beside, final)
    except OSError as error:
        raise UserError(f"{out}: cannot write the {form} ({error.strerror or error})") from error
    finally:
        remove(beside)
    packages = ("tensorflow", "keras", "tensorflow-text", "ai-edge-litert", "sentencepiece")
    packages = (*packages, *NEEDS.get(form, ()))
    versions = {name: importlib.metadata.version(name) for name in packages}
    runs_on = RUNS_ON[form].format(**versions) + (", XLA in it; not stock TensorFlow Serving" if xla else "")
    return {
        "format": form,
        "quantize": build.quantize,
        "batch": build.batch if form == "tflite" else None,
        "task": task.recipe.task,
        "path": str(final),
        "example": texts[0] if texts else "",
        "size": size(final),
        **figures,
        "seconds": round(time.perf_counter() - start, 1),
        **kind.report(),
        "xla": xla,
        "runs_on": runs_on,
        "operators": dict(sorted(operators.items())),
        "versions": versions,
    }


def _refuse_loss(name: str, metric: dict | None, max_drop: float, quantize: str) -> None:
    """Raises where a file has lost too much of what its model can do."""
    if metric is None:
        if quantize != "none":
            raise UserError(
                f"{name} not kept: what was lost by {quantize} could not be measured on its answers"
            )
    elif metric["drop"] > max_drop:
        raise UserError(
            f"{name} not kept: {metric['name']} {metric['export']:.4g} instead of {metric['python']:.4g} on "
            f"{metric['samples']} rows of validation is a loss of {metric['drop']:.3g} points, and --max-drop is "
            f"{max_drop:g}; try --quantize {'float16' if quantize == 'dynamic_int8' else 'none'}"
        )


def _saved_model(kind, path: Path, build: Build):
    from zoo.export.saved_model import export_saved_model

    return export_saved_model(kind, path, build)


def _tflite(kind, path: Path, build: Build):
    from zoo.export.tflite import export_tflite

    return export_tflite(kind, path, build)


def _onnx(kind, path: Path, build: Build):
    from zoo.export.onnx import export_onnx

    return export_onnx(kind, path, build.quantize)


def _keras(kind, path: Path, build: Build):
    from zoo.export.keras import export_keras

    return export_keras(kind, path)


WRITERS: dict[str, Callable] = {
    "saved_model": _saved_model,
    "tflite": _tflite,
    "onnx": _onnx,
    "keras": _keras,
}


def replace(beside: Path, final: Path) -> None:
    """Renames; an older file or folder gives way only when the new one is ready."""
    old = final.with_name(f".old.{final.name}")
    remove(old)
    if final.exists():
        os.rename(final, old)
    os.rename(beside, final)
    remove(old)


def remove(path: Path) -> None:
    """A file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


if __name__ == "__main__":
    sys.exit(main())
