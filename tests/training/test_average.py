"""What `train.keep` keeps, also of a run that is killed, and what `zoo average` makes of it."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import tiny
from click.testing import CliRunner
from zoo.cli import main

from zoo.config.metrics import METRICS
from zoo.loading import load
from zoo.training import loop
from zoo.training.run_folder import RunFolder


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("average")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(folder / "cache"))
        patch.setenv("ZOO_CHATTER", "1")
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def trained(home):
    """The run of a translator, validated five times, that keeps four."""
    every = ("train.steps=10", "train.validate_every=2", "train.save_every=2", "train.keep=4")
    tiny.train(tiny.translator(home), home / "run", *every)
    return home / "run"


def zoo(*arguments, code: int = 0):
    """(standard output, standard error)."""
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout, done.stderr


def arrays(path: Path) -> dict[str, np.ndarray]:
    """Everything in a file of weights."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, x: found.update({name: x[()]}) if isinstance(x, h5py.Dataset) else None)
    return found


def kept(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").glob("step-*"))


def validation(run: Path, step: int) -> dict[str, float]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    (line,) = [line for line in lines if line["step"] == step and "val_loss" in line]
    return {name.removeprefix("val_"): x for name, x in line.items() if name.startswith("val_")}


# --- keeping ---


def test_the_newest_validations_are_kept_beside_best_and_last(trained) -> None:
    assert kept(trained) == [f"step-{step:08d}.weights.h5" for step in (4, 6, 8, 10)]
    last = arrays(trained / "checkpoints" / "last.weights.h5")
    for name, value in arrays(trained / "checkpoints" / "step-00000010.weights.h5").items():
        assert np.array_equal(value, last[name])
    assert (trained / "checkpoints" / "best.weights.h5").exists()


def test_nothing_is_kept_unasked(home) -> None:
    run = home / "plain"
    tiny.train(tiny.classifier(home), run, "train.steps=2")
    assert kept(run) == []
    _, err = zoo("average", run, code=2)
    assert "set train.keep, such as train.keep=5" in err and err.count("\n") == 1


@pytest.mark.slow
def test_a_killed_run_keeps_the_same_files(home, monkeypatch) -> None:
    """Killed at step 6, two validations behind its saved state, it goes on to what the whole run has."""
    recipe = tiny.classifier(home)
    every = ("train.steps=8", "train.validate_every=1", "train.save_every=4", "train.keep=2")
    tiny.train(recipe, home / "whole", *every)

    run = home / "killed"
    with monkeypatch.context() as patch:
        steps = loop.Trainer._validate

        def killed(trainer):
            stop = steps(trainer)
            if trainer.progress.step == 7:
                raise KeyboardInterrupt
            return stop

        patch.setattr(loop.Trainer, "_validate", killed)
        with pytest.raises(KeyboardInterrupt):
            tiny.train(recipe, run, *every)
    assert kept(run) == [f"step-{step:08d}.weights.h5" for step in (3, 4, 5, 6, 7)]
    tiny.train(recipe, run, "train.steps=4", *every[1:])  # nothing to do: it is as at its saved state
    assert kept(run) == [f"step-{step:08d}.weights.h5" for step in (3, 4)]
    tiny.train(recipe, run, *every)
    assert kept(run) == kept(home / "whole") == [f"step-{step:08d}.weights.h5" for step in (7, 8)]
    for name in kept(run):
        one, two = (arrays(folder / "checkpoints" / name) for folder in (run, home / "whole"))
        assert one.keys() == two.keys() and all(np.array_equal(one[key], two[key]) for key in one)


def test_what_lies_around_does_not_count(trained, home) -> None:
    run = Path(shutil.copytree(trained, home / "littered"))
    weights = run / "checkpoints"
    shutil.copyfile(weights / "best.weights.h5", weights / "step-00000099.weights.h5")
    assert RunFolder(run).kept_steps() == [4, 6, 8, 10]
    RunFolder(run).drop_old_weights(0)
    assert RunFolder(run).kept_steps() == [4, 6, 8, 10] and len(kept(run)) == 4
    RunFolder(run).drop_old_weights(1)
    assert RunFolder(run).kept_steps() == [10] and len(kept(run)) == 1


# --- averaging ---


def test_the_average_is_numpys(trained) -> None:
    zoo("average", trained, "--to", "mean")
    parts = [arrays(trained / "checkpoints" / name) for name in kept(trained)]
    mean = arrays(Path("mean") / "model.weights.h5")
    assert mean.keys() == parts[0].keys() and len(mean) > 5
    for name, value in mean.items():
        stacked = np.stack([part[name].astype("float64") for part in parts])
        assert np.array_equal(value, np.mean(stacked, axis=0).astype("float32")), name
    assert not all(np.array_equal(value, parts[-1][name]) for name, value in mean.items())


def test_integers_are_not_averaged(home) -> None:
    import keras

    from zoo.training.average import mean_of

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.count = self.add_weight(shape=(), dtype="int32", trainable=False, initializer="zeros")
            self.share = self.add_weight(shape=(), dtype="float32", trainable=False, initializer="zeros")
            self.built = True

    class Holder:
        model = Model()

    for number in (1, 2, 6):
        Holder.model.count.assign(10 * number)
        Holder.model.share.assign(number)
        Holder.model.save_weights(home / f"{number}.weights.h5")
    values = dict(
        zip(
            (v.path for v in Holder.model.variables),
            mean_of(Holder, [home / f"{number}.weights.h5" for number in (1, 2, 6)]),
            strict=True,
        )
    )
    assert sorted((float(x), x.dtype.name) for x in values.values()) == [(3.0, "float32"), (60.0, "int32")]


def test_the_folder_says_what_it_is_made_of(trained) -> None:
    out, err = zoo("average", trained, "--last", 2)
    folder = trained.with_name("run-average")
    assert f"average of 2 weights: {folder}" in err and "zoo eval" in err
    said = json.loads((folder / "average.json").read_text(encoding="utf-8"))
    assert said["steps"] == [8, 10] and said["run"] == str(trained) and said["metric"] == "bleu"
    for name, digest in said["sha256"].items():
        assert hashlib.sha256((trained / "checkpoints" / name).read_bytes()).hexdigest() == digest
    assert set(said["val"]) == set(METRICS["translation"])
    lines = out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["step 8", "step 10", "average"]
    assert f"{validation(trained, 8)['chrf']:.4g}" in lines[0] and f"{said['val']['chrf']:.4g}" in lines[2]
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(".tmp.")]


