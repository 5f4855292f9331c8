"""`zoo train`, `eval` and `predict` as a user types them."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
from click.testing import CliRunner
from zoo.cli import main


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    """A folder to work in, with a cache of its own; descriptor 2 stays pytest's (ZOO_CHATTER)."""
    folder = tmp_path_factory.mktemp("cli")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(folder / "cache"))
        patch.setenv("ZOO_CHATTER", "1")
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module", autouse=True)
def loaded_once():
    """Models are compiled once for all tests here; loading has tests of its own."""
    from zoo import loading

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "load", functools.cache(loading.load))
        yield loading.load


def zoo(*arguments: str, typed: str | bytes | None = None, code: int = 0):
    """(standard output, standard error)."""
    done = CliRunner().invoke(main, [str(argument) for argument in arguments], input=typed)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def trained(home):
    """(standard output, standard error) of a training of the translator into `runs/test/dates`."""
    return zoo("train", tiny.translator(home), "train.steps=2", "train.validate_every=2")


@pytest.fixture(scope="module")
def run(trained):
    return trained[0].strip()


@pytest.fixture(scope="module")
def classifier(home):
    zoo("train", tiny.classifier(home), "train.steps=2", "--run", "sorter")
    return "sorter"


@pytest.fixture(scope="module")
def tagger(home):
    zoo("train", tiny.tagger(home), "train.steps=2", "--run", "parser")
    return "parser"


@pytest.fixture(scope="module")
def writer(home):
    """A language model, and what its training printed."""
    _, err = zoo("train", tiny.language_model(home), "train.steps=2", "--run", "writer")
    assert "best    val loss" in err and "zoo generate writer --prompt 'a text of yours'" in err
    return "writer"


def test_train_prints_the_folder_and_what_to_try_next(trained, home) -> None:
    out, err = trained
    assert out == "runs/test/dates\n"
    assert (home / out.strip() / "checkpoints" / "best.weights.h5").exists()
    assert "trained 2 steps" in err and "best    val bleu" in err
    for command in ("zoo eval", "zoo predict", "zoo export", "zoo plot", "tensorboard --logdir"):
        assert f"{command} " in err


def test_show_prints_what_a_run_was_trained_with(run) -> None:
    for name in (run, run.removeprefix("runs/")):
        shown = zoo("show", name)[0]
        assert "steps: 2\n" in shown and "label_smoothing:" in shown
    assert "steps: 5\n" in zoo("show", run, "train.steps=5")[0]


def test_eval_prints_and_keeps_the_figures(run, home) -> None:
    out, _ = zoo("eval", run, "--split", "test", "--beams", "1", "--json")
    figures = json.loads(out)
    assert (figures["split"], figures["rows"], figures["beams"]) == ("test", 8, 1)
    assert {"bleu", "bleu_signature", "bleu_lc", "chrf", "exact_match"} <= set(figures)
    kept = home / run / "eval" / "test-beams1.json"
    assert json.loads(kept.read_text(encoding="utf-8")) == figures
    assert len(kept.with_suffix(".txt").read_text(encoding="utf-8").splitlines()) == 8
    last = json.loads(
        zoo("eval", run, "--beams", 1, "--length-penalty", 0.5, "--checkpoint", "last", "--json")[0]
    )
    assert (last["length_penalty"], last["checkpoint"]) == (0.5, "last")
    assert (home / run / "eval" / "val-beams1-length_penalty0.5-checkpointlast.json").is_file()


