"""Recipes: every mistake is named with place and remedy, all at once, and what is right is read right."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import jsonschema
import pytest
from click.testing import CliRunner
from recipe_cases import ALL, BASE, CASES, CLASSIFIER, DATA, LANGUAGE_MODEL, MODEL, RNN, TAGGER, edited
from zoo.cli import main
from zoo.cli.data import SAMPLES

from zoo import hub
from zoo.config import rules, tasks
from zoo.config.metrics import METRICS
from zoo.config.recipe import Task
from zoo.data.reading import READERS
from zoo.errors import UserError
from zoo.recipe import diff_recipes, dump_recipe, json_schema, load_recipe, parse_yaml


def validate(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `zoo validate`."""
    result = CliRunner().invoke(main, ["validate", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in ALL], ids=[case[0] for case in ALL])
def test_broken_recipe(in_folder: Path, text: str, expected: list[str]) -> None:
    Path("broken.yaml").write_text(text, encoding="utf-8")
    assert validate("broken.yaml") == (2, "", "".join(f"broken.yaml:{line}\n" for line in expected))


OVERRIDES = [
    ("train.step=3", "train.step: unknown key, did you mean 'steps'?"),
    ("train.steps=few", "train.steps: expected a whole number of at least 1, got the text 'few'"),
    ("train.steps=", "train.steps: expected a whole number of at least 1, got nothing"),
    ("model.num_heads=5", "model.num_heads: 5 heads do not divide model.hidden_dim (32): use a divisor"),
    ("modl.num_heads=4", "modl: unknown key, did you mean 'model'?"),
    ("train=5", "train: expected a mapping with steps, batch_tokens, learning_rate, got 5"),
    ("name.x=5", "name: expected a text, got a mapping"),
    ("=5", "expected key=value, such as train.steps=200"),
    ("train..steps=5", "expected key=value, such as train.steps=200"),
    ("extends=other", "extends: cannot be overridden: write it in a file"),
    (
        "data.buckets=[8",
        "not valid YAML: while parsing a flow sequence expected ',' or ']', but got '<stream end>'; "
        "close the bracket or quote",
    ),
    ("train.steps＝5", "'＝' is a full-width equals sign; write '='"),
    ("train。steps=5", "'。' is an ideographic full stop; write '.'"),
    ("decode={beams: 2，n_best: 2}", "'，' is a full-width comma; write ', '"),
    ("decode={beams：2}", "'：' is a full-width colon; write ': '"),
    ("train.steps=５", "train.steps: expected a whole number of at least 1, got the text '５': write 5"),
]


@pytest.mark.parametrize(("override", "message"), OVERRIDES)
def test_broken_override(in_folder: Path, override: str, message: str) -> None:
    Path("good.yaml").write_text(BASE, encoding="utf-8")
    assert validate("good.yaml", override) == (2, "", f"override '{override}'  {message}\n")


FILES = [
    (b"", "1:1  the file is empty, not a recipe: start with `name:`, `task:`, `data:` …"),
    (b"# only a comment\n", "1:1  the file is empty, not a recipe: start with `name:`, `task:`, `data:` …"),
    (b"- name: x\n", "1:1  the file holds a list, not a recipe: start with `name:`, `task:`, `data:` …"),
    (b"hello\n", "1:1  the file holds a text, not a recipe: start with `name:`, `task:`, `data:` …"),
    ("name: é\n".encode("latin-1"), "1:7  byte 0xe9 is not UTF-8: save the file as UTF-8"),
    (BASE.encode("utf-16"), "1:1  byte 0xff is not UTF-8: save the file as UTF-8"),
    (b"train:\n\tsteps: 10\n", "2:1  not valid YAML: a tab cannot indent; use spaces"),
    (
        "name：x\ntask：y\n".encode(),
        "1:5  '：' is a full-width colon; write ': '\nbroken.yaml:2:5  '：' is a full-width colon; write ': '",
    ),
    (
        "".join(f"key{i}：x\n" for i in range(9)).encode(),
        "\nbroken.yaml:".join(f"{line}:5  '：' is a full-width colon; write ': '" for line in range(1, 6))
        + "\nbroken.yaml:6:5  4 more such signs from here on",
    ),
    (b"name: a\x07b\n", "1:8  character U+0007 is not allowed in YAML: remove it"),
    (
        BASE.replace("steps: 10", "steps: " + "9" * 5000).encode(),
        "17:10  train.steps: expected a number that is finite: write one",
    ),
    (b"[" * 5000 + b"]" * 5000, "1:31  is nested too deeply to be read: write it flat"),
]