@pytest.mark.parametrize(
    "make",
    [
        tiny.classifier,
        *(
            pytest.param(make, marks=pytest.mark.slow)
            for make in (tiny.translator, tiny.tagger, tiny.language_model, tiny.masked)
        ),
    ],
)
def test_the_average_of_one_is_that_one(make, home) -> None:
    """Of every task; the figures are those that training wrote down."""
    run = home / make.__name__
    tiny.train(make(home), run, "train.steps=2", "train.validate_every=1", "train.keep=2")
    record = json.loads(zoo("average", run, "--last", 1, "--json")[0])
    logged = validation(run, 2)
    assert record["steps"] == [2] and [row["weights"] for row in record["singles"]] == ["step 2"]
    assert record["val"].keys() == logged.keys() == set(METRICS[load(run).recipe.task])
    assert record["val"] == pytest.approx(logged, rel=1e-5)


def test_the_best_are_chosen_by_the_metric(trained, home) -> None:
    """The best by BLEU, where of equal ones the newer counts, and by a loss, which is good where it is low."""
    run = Path(shutil.copytree(trained, home / "chosen"))
    file = run / "metrics.jsonl"
    figures = {4: (3.0, 2.0), 6: (9.0, 4.0), 8: (math.nan, 1.0), 10: (3.0, 3.0)}
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        if "val_loss" in line and line["step"] in figures:
            line["val_bleu"], line["val_loss"] = figures[line["step"]]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 11, "tr', encoding="utf-8")
    chosen = {n: json.loads(zoo("average", run, "--best", n, "--json")[0])["steps"] for n in (1, 2, 4)}
    assert chosen == {1: [6], 2: [6, 10], 4: [4, 6, 8, 10]}
    resolved = run / "resolved.yaml"
    resolved.write_text(
        resolved.read_text(encoding="utf-8").replace("metric: null", "metric: loss"), encoding="utf-8"
    )
    assert json.loads(zoo("average", run, "--best", 2, "--json")[0])["steps"] == [4, 8]


def test_an_average_is_a_model_for_every_command(trained, home) -> None:
    zoo("average", trained, "--to", "mean")
    figures = json.loads(zoo("eval", "mean", "--beams", 1, "--json")[0])
    said = json.loads((home / "mean" / "average.json").read_text(encoding="utf-8"))
    assert figures["bleu"] == pytest.approx(said["val"]["bleu"])
    assert zoo("predict", "mean", "3 mars 2021")[0].count("\n") == 1
    recipe = tiny.translator(home)
    begun = ("train.init_from=mean", "tokenizer={name: pretrained, run: mean}", "train.steps=1")
    _, said = tiny.train(recipe, home / "begun", *begun)
    assert "init_from  mean: " in said and "nothing is new" in said


@pytest.mark.slow
def test_an_average_is_exported(trained) -> None:
    zoo("average", trained, "--to", "mean")
    zoo("export", "mean", "--format", "tflite", "--out", "exported")
    assert zoo("predict", "exported/model.tflite", "3 mars 2021")[0].count("\n") == 1


def test_an_average_is_not_trained(trained, home) -> None:
    zoo("average", trained, "--to", "mean")
    recipe = tiny.translator(home)
    for arguments in (("train", recipe, "--run", "mean"), ("train", recipe, "--run", "mean", "--fresh")):
        _, err = zoo(*arguments, code=2)
        assert "mean: not empty and not a run folder" in err and "Traceback" not in err
    assert "mean  is a folder: give a recipe file" in zoo("train", "mean", code=2)[1]
    assert "an average already" in zoo("average", "mean", code=2)[1]


def test_mistakes_are_one_line(trained, home) -> None:
    _, err = zoo("average", trained, "--last", 9, code=2)
    assert "keeps the weights of 4 validations, not of 9 (steps 4, 6, 8, 10): give --last 4" in err
    assert "--last or --best, not both" in zoo("average", trained, "--last", 2, "--best", 2, code=2)[1]
    assert "is a saved model" in zoo("average", "dates-multi-lstm-tiny", code=2)[1]
    (home / "mine").mkdir()
    (home / "mine" / "thesis.txt").write_text("years of work")
    assert "mine: is there and no average" in zoo("average", trained, "--to", "mine", code=2)[1]
    run = Path(shutil.copytree(trained, home / "damaged"))
    spoilt = run / "checkpoints" / "step-00000008.weights.h5"
    spoilt.write_bytes(spoilt.read_bytes()[:1000])
    _, err = zoo("average", run, code=2)
    assert "step-00000008.weights.h5: damaged" in err and err.count("\n") == 1
    assert not (home / "damaged-average").exists()