def test_eval_on_a_file_that_comes_later(run, classifier, home) -> None:
    """In the form of the model's own data, or with tabs where that came from no file."""
    Path("later.txt").write_text("warm red\ncold blue\nwarm blue\n", encoding="utf-8")
    figures = json.loads(zoo("eval", classifier, "--file", "later.txt", "--json")[0])
    assert (figures["split"], figures["rows"]) == ("file-later", 3) and 0 <= figures["accuracy"] <= 100
    assert (home / classifier / "eval" / "file-later.json").is_file()
    Path("日期.tsv").write_text("3 mars 2021\t2021-03-03\n", encoding="utf-8")
    assert json.loads(zoo("eval", run, "--file", "日期.tsv", "--json")[0])["rows"] == 1
    Path("later.txt").write_text("热 red\ncold blue\n", encoding="utf-8")
    _, err = zoo("eval", classifier, "--file", "later.txt", code=2)
    assert err == "label '热': the model knows 'cold', 'warm'\n"
    Path("later.txt").write_text("\n", encoding="utf-8")
    assert "later.txt: no row in it is not blank" in zoo("eval", classifier, "--file", "later.txt", code=2)[1]


def test_eval_of_a_classifier(classifier) -> None:
    figures = json.loads(zoo("eval", classifier, "--json")[0])
    assert figures["rows"] == 16 and 0 <= figures["accuracy"] <= 100 and "macro_f1" in figures
    plain = zoo("eval", classifier)[0]
    assert re.search(r"^accuracy +[\d.]+$", plain, re.MULTILINE)
    assert (
        "no split 'test'; `zoo eval sorter --file FILE`"
        in zoo("eval", classifier, "--split", "test", code=2)[1]
    )
    assert (
        "--beams and --length-penalty are for translation" in zoo("eval", classifier, "--beams", 2, code=2)[1]
    )


def test_eval_shows_people_what_stands_behind_the_figures(classifier, tagger, run, monkeypatch) -> None:
    """Tables on a terminal; a pipe has the figures alone."""
    from zoo.cli import eval as evaluating
    from zoo.cli import output

    monkeypatch.setenv("COLUMNS", "100")
    for model, counted in ((classifier, "rows"), (tagger, "words")):
        figures = json.loads(zoo("eval", model, "--json")[0])
        assert "by class" not in zoo("eval", model)[0]
        with monkeypatch.context() as patch:
            patch.setattr(output, "is_terminal", lambda: True)
            shown = zoo("eval", model)[0]
            patch.setattr(evaluating, "CLASSES", 1)
            few = zoo("eval", model)[0]
        assert re.search(rf"class +precision +recall +f1 +{counted}\n", shown)
        for name, told in figures["per_class"].items():
            numbers = " +".join(f"{told[key]:.4g}" for key in ("precision", "recall", "f1", "support"))
            assert re.search(rf"^{name} +{numbers} *$", shown, re.MULTILINE)
        pairs = {
            f"{gold} -> {said}: {count}"
            for gold, others in figures["confusions"].items()
            for said, count in others.items()
        }
        mistaken = shown.partition("most often mistaken, right -> answered\n")[2].splitlines()
        assert 0 < len(mistaken) == min(len(pairs), 5) and {line.strip() for line in mistaken} <= pairs
        counts = [int(line.split(": ")[1]) for line in mistaken]
        assert counts == sorted(counts, reverse=True)
        assert f"{len(figures['per_class'])} classes: --json has the figures of each" in few
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    assert re.search(r"by length\s+words +rows +bleu_lc\n", zoo("eval", run)[0])
    assert json.loads(zoo("eval", run, "--json")[0])["length_unit"] == "words"


def test_predict_gives_one_answer_a_line(run, home) -> None:
    texts = ["3 mars 2021", "", "2021年3月3日", "🙂" * 40]
    out, err = zoo("predict", run, *texts)
    assert out.count("\n") == len(texts) and not err
    (home / "texts").write_text("\n".join(texts) + "\n", encoding="utf-8")
    (home / "windows").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(texts).encode())
    for arguments in (("--file", "texts"), ("--file", "windows")):
        assert zoo("predict", run, *arguments)[0] == out
    for arguments in (("-",), (), ("--file", "-")):
        assert zoo("predict", run, *arguments, typed="\n".join(texts))[0] == out
    assert zoo("predict", run, typed="") == ("", "")


