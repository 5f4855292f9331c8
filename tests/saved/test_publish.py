"""A run becomes a saved model: data alone, with a card whose figures are those of its files."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
import tiny
from click.testing import CliRunner
from zoo.cli import main

from zoo import hub
from zoo.errors import UserError
from zoo.loading import load
from zoo.recipe import dump_recipe, load_recipe
from zoo.saved.card import read_card
from zoo.saved.check import check
from zoo.saved.index import WEIGHTS, check_files, files_of, read_index_of
from zoo.saved.origin import Origin
from zoo.saved.page import REST, page
from zoo.saved.publish import Wishes, publish
from zoo.saved.weights import FORMS, shrink
from zoo.training.average import average
from zoo.training.run_folder import RunFolder

LICENCE = "Apache-2.0"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Runs of two seeds, of other units, and of a language model; and the first one, published."""
    folder = tmp_path_factory.mktemp("publish")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(folder / "cache"))
        recipe = tiny.classifier(folder)
        recipe.write_text(
            f"# Warm or cold? 冷暖。\n#\n#   zoo train it\n{recipe.read_text(encoding='utf-8')}",
            encoding="utf-8",
        )
        tiny.train(recipe, folder / "run", "train.keep=3")
        tiny.train(recipe, folder / "seed2", "train.keep=3", "seed=2")
        stopped = shutil.copytree(folder / "seed2", folder / "stopped")
        (stopped / "outcome.json").unlink()
        tiny.train(recipe, folder / "wider", "train.steps=2", "model.num_filters=5")
        tiny.train(tiny.language_model(folder), folder / "rhyme", "train.steps=2")
        publish(
            folder / "run", folder / "saved", wishes(ask=["red 1", "no colour"], seeds=[folder / "seed2"])
        )
        yield folder


def wishes(**said) -> Wishes:
    return Wishes(**{"licence": LICENCE, "exports": False, **said})


@pytest.fixture
def saved(made, tmp_path, monkeypatch):
    """A folder of saved models to be spoilt, which this process takes for the package's."""
    root = shutil.copytree(made / "saved", tmp_path / "saved")
    for name in ("train.txt", "val.txt"):  # data of one's own is looked for beside the recipe
        shutil.copy(made / name, root / "colours")
    monkeypatch.setattr(hub, "saved_dir", lambda: root)
    return root


def test_the_folder_is_data_alone_and_known_by_its_sha256(made) -> None:
    folder = made / "saved" / "colours"
    parts = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert parts == set(files_of(folder)) and "labels.json" in parts
    entry = read_index_of(folder.parent)["colours"]
    check_files(folder, entry, "")
    assert entry.licence == LICENCE and entry.summary == "Warm or cold? 冷暖。"
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in (".yaml", ".md", ".json"):
            assert str(made) not in path.read_text(encoding="utf-8"), "a path of this machine"


def test_it_answers_as_the_run_does(made, saved) -> None:
    texts = ["red 1", "navy 2", "火"]
    one, two = load(made / "run").classify(texts), load("colours").classify(texts)
    for a, b in zip(one, two, strict=True):
        assert a.label == b.label and a.probability == pytest.approx(b.probability, abs=1e-2)
    with h5py.File(saved / "colours" / WEIGHTS) as file:
        kinds = set()
        file.visititems(lambda name, item: kinds.add(item.dtype) if isinstance(item, h5py.Dataset) else None)
    assert np.dtype("float16") in kinds and np.dtype("float32") not in kinds
    assert read_card(saved / "colours").weights in FORMS


def test_the_figures_are_those_of_its_files(made, saved) -> None:
    card = read_card(saved / "colours")
    figures, _ = load("colours").score(tiny.split(made / "colours.yaml", "val"))
    (score,) = card.scores
    assert score.split == "val" and score.rows == 16
    assert score.figures == {name: figures[name] for name in ("accuracy", "macro_f1")}
    expect = load_recipe(saved / "colours" / "recipe.yaml").recipe.expect
    assert (expect.metric, expect.split) == ("accuracy", "val")
    assert expect.value == pytest.approx(figures["accuracy"], abs=1e-3)
    seeds = card.seeds.values
    assert seeds["1"] == pytest.approx(figures["accuracy"], abs=7) and set(seeds) == {"1", "2"}
    assert card.training.steps == 6 and card.training.cpus >= 1 and card.data.rows["train"] == 240


def test_each_sample_is_what_its_command_prints(saved, monkeypatch) -> None:
    page = (saved / "colours" / "card.md").read_text(encoding="utf-8")
    sessions = re.findall(r"```console\n\$ (zoo [^\n]*)\n(.*?)```", page, re.DOTALL)
    assert len(sessions) >= 2
    for command, printed in sessions:
        done = CliRunner().invoke(main, shlex.split(command)[1:])
        assert done.stdout == printed, command


