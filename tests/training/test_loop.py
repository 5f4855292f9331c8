"""Training as a whole: what it leaves in the run folder, how it goes on, and how it refuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
from quick_steps import scripted
from tiny import metrics, same_state, state

from zoo.errors import UserError
from zoo.recipe import load_recipe
from zoo.training import loop
from zoo.training.run_folder import RunFolder


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def dates(tmp_path_factory):
    """(recipe, run folder, outcome, what was printed) of ten steps in one go."""
    folder = tmp_path_factory.mktemp("dates")
    recipe = tiny.translator(folder)
    return recipe, folder / "run", *tiny.train(recipe, folder / "run")


@pytest.fixture
def colours(tmp_path):
    """The recipe of a classifier, quick to train."""
    return tiny.classifier(tmp_path)


# --- the run folder ---


def test_the_run_folder_holds_what_was_asked_for(dates) -> None:
    recipe, run, *_ = dates
    assert (run / "recipe.yaml").read_text(encoding="utf-8") == recipe.read_text(encoding="utf-8")
    assert load_recipe(run / "resolved.yaml").recipe == load_recipe(recipe).recipe


def test_env_json_says_with_what_it_was_made(dates) -> None:
    from importlib.metadata import version

    env = json.loads((dates[1] / "env.json").read_text(encoding="utf-8"))
    for package in ("tensorflow", "keras", "sentencepiece", "numpy"):
        assert env["versions"][package] == version(package)
    assert env["backend"] == "tensorflow"
    assert any("CPU" in device for device in env["devices"])
    assert env["xla"] == {"on": False, "why": "train.xla says so"}
    assert set(env["data"]) == {"train", "val", "test"}
    assert all(len(digest) == 64 for digest in env["data"].values())
    assert env["data_report"]["rows"] == {"train": 300, "val": 16, "test": 8}
    assert env["parameters"] > 1000 and len(env["shapes"]) == 2


def test_metrics_samples_and_tensorboard(dates) -> None:
    _, run, outcome, said = dates
    lines = metrics(run)
    training = [line for line in lines if "train_loss" in line]
    validation = [line for line in lines if "val_loss" in line]
    assert [line["step"] for line in training] == list(range(1, 11))
    assert [line["step"] for line in validation] == [5, 10]
    assert set(validation[0]) >= {"val_bleu", "val_chrf", "val_exact_match"}
    assert [line["tokens"] for line in training] == sorted(line["tokens"] for line in training)
    assert training[-1]["tokens"] == outcome.progress.tokens
    assert training[-1]["train_loss"] < training[0]["train_loss"] - 0.5
    assert validation[1]["val_loss"] < validation[0]["val_loss"]
    assert outcome.figures == validation[-1]

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    events = EventAccumulator(str(run / "tensorboard")).Reload()
    assert set(events.Tags()["tensors"]) >= {"train_loss", "learning_rate", "tokens_per_second", "val/loss"}

    def shown(name: str) -> list:
        return [(e.step, tensor_util.make_ndarray(e.tensor_proto).item()) for e in events.Tensors(name)]

    for name, logged in (("train_loss", training), ("learning_rate", training), ("val/bleu", validation)):
        figure = name.replace("/", "_")
        assert shown(name) == [(line["step"], pytest.approx(line[figure])) for line in logged], name
    for figure in (key for key in validation[0] if key.startswith("val_")):
        assert len(shown(figure.replace("val_", "val/"))) == 2
    assert events.SummaryMetadata("samples").plugin_data.plugin_name == "text"
    for step, text in shown("samples"):
        kept = (run / "samples" / f"step-{step:06d}.txt").read_text(encoding="utf-8")
        assert text.decode() == "".join(f"    {line}\n" for line in kept.splitlines()).removesuffix("\n")

    for step in (5, 10):
        sample = (run / "samples" / f"step-{step:06d}.txt").read_text(encoding="utf-8")
        assert sample.count("->") == 4
    assert sample.splitlines()[0] in said


def test_what_is_printed(dates) -> None:
    said = dates[3]
    assert "XLA  off, because train.xla says so" in said
    assert "left out, longer than data.max_length: train " in said
    assert "step 10/10  loss " in said and "tokens/s" in said
    assert "step 10  val  loss " in said
    assert "shapes 16x16+12, 16x24+12" in said


def test_checkpoints_and_tokenizer_are_a_model(dates) -> None:
    from zoo.loading import load

    _, run, outcome, _ = dates
    best, last = load(run), load(run, "last")
    values, _ = state(run)
    for variable, value in zip(last.model.variables, values, strict=False):
        if "seed" not in variable.path:
            assert np.array_equal(variable.numpy(), value)
    if outcome.progress.best_step == 5:
        assert not np.array_equal(best.model.variables[0].numpy(), last.model.variables[0].numpy())
    env = json.loads((run / "env.json").read_text(encoding="utf-8"))
    assert best.tokenizer.fingerprint == env["tokenizer"]


def test_without_xla_all_shapes_are_one_compilation(dates) -> None:
    run = dates[1]
    outcome = json.loads((run / "outcome.json").read_text(encoding="utf-8"))
    env = json.loads((run / "env.json").read_text(encoding="utf-8"))
    assert len(env["shapes"]) == 2
    assert outcome["compilations"] == 1


@pytest.mark.slow
def test_with_xla_each_shape_is_compiled_once(dates, tmp_path, monkeypatch) -> None:
    makes = loop.Trainer._make_step
    steps = []
    monkeypatch.setattr(loop.Trainer, "_make_step", lambda self: steps.append(makes(self)) or steps[-1])
    _, said = tiny.train(dates[0], tmp_path / "run", "train.xla=true")
    assert "XLA  on, because train.xla says so" in said
    compiled = steps[0]._train.experimental_get_tracing_count()
    assert compiled == steps[0].compilations == 2


# --- going on ---


def test_a_stopped_run_goes_on_to_the_same_bits(colours, tmp_path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    every = ("train.validate_every=5", "train.save_every=5")
    outcome, _ = tiny.train(colours, whole, "train.steps=10", *every)
    first, _ = tiny.train(colours, parts, "train.steps=5", *every)
    assert first.progress.step == 5 and not same_state(parts, whole)
    with open(parts / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"step": 6, "train_loss": 9.9}\n{"step": 7, "tr')  # written after the state, then killed
    second, said = tiny.train(colours, parts, "train.steps=10", *every)
    assert "at step 5" in said and second.progress.step == 10
    assert same_state(parts, whole), "weights, optimizer and dropout generators"
    assert second.progress.tokens == outcome.progress.tokens
    figures = [
        [[line.get("train_loss"), line.get("val_loss"), line["step"]] for line in metrics(run)]
        for run in (parts, whole)
    ]
    assert figures[0] == figures[1]
    times = [line["seconds"] for line in metrics(parts)]
    assert times == sorted(times) and times[0] > 0, "the clock goes on"


def test_a_finished_run_has_nothing_to_do(dates, monkeypatch) -> None:
    recipe, run, outcome, _ = dates
    before, made_with = state(run), (run / "env.json").read_bytes()
    monkeypatch.setattr("zoo.training.environment.cores", lambda: 99)
    again, _ = tiny.train(recipe, run, "decode.beams=1", "train.log_every=3", "train.samples=1")
    assert again.progress == outcome.progress and again.figures == outcome.figures
    assert state(run)[1] == before[1]
    assert (run / "env.json").read_bytes() == made_with, "what it was made with stays"


def test_a_run_that_goes_on_is_not_finished_any_more(dates, tmp_path, monkeypatch) -> None:
    """`outcome.json` is what says how long the best weights took."""
    recipe, run, outcome, _ = dates
    run = shutil.copytree(run, tmp_path / "run")
    before = (run / "outcome.json").read_bytes()
    tiny.train(recipe, run, "train.log_every=3")
    assert (run / "outcome.json").read_bytes() == before
    monkeypatch.setattr(loop.Trainer, "_train", lambda self, *batches: pytest.fail("stopped"))
    with pytest.raises(pytest.fail.Exception):
        tiny.train(recipe, run, f"train.steps={outcome.progress.step + 2}")
    assert not (run / "outcome.json").exists()


def test_another_recipe_is_refused_with_what_differs(dates) -> None:
    recipe, run, *_ = dates
    before = (run / "resolved.yaml").read_text(encoding="utf-8")
    with pytest.raises(UserError) as error:
        tiny.train(
            recipe, run, "model.units=32", "train.learning_rate=0.5", "train.steps=20", "decode.beams=1"
        )
    assert "holds a run of another recipe" in str(error.value)
    assert "model.units: 16 -> 32" in str(error.value)
    assert "train.learning_rate: 0.02 -> 0.5" in str(error.value)
    assert "steps" not in str(error.value) and "beams" not in str(error.value)
    assert "--fresh" in error.value.problems[-1]
    assert (run / "resolved.yaml").read_text(encoding="utf-8") == before


def test_fresh_starts_anew_and_only_in_a_run_folder(colours, quick, tmp_path) -> None:
    run = tmp_path / "run"
    tiny.train(colours, run, "train.steps=2")
    (run / "eval").mkdir()
    outcome, said = tiny.train(colours, run, "train.steps=2", "model.num_filters=6", fresh=True)
    assert "resume" not in said and outcome.progress.step == 2
    assert not (run / "eval").exists()
    assert [line["step"] for line in metrics(run) if "train_loss" in line] == [1, 2]

    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    for fresh in (True, False):
        with pytest.raises(UserError, match="not a run folder"):
            tiny.train(colours, precious, fresh=fresh)
    with pytest.raises(UserError, match="not a run folder"):
        tiny.train(colours, precious / "thesis.txt", fresh=True)
    assert [path.name for path in precious.iterdir()] == ["thesis.txt"]


def test_a_run_without_a_saved_state_leaves_nothing_to_the_next(
    colours, quick, tmp_path, monkeypatch
) -> None:
    """Killed before its first state; the recipe is then changed, and another tokenizer asked for."""
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "_save", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            tiny.train(colours, run)
    assert len(metrics(run)) == 3 and not RunFolder(run).states.paths()
    _, said = tiny.train(colours, run, "tokenizer.name=character", "train.steps=2")
    assert "tokenizer  character" in said and "resume" not in said
    assert len(metrics(run)) == 3


def test_one_process_a_folder(colours, tmp_path) -> None:
    run = tmp_path / "run"
    program = f"""
