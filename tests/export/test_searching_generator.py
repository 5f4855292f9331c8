"""A language model that searches for its answer instead of drawing it: no seed, and the same text everywhere."""

from __future__ import annotations

import pytest
from small_tasks import TEXTS, make_task


@pytest.fixture(scope="module")
def task():
    decode = {"sample": False, "beams": 3, "max_length": 7, "no_repeat_ngram": 2}
    return make_task("rnn_language_model", decode=decode)


@pytest.mark.parametrize(
    "form",
    [
        pytest.param("saved_model", marks=pytest.mark.slow),
        "tflite",
        pytest.param("onnx", marks=pytest.mark.slow),
    ],
)
def test_the_likeliest_text_leaves(task, form, tmp_path) -> None:
    from zoo import runtime
    from zoo.export.build import Build
    from zoo.export.worker import make

    report = make(task, form, tmp_path, TEXTS, Build())
    assert report["differences"] == 0 and report["beams"] == 3 and report["no_repeat_ngram"] == 2
    loaded = runtime.load(report["path"])
    expected = [answer.text for answer in task.generate(TEXTS)]
    assert [answer.text for answer in loaded.generate(TEXTS)] == expected
    assert len({*expected}) > 8
