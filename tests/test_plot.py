"""`zoo plot`: what is in the picture, how it is named, and what is said where there is nothing to draw."""

from __future__ import annotations

import builtins
import json
import math
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest
from click.testing import CliRunner
from zoo.cli import main

from zoo import curves, hub, visualize
from zoo.errors import UserError
from zoo.saved.card import OfLength, Score, read_card, write_card
from zoo.yaml_strict import dump_yaml

RECIPE = "name: test/run\ntask: {task}\ntrain: {{metric: {metric}}}\n"
BLEU = [10.0, math.nan, 30.0, 20.0]


def write_run(
    folder: Path, bleu=BLEU, task="translation", metric="null", rate=lambda step: step, **more
) -> Path:
    """A run of 20 steps, validated every 5; the last line is still being written."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for step in range(1, 21):
        said = {"step": step, "tokens": 100 * step, "seconds": 6.0 * step}
        lines.append(said | {"train_loss": 5.0 - step / 5, "learning_rate": float(rate(step))})
        if step % 5 == 0:
            figures = {"val_loss": 6.0 - step / 5, "val_bleu": bleu[step // 5 - 1], "val_chrf": 50.0 - step}
            lines.append(said | figures | more)
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"step": 21, "train_l'
    (folder / "metrics.jsonl").write_text(text, encoding="utf-8")
    (folder / "resolved.yaml").write_text(RECIPE.format(task=task, metric=metric), encoding="utf-8")
    return folder


def zoo(*arguments, code: int = 0):
    """(standard output, standard error)."""
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout, done.stderr


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were drawn, which are not written."""
    figures = []
    monkeypatch.setattr(visualize, "_write", lambda figure, out, **options: figures.append(figure))
    return figures


def lines_of(place) -> list[tuple[list[float], list[float]]]:
    """x and y of each curve; rings have one point."""
    found = [(list(map(float, line.get_xdata())), list(map(float, line.get_ydata()))) for line in place.lines]
    return [line for line in found if len(line[0]) > 1]


def rings(place) -> list[tuple[float, float]]:
    return [
        (float(x.get_xdata()[0]), float(x.get_ydata()[0])) for x in place.lines if len(x.get_xdata()) == 1
    ]


def labels(figure) -> list[str]:
    return [place.get_ylabel().replace("\n", " ") for place in figure.axes]


# --- what is drawn ---


def test_one_run(drawn, tmp_path) -> None:
    run = write_run(tmp_path / "run")
    assert zoo("plot", run)[0] == f"{run}/curves.png\n"
    (figure,) = drawn
    assert labels(figure) == ["loss", "validation bleu", "learning rate"]
    loss, bleu, rate = figure.axes
    training, validation = lines_of(loss)
    assert training == (list(range(1, 21)), [5.0 - step / 5 for step in range(1, 21)])
    assert validation == ([5, 10, 15, 20], [6.0 - step / 5 for step in (5, 10, 15, 20)])
    ((x, y),) = lines_of(bleu)
    assert x == [5, 10, 15, 20] and y[0] == 10.0 and math.isnan(y[1]) and y[2:] == [30.0, 20.0]
    assert rings(bleu) == [(15, 30.0)] and not rings(loss)
    assert [text.get_text() for text in bleu.texts] == ["30"]
    assert lines_of(rate)[0][1] == list(range(1, 21))
    assert rate.get_xlabel() == "step"
    assert figure.get_suptitle() == "run"


@pytest.mark.parametrize(("axis", "ends"), [("step", 20.0), ("tokens", 2000.0), ("minutes", 2.0)])
def test_along_what(drawn, tmp_path, axis, ends) -> None:
    zoo("plot", write_run(tmp_path / "run"), "--x", axis)
    assert [x[-1] for x, _ in lines_of(drawn[0].axes[0])] == [ends, ends]
    assert drawn[0].axes[-1].get_xlabel() == axis


