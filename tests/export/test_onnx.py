"""ONNX folders of every model answer as Python does, and the runtime says what the tasks say."""

from __future__ import annotations

import pytest
from small_tasks import FAST, TEXTS, VARIANTS, make_task
from test_every_model import check, compare_runtime, exported

pytest.importorskip("tf2onnx")
QUICK = ("rnn_tagger", "bert")
"""The fast tests export these two."""


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return exported({name: FAST[name] for name in QUICK}, tmp_path_factory.mktemp("two"), ["onnx"])


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    return exported(FAST, tmp_path_factory.mktemp("families"), ["onnx"])


@pytest.fixture(scope="module")
def variants(tmp_path_factory):
    return exported(VARIANTS, tmp_path_factory.mktemp("variants"), ["onnx"])


@pytest.mark.parametrize("name", QUICK)
def test_answers_as_python(two, name):
    check(two, "onnx", name)


def test_the_light_runtime_answers_as_python(two):
    for name in QUICK:
        compare_runtime(*two["onnx", name])


@pytest.mark.slow
@pytest.mark.parametrize("name", FAST)
def test_every_family(families, name):
    check(families, "onnx", name)
    compare_runtime(*families["onnx", name])


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant(variants, name):
    check(variants, "onnx", name)


@pytest.mark.slow
def test_greedy_as_well_as_beams(tmp_path):
    """Both searches of both ways to translate, in Python and in the file."""
    from zoo import runtime
    from zoo.export.kinds import KINDS
    from zoo.export.worker import make

    for model in ("rnn_seq2seq", "transformer"):
        task = make_task(model)
        for beams in (1, 4):
            folder = tmp_path / f"{model}-{beams}"
            report = make(task, "onnx", folder, TEXTS, beams=beams)
            assert (report["beams"], report["differences"]) == (beams, 0)
            loaded = runtime.load(folder / "onnx")
            assert loaded.translate(TEXTS) == task.translate(TEXTS, beams=beams)
            assert KINDS["translation"](task, "onnx", beams=beams).search["beams"] == beams