def test_what_somebody_wrote_into_the_card_stays(made, saved) -> None:
    page = saved / "colours" / "card.md"
    page.write_text(page.read_text(encoding="utf-8") + "\n别用于医疗。\n", encoding="utf-8")
    publish(made / "run", saved, wishes(replace=True, summary="Colours.", name="colours"))
    said = page.read_text(encoding="utf-8")
    assert said.endswith("\n别用于医疗。\n") and said.count(REST) == 1 and "\nColours.\n" in said
    assert hub.find_saved("colours")


def test_a_sample_that_begins_with_a_dash_is_no_option() -> None:
    card = read_card(hub.saved_dir() / "dates-multi-lstm-tiny")
    card = card.model_copy(update={"asked": [card.asked[0].model_copy(update={"ask": "- 3 mars 2021"})]})
    command = re.findall(r"^\$ zoo (predict .*)$", page(card), re.MULTILINE)[-1]
    result = CliRunner().invoke(main, shlex.split(command))
    assert result.exit_code == 0, result.output


def test_a_card_is_written_anew_from_its_yaml(saved) -> None:
    page = saved / "colours" / "card.md"
    whole = page.read_text(encoding="utf-8")
    page.write_text("spoilt\n" + whole.partition(REST)[1] + "\nmine\n", encoding="utf-8")
    for named in ("colours", saved / "colours"):
        assert hub.find_model(named) == saved / "colours", "a page that no program reads hinders none"
    done = CliRunner().invoke(main, ["publish", str(saved / "colours")])
    assert done.exit_code == 0, done.output
    assert page.read_text(encoding="utf-8") == whole.partition(REST)[0] + REST + "\nmine\n"
    assert hub.find_saved("colours")


def test_a_language_model_shows_what_it_writes(made, tmp_path) -> None:
    folder = publish(made / "rhyme", tmp_path, wishes(summary="A rhyme.", ask=["Row", ""]))
    card, task = read_card(folder), load(folder)
    assert [sample.seed for sample in card.asked] == [1, 2]
    assert [task.generate([s.ask], seed=s.seed)[0].text for s in card.asked] == [s.answer for s in card.asked]
    assert card.score.command == "zoo eval rhyme --split val --carry-state"
    assert {"loss", "carried_loss"} <= card.score.figures.keys()
    assert (
        card.score.metric == "loss"
        and "$ zoo generate rhyme --prompt Row --seed 1" in (folder / "card.md").read_text()
    )


def test_an_average_of_weights(made, tmp_path) -> None:
    average(RunFolder(made / "run"), [4, 6], tmp_path / "average")
    folder = publish(tmp_path / "average", tmp_path / "saved", wishes(name="mean"))
    assert "zoo average test/colours --last 2" in read_card(folder).training.command
    assert load(folder).classify(["red 1"])
    with pytest.raises(UserError, match="differs from"):
        publish(tmp_path / "average", tmp_path / "saved", wishes(name="other", seeds=[made / "seed2"]))
    assert not (tmp_path / "saved" / "other").exists(), "a mean beside single weights is no spread of seeds"


def test_an_average_of_a_run_that_is_another_by_now(made, tmp_path) -> None:
    run = shutil.copytree(made / "run", tmp_path / "run")
    average(RunFolder(run), [4, 6], tmp_path / "average")
    resolved = (run / "resolved.yaml").read_text(encoding="utf-8")
    (run / "resolved.yaml").write_text(resolved.replace("steps: 6", "steps: 9"), encoding="utf-8")
    shutil.copyfile(made / "seed2" / "checkpoints" / "best.weights.h5", RunFolder(run).kept(4))
    with pytest.raises(UserError) as error:
        publish(tmp_path / "average", tmp_path / "saved", wishes())
    for said in (
        "train.steps: 6 -> 9",
        "step-00000004.weights.h5 has other weights",
        "`zoo average` it again",
    ):
        assert said in str(error.value)


def test_the_command_that_trains_it_again(tmp_path) -> None:
    """With what the shipped recipe does not say; nothing of what weights do not depend on."""
    said = ["train.keep=2", "train.patience=3", "train.log_every=7", "decode.beams=2", "seed=5"]
    recipe = load_recipe("translation/dates-multi-lstm-tiny", said).recipe
    run = RunFolder(tmp_path)
    run.resolved.write_text(dump_recipe(recipe), encoding="utf-8")
    run.best.parent.mkdir()
    run.best.touch()
    origin = Origin.of(tmp_path)
    assert origin.command() == "zoo train translation/dates-multi-lstm-tiny seed=5 train.patience=3"
    name = "translation/dates-multi-lstm-tiny"
    for best, which in ((False, "last"), (True, "best")):
        averaged = replace(origin, averaged=[3, 4], best=best).command()
        trained, _, then = averaged.partition("; ")
        assert set(trained.split()[3:]) == {"seed=5", "train.patience=3", "train.keep=2"}
        assert then == f"zoo average {name} --{which} 2"