def test_lines_that_do_not_say_where_they_stand_are_put_between_those_that_do(tmp_path) -> None:
    lines = [
        {"step": 10, "tokens": 1000, "train_loss": 3.0},
        {"step": 15, "val_loss": 3.0},
        {"step": 20, "tokens": 3000, "train_loss": 2.0},
        {"step": 25, "val_loss": 2.0},
    ]
    run = curves.Curves("run", lines, tmp_path / "metrics.jsonl")
    assert run.curve("val_loss", "tokens") == ([2000.0, 3000.0], [3.0, 2.0])
    with pytest.raises(UserError, match="has no 'seconds', so that minutes are not known: use --x step"):
        run.curve("val_loss", "minutes")


def test_several_runs(drawn, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, best in (("a/tiny", 40.0), ("b/tiny", 41.0), ("b/small", 20.0)):
        write_run(tmp_path / "runs" / name, [10.0, best, 30.0, 15.0])
    # By folder, and by the recipe's name; one of them twice.
    assert zoo("plot", "runs/a/tiny", "b/tiny", "runs/b/small", "b/tiny")[0] == "curves.png\n"
    (figure,) = drawn
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a/tiny", "b/tiny", "small"]
    colours = [handle.get_color() for handle in figure.legends[0].legend_handles]
    assert len(set(colours)) == 3
    bleu = figure.axes[1]
    # The values of the bests stand at the edge, in the order of their heights, each in its run's colour.
    shown = sorted((text.get_position()[1], text.get_text(), text.get_color()) for text in bleu.texts)
    assert [(value, colour) for _, value, colour in shown] == [
        ("30", colours[2]),
        ("40", colours[0]),
        ("41", colours[1]),
    ]
    heights = [height for height, *_ in shown]
    assert heights[2] - heights[1] > 0.07 and heights[2] <= 1.0
    assert sorted(rings(bleu)) == [(10, 40.0), (10, 41.0), (15, 30.0)]
    assert {line.get_color() for line in figure.axes[2].lines} == {visualize.GREY}, "all rates are the same"


def test_runs_with_other_figures_have_a_panel_each(drawn, tmp_path) -> None:
    one = write_run(tmp_path / "one")
    two = write_run(tmp_path / "two", metric="chrf")
    three = write_run(tmp_path / "three", task="language_modeling", rate=lambda step: 0.001)
    zoo("plot", one, two, three)
    assert labels(drawn[0]) == ["loss", "validation bleu", "validation chrf", "learning rate"]
    assert len(rings(drawn[0].axes[0])) == 3, "a language model's best is that of the loss"
    zoo("plot", three, "--metric", "chrf")
    assert labels(drawn[1]) == ["loss", "validation chrf"], "a constant rate is no curve"


def test_runs_that_cannot_be_compared_are_drawn_and_told(drawn, tmp_path) -> None:
    def run(name: str, task="translation", **sections) -> Path:
        folder = write_run(tmp_path / name)
        recipe = {"task": task, "train": {"metric": None}, **sections}
        (folder / "resolved.yaml").write_text(dump_yaml(recipe), encoding="utf-8")
        return folder

    def says(*runs) -> str:
        return zoo("plot", *runs, "--out", "x.png")[1].removeprefix("note: these runs differ in ")

    dates = {"name": "dates", "val": 10, "train": 20, "buckets": [8], "max_length": 24}
    one = run("one", data=dates, tokenizer={"name": "character"})
    assert (
        says(one) == says(one, run("fewer", data=dates | {"train": 5, "buckets": [], "max_length": 20})) == ""
    )
    captions = {"name": "multi30k", "source": "de"}
    other = run("other", data=captions, tokenizer={"name": "word"})
    end = ": their losses cannot be compared\n"
    assert says(one, other) == f"data.name (dates, multi30k), tokenizer.name (character, word){end}"
    assert (
        says(one, run("sorts", "classification", data=captions)) == f"task (translation, classification){end}"
    )
    assert says(one, run("more", data=dates | {"val": 20})) == f"data.val (10, 20){end}"
    texts = [run(f"lm{n}", "language_modeling", data={"name": "text", "max_length": n}) for n in (8, 16)]
    assert says(*texts) == f"data.max_length (8, 16){end}"
    assert says(one, run("damaged", data="?")) == "" == says(one, write_run(tmp_path / "bare"))
    assert len(drawn) == 8, "they are drawn all the same"
    for folder in (one, other):
        write_evaluation(folder, [1.0, 2.0, 3.0])
    said = zoo("plot", one, other, "--by-length", "test")[1]
    assert said.endswith("in data.name (dates, multi30k): their BLEU cannot be compared\n")


def test_low_is_good_where_it_is(drawn, tmp_path) -> None:
    run = write_run(tmp_path / "run", val_repetition_rate=4.0)
    zoo("plot", run, "--metric", "repetition_rate", "--metric", "loss")
    assert rings(drawn[0].axes[1]) == [(20, 4.0)] and rings(drawn[0].axes[0]) == [(20, 2.0)]


def test_a_logarithmic_loss_leaves_out_what_has_no_place_there(drawn, tmp_path) -> None:
    run = write_run(tmp_path / "run", val_loss=0.0)
    zoo("plot", run, "--log")
    loss = drawn[0].axes[0]
    assert loss.get_yscale() == "log" and all(math.isnan(y) for y in lines_of(loss)[1][1])


def test_a_run_before_its_first_validation(drawn, tmp_path) -> None:
    run = write_run(tmp_path / "run")
    (run / "metrics.jsonl").write_text('{"step": 1, "train_loss": NaN}\n{"step": 2, "train_loss": 4.0}\n')
    zoo("plot", run)
    assert labels(drawn[0]) == ["loss"] and len(drawn[0].axes[0].lines) == 2


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_picture_is_a_file(tmp_path, ending) -> None:
    magic = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    out, err = zoo("plot", write_run(tmp_path / "läuft"), "--out", tmp_path / "new" / f"picture.{ending}")
    assert out == f"{tmp_path}/new/picture.{ending}\n" and err == ""
    picture = Path(out.strip()).read_bytes()
    assert picture.startswith(magic)
    if ending == "png":
        assert int.from_bytes(picture[16:20], "big") == 1200, "pixels wide"


@pytest.fixture
def fonts(monkeypatch):
    """matplotlib's list of fonts, of which DejaVu Sans alone is there; and the files that are found anew."""
    from matplotlib import font_manager

    there = [x for x in font_manager.fontManager.ttflist if x.name == "DejaVu Sans"]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", there)
    found = []
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: found)
    return font_manager.fontManager, found


