"""What a run that goes on accepts and refuses, and what it shows."""

from __future__ import annotations

import json

import pytest
import tiny

from zoo.errors import UserError
from zoo.training.environment import changes
from zoo.training.run_folder import AnotherRecipe, RunFolder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def colours(tmp_path):
    return tiny.classifier(tmp_path)


@pytest.fixture
def begun(colours, quick, tmp_path):
    """A run of three steps, saved at 2 and 3."""
    run = tmp_path / "run"
    tiny.train(colours, run, "train.steps=3")
    return run


@pytest.mark.parametrize("split", ["train", "val"])
def test_other_data_is_refused_by_the_name_of_its_split(colours, begun, split) -> None:
    file = colours.parent / f"{split}.txt"
    before = file.read_text(encoding="utf-8")
    file.write_text(before.replace("red 0", "red 00", 1), encoding="utf-8")
    with pytest.raises(AnotherRecipe) as error:
        tiny.train(colours, begun)
    assert f"  data: the {split} split is another" in error.value.problems
    assert "put the old files back" in error.value.problems[-1] and "--fork" in error.value.problems[-1]
    file.write_text(before, encoding="utf-8")
    outcome, _ = tiny.train(colours, begun)
    assert outcome.progress.step == 6


def test_another_tokenizer_is_refused(colours, begun) -> None:
    from zoo.config.tokenizer import Character
    from zoo.data.tokenizers import train_tokenizer

    train_tokenizer(Character(name="character"), ["abc"]).save(begun / "tokenizer")
    with pytest.raises(AnotherRecipe, match=f"tokenizer: {begun}/tokenizer is another"):
        tiny.train(colours, begun)


def test_a_damaged_state_is_said_and_the_one_before_is_used(colours, begun) -> None:
    newest = RunFolder(begun).states.paths()[-1]
    (newest / "variables.npz").write_bytes(b"PK")
    outcome, said = tiny.train(colours, begun)
    assert f"state  {newest}: damaged: variables.npz is not what was written" in said
    assert "step-00000002 is used instead" in said and "at step 2" in said
    assert outcome.progress.step == 6
    assert [line["step"] for line in tiny.metrics(begun) if "train_loss" in line] == [1, 2, 3, 4, 5, 6]
    assert [path.name for path in RunFolder(begun).states.paths()] == ["step-00000004", "step-00000006"]


def test_a_state_of_an_older_version_is_named(colours, begun) -> None:
    states = RunFolder(begun).states
    for path in states.paths():
        path.rename(begun / path.name)
    (states.folder / "latest.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match="saved by an older version, which this one cannot read; start anew"):
        tiny.train(colours, begun)


def test_a_finished_run_without_its_states_is_not_overwritten(colours, begun) -> None:
    states = RunFolder(begun).states
    for path in states.paths():
        path.rename(begun / path.name)
    weights = RunFolder(begun).best.read_bytes()
    with pytest.raises(UserError, match="a finished run whose saved states are gone"):
        tiny.train(colours, begun)
    assert RunFolder(begun).best.read_bytes() == weights
    assert tiny.train(colours, begun, fresh=True)[0].progress.step == 6


@pytest.mark.parametrize("left", ["recipe.yaml", "resolved.yaml"])
def test_a_folder_that_was_just_begun_is_begun_again(colours, quick, tmp_path, left) -> None:
    """Killed while the folder was made or emptied: `.tmp.*` and a lock are nobody's thesis."""
    run = tmp_path / "run"
    run.mkdir()
    (run / ".lock").touch()
    (run / f".tmp.{left}").write_text("half")
    (run / ".tmp.old.state").mkdir()
    tiny.train(colours, run, "train.steps=1")
    assert not list(run.glob(".tmp.*"))


def test_tensorboard_shows_each_step_once(colours, quick, tmp_path, monkeypatch) -> None:
    """What was logged after the saved state is taken back, for it is logged again."""
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

    from zoo.training import loop

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        real = loop.Trainer._log_training

        def dies(trainer):
            real(trainer)
            if trainer.progress.step == 5:
                raise ZeroDivisionError

        patch.setattr(loop.Trainer, "_log_training", dies)
        with pytest.raises(ZeroDivisionError):
            tiny.train(colours, run, "train.save_every=3")
    tiny.train(colours, run, "train.save_every=3")
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    assert [event.step for event in events.Tensors("train_loss")] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in events.Tensors("val/loss")] == [2, 4, 6]