def test_a_figure_that_answers_do_not_give(made, tmp_path) -> None:
    """A classifier may go by its loss in training, which `zoo eval` does not say."""
    run = shutil.copytree(made / "run", tmp_path / "run")
    resolved = (run / "resolved.yaml").read_text(encoding="utf-8")
    (run / "resolved.yaml").write_text(resolved.replace("metric: null", "metric: loss"), encoding="utf-8")
    folder = publish(run, tmp_path / "saved", wishes())
    assert read_card(folder).score.metric == "accuracy"
    expect = "expect: {metric: loss, value: 1.0, tolerance: 0.1}"
    resolved = (run / "resolved.yaml").read_text(encoding="utf-8").replace("expect: null", expect)
    (run / "resolved.yaml").write_text(resolved, encoding="utf-8")
    found = check(str(run))
    assert not found.passed and "does not say loss" in found.problem


def test_what_is_said_of_a_model_that_is_published_already(saved) -> None:
    done = CliRunner().invoke(main, ["publish", str(saved / "colours"), "--summary", "x", "--replace"])
    assert done.exit_code == 2 and "is published already; --summary, --replace: is for a run" in done.output


@pytest.mark.parametrize(
    ("source", "said", "message"),
    [
        ("run", {"licence": None}, '--licence "...": say what others may do'),
        ("rhyme", {"licence": None}, '--summary "...": say in a sentence'),
        ("run", {"name": "../up"}, "name has a-z"),
        ("run", {"name": "Colours"}, "name has a-z"),
        ("run", {"seeds": ["wider"]}, "differs from"),
        ("run", {"seeds": ["run"]}, "differs from"),
        ("run", {"seeds": ["stopped"]}, "stopped: is not finished"),
        ("saved/colours", {}, "no run, nor an average of one"),
        ("cache", {}, "no run, nor an average of one"),
    ],
)
def test_what_cannot_be_published(made, tmp_path, source, said, message) -> None:
    said = {**said, "seeds": [made / name for name in said.get("seeds", ())]}
    with pytest.raises(UserError) as error:
        publish(made / source, tmp_path / "saved", wishes(**said))
    assert message in str(error.value)
    assert not (tmp_path / "saved").exists() or not list((tmp_path / "saved").iterdir())


def test_nothing_is_replaced_unasked(made, saved) -> None:
    with pytest.raises(UserError, match="is published already; give --replace"):
        publish(made / "run", saved, wishes(name="colours"))


def test_a_run_that_imports_code_is_refused(made, tmp_path) -> None:
    run = shutil.copytree(made / "run", tmp_path / "run")
    resolved = run / "resolved.yaml"
    text = resolved.read_text(encoding="utf-8").replace("imports: []", "imports: [code/mine.py]")
    assert "mine.py" in text
    resolved.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="a saved model is data alone"):
        publish(run, tmp_path / "saved", wishes())


def test_a_run_that_is_not_finished(made, tmp_path) -> None:
    run = shutil.copytree(made / "run", tmp_path / "run")
    (run / "outcome.json").unlink()
    with pytest.raises(UserError, match="is not finished"):
        publish(run, tmp_path / "saved", wishes())


@pytest.mark.parametrize("fraction", FORMS.values())
def test_weights_in_fewer_bytes(tmp_path, fraction) -> None:
    """Two normal matrices of other scales, a vector, a matrix without any spread."""
    rng = np.random.default_rng(0)
    arrays = {
        "layers/small": rng.normal(0, 0.01, (300, 100)),
        "layers/wide": rng.normal(0, 3.0, (200, 150)),
        "layers/vector": rng.normal(1, 0.1, 300),
        "layers/even": np.full((4, 4), 0.25),
    }
    arrays = {name: array.astype("float32") for name, array in arrays.items()}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, array in arrays.items():
            file[name] = array
        file["layers"].attrs["name"] = "kept"
    assert shrink(tmp_path / "a.h5", tmp_path / "b.h5", fraction)
    with h5py.File(tmp_path / "b.h5") as file:
        assert file["layers"].attrs["name"] == "kept"
        for name, array in arrays.items():
            found, error = file[name][()], 2.0**-11 * np.abs(array)
            assert found.dtype == np.float16 and found.shape == array.shape
            if fraction and array.ndim > 1:
                error = np.maximum(error, array.std() / fraction / 2)
            assert (np.abs(found - array) <= error + 1e-7).all(), name
    bits = (tmp_path / "b.h5").stat().st_size * 8 / sum(array.size for array in arrays.values())
    assert bits < {16: 11.0, 32: 12.5, None: 17.0}[fraction]