def write_font(path: Path) -> Path:
    """A font of one letter, 跑."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.ttLib.tables._g_l_y_f import Glyph

    font = FontBuilder(1000)
    font.setupGlyphOrder([".notdef", "run"])
    font.setupCharacterMap({ord("跑"): "run"})
    font.setupGlyf({".notdef": Glyph(), "run": Glyph()})
    font.setupHorizontalMetrics({".notdef": (500, 0), "run": (1000, 0)})
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": "Zoo Test", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(path)
    return path


def test_letters_that_the_font_lacks_come_from_another_that_is_there(tmp_path, fonts) -> None:
    manager, _ = fonts
    assert visualize._fonts("run 跑步跑") == (["DejaVu Sans"], "跑步")
    manager.addfont(write_font(tmp_path / "test.ttf"))
    assert visualize._fonts("run") == (["DejaVu Sans"], "")
    assert visualize._fonts("run 跑步跑") == (["DejaVu Sans", "Zoo Test"], "步")


def test_a_font_that_was_installed_since_is_found(tmp_path, fonts) -> None:
    """matplotlib keeps its list of fonts in a file, and would not look again."""
    _, found = fonts
    (tmp_path / "broken.ttf").write_text("no font")
    found += [str(tmp_path / "broken.ttf"), str(write_font(tmp_path / "test.ttf"))]
    assert visualize._fonts("run 跑") == (["DejaVu Sans", "Zoo Test"], "")


def test_letters_that_no_font_has_are_told_once(tmp_path, fonts) -> None:
    runs = write_run(tmp_path / "跑" / "步"), write_run(tmp_path / "跑" / "跑")
    out, err = zoo("plot", *runs, "--out", tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG") and out.endswith("picture.png\n")
    assert err.startswith("warning: no installed font has 步跑: the picture shows boxes there; install one")
    assert "fonts-noto-cjk" in err and err.count("\n") == 1
    write_evaluation(runs[0], [1.0, 2.0, 3.0])
    assert "font has 步:" in zoo("plot", runs[0], "--by-length", "test")[1]
    many = write_run(tmp_path / "一二三四五六七八九十百千万")
    assert "has 一二三四五六七八九十百千… (13 letters):" in zoo("plot", many)[1]


# --- mistakes ---


def test_mistakes_are_one_line(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = write_run(tmp_path / "run")

    def says(text: str, *arguments) -> None:
        out, err = zoo("plot", *arguments, code=2)
        assert out == "" and text in err and err.count("\n") == 1, err

    says("no saved model is called 'nowhere'", "nowhere")
    says("--metric belu: these runs have loss, bleu, chrf, did you mean 'bleu'?", run, "--metric", "belu")
    says("--out picture.gif: give a name that ends in .png, .svg, .pdf", run, "--out", "picture.gif")
    says("run/metrics.jsonl/x.png: cannot be written", run, "--out", run / "metrics.jsonl" / "x.png")
    says("has no metrics.jsonl: give the folder of a run", "dates-multi-lstm-tiny")
    log = run / "metrics.jsonl"
    for nothing in ("", '{"step": 1, "tr'):
        log.write_text(nothing)
        says(f"{log}: holds nothing yet", run)
    for damage in ('{"step": 2, "tra', "5", "{}", "\x00\x00"):
        log.write_text(f'{{"step": 1, "train_loss": 3.0}}\n{damage}\n{{"step": 3, "train_loss": 3.0}}\n')
        says(f"{log}:2: damaged: remove this line", run)


def test_mistakes_about_alignments_are_one_line(tmp_path) -> None:
    run = write_run(tmp_path / "run")
    for other in (("--by-length", "val"), ("--log",), ("--metric", "bleu"), ("--x", "tokens")):
        _, err = zoo("plot", run, "--alignments", "a", *other, code=2)
        assert "is a picture of its own, without" in err and err.count("\n") == 1
    _, err = zoo("plot", run, write_run(tmp_path / "other"), "--alignments", "a", code=2)
    assert err == "--alignments: is a picture of one model; give one RUN or NAME\n"
    assert (
        "give a name that ends in .png" in zoo("plot", run, "--alignments", "a", "--out", "x.gif", code=2)[1]
    )


def test_without_matplotlib(tmp_path, monkeypatch) -> None:
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    run = write_run(tmp_path / "run")
    monkeypatch.setattr(builtins, "__import__", without)
    _, err = zoo("plot", run, code=2)
    assert err == "matplotlib is not installed: pip install 'sequence-zoo[plot]'\n"


def test_no_tensorflow_and_no_chatter(tmp_path) -> None:
    program = """