@pytest.mark.parametrize(("content", "message"), FILES)
def test_file_that_is_no_recipe(in_folder: Path, content: bytes, message: str) -> None:
    Path("broken.yaml").write_bytes(content)
    assert validate("broken.yaml") == (2, "", f"broken.yaml:{message}\n")


def test_missing_file_folder_and_name(in_folder: Path) -> None:
    assert validate("none.yaml")[2] == (
        "none.yaml  no such file: check the path, or see `zoo ls recipes` for names\n"
    )
    assert validate(".")[2] == ".  is a folder: give a recipe file (.yaml)\n"
    assert validate("translation/dates-multi-lstm-tin")[2] == (
        "no recipe is called 'translation/dates-multi-lstm-tin', "
        "did you mean 'translation/dates-multi-lstm-tiny'? "
        "`zoo ls recipes` lists them; a file's name ends in .yaml\n"
    )


STRANGE = [
    "null",
    "true",
    "-1",
    "0",
    "1e400",
    "5",
    "0.5",
    "''",
    "中文",
    "[]",
    "[1, x]",
    "{}",
    "{name: x}",
    "2024-01-01",
]


@pytest.mark.parametrize("value", STRANGE)
def test_no_value_anywhere_ends_in_a_traceback(in_folder: Path, value: str) -> None:
    """A strange value at any key is taken or refused with the key's name, whatever else depends on it."""
    Path("good.yaml").write_text(BASE, encoding="utf-8")
    resolved = parse_yaml(dump_recipe(load_recipe("good.yaml").recipe))
    keys = [
        *resolved,
        *(f"{s}.{key}" for s in resolved if isinstance(resolved[s], dict) for key in resolved[s]),
    ]
    refused = 0
    for key in keys:
        try:
            load_recipe("good.yaml", [f"{key}={value}"])
        except UserError as error:
            refused += 1
            assert key in str(error)
    assert refused > 10


def test_validate_goes_through_all_files(in_folder: Path) -> None:
    Path("good.yaml").write_text(BASE, encoding="utf-8")
    Path("one.yaml").write_text(edited(("steps: 10\n", "step: 10\n")), encoding="utf-8")
    Path("two.yaml").write_text(edited(("num_heads: 4", "num_heads: 5")), encoding="utf-8")
    code, out, err = validate("one.yaml", "good.yaml", "two.yaml")
    assert (code, out) == (2, "good.yaml  is valid\n")
    assert [line.split()[0] for line in err.splitlines()] == [
        "one.yaml:16:1",
        "one.yaml:17:3",
        "two.yaml:15:14",
    ]


# --- extends ---------------------------------------------------------------------------------------------


def test_extends_merges_and_replaces(in_folder: Path) -> None:
    (in_folder / "sub").mkdir()
    Path("base.yaml").write_text(BASE + "expect: {metric: bleu, value: 1, tolerance: 0}\n", encoding="utf-8")
    Path("sub/middle.yaml").write_text(
        "extends: ../base.yaml\nname: test/middle\ntrain: {steps: 20}\ndata: {buckets: [8, 24]}\n",
        encoding="utf-8",
    )
    Path("top.yaml").write_text(
        "extends: sub/middle.yaml\nname: test/top\nmodel:\n" + RNN.format(units=8), encoding="utf-8"
    )
    recipe = load_recipe("top.yaml").recipe
    assert recipe.name == "test/top"
    assert (recipe.train.steps, recipe.train.batch_tokens) == (20, 256)
    assert recipe.data.buckets == [8, 24]
    assert recipe.model.model_dump(exclude_defaults=True) == {
        "name": "rnn_seq2seq",
        "embedding_dim": 8,
        "units": 8,
    }
    assert recipe.expect is None, "a score belongs to the recipe that was measured"


def test_extends_a_name(in_folder: Path) -> None:
    name = "translation/dates-multi-lstm-tiny"
    Path("mine.yaml").write_text(f"extends: {name}\nname: mine\n", encoding="utf-8")
    assert load_recipe("mine.yaml").recipe.model == load_recipe(name).recipe.model


