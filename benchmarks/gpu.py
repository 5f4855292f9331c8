"""Training speed on a GPU: XLA on and off, cuDNN and our loop, float32 and bfloat16.

    python benchmarks/gpu.py

It was written without a GPU at hand and has not been run on one: of its figures none is in RESULTS.md. `--cpu` tries
the script itself, at a size that says nothing about speed.

Each case is a process of its own that trains the model of a recipe on random ids, all of them real tokens, and
prints tokens/s (target tokens of a translator), the share of the GPU's bfloat16 peak that its matrix products come
to, and the most memory that was in use. It runs on TensorFlow, or on JAX where that alone is installed or
KERAS_BACKEND says so; JAX always compiles with XLA.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
import time

import click

TRANSFORMER = "translation/multi30k-en-de-transformer-base"
RECURRENT = (
    "translation/multi30k-en-de-lstm-small",
    "language_modeling/tinyshakespeare-en-lstm-tiny",
    "classification/sst2-en-lstm-tiny",
)
PEAKS = {
    "B200": 2250, "H200": 989, "H100 PCIe": 756, "H100": 989, "A100": 312, "L40S": 362, "L4": 121, "A10": 125,
    "RTX 4090": 165, "RTX 3090": 71,
}  # fmt: skip
"""Part of a GPU's name -> its dense bfloat16 TFLOP/s, as its maker says."""
SMALL = {
    "num_layers": 1, "num_encoder_layers": 1, "num_decoder_layers": 1, "hidden_dim": 16, "intermediate_dim": 16,
    "num_heads": 2, "units": 8, "embedding_dim": 8,
}  # fmt: skip
VOCABULARY, LENGTH, WARM_UP = 8000, 64, 3


def cases(backend: str, cpu: bool) -> dict[str, tuple[str, list[str], bool]]:
    """Name -> (recipe, overrides, XLA)."""
    kernels = [None, "xla", "cudnn"]
    found = {}
    for recipe in (TRANSFORMER, *RECURRENT):
        for kernel in kernels[:1] if recipe == TRANSFORMER else kernels[1:]:
            for xla in (False, True):
                if (kernel == "cudnn" and (xla or cpu)) or (
                    backend == "jax" and not xla and kernel != "cudnn"
                ):
                    continue
                for precision in ("float32", "bfloat16"):
                    name = recipe.split("/")[1]
                    words = [name, *([kernel] if kernel else []), "XLA" if xla else "no-XLA", precision]
                    changes = [f"model.rnn_kernel={kernel}"] if kernel else []
                    found[" ".join(words)] = (recipe, [f"train.precision={precision}", *changes], xla)
    return found


@click.command(help=__doc__.replace("\n    python", "\n\b\n    python"))
@click.option("--only", default="", help="Cases whose names hold this text.")
@click.option("--steps", default=30, show_default=True, type=click.IntRange(1), help="Steps that are timed.")
@click.option(
    "--batch-tokens", type=click.IntRange(LENGTH), help="Tokens in a batch (default: the recipe's)."
)
@click.option("--peak", type=float, help="TFLOP/s of the GPU in bfloat16, where this file does not know it.")
@click.option("--cpu", is_flag=True, help="Try the script on a CPU, with tiny models.")
@click.option("--case", hidden=True, help="Run this one case here and print its figures as JSON.")
def main(only, steps, batch_tokens, peak, cpu, case) -> None:
    alone = importlib.util.find_spec("tensorflow") is None
    backend = os.environ.setdefault("KERAS_BACKEND", "jax" if alone else "tensorflow")
    every = cases(backend, cpu)
    if case:
        click.echo(json.dumps(measure(*every[case], steps, batch_tokens, peak, cpu)))
        return
    chosen = [name for name in every if only in name]
    if not chosen:
        raise click.UsageError(f"no case holds {only!r}; there are: {', '.join(every)}")
    head = f"{'case':62} {'tokens/s':>10} {'ms/step':>8} {'of peak':>8} {'memory':>9}"
    for name in chosen:
        options = [f"--steps={steps}", *([f"--peak={peak}"] if peak else []), *(["--cpu"] if cpu else [])]
        options += [f"--batch-tokens={batch_tokens}"] if batch_tokens else []
        command = [sys.executable, __file__, "--case", name, *options]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 2:
            click.echo(done.stderr.strip().splitlines()[-1], err=True)
            raise SystemExit(2)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no word"])[-1]
            click.echo(f"{name:62} failed: {last[:150]}")
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        if head:
            click.echo(f"{found['device']}, {backend}\n{head}")
            head = ""
        share = f"{found['share']:.1%}" if found["share"] is not None else "?"
        memory = f"{found['memory'] / 2**20:,.0f} MiB" if found["memory"] is not None else "?"
        click.echo(f"{name:62} {found['speed']:>10,.0f} {found['ms']:>8.1f} {share:>8} {memory:>9}")


