"""`zoo doctor`: does what the zoo stands on work here?

Each check runs in a process of its own, for a broken driver aborts the process that meets it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import click
from zoo.cli import output

MINUTES = 5
"""After which a check counts as failed."""


def versions() -> str:
    """Installed packages against what the project asks for."""
    import platform
    from importlib.metadata import PackageNotFoundError, requires, version

    from packaging.requirements import Requirement

    found, wrong = [f"python {platform.python_version()}"], []
    for requirement in map(Requirement, requires("sequence-zoo") or []):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            number = version(requirement.name)
        except PackageNotFoundError:
            number = "missing"
        if number == "missing" or not requirement.specifier.contains(number, prereleases=True):
            wrong.append(f"{requirement.name} is {number}, needed is {requirement.specifier}")
        found.append(f"{requirement.name} {number}")
    if wrong:
        raise Failure("; ".join(wrong))
    return ", ".join(found)


def devices() -> str:
    """What TensorFlow computes on; a GPU that it overlooks is a failure."""
    import shutil

    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if not gpus and not hidden and shutil.which("nvidia-smi"):
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout.strip()
        if listed:
            raise Failure(f"TensorFlow does not see {listed.splitlines()[0]}")
    return ", ".join([f"{os.cpu_count()} CPU cores", *(names or ["no GPU"])])


def xla() -> str:
    """A two-line function compiled by XLA."""
    import tensorflow as tf

    double = tf.function(lambda x: tf.reduce_sum(x @ x), jit_compile=True)
    expect(float(double(tf.ones([8, 8]))) == 512.0, "a compiled matrix product is wrong")
    return "compiles"


def lstm() -> str:
    """A training step of an LSTM with padded rows: cuDNN where there is a GPU."""
    import keras
    import numpy as np

    from zoo.layers import LSTM

    layers = keras.layers
    model = keras.Sequential([layers.Embedding(10, 8, mask_zero=True), LSTM(8), layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse")
    ids = np.array([[1, 2, 3, 0], [4, 0, 0, 0]])
    first, *_, last = [float(model.train_on_batch(ids, np.ones((2, 1)))) for _ in range(5)]
    expect(np.isfinite(last) and last < first, f"the loss went from {first} to {last}")
    return "learns"


def attention() -> str:
    """Changing a target token changes no logits before it, with dropout in the model."""
    import numpy as np

    from zoo.config.transformer import Transformer as Section
    from zoo.models import Transformer

    section = Section(
        name="transformer",
        num_encoder_layers=1,
        num_decoder_layers=2,
        hidden_dim=16,
        intermediate_dim=32,
        num_heads=2,
        dropout=0.1,
        attention_dropout=0.1,
    )
    model = Transformer(vocabulary_size=20, **section.model_dump(exclude={"name"})).build_from_ids()
    source, target = np.array([[4, 5, 6, 3]]), np.array([[2, 7, 8, 9]])
    changed = target.copy()
    changed[0, 2] = 15
    before, after = (
        np.asarray(model({"encoder_token_ids": source, "decoder_token_ids": ids}))
        for ids in (target, changed)
    )
    difference = np.abs(before - after).max(axis=-1)[0]
    expect(difference[:2].max() < 1e-5, f"a later token changes earlier logits by {difference[:2].max():.2g}")
    expect(difference[2:].min() > 1e-5, "a token changes nothing behind it")
    return "sees no later token"


def saved_model() -> str:
    """A SavedModel, reloaded without the zoo."""
    return _exported("saved_model")


def tflite() -> str:
    """A TFLite file, reloaded without TensorFlow."""
    return _exported("tflite")


def _exported(form: str) -> str:
    """An untrained little translator, exported and compared."""
    import tempfile
    from pathlib import Path

    from zoo.config import Recipe
    from zoo.data.tokenizers import train_tokenizer
    from zoo.export.worker import make
    from zoo.tasks import build_task

    texts = ["3 March 2021", "le 3 mars 2021", "3. März 2021", "2021年3月3日"]
    recipe = Recipe.model_validate(
        {
            "name": "translation/doctor",
            "task": "translation",
            "data": {"name": "dates", "max_length": 24},
            "tokenizer": {"name": "character"},
            "model": {"name": "rnn_seq2seq", "embedding_dim": 8, "units": 16},
            "train": {"steps": 1, "batch_tokens": 64, "learning_rate": 1e-3},
            "decode": {"beams": 2, "max_length": 8},
        }
    )
    task = build_task(recipe, train_tokenizer(recipe.tokenizer, texts))
    with tempfile.TemporaryDirectory(prefix="zoo-doctor-") as folder:
        report = make(task, form, Path(folder), texts)
    return f"answers {report['samples']} texts as Python does"


class Failure(Exception):
    """A check that ran and found something wrong."""


def expect(holds, otherwise: str) -> None:
    if not holds:
        raise Failure(otherwise)


PIP = "pip install --upgrade sequence-zoo"
CHECKS: dict[str, tuple[Callable[[], str], str]] = {
    "versions": (versions, f"install what is asked for: {PIP}"),
    "devices": (
        devices,
        "install CUDA's libraries: pip install 'tensorflow[and-cuda]>=2.21,<2.22'; if that does not help, "
        "ZOO_CHATTER=1 zoo train RECIPE shows which library TensorFlow misses",
    ),
    "xla": (xla, "train without it: zoo train RECIPE train.xla=false; on a GPU, a newer driver may help"),
    "lstm": (
        lstm,
        "use the loop instead of cuDNN: zoo train RECIPE model.rnn_kernel=xla; or update the GPU's driver",
    ),
    "attention": (attention, "the model sees the future, do not train: pip install 'keras>=3.15.1,<3.16'"),
    "saved_model": (saved_model, "pip install 'tensorflow>=2.21,<2.22' 'tensorflow-text>=2.21.1,<2.22'"),
    "tflite": (tflite, "pip install --upgrade ai-edge-litert sentencepiece"),
}
"""Name -> the check and what to do when it fails."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(as_json: bool) -> None:
    """Check this machine: versions, devices, XLA, LSTM, attention, exports (about a minute).

    The exit code is 0 if all is well, 1 otherwise.
    """
    results = []
    for name in CHECKS:
        result = run_check(name)
        results.append(result)
        if not as_json:
            _print(result)
    ok = all(result["ok"] for result in results)
    if as_json:
        output.print_json({"ok": ok, "checks": results})
    sys.exit(0 if ok else 1)


