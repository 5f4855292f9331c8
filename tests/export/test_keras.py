""".keras files: opened in a fresh process where only the package is imported, their logits are Python's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from small_tasks import FAST, TEXTS, VARIANTS, make_task

from zoo import registry, runtime
from zoo.errors import UserError
from zoo.export import worker

PAGE = (Path(__file__).parents[2] / "docs" / "keras-files.md").read_text(encoding="utf-8")


def export(task, folder):
    return worker.make(task, "keras", folder, TEXTS)


@pytest.mark.parametrize("name", ["transformer"])
def test_the_file_opens_elsewhere(name, tmp_path):
    task = make_task(name)
    report = export(task, tmp_path)
    assert (report["samples"], report["differences"]) == (len(TEXTS) + 5, 0)
    assert report["largest_score_difference"] < 1e-4
    assert report["operators"]["MultiHeadAttention"] == 5
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert set(archive.namelist()) == {"metadata.json", "config.json", "model.weights.h5"}
        config = json.loads(archive.read("config.json"))
    assert config["registered_name"] == "zoo>Transformer" and "__lambda__" not in json.dumps(config)


@pytest.mark.slow
@pytest.mark.parametrize("model", registry.MODELS)
def test_every_model(model, tmp_path):
    """As small as it comes; that every choice comes back from its config, zoo/contract/models.py checks."""
    name = model if model in FAST else next(name for name in VARIANTS if name.split()[0] == model)
    assert export(make_task(name, VARIANTS.get(name)), tmp_path)["differences"] == 0


def test_a_config_that_forgets_something_is_noticed(tmp_path, monkeypatch):
    """The file would open, and answer otherwise."""
    task = make_task("textcnn", {"embedding_dim": 8, "num_filters": 4})
    kernel = next(v for v in task.model.variables if v.path.endswith("head/kernel"))
    write = worker.WRITERS["keras"]

    def write_altered(kind, *arguments):
        before = kernel.numpy()
        kernel.assign(before + 0.01)
        found = write(kind, *arguments)
        kernel.assign(before)
        return found

    monkeypatch.setitem(worker.WRITERS, "keras", write_altered)
    with pytest.raises(UserError, match=r"keras not kept: its logits lie up to 0\.\d+ from Python's"):
        export(task, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_class_that_keras_does_not_know_is_told(tmp_path):
    task = make_task("textcnn", {"embedding_dim": 8, "num_filters": 4})

    class Unknown(type(task.model)):
        pass

    task.model = Unknown(**task.model.keywords).build_from_ids()
    with pytest.raises(UserError, match=r"Unknown: .*register_keras_serializable"):
        export(task, tmp_path)


@pytest.mark.slow
def test_the_page(tmp_path, monkeypatch):
    """Its programs run one after the other, on the model that it names."""
    import zoo

    export(zoo.load("dates-multi-lstm-tiny"), tmp_path / "exported")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)
    assert names["logits"].shape == (1, 2, 94) and names["embedding"][0].shape[0] == 94
    with pytest.raises(UserError, match="network alone"):
        runtime.load("exported/model.keras")


@pytest.mark.jax
def test_on_jax(tmp_path):
    export(make_task("textcnn", {"embedding_dim": 8, "num_filters": 4}), tmp_path)
    program = "import keras, zoo.models, sys; print(keras.saving.load_model(sys.argv[1]).count_params() > 0)"
    command = [sys.executable, "-c", program, str(tmp_path / "model.keras")]
    done = subprocess.run(
        command, env={**os.environ, "KERAS_BACKEND": "jax"}, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