def test_errors_point_into_the_file_that_makes_them(in_folder: Path) -> None:
    Path("base.yaml").write_text(
        edited(("num_heads: 4", "num_heads: 5"), ("steps: 10\n", "step: 10\n")), "utf-8"
    )
    Path("top.yaml").write_text("extends: base.yaml\nname: test/top\ntrain: {warmup: x}\n", encoding="utf-8")
    assert validate("top.yaml", "seed=-1") == (
        2,
        "",
        "top.yaml:3:1  train.steps: missing; give a whole number of at least 1\n"
        "top.yaml:3:17  train.warmup: expected a whole number of at least 0 or a number above 0 and below 1, "
        "got the text 'x'\n"
        "base.yaml:15:14  model.num_heads: 5 heads do not divide model.hidden_dim (32): use a divisor\n"
        "base.yaml:17:3  train.step: unknown key, did you mean 'steps'?\n"
        "override 'seed=-1'  seed: expected a whole number of at least 0 and below 2147483648, got -1\n",
    )


EXTENDS = [
    (
        "extends: top.yaml\n",
        "1:10  extends: 'top.yaml' leads back to itself: remove one `extends` of the circle",
    ),
    (
        "extends: none.yaml\n",
        "1:10  extends: 'none.yaml' no such file: check the path, or see `zoo ls recipes` for names",
    ),
    ("extends: [a, b]\n", "1:10  extends: expected the name or path of one recipe"),
    ("extends:\n", "1:9  extends: expected the name or path of one recipe"),
    (
        "extends: nothing/like-this\n",
        "1:10  extends: no recipe is called 'nothing/like-this'; `zoo ls recipes` lists them; "
        "a file's name ends in .yaml",
    ),
]


@pytest.mark.parametrize(("text", "message"), EXTENDS)
def test_broken_extends(in_folder: Path, text: str, message: str) -> None:
    Path("top.yaml").write_text(text, encoding="utf-8")
    assert validate("top.yaml") == (2, "", f"top.yaml:{message}\n")


def test_a_circle_of_two(in_folder: Path) -> None:
    Path("a.yaml").write_text("extends: b.yaml\n", encoding="utf-8")
    Path("b.yaml").write_text("name: b\nextends: a.yaml\n", encoding="utf-8")
    code, _, err = validate("a.yaml")
    assert (code, err) == (
        2,
        "b.yaml:2:10  extends: 'a.yaml' leads back to itself: remove one `extends` of the circle\n",
    )


# --- what is right ---------------------------------------------------------------------------------------


def test_yaml_1_2_scalars() -> None:
    text = "a: 1e-3\nb: no\nc: 1:30\nd: 2024-01-01\ne: 0o17\nf: 0x1F\n"
    text += "g: .5\nh: ~\ni: 010\nj: True\nk: '1'\nl: 中文 🙂\n"
    assert parse_yaml(text) == {
        "a": 0.001,
        "b": "no",
        "c": "1:30",
        "d": "2024-01-01",
        "e": 15,
        "f": 31,
        "g": 0.5,
        "h": None,
        "i": 10,
        "j": True,
        "k": "1",
        "l": "中文 🙂",
    }


def test_full_width_signs_in_texts_are_what_they_are() -> None:
    text = "a: 说：好，“x”　y\nb: ['：', “a”，“b”]\n'c：': |\n  　　注：他说，name：x\nd: {e: 你：好，是, f: 1} # g：h"
    assert parse_yaml(text) == {
        "a": "说：好，“x”　y",
        "b": ["：", "“a”，“b”"],
        "c：": "　　注：他说，name：x\n",
        "d": {"e": "你：好，是", "f": 1},
    }


def test_parse_yaml_says_all_problems() -> None:
    with pytest.raises(UserError) as caught:
        parse_yaml("a: 1\na: 2\nb: {c: 1, c: 2}\n", "some.yaml")
    assert [problem.split(" ")[0] for problem in caught.value.problems] == ["some.yaml:2:1", "some.yaml:3:11"]


def test_overrides(in_folder: Path) -> None:
    Path("good.yaml").write_text(BASE, encoding="utf-8")
    overrides = [
        "train.learning_rate=5e-4",
        "data.buckets=[8, 16]",
        "train.clip_norm=null",
        "name=a=b",
        "name=a",
    ]
    loaded = load_recipe("good.yaml", overrides)
    assert loaded.recipe.train.learning_rate == 5e-4
    assert loaded.recipe.data.buckets == [8, 16]
    assert loaded.recipe.train.clip_norm is None
    assert loaded.recipe.name == "a", "of two values the last holds"
    assert loaded.text == BASE
    with pytest.raises(UserError, match=r"override 'name=a=b'  name: 'a=b' names no run folder"):
        load_recipe("good.yaml", ["name=a=b"])