def test_the_first_mean_after_going_on_is_that_of_all_its_steps(colours, quick, tmp_path) -> None:
    every = ("train.log_every=4", "train.save_every=3", "train.validate_every=8")
    tiny.train(colours, tmp_path / "whole", "train.steps=8", *every)
    from zoo.training import loop

    with pytest.MonkeyPatch.context() as patch:
        real = loop.Trainer._train

        def dies(trainer, batch):
            if trainer.progress.step == 3:
                raise ZeroDivisionError
            real(trainer, batch)

        patch.setattr(loop.Trainer, "_train", dies)
        with pytest.raises(ZeroDivisionError):
            tiny.train(colours, tmp_path / "run", "train.steps=8", *every)
    tiny.train(colours, tmp_path / "run", "train.steps=8", *every)
    losses = [[line.get("train_loss") for line in tiny.metrics(tmp_path / name)] for name in ("run", "whole")]
    assert losses[0] == losses[1] and len(losses[0]) == 3


def test_other_software_is_said(colours, begun) -> None:
    env = json.loads((begun / "env.json").read_text())
    env["versions"]["keras"] = "3.0.0"
    (begun / "env.json").write_text(json.dumps(env))
    _, said = tiny.train(colours, begun)
    assert "resume  keras: 3.0.0 when the run began, now 3." in said and "the last bits may differ" in said


def test_what_changes_the_last_bits() -> None:
    before = {
        "versions": {"keras": "1", "numpy": "2"},
        "backend": "jax",
        "devices": ["CPU:0"],
        "xla": {"on": True},
    }
    assert changes(before, before) == []
    now = {**before, "devices": ["GPU:0", "GPU:1"], "xla": {"on": False}, "versions": {"keras": "1"}}
    assert changes(before, now) == [
        "numpy: 2 when the run began, now None",
        "devices: CPU:0 when the run began, now GPU:0, GPU:1",
        "xla: on when the run began, now off",
    ]


def test_leave_to_skip_and_length_may_change(colours, begun) -> None:
    outcome, _ = tiny.train(colours, begun, "train.skip_nonfinite=3", "train.patience=9")
    assert outcome.progress.step == 6


def test_the_seed_decides_everything(colours, tmp_path) -> None:
    """Two runs are equal; another seed is another run."""
    short = ("train.steps=3", "train.validate_every=3", "train.save_every=3")
    for name in ("one", "two"):
        tiny.train(colours, tmp_path / name, *short)
    tiny.train(colours, tmp_path / "other", *short, "seed=2")
    one, two, other = (tiny.outcome(tmp_path / name) for name in ("one", "two", "other"))
    assert tiny.differences(one, two) == []
    assert {"variable 0", "metrics"} <= set(tiny.differences(one, other))


@pytest.mark.slow
def test_op_determinism_can_be_switched_on(colours, tmp_path) -> None:
    """XLA bears it too. It adds up in another order, so that the last bits are others than without."""
    from tensorflow.python.framework import config

    short = ("train.steps=2", "train.validate_every=2", "train.save_every=2", "train.deterministic=true")
    try:
        for name, xla in (("one", "false"), ("two", "false"), ("xla", "true")):
            tiny.train(colours, tmp_path / name, *short, f"train.xla={xla}")
            assert config.is_op_determinism_enabled()
            assert json.loads((tmp_path / name / "env.json").read_text())["deterministic"] is True
    finally:
        config.disable_op_determinism()
    assert tiny.differences(tiny.outcome(tmp_path / "one"), tiny.outcome(tmp_path / "two")) == []