def measure(recipe, overrides, xla, steps, batch_tokens, peak, cpu) -> dict:
    """The figures of one case."""
    device, memory = find_device(cpu)
    import numpy as np

    from zoo import registry
    from zoo.data.objectives import Batch
    from zoo.recipe import load_recipe
    from zoo.training.backend import find_backend
    from zoo.training.optim import make_optimizer

    recipe = load_recipe(recipe, overrides).recipe
    keywords = recipe.model.model_dump(exclude={"name"})
    if cpu:
        keywords |= {key: value for key, value in SMALL.items() if keywords.get(key) is not None}
    if recipe.task == "classification":
        keywords["num_classes"] = 2
    if recipe.train.precision != "float32":
        keywords["dtype"] = f"mixed_{recipe.train.precision}"
    model = registry.resolve("model", recipe.model.name)(
        vocabulary_size=VOCABULARY, **keywords
    ).build_from_ids()
    length = min(LENGTH, recipe.data.max_length)
    rows = max(1, (256 if cpu else batch_tokens or recipe.train.batch_tokens) // length)
    random = np.random.default_rng(0)
    ids = {name: random.integers(4, VOCABULARY, (rows, length), "int32") for name in model.input_ranks}
    labels = random.integers(0, 2, (rows,) if recipe.task == "classification" else (rows, length), "int32")
    batch = Batch(ids, labels, rows * length)
    step = find_backend(recipe.train).Step(
        model, make_optimizer(recipe.train), model.make_loss(), model.input_ranks, labels.ndim, xla=xla,
        clip_norm=recipe.train.clip_norm,
    )  # fmt: skip
    for _ in range(WARM_UP):
        step.train(batch)
    began = time.perf_counter()
    for _ in range(steps):
        step.train(batch)
    seconds = (time.perf_counter() - began) / steps
    peak = peak or next((tera for part, tera in PEAKS.items() if part in device), None)
    share = products(model, rows, length) / seconds / (peak * 1e12) if peak else None
    speed = rows * length / seconds
    return dict(device=device, speed=speed, ms=seconds * 1e3, share=share, memory=memory())


def find_device(cpu: bool):
    """(its name, a function that tells the most bytes that were in use); exit code 2 where there is no GPU."""
    if os.environ["KERAS_BACKEND"] == "jax":
        import jax

        found = [d for d in jax.devices() if d.platform == "gpu"]
        if found:
            return found[0].device_kind, lambda: found[0].memory_stats()["peak_bytes_in_use"]
    else:
        import tensorflow as tf

        found = tf.config.list_physical_devices("GPU")
        if found:
            name = tf.config.experimental.get_device_details(found[0]).get("device_name", "GPU")
            return name, lambda: tf.config.experimental.get_memory_info("GPU:0")["peak"]
    if not cpu:
        click.echo("there is no GPU that this backend sees; --cpu tries the script without one", err=True)
        raise SystemExit(2)
    return "CPU, a trial of the script", lambda: None


def products(model, rows: int, length: int) -> float:
    """Floating-point operations of a step's matrix products: 6 for each weight and token, and the attention's own."""
    from zoo.layers import TiedEmbedding

    tied = any(isinstance(layer, TiedEmbedding) for layer in model._flatten_layers())
    matrices = [
        w for w in model.trainable_variables if len(w.shape) >= 2 and (tied or "embedding" not in w.path)
    ]  # a table that is only looked up in costs nothing; a tied one is the output matrix too
    count = 6.0 * rows * length * sum(math.prod(w.shape) for w in matrices)
    attended = sum(w.shape[0] for w in matrices if w.path.endswith("query/kernel"))
    return count + 12.0 * rows * length**2 * attended


if __name__ == "__main__":
    main()
