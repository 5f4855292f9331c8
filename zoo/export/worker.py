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
from zoo.export import FILES

RUNS_ON = {
    "saved_model": "TensorFlow {tensorflow} with tensorflow_text",
    "tflite": "ai-edge-litert, sentencepiece and numpy; no TensorFlow",
}


def main() -> int:
    request = json.load(sys.stdin)
    # Whatever C++ or a library prints must not stand between our lines.
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(**event):
        print(json.dumps(event), file=events, flush=True)

    try:
        from zoo import hub, loading

        folder = hub.find_model(request["source"])
        out = Path(request["out"]) if request["out"] else default_folder(folder)
        task = loading.load(request["source"])
        texts = request["texts"] or validation_texts(task, request["samples"])
        for form in request["formats"]:
            tell(event="start", format=form)
            options = {key: request[key] for key in ("beams", "max_length", "xla")}
            tell(event="done", report=make(task, form, out, texts, **options), folder=str(out))
    except UserError as error:
        tell(event="error", problems=error.problems)
        return 2
    return 0


def default_folder(folder: Path) -> Path:
    """Inside a run; for a shipped model, under the working folder."""
    return folder / "export" if (folder / "resolved.yaml").exists() else Path("exports") / folder.name


def validation_texts(task, samples: int | None) -> list[str]:
    """Texts from all over the validation split, always the same ones."""
    from zoo.data.datasets import load_dataset

    texts = load_dataset(task.recipe).val.sources
    count = min(samples or task.recipe.export.samples, len(texts))
    return [texts[i * len(texts) // count] for i in range(count)]


def make(
    task,
    form: str,
    out: Path,
    texts: Sequence[str],
    beams: int | None = None,
    max_length: int | None = None,
    xla: bool = False,
) -> dict:
    """One file: written under another name, compared, then renamed. Returns its report."""
    from zoo.export.verify import Search, verify

    recipe, start = task.recipe, time.perf_counter()
    length = max_length or recipe.decode.max_length or recipe.data.max_length
    beams = 1 if form == "tflite" else beams or recipe.export.beams or recipe.decode.beams
    search = Search(beams, recipe.decode.length_penalty, length)
    final = out / FILES[form]
    beside = out / f".partial.{final.name}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove(beside)
        operators = WRITERS[form](task, beside, search, xla)
        figures = verify(task, beside, form, texts, search)
        replace(beside, final)
    except OSError as error:
        raise UserError(f"{out}: cannot write the {form} ({error.strerror or error})") from error
    finally:
        remove(beside)
    found = {"beams": beams, "max_length": length} if recipe.task == "translation" else {}
    packages = ("tensorflow", "keras", "tensorflow-text", "ai-edge-litert", "sentencepiece")
    versions = {name: importlib.metadata.version(name) for name in packages}
    xla = xla and form == "saved_model"
    runs_on = RUNS_ON[form].format(**versions) + (", XLA in it; not stock TensorFlow Serving" if xla else "")
    return {
        "format": form,
        "path": str(final),
        "example": texts[0] if texts else "",
        "size": size(final),
        **figures,
        "seconds": round(time.perf_counter() - start, 1),
        **found,
        "xla": xla,
        "runs_on": runs_on,
        "operators": dict(sorted(operators.items())),
        "versions": versions,
    }


def _saved_model(task, path: Path, search, xla: bool):
    from zoo.export.saved_model import export_saved_model

    return export_saved_model(task, path, search.beams, search.length_penalty, search.max_length, xla)


def _tflite(task, path: Path, search, xla: bool):
    from zoo.export.tflite import export_tflite

    return export_tflite(task, path, search.max_length)


WRITERS: dict[str, Callable] = {"saved_model": _saved_model, "tflite": _tflite}


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