def test_an_override_of_a_name_replaces_the_section_in_any_order(in_folder: Path) -> None:
    Path("good.yaml").write_text(BASE, encoding="utf-8")
    first = load_recipe(
        "good.yaml", ["model.name=rnn_seq2seq", "model.units=8", "model.embedding_dim=4"]
    ).recipe
    last = load_recipe(
        "good.yaml", ["model.units=8", "model.embedding_dim=4", "model.name=rnn_seq2seq"]
    ).recipe
    assert first == last
    assert first.model.units == 8


TEXTS = [
    "no",
    "1e-3",
    "010",
    "0o7",
    "~",
    "",
    "2024-01-01",
    "中文 🙂",
    "a: b",
    "# c",
    "tab\there",
    "1:30",
    "é\n x",
    "\x85",
    "a\x85b \u2028 \ufeff \x1b[0m \0",
]


@pytest.mark.parametrize("text", TEXTS)
def test_dump_keeps_any_text(in_folder: Path, text: str) -> None:
    changes = (DATA, "  name: labeled\n  train: a.txt\n  val: b.txt\n"), (MODEL, CLASSIFIER)
    Path("r.yaml").write_text(edited(*changes, ("translation", "classification")), encoding="utf-8")
    recipe = load_recipe("r.yaml").recipe
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"prefix": text})})
    Path("dumped.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
    assert load_recipe("dumped.yaml").recipe == recipe


@pytest.mark.parametrize("name", hub.recipe_names())
def test_dump_and_load(in_folder: Path, name: str) -> None:
    recipe = load_recipe(name).recipe
    Path("dumped.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
    assert load_recipe("dumped.yaml").recipe == recipe
    assert diff_recipes(recipe, recipe) == []


def test_diff(in_folder: Path) -> None:
    Path("good.yaml").write_text(BASE, encoding="utf-8")
    old = load_recipe("good.yaml").recipe
    new = load_recipe(
        "good.yaml", ["train.steps=30", "train.xla=true", "data={name: numbers, max_value: 5000000}"]
    )
    assert diff_recipes(old, new.recipe) == [
        "data.max_length: 32 -> 64",
        "data.buckets: [16] -> []",
        "data.name: dates -> numbers",
        "train.steps: 10 -> 30",
        "train.xla: auto -> true",
        "data.direction: - -> to_digits",
        "data.max_value: - -> 5000000",
    ]


def test_data_dir_starts_at_the_file_that_says_it(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (in_folder / "recipes" / "sub").mkdir(parents=True)
    text = edited((DATA, "  name: text\n  train: a.txt\n  val: b.txt\n  target: copy\n"))
    Path("recipes/base.yaml").write_text(text, encoding="utf-8")
    Path("recipes/sub/top.yaml").write_text("extends: ../base.yaml\nname: top\n", encoding="utf-8")
    Path("recipes/sub/own.yaml").write_text("extends: ../base.yaml\ndata: {dir: texts}\n", encoding="utf-8")
    recipes = in_folder / "recipes"
    assert load_recipe("recipes/base.yaml").recipe.data.dir == recipes
    assert load_recipe("recipes/sub/top.yaml").recipe.data.dir == recipes, "where the files are named"
    assert load_recipe("recipes/sub/own.yaml").recipe.data.dir == recipes / "sub" / "texts"
    assert load_recipe("recipes/base.yaml", ["data.dir=here"]).recipe.data.dir == in_folder / "here"


def test_byte_order_mark_and_windows_line_ends(in_folder: Path) -> None:
    Path("good.yaml").write_bytes(b"\xef\xbb\xbf" + BASE.replace("\n", "\r\n").encode())
    Path("plain.yaml").write_text(BASE, encoding="utf-8")
    assert load_recipe("good.yaml").recipe == load_recipe("plain.yaml").recipe


WARNINGS = [
    ([("warmup: 4", "warmup: 40")], "20:11  train.warmup: warning: the warm-up of 40 steps is longer than"),
    ([("  warmup: 4\n", "")], None),
    ([("  warmup: 4\n", ""), ("1e-3", "2e-3")], "19:18  train.learning_rate: warning: 0.002 is high for a"),
    ([("warmup: 4", "warmup: 0.5"), ("1e-3", "2e-3")], None),
    ([("1e-3", "0.5")], "19:18  train.learning_rate: warning: 0.5 is far above what adam bears"),
    (
        [("validate_every: 10", "validate_every: 11")],
        "21:19  train.validate_every: warning: validates only at the end",
    ),
    ([("save_every: 10", "save_every: 11")], "22:15  train.save_every: warning: saves only at the end"),
    (
        [("  warmup: 4\n", "  schedule: inverse_sqrt\n")],
        "16:1  train.warmup: warning: inverse_sqrt falls from",
    ),
    ([("  warmup: 4\n", "  patience: 2\n")], "20:13  train.patience: warning: 2 validations do not fit"),
    ([("name: character", "name: word")], "8:9  tokenizer.name: warning: word splits at spaces"),
    (
        [("tokenizer:", "decode: {max_length: 40}\ntokenizer:")],
        "7:22  decode.max_length: warning: 40 is longer",
    ),
]


OTHER_WARNINGS = [
    (
        LANGUAGE_MODEL,
        ("name: character", "name: word"),
        "7:9  tokenizer.name: warning: word splits at spaces alone",
    ),
    (
        LANGUAGE_MODEL,
        ("name: character", "name: character\n  normalization: nmt_nfkc"),
        "8:18  tokenizer.normalization: warning: nmt_nfkc makes line breaks spaces",
    ),
    (
        LANGUAGE_MODEL,
        ("length: 32", "length: 32\n  buckets: [8]"),
        "6:12  data.buckets: warning: all windows of a",
    ),
    (
        LANGUAGE_MODEL,
        ("tokenizer:", "decode: {temperature: 0, top_k: 5}\ntokenizer:"),
        "6:23  decode.temperature: warning: 0 always takes",
    ),
    (LANGUAGE_MODEL, ("tokenizer:", "decode: {max_length: 99, top_p: 0.9}\ntokenizer:"), None),
    (
        TAGGER,
        ("tokenizer:", "decode: {beams: 2}\ntokenizer:"),
        "6:1  decode: warning: a tagger does not search",
    ),
]


@pytest.mark.parametrize(("base", "change", "expected"), OTHER_WARNINGS)
def test_warnings_of_other_tasks(base: str, change: tuple[str, str], expected: str | None) -> None:
    test_warnings([change], expected, base)


@pytest.mark.parametrize(("changes", "expected"), WARNINGS)
def test_warnings(changes: list[tuple[str, str]], expected: str | None, base: str = BASE) -> None:
    Path("odd.yaml").write_text(edited(*changes, base=base), encoding="utf-8")
    code, out, err = validate("odd.yaml")
    assert (code, out) == (0, "odd.yaml  is valid\n")
    assert err.count("\n") == (expected is not None)
    assert err.startswith(f"odd.yaml:{expected}" if expected else "")


def test_every_rule_can_be_broken() -> None:
    """Each error rule stands at a key that one of the cases above is about."""
    shown = {line.split("  ", 1)[1].split(":")[0] for _, _, lines in ALL for line in lines if "  " in line}
    missing = {rule.key for rule in rules.ERRORS} - shown
    assert not missing - {"data.columns.text", "data.columns.label", "data.test"}


def test_every_task_has_a_line_in_every_table() -> None:
    names = set(get_args(Task))
    assert names == set(METRICS) == set(tasks.ROLES) == set(READERS) == set(SAMPLES)
    assert all(tasks.models_for(name) for name in names)
    assert {task for fit in tasks.DATA_TASKS.values() for task in fit} == names


def test_json_schema_agrees_with_the_reader(in_folder: Path) -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    for name in hub.recipe_names():
        assert check.is_valid(parse_yaml(hub.find_recipe(name).read_text(encoding="utf-8"))), name
    assert check.is_valid(parse_yaml(BASE))
    assert check.is_valid({"extends": "other", "train": {"steps": 5}, "model": {"units": 7}})
    assert not check.is_valid({"extends": "other", "train": {"step": 5}})
    assert not check.is_valid({"name": "x"})
    # To a schema 1000.0 is a whole number; order and endless numbers are beyond it.
    beyond = {"a float for an int", "infinity", "not a number", "buckets that fall"}
    fitting = [case[0] for case in CASES["types"] + CASES["keys"] if check.is_valid(parse_yaml(case[1]))]
    assert set(fitting) == beyond