def test_predict_with_scores(run) -> None:
    out, _ = zoo("predict", run, "3 mars 2021", "三月", "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert [answer["text"] for answer in answers] == ["3 mars 2021", "三月"]
    assert all(set(answer) == {"text", "answer", "score"} for answer in answers)
    assert [answer["answer"] for answer in answers] == zoo("predict", run, "3 mars 2021", "三月")[
        0
    ].splitlines()


def test_plot_what_an_answer_looked_at(run, classifier, home, monkeypatch) -> None:
    from zoo import visualize
    from zoo.models import RNNSeq2Seq

    drawn = []
    monkeypatch.setattr(visualize, "_write", lambda figure, out, **options: drawn.append(figure))
    assert zoo("plot", run, "--alignments", "3 mars 2021")[0] == f"{run}/alignments.png\n"
    told = json.loads(zoo("predict", run, "3 mars 2021", "--alignments")[0])
    place = drawn[0].axes[0]
    assert place.get_title(loc="left") == "dates: Bahdanau attention"
    assert [label.get_text() for label in place.get_yticklabels()] == told["tokens"]
    assert len(place.get_xticklabels()) == len(told["source_tokens"]) == 12
    assert [[round(float(x), 4) for x in row] for row in place.images[0].get_array()] == told["alignment"]
    _, err = zoo("plot", classifier, "--alignments", "red", code=2)
    assert err == "sorter: --alignments: for translation; this is a classifier\n"
    monkeypatch.setattr(RNNSeq2Seq, "alignments_are", None)
    _, err = zoo("plot", run, "--alignments", "3 mars 2021", code=2)
    assert err.startswith("dates: has no alignments to draw: ") and err.count("\n") == 1
    assert len(drawn) == 1


def test_predict_n_best(run) -> None:
    lines = zoo("predict", run, "3 mars 2021", "4 mars 2021", "--n-best", 2)[0].splitlines()
    assert len(lines) == 4
    best = json.loads(zoo("predict", run, "3 mars 2021", "--n-best", 2, "--json")[0])["answers"]
    assert [answer["answer"] for answer in best] == lines[:2]
    assert best[0]["score"] >= best[1]["score"]


def test_fewer_beams_than_the_recipe_has_answers(run, home, loaded_once) -> None:
    """`decode.n_best: 2` in the recipe, and the user asks for one beam."""
    resolved = home / run / "resolved.yaml"
    text = resolved.read_text(encoding="utf-8")
    resolved.write_text(text.replace("n_best: 1", "n_best: 2"), encoding="utf-8")
    loaded_once.cache_clear()
    try:
        assert len(zoo("predict", run, "3 mars 2021")[0].splitlines()) == 2
        assert len(zoo("predict", run, "3 mars 2021", "--beams", 1)[0].splitlines()) == 1
    finally:
        resolved.write_text(text, encoding="utf-8")
        loaded_once.cache_clear()


def test_predict_labels(classifier) -> None:
    out, _ = zoo("predict", classifier, "red 1", "蓝 2")
    assert set(out.splitlines()) <= {"warm", "cold"} and out.count("\n") == 2
    answer = json.loads(zoo("predict", classifier, "red 1", "--json")[0])
    assert answer["probability"] == max(answer["probabilities"].values())
    assert "--n-best: for translation" in zoo("predict", classifier, "red 1", "--n-best", 2, code=2)[1]


def test_predict_tags(tagger) -> None:
    out, _ = zoo("predict", tagger, "the dog sees", "", "my  狗")
    tag = "(DET|NOUN|PUNCT|VERB)"
    assert re.fullmatch(f"the/{tag} dog/{tag} sees/{tag}\n\nmy/{tag} 狗/{tag}\n", out)
    answer = json.loads(zoo("predict", tagger, "the dog sees", "--json")[0])
    assert answer["text"] == "the dog sees" and answer["words"] == ["the", "dog", "sees"]
    assert answer["answer"] == out.splitlines()[0]
    assert [f"{word}/{tag}" for word, tag in zip(answer["words"], answer["tags"], strict=True)] == answer[
        "answer"
    ].split()
    assert "this is a tagger" in zoo("predict", tagger, "the dog", "--beams", 2, code=2)[1]


def test_eval_of_a_tagger_and_of_a_language_model(tagger, writer, home) -> None:
    figures = json.loads(zoo("eval", tagger, "--json")[0])
    assert {"accuracy", "macro_f1", "exact_match", "words", "per_class"} <= set(figures)
    tags = (home / tagger / "eval" / "val.txt").read_text(encoding="utf-8").splitlines()
    assert len(tags) == figures["rows"] == 10 and len(tags[0].split()) == 6
    figures = json.loads(zoo("eval", writer, "--json")[0])
    assert {"loss", "perplexity", "bits_per_byte", "bits_per_character", "tokens"} <= set(figures)
    assert (home / writer / "eval" / "val.json").exists() and not (
        home / writer / "eval" / "val.txt"
    ).exists()
    assert re.search(r"^perplexity +[\d.]+$", zoo("eval", writer)[0], re.MULTILINE)
    assert "this is a language model" in zoo("eval", writer, "--beams", 2, code=2)[1]


def test_eval_with_the_state_carried(writer, tagger, home) -> None:
    plain = json.loads(zoo("eval", writer, "--json")[0])
    figures = json.loads(zoo("eval", writer, "--carry-state", "--json")[0])
    carried = {f"carried_{name}" for name in ("loss", "perplexity", "bits_per_byte", "bits_per_character")}
    assert figures.items() > plain.items() and figures.keys() - plain.keys() == carried
    for name, kept in (("val", plain), ("val-carried", figures)):
        assert json.loads((home / writer / "eval" / f"{name}.json").read_text(encoding="utf-8")) == kept
    (home / "gpt.yaml").write_text(
        "{extends: rhyme.yaml, name: test/gpt, model: {name: gpt, num_layers: 1, hidden_dim: 8, intermediate_dim: 8,"
        " num_heads: 1}}",
        encoding="utf-8",
    )
    zoo("train", "gpt.yaml", "train.steps=2", "--run", "transformer")
    refused = zoo("eval", "transformer", "--carry-state", code=2)[1]
    assert "is for recurrent language models" in refused and "a language model with model.name gpt" in refused
    assert "a tagger with model.name rnn_tagger" in zoo("eval", tagger, "--carry-state", code=2)[1]
    assert "one at a time" in zoo("eval", writer, "--carry-state", "--judge", tagger, code=2)[1]


def test_generate(writer, home) -> None:
    out, err = zoo("generate", writer, "--prompt", "Row, row")
    assert out.startswith("Row, row") and err == "" and len(out) <= len("Row, row") + 12 + 1
    assert zoo("generate", writer, "--prompt", "Row, row", "--seed", 0)[0] == out
    short = zoo("generate", writer, "--prompt", "Row, row", "--max-length", 3)[0]
    assert short == out[: len("Row, row") + 3] + "\n"
    answers = zoo("generate", writer, "--prompt", "Row", "--prompt", "船", "--samples", 2, "--json")[0]
    answers = [json.loads(line) for line in answers.splitlines()]
    assert [answer["prompt"] for answer in answers] == ["Row", "Row", "船", "船"]
    assert all(answer["text"] == answer["prompt"] + answer["continuation"] for answer in answers)
    assert answers[0] != answers[1]
    plain = zoo("generate", writer, "--prompt", "Row", "--prompt", "船", "--samples", 2)[0]
    assert plain == "\n".join(f"{answer['text']}\n" for answer in answers)
    (home / "prompts").write_text("Row\n船\n", encoding="utf-8")
    greedy = ("--temperature", 0, "--top-k", 5, "--top-p", 0.9, "--json")
    found = [
        json.loads(line) for line in zoo("generate", writer, "--file", "prompts", *greedy)[0].splitlines()
    ]
    assert [answer["prompt"] for answer in found] == ["Row", "船"]
    assert zoo("generate", writer, "--file", "-", *greedy, "--seed", 7, typed="Row\n船\n")[0].count("\n") == 2
    assert zoo("generate", writer, "--max-length", 2)[0]


def test_each_model_has_its_command(run, writer, home) -> None:
    out, err = zoo("generate", run, "--prompt", "3 mars", code=2)
    assert out == "" and f"{run}: no language model: use `zoo predict {run} TEXT`" in err
    out, err = zoo("predict", writer, "Row", code=2)
    assert out == "" and f"use `zoo generate {writer} --prompt ...`" in err and err.count("\n") == 1
    assert "not both" in zoo("generate", writer, "--prompt", "a", "--file", "prompts", code=2)[1]
    for wrong in (("--temperature", "-1"), ("--top-p", "0"), ("--top-k", "0"), ("--samples", "0")):
        assert wrong[0] in zoo("generate", writer, *wrong, code=2)[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--file", "nowhere.txt"), "nowhere.txt: cannot be read (No such file or directory)"),
        (("--file", "latin1"), "latin1:2: not UTF-8; convert it with `iconv -f cp1252 -t utf-8 latin1`"),
        (("--file", "latin1", "3 mars"), "give texts or --file, not both"),
        (("3 mars", "--beams", "2", "--n-best", "3"), "--n-best 3 is more than --beams 2; raise --beams"),
    ],
)
def test_a_mistake_of_predict_is_one_line(run, home, arguments, says) -> None:
    (home / "latin1").write_bytes("3 mars\n3 août\n".encode("latin-1"))
    out, err = zoo("predict", run, *arguments, code=2)
    assert out == "" and says in err and err.count("\n") == 1


