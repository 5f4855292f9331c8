"""ONNX folders of every model answer as Python does, and the runtime says what the tasks say."""

from __future__ import annotations

import numpy as np
import pytest
from small_tasks import FAST, TEXTS, VARIANTS, make_task
from test_every_model import check, compare_runtime, exported

from zoo.data.reading import pad

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


@pytest.mark.parametrize(("quantize", "share"), [("float16", 0.5), ("dynamic_int8", 0.25)])
def test_weights_in_fewer_bits(two, quantize, share):
    """A smaller file, each weight near its own, and no answer that depends on the other texts of its batch."""
    import onnx
    import onnxruntime

    from zoo.export.onnx_weights import store

    asked, given = two["onnx", "bert"]
    path = given["path"] / "model.onnx"
    model = onnx.load(path)
    large = {
        w.name: onnx.numpy_helper.to_array(w) for w in model.graph.initializer if np.prod(w.dims) >= 1024
    }
    store(model, quantize)
    onnx.checker.check_model(model, full_check=True)
    saved = path.stat().st_size - model.ByteSize()
    assert saved == pytest.approx((1 - share) * sum(w.nbytes for w in large.values()), rel=0.1)

    for name, weight in large.items():
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, weight.shape)
        )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = [{name: np.array(ids, "int32") for name, ids in row["inputs"].items()} for row in asked.rows]
    near = dict(zip(large, session.run(list(large), pad(rows[:1])), strict=True))
    for name, weight in large.items():
        step = np.abs(weight).max(axis=0) / 127 if quantize == "dynamic_int8" else np.abs(weight) / 1024
        assert (np.abs(near[name] - weight) <= 0.51 * step + 1e-7).all() and (near[name] != weight).any()

    (together,) = session.run(["probabilities"], pad(rows))
    for i in (0, 5):
        (alone,) = session.run(["probabilities"], pad(rows[i : i + 1]))
        np.testing.assert_allclose(alone[0], together[i][: alone.shape[1]], atol=1e-5)


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


def test_what_a_loop_never_changes_is_read_from_outside():
    """A sum that grows, a constant handed on, two that change places: in a loop in a loop."""
    import onnxruntime
    import tensorflow as tf
    import tf2onnx

    from zoo.export.onnx_graph import graphs, hoist_invariants

    weight = np.arange(9.0, dtype="float32").reshape(3, 3)

    def inner(x, kept):
        return tf.while_loop(
            lambda i, x, kept: i < 2, lambda i, x, kept: (i + 1, x @ weight / 9 + kept, kept), (0, x, kept)
        )[1]

    def function(x):
        def step(i, x, a, b, kept):
            return i + 1, inner(x, kept) + a, b, a, kept

        start = (0, x, tf.ones_like(x), 2 * tf.ones_like(x), x)
        return {"found": tf.while_loop(lambda i, *_: i < 3, step, start)[1], "kept": x}

    signature = [tf.TensorSpec([None, 3], tf.float32, name="x")]
    traced = tf.function(function, input_signature=signature, autograph=False)
    model, _ = tf2onnx.convert.from_function(traced, signature, opset=17)

    def carried(model):
        return [
            len(node.input) - 2
            for part in graphs(model.graph)
            for node in part.node
            if node.op_type == "Loop"
        ]

    before = carried(model)
    hoist_invariants(model.graph)
    assert len(before) == 2 and sum(carried(model)) < sum(before)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).normal(size=(2, 3)).astype("float32")
    found = dict(
        zip([value.name for value in session.get_outputs()], session.run(None, {"x": x}), strict=True)
    )
    np.testing.assert_allclose(found["found"], traced(x)["found"], rtol=1e-6)
    np.testing.assert_array_equal(found["kept"], x)
