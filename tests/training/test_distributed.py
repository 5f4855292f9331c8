"""More than one device, and more than one process: the same global batch gives the same weights."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny

from zoo.errors import UserError
from zoo.training.cluster import Cluster, find_cluster
from zoo.training.run_folder import RunFolder

SGD = ("train.optimizer=sgd", "train.learning_rate=0.5", "model.dropout=0.0", "train.batch_tokens=60")


def config(kind: str, index: int, **cluster) -> str:
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", Cluster(1, 0)),
        (config("worker", 0, worker=["a:1"]), Cluster(1, 0)),
        (config("worker", 0, worker=["a:1", "b:1"]), Cluster(2, 0)),
        (config("worker", 1, worker=["a:1", "b:1"]), Cluster(2, 1)),
        (config("chief", 0, chief=["a:1"], worker=["b:1", "c:1"]), Cluster(3, 0)),
        (config("worker", 1, chief=["a:1"], worker=["b:1", "c:1"]), Cluster(3, 2)),
    ],
)
def test_who_is_who(text, found, monkeypatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    assert find_cluster() == found
    assert find_cluster().leads == (found.number == 0)


@pytest.mark.parametrize(
    "text", ["{", "[]", config("ps", 0, worker=["a:1", "b:1"]), '{"cluster": {"worker": ["a:1", "b:1"]}}']
)
def test_what_tf_config_must_say(text, monkeypatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="TF_CONFIG"):
        find_cluster()


PROGRAM = """
import os, sys
from pathlib import Path
import tiny
if os.environ.get("CPUS"):
    import tensorflow as tf
    one = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(one, [tf.config.LogicalDeviceConfiguration()] * int(os.environ["CPUS"]))
from zoo.errors import UserError
from zoo.recipe import load_recipe
from zoo.training import loop
try:
    outcome = loop.train(load_recipe(Path(sys.argv[1]), sys.argv[3:]), Path(sys.argv[2]))
    print("done", outcome and outcome.progress.step)
except UserError as error:
    print("error", error)
    sys.exit(2)
"""


def start(recipe: Path, run: Path, *overrides: str, **environment: str) -> subprocess.Popen:
    everything = {**os.environ, "ZOO_CACHE": str(recipe.parent / "cache"), **environment}
    everything["PYTHONPATH"] = os.pathsep.join([str(Path(tiny.__file__).parent), *sys.path])
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(recipe), str(run), *overrides],
        env=everything,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_two(recipe: Path, run: Path, *overrides: str) -> list[subprocess.Popen]:
    """Two workers on the loopback address; the second is given a folder that must stay empty."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    return [
        start(recipe, folder, *overrides, TF_CONFIG=config("worker", i, worker=addresses))
        for i, folder in enumerate((run, run.with_name("nothing")))
    ]


def finish(process: subprocess.Popen, seconds: float = 300) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, out, err


def same(one: Path, two: Path) -> None:
    for a, b in zip(tiny.state(one)[0], tiny.state(two)[0], strict=True):
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """(recipe, run) of one process on one device, whose batches two do not divide evenly."""
    folder = tmp_path_factory.mktemp("alone")
    recipe = tiny.classifier(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(folder / "cache"))
        tiny.train(recipe, folder / "run", *SGD)
    env = json.loads((folder / "run" / "env.json").read_text(encoding="utf-8"))
    assert any(rows % 2 for rows, *_ in env["shapes"])
    return recipe, folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_devices_of_a_machine(alone, tmp_path, accumulate) -> None:
    recipe, run = alone
    options = [*SGD, f"train.accumulate={accumulate}"]
    if accumulate > 1:
        options.append("train.ema=0.5")
        run = tmp_path / "one"
        assert finish(start(recipe, run, *options))[0] == 0
    code, out, err = finish(start(recipe, tmp_path / "two", *options, CPUS="2"))
    assert code == 0, err
    assert "devices  2 in 1 process, each a share of the rows" in err
    same(run, tmp_path / "two")
    code, out, _ = finish(start(recipe, tmp_path / "xla", "train.xla=true", CPUS="2"))
    assert code == 2 and "train.xla: XLA hangs on several devices" in out


@pytest.mark.slow
def test_two_processes(alone, tmp_path) -> None:
    recipe, run = alone
    (code, _, err), (code_2, out_2, err_2) = [finish(p) for p in start_two(recipe, tmp_path / "two", *SGD)]
    assert code == code_2 == 0, err + err_2
    assert "devices  2 in 2 processes" in err
    assert "follows  process 2 of 2" in err_2 and "step 1/6" not in err_2 and "done None" in out_2
    same(run, tmp_path / "two")
    assert not (tmp_path / "nothing").exists()
    for process in start_two(recipe, tmp_path / "two", *SGD):  # there is nothing left to do, and nobody waits
        assert finish(process)[0] == 0


@pytest.mark.slow
def test_a_process_that_dies_ends_the_others_and_they_go_on_together(alone, tmp_path) -> None:
    recipe, _ = alone
    run, whole, options = (
        tmp_path / "run",
        tmp_path / "whole",
        (*SGD, "train.log_every=1000", "train.samples=0"),
    )
    leader, follower = start_two(recipe, run, *options, "train.steps=100000")
    deadline = time.monotonic() + 200
    while not RunFolder(run).states.paths() and time.monotonic() < deadline and leader.poll() is None:
        time.sleep(0.1)
    follower.send_signal(signal.SIGKILL)
    code, out, err = finish(leader, 120)
    finish(follower)
    assert code == 2, err[-3000:]
    assert out.startswith("error train: another process of this training is gone") and out.count("\n") == 1
    step = tiny.state(run)[1]["step"]
    assert step > 0
    more = (*options, f"train.steps={step + 2}")
    for process in start_two(recipe, run, *more):
        code, _, err = finish(process)
        assert code == 0, err
    assert finish(start(recipe, whole, *more))[0] == 0
    same(run, whole)


def test_the_job_of_the_documentation(monkeypatch) -> None:
    """TF_CONFIG as the operator makes it of the YAML: kinds in lower case, one address a replica."""
    import yaml

    from zoo import hub

    text = (Path(__file__).parents[2] / "docs" / "distributed.md").read_text(encoding="utf-8")
    job = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    replicas = {kind.lower(): spec["replicas"] for kind, spec in job["spec"]["tfReplicaSpecs"].items()}
    addresses = {kind: [f"zoo-small-{kind}-{i}:2222" for i in range(n)] for kind, n in replicas.items()}
    numbers = []
    for kind, count in replicas.items():
        for i in range(count):
            given = {"cluster": addresses, "task": {"type": kind, "index": i}, "environment": "cloud"}
            monkeypatch.setenv("TF_CONFIG", json.dumps(given))
            numbers.append(find_cluster())
    assert numbers == [Cluster(3, 0), Cluster(3, 1), Cluster(3, 2)]
    for spec in job["spec"]["tfReplicaSpecs"].values():
        (container,) = spec["template"]["spec"]["containers"]
        assert container["name"] == "tensorflow" and spec["restartPolicy"] == "OnFailure"
        assert container["command"][:2] == ["zoo", "train"] and hub.find_recipe(container["command"][2])