def run_check(name: str) -> dict:
    """One check in its own process: name, ok, detail, seconds and, where it failed, remedy and output."""
    from zoo.export.process import exit_reason, tail

    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "1"}
    if name in ("saved_model", "tflite"):
        environment["CUDA_VISIBLE_DEVICES"] = "-1"
    start = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "zoo.cli.doctor", name],
            capture_output=True,
            text=True,
            timeout=MINUTES * 60,
            env=environment,
        )
        ok, log, reason = done.returncode == 0, done.stderr, exit_reason(done.returncode)
        said = done.stdout.splitlines()
    except subprocess.TimeoutExpired:
        ok, log, reason, said = False, "", f"no answer after {MINUTES} minutes", []
    answer = json.loads(said[-1]) if said and said[-1].startswith("{") else {"detail": f"died: {reason}"}
    result = {"name": name, "ok": ok, **answer, "seconds": round(time.perf_counter() - start, 1)}
    return result if ok else {**result, "remedy": CHECKS[name][1], "output": tail(log)}


def _print(result: dict) -> None:
    width = max(map(len, CHECKS))
    output.echo(f"{result['name']:{width}}  {'ok' if result['ok'] else 'FAILED':6}  {result['detail']}")
    if not result["ok"]:
        output.echo(f"{'':{width}}  remedy: {result['remedy']}")
        if result["output"]:
            output.echo(result["output"], err=True)


def _main(name: str) -> int:
    """The other side of `run_check`: one line of JSON, exit code 1 for a failure."""
    try:
        print(json.dumps({"detail": CHECKS[name][0]()}), flush=True)
    except Exception as error:
        import traceback

        if not isinstance(error, Failure):
            traceback.print_exc()
        first = (str(error).splitlines() or [type(error).__name__])[0]
        print(json.dumps({"detail": first[:300]}), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