@pytest.mark.parametrize("command", ["predict", "eval"])
def test_an_unknown_run_is_one_line(command, tmp_path) -> None:
    texts = ["text"] if command == "predict" else []
    out, err = zoo(command, "runs/nothing", *texts, code=2)
    assert out == "" and "no saved model is called 'runs/nothing'" in err and err.count("\n") == 1
    out, err = zoo(command, tmp_path, *texts, code=2)
    assert out == "" and "neither a run folder nor a saved model" in err and err.count("\n") == 1


def test_an_option_that_makes_no_sense_is_explained(run) -> None:
    for arguments in (("--beams", "0"), ("--beams", "many"), ("--best-n", "2")):
        out, err = zoo("predict", run, "text", *arguments, code=2)
        assert out == "" and "Traceback" not in err and arguments[0] in err


def test_train_refuses_in_one_place(trained, home) -> None:
    out, err = zoo("train", "dates.yaml", "train.steps=2", "train.validate_every=2", "model.units=8", code=2)
    assert out == "" and "model.units: 16 -> 8" in err and "Traceback" not in err
    assert "did you mean" in zoo("train", "translation/dates-multi-lstm-tin", code=2)[1]


def test_what_reaches_the_user_of_a_real_process(home) -> None:
    """Two processes: the second runs the command that the first printed, as it printed it."""
    recipe = tiny.classifier(home)
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("TF_", "ZOO_CHATTER"))
    }
    program = shlex.quote(str(Path(sys.executable).with_name("zoo")))

    def typed(line: str):
        done = subprocess.run(
            ["/bin/sh", "-c", line], capture_output=True, text=True, env=environment, timeout=240
        )
        assert done.returncode == 0, done.stderr
        for chatter in ("oneDNN", "absl", "cuda", "I0000", "WARNING", "rebuild TensorFlow", "Traceback"):
            assert chatter not in done.stderr
        return done

    done = typed(f"{program} train {recipe} train.steps=2 --run 'my runs/one'")
    assert done.stdout == "my runs/one\n"
    lines = done.stderr.splitlines()
    assert all(
        re.match(
            r"(data|warning: val shares|tokenizer|XLA|batches|model|step|compiled|trained|best|next|  )", line
        )
        for line in lines
    )
    ask = next(line.strip() for line in lines if "zoo predict " in line)
    assert "'my runs/one'" in ask
    answer = typed(ask)
    assert answer.stdout in ("warm\n", "cold\n")
    assert answer.stderr == ""