import sys
import xml.etree.ElementTree
from zoo.cli import main
try:
    main(sys.argv[1:], prog_name="zoo")
except SystemExit as end:
    assert not end.code
assert not {"tensorflow", "keras", "jax"} & set(sys.modules)
"""
    command = [sys.executable, "-c", program, "plot", str(write_run(tmp_path / "läuft")), "--x", "minutes"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path}/läuft/curves.png\n", "")


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("ending", ["svg", "pdf", "png"])
def test_names_are_only_names(tmp_path, monkeypatch, ending, count) -> None:
    """No formulas, no markup, no control characters that would break an SVG; none is left out."""
    monkeypatch.chdir(tmp_path)
    names = ["_$\\frac{$ <script>&amp; \x1b\x07\udcff", "$x^2$"][:count]
    for name in names:
        write_run(Path(name))
    zoo("plot", *names, "--out", f"curves.{ending}")
    content = Path(f"curves.{ending}").read_bytes()
    if ending == "svg":
        drawn = xml.etree.ElementTree.fromstring(content)
        assert b"<script>" not in content and len(content) > 5000 and len(drawn)


def test_the_names_in_a_legend(drawn, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("_hidden", "$x$"):
        write_run(Path(name))
    zoo("plot", "_hidden", "$x$")
    (legend,) = drawn[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["_hidden", "$x$"]
    assert not any(text.get_parse_math() for text in legend.get_texts())


def write_evaluation(run: Path, bleu: list[float], name: str = "test-beams5", **figures) -> None:
    lengths = ("1-5", "6-10", "11+")
    found = {length: {"rows": 10, "bleu_lc": value} for length, value in zip(lengths, bleu, strict=True)}
    (run / "eval").mkdir(exist_ok=True)
    (run / "eval" / f"{name}.json").write_text(json.dumps({"by_length": found, **figures}))


def test_by_length(tmp_path, monkeypatch, drawn) -> None:
    monkeypatch.chdir(tmp_path)
    one, two = write_run(tmp_path / "fixed"), write_run(tmp_path / "attention")
    write_evaluation(one, [30.0, 20.0, 10.0])
    write_evaluation(two, [31.0, 30.0, 29.0])
    out, _ = zoo("plot", one, two, "--by-length", "test")
    assert out == "by-length-test.png\n"
    above, below = drawn[0].axes
    assert [list(line.get_ydata()) for line in above.lines] == [[30.0, 20.0, 10.0], [31.0, 30.0, 29.0]]
    assert [label.get_text() for label in below.get_xticklabels()] == ["1-5", "6-10", "11+"]
    assert [bar.get_height() for bar in below.patches] == [10, 10, 10]
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["fixed", "attention"]
    assert zoo("plot", one, "--by-length", "test")[0] == f"{one / 'by-length-test.png'}\n"
    found = (two / "eval" / "test-beams5.json").rename(two / "eval" / "test-beams1-checkpointlast.json")
    (two / "eval" / "test-beams4.json").write_text('{"by_length": null}')
    zoo("plot", one, two, "--by-length", "test")
    names = [text.get_text() for text in drawn[-1].legends[0].get_texts()]
    assert found.exists() and names == ["fixed (beams5)", "attention (beams1-checkpointlast)"], (
        "asked otherwise"
    )


def test_lengths_that_count_characters_say_so(tmp_path, drawn) -> None:
    one, two = write_run(tmp_path / "zh"), write_run(tmp_path / "de")
    write_evaluation(one, [30.0, 20.0, 10.0], length_unit="characters")
    write_evaluation(two, [30.0, 20.0, 10.0])
    for runs in ((one,), (two,), (one, two)):
        zoo("plot", *runs, "--by-length", "test")
    axes = [figure.axes[1].get_xlabel() for figure in drawn]
    assert axes == ["characters of the source", "words of the source", "characters or words of the source"]


def test_by_length_of_saved_models(tmp_path, monkeypatch, drawn) -> None:
    """Their cards know it; a picture of one alone does not go into its folder."""
    monkeypatch.chdir(tmp_path)
    found = {"1-5": OfLength(rows=3, bleu_lc=40.0), "6+": OfLength(rows=9, bleu_lc=30.0)}
    score = Score(split="test", rows=12, metric="bleu_lc", figures={}, by_length=found, command="")
    scores = [score.model_copy(update={"length_unit": "characters"})]
    card = read_card(hub.find_model("dates-multi-lstm-tiny")).model_copy(update={"scores": scores})
    (tmp_path / "saved").mkdir()
    write_card(tmp_path / "saved", card)
    monkeypatch.setattr(hub, "find_model", lambda name: tmp_path / name)
    assert zoo("plot", "saved", "--by-length", "test")[0] == "by-length-test.png\n"
    above, below = drawn[0].axes
    assert list(above.lines[0].get_ydata()) == [40.0, 30.0]
    assert [bar.get_height() for bar in below.patches] == [3, 9]
    assert below.get_xlabel() == "characters of the source"
    assert "its card does not say" in zoo("plot", "saved", "--by-length", "val", code=2)[1]


def test_by_length_of_what_was_not_measured(tmp_path) -> None:
    run = write_run(tmp_path / "run")
    _, said = zoo("plot", run, "--by-length", "val", code=2)
    assert f"`zoo eval {run} --split val` measures" in said
    (run / "eval").mkdir()
    (run / "eval" / "val-beams1.json").write_text("{")
    (run / "eval" / "val-beams2.json").write_text("[]")
    assert "are not known" in zoo("plot", run, "--by-length", "val", code=2)[1]
    write_evaluation(run, [1.0, 2.0, 3.0])
    assert "without --metric" in zoo("plot", run, "--by-length", "test", "--log", code=2)[1]


# --- numbers instead of a picture ---


def test_validations_as_a_table(tmp_path) -> None:
    run = write_run(tmp_path / "run")
    rows = json.loads(zoo("curves", run, "--json")[0])
    first = {"run": "run", "step": 5, "tokens": 500, "minutes": 0.5, "loss": 5.0, "bleu": 10.0}
    assert rows[0] == first and [row["step"] for row in rows] == [5, 10, 15, 20]
    assert [row["bleu"] for row in rows] == [10.0, None, 30.0, 20.0], "what is no number is none"
    both = zoo("curves", run, write_run(tmp_path / "other"), "--metric", "chrf")[0].splitlines()
    assert both[0].split() == ["run", "5", "500", "0.5", "5", "45"] and len(both) == 8


def test_what_it_took_to_be_good_enough(tmp_path) -> None:
    runs = write_run(tmp_path / "slow", [10.0, 20.0, 25.0, 30.0]), write_run(tmp_path / "fast")
    rows = json.loads(zoo("curves", *runs, "--reach", 30, "--reach", 31, "--json")[0])
    assert [(row["run"], row["bleu"], row["step"], row["minutes"]) for row in rows] == [
        ("slow", 30.0, 20, 2.0),
        ("fast", 30.0, 15, 1.5),
        ("slow", 31.0, None, None),
        ("fast", 31.0, None, None),
    ]
    (row,) = json.loads(zoo("curves", runs[0], "--metric", "loss", "--reach", 4.2, "--json")[0])
    assert row["step"] == 10, "a loss is good when it is low"


def test_of_equal_validations_that_of_lower_loss_is_the_best(tmp_path) -> None:
    run = curves.read_run(write_run(tmp_path / "run", [0.0, 0.0, math.nan, 0.0]))
    assert curves.best_of(run, "bleu") == (20.0, 0.0)


def test_mistakes_of_curves_are_one_line(tmp_path) -> None:
    run = write_run(tmp_path / "run")
    _, err = zoo("curves", run, "--metric", "belu", code=2)
    assert err == "--metric belu: these runs have loss, bleu, chrf, did you mean 'bleu'?\n"
    (run / "metrics.jsonl").write_text('{"step": 1, "train_loss": 3.0, "tokens": 5, "seconds": 1.0}\n')
    assert zoo("curves", run) == ("", "nothing was validated yet\n")