import sys
from pathlib import Path
from zoo.training.run_folder import RunFolder
with RunFolder(Path({str(run)!r})).lock():
    print("locked", flush=True)
    sys.stdin.read()
"""
    other = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "locked\n"
        for fresh in (False, True):
            with pytest.raises(UserError, match="another process trains here"):
                tiny.train(colours, run, fresh=fresh)
    finally:
        other.communicate("")
    with RunFolder(run).lock():
        pass


def test_an_error_frees_the_folder(colours, tmp_path) -> None:
    """As in a notebook, where the last error stays alive."""
    run = RunFolder(tmp_path / "run")
    with pytest.raises(ZeroDivisionError) as kept, run.lock():
        raise ZeroDivisionError
    with run.lock():
        assert kept.value


# --- when to stop and what to keep ---


def test_the_best_weights_are_those_of_the_best_validation(colours, quick, tmp_path, monkeypatch) -> None:
    from zoo.loading import load

    kept = {}
    save = loop.save_weights

    def noting(path, model):
        kept.setdefault(path.name, []).append([v.numpy().copy() for v in model.trainable_variables])
        save(path, model)

    monkeypatch.setattr(loop, "save_weights", noting)
    scripted(monkeypatch, [50.0, 80.0, 80.0, 60.0])
    run = tmp_path / "run"
    outcome, _ = tiny.train(colours, run, "train.steps=8")
    assert (outcome.progress.best, outcome.progress.best_step) == (80.0, 4)
    assert (len(kept["best.weights.h5"]), len(kept["last.weights.h5"])) == (2, 4)
    for checkpoint, expected in (("best", kept["last.weights.h5"][1]), ("last", kept["last.weights.h5"][3])):
        for variable, value in zip(load(run, checkpoint).model.trainable_variables, expected, strict=True):
            assert np.array_equal(variable.numpy(), value)
    assert not np.array_equal(kept["last.weights.h5"][1][0], kept["last.weights.h5"][3][0])


def test_patience_ends_training_and_the_same_command_does_not_go_on(
    colours, quick, tmp_path, monkeypatch
) -> None:
    run, overrides = tmp_path / "run", ("train.steps=40", "train.patience=2", "train.metric=accuracy")
    scripted(monkeypatch, [50.0, 40.0, 60.0, 60.0, 10.0])
    outcome, _ = tiny.train(colours, run, *overrides)
    assert outcome.stopped_early
    assert (outcome.progress.step, outcome.progress.best_step) == (10, 6)
    again, _ = tiny.train(colours, run, *overrides)
    assert again.stopped_early and again.progress.step == 10
    scripted(monkeypatch, [90.0])
    longer, _ = tiny.train(colours, run, "train.steps=12", "train.patience=3", "train.metric=accuracy")
    assert not longer.stopped_early
    assert (longer.progress.step, longer.progress.best) == (12, 90.0)


def test_the_lowest_loss_is_the_best(colours, quick, tmp_path) -> None:
    """The mean over the labels of both batches, not over the batches: 4/16, 2/16, 3/16."""
    parts = [(4.0, 8.0), (0.0, 8.0), (0.0, 12.0), (2.0, 4.0), (3.0, 8.0), (0.0, 8.0)]
    quick.losses = iter(parts)
    overrides = ("train.metric=loss", "train.batch_tokens=96")
    outcome, _ = tiny.train(colours, tmp_path / "run", *overrides)
    assert (outcome.progress.best, outcome.progress.best_step) == (2 / 16, 4)


def test_with_ema_the_average_is_kept_and_training_goes_on_with_the_weights(colours, tmp_path) -> None:
    """The average after n steps, by hand: a = (1 - m) sum m^(n-i) w_i + m^n w_0."""
    from zoo.loading import load

    momentum = 0.5
    plain, averaged = tmp_path / "plain", tmp_path / "ema"
    weights = []
    keep = loop.Trainer._validate

    def validate(trainer):
        weights.append([v.numpy().copy() for v in trainer.task.model.trainable_variables])
        return keep(trainer)

    every = ("train.validate_every=1", "train.steps=3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Trainer, "_validate", validate)
        tiny.train(colours, plain, *every)
        without = list(weights)
        weights.clear()
        tiny.train(colours, averaged, *every, f"train.ema={momentum}")
    for one, two in zip(without, weights, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True)), "validating changed training"
    last = [v.numpy() for v in load(averaged, "last").model.trainable_variables]
    average = None
    for step in without:  # Keras starts the average at the first step's weights
        average = (
            step
            if average is None
            else [momentum * a + (1 - momentum) * w for a, w in zip(average, step, strict=True)]
        )
    assert not np.allclose(last[0], without[-1][0])
    for value, expected in zip(last, average, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-6)


def test_rows_that_are_all_too_long_are_no_data(colours, tmp_path) -> None:
    with pytest.raises(UserError, match=r"every training row is longer than data.max_length 4"):
        tiny.train(colours, tmp_path / "run", "data.max_length=4")


@pytest.mark.jax
def test_jax_trains_and_resumes_without_tensorflow(tmp_path) -> None:
    """A Transformer, for Keras's own `Bidirectional` imports TensorFlow wherever it is installed."""
    program = """
import sys
from pathlib import Path
import tiny
recipe, runs = Path(sys.argv[1]), Path(sys.argv[2])
whole, said = tiny.train(recipe, runs / "whole")
tiny.train(recipe, runs / "parts", "train.steps=3")
tiny.train(recipe, runs / "parts")
assert "tensorflow" not in sys.modules, "JAX alone should do"
print(said)
"""
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(tiny.__file__).parent), *sys.path])
    command = [sys.executable, "-c", program, str(tiny.transformer(tmp_path)), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "XLA  on, because JAX always compiles" in done.stdout
    assert same_state(tmp_path / "whole", tmp_path / "parts")
    losses = [line["train_loss"] for line in metrics(tmp_path / "whole") if "train_loss" in line]
    assert len(losses) == 6 and losses[-1] < losses[0]
    rates = [line["learning_rate"] for line in metrics(tmp_path / "whole") if "train_loss" in line]
    assert rates == sorted(rates) and len(set(rates)) == 6, "the warm-up"