def test_weights_too_large_for_float16_are_said(tmp_path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["layers/large"] = np.array([1e5, 1.0], "float32")
        file["layers/count"] = np.array([7], "int32")
    assert not shrink(tmp_path / "a.h5", tmp_path / "b.h5", None)


def test_check(made, saved) -> None:
    done = CliRunner().invoke(main, ["check", "colours", "--json"])
    (found,) = json.loads(done.stdout)
    assert done.exit_code == 0 and found["passed"] and found["measured"] == found["expected"], done.output
    assert re.fullmatch(r"(\d) of \1", found["samples"])
    done = CliRunner().invoke(main, ["check", "--all"])
    assert done.exit_code == 0 and "pass" in done.stdout


@pytest.mark.parametrize("spoil", ["figure", "sample", "weights", "data"])
def test_check_fails(made, saved, spoil) -> None:
    folder = saved / "colours"
    recipe, card = folder / "recipe.yaml", folder / "card.yaml"
    if spoil == "figure":
        text = recipe.read_text(encoding="utf-8")
        recipe.write_text(re.sub(r"  value: .*", "  value: 150.0", text), encoding="utf-8")
    elif spoil == "sample":
        text = card.read_text(encoding="utf-8")
        card.write_text(text.replace("answer: warm", "answer: lukewarm", 1), encoding="utf-8")
    elif spoil == "data":
        text = recipe.read_text(encoding="utf-8")
        recipe.write_text(text.replace("val.txt", "gone.txt"), encoding="utf-8")
    if spoil == "weights":
        (folder / WEIGHTS).write_bytes(b"spoilt")
    else:
        CliRunner().invoke(main, ["publish", str(folder)])  # the index knows the new files
    done = CliRunner().invoke(main, ["check", "colours"])
    assert done.exit_code == 1 and "FAIL" in done.stdout and "Traceback" not in done.output
    said = {
        "figure": "is worse by",
        "sample": "otherwise than its card",
        "weights": "damaged",
        "data": "gone.txt",
    }
    assert said[spoil] in done.stdout


def test_check_of_a_run_and_of_nothing(made) -> None:
    done = CliRunner().invoke(main, ["check", str(made / "run")])
    assert done.exit_code == 1 and "no `expect`" in done.stdout
    assert CliRunner().invoke(main, ["check"]).exit_code == 2
    assert CliRunner().invoke(main, ["check", "colours", "--all"]).exit_code == 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["translator", "tagger", "masked"])
def test_every_other_task(kind, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    metric = ["train.metric=bleu"] if kind == "translator" else []
    tiny.train(getattr(tiny, kind)(tmp_path), tmp_path / "run", "train.steps=2", *metric)
    ask = "Life is [MASK] a dream." if kind == "masked" else "my 狗 ."
    publish(tmp_path / "run", tmp_path / "saved", wishes(summary="It does.", name="model", ask=[ask]))
    folder = tmp_path / "saved" / "model"
    card = read_card(folder)
    assert card.asked[0].answer == str(load(folder).answer([ask])[0])
    assert kind == "masked" or (card.good and all(sample.gold for sample in card.good + card.bad))
    score = card.scores[0]
    if kind == "translator":
        figures = load(folder).score(tiny.split(tmp_path / "dates.yaml", "val"))[0]
        assert {length: found.model_dump() for length, found in score.by_length.items()} == figures[
            "by_length"
        ]
        assert "Validation, by the words of the source:" in (folder / "card.md").read_text(encoding="utf-8")
        assert score.length_unit == figures["length_unit"] == "words"
        counted = card.model_copy(update={"scores": [score.model_copy(update={"length_unit": "characters"})]})
        assert "by the characters of the source:\n\n| characters | " in page(counted)
    for path in tmp_path.iterdir():  # data of one's own is looked for beside the recipe
        if path.suffix in (".text", ".txt", ".conllu"):
            shutil.copy(path, folder)
    done = CliRunner().invoke(main, ["check", str(folder)])
    assert done.exit_code == 0, done.output


@pytest.mark.slow
def test_exports_are_measured(made, tmp_path) -> None:
    done = CliRunner().invoke(
        main, ["publish", str(made / "run"), "--to", str(tmp_path), "--licence", LICENCE, "--name", "colours"]
    )
    assert done.exit_code == 0, done.output
    exports = read_card(tmp_path / "colours").exports
    assert [e.file for e in exports] == ["saved_model", "model.tflite", "model.dynamic_int8.tflite"]
    for export in exports:
        assert export.metric == "accuracy" and export.rows == 16 and export.bytes > 1000 and export.p50_ms > 0
        assert export.value == export.python or "int8" in export.file
