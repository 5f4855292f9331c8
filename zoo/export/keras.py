"""A .keras file: the network alone, as `keras.saving.load_model` opens it where this package is imported.

It holds configuration and weights, and no code: `import zoo.models` brings the classes (a model of one's own, its
file). No tokenizer and no search are in it: ids go in, logits come out, as zoo/models/base.py says.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from zoo.data.reading import pad
from zoo.data.tokenizers import BOS
from zoo.errors import UserError
from zoo.export.kinds import Kind
from zoo.export.kinds.base import ABSOLUTE, RELATIVE
from zoo.export.portable import without_cudnn
from zoo.export.process import exit_reason, tail
from zoo.export.verify import awkward, latency

COMPARED = 32
"""Texts beside the awkward ones: all logits of a text are many numbers."""
RUNNER = Path(__file__).with_name("run_keras.py")


def export_keras(kind: Kind, path: str | Path) -> Counter:
    """Writes the file; returns its layers and how often each stands in it."""
    model = kind.task.model
    if keras.saving.get_registered_object(keras.saving.get_registered_name(type(model))) is None:
        raise UserError(
            f"{type(model).__name__}: Keras cannot find the class when it opens the file: decorate it with "
            "@keras.saving.register_keras_serializable"
        )
    without_cudnn(model)
    model.save(path)
    return Counter(type(layer).__name__ for layer in model._flatten_layers(include_self=False))


def verify_keras(kind: Kind, path: Path, texts: Sequence[str]) -> dict:
    """Compares the logits in a fresh process; a UserError names the largest difference.

    Returns: what zoo/export/verify.py gives for the other formats.
    """
    inputs = network_inputs(kind.task, [*texts[:COMPARED], *awkward(kind.task, texts)])
    expected = keras.ops.convert_to_numpy(kind.task.model(inputs, training=False))
    given, milliseconds = run_alone(path, inputs, kind.recipe.imports)
    difference = np.abs(given - expected) if given.shape == expected.shape else np.array([np.inf])
    if not (difference <= ABSOLUTE + RELATIVE * np.abs(expected)).all():
        raise UserError(
            f"keras not kept: its logits lie up to {difference.max():.3g} from Python's",
            "this is a fault of the model's config or of the export: please report it with the recipe",
        )
    return {
        "samples": len(expected),
        "differences": 0,
        "ties": 0,
        "largest_score_difference": float(difference.max()),
        "metric": None,
        "latency_ms": latency({"1": {"ids": milliseconds}}),
    }


def network_inputs(task, texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Texts as the network takes them, none longer than `data.max_length`; a translator's answer is the text again."""
    longest = task.recipe.data.max_length
    rows = [{name: ids[:longest] for name, ids in row.items()} for row in task.read(texts)]
    if "decoder_token_ids" not in task.model.input_ranks:
        return pad(rows)
    answers = [{"token_ids": np.array([BOS, *row["token_ids"][:-1]], "int32")} for row in rows]
    return {"encoder_token_ids": pad(rows)["token_ids"], "decoder_token_ids": pad(answers)["token_ids"]}


def run_alone(path: Path, inputs: dict[str, np.ndarray], code: Sequence[str] = ()) -> tuple[np.ndarray, list]:
    """(logits, milliseconds of a text alone) of a file, from a process of its own."""
    with tempfile.TemporaryDirectory(prefix="zoo-keras-") as folder:
        asked, answered = Path(folder) / "inputs.npz", Path(folder) / "outputs.npz"
        np.savez(asked, **inputs)
        command = [sys.executable, "-I", RUNNER, path, asked, answered, *code]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if done.returncode:
            raise UserError(
                f"{path.name} does not open by itself ({exit_reason(done.returncode)})", tail(done.stderr)
            )
        with np.load(answered) as found:
            return found["logits"], found["milliseconds"].tolist()
