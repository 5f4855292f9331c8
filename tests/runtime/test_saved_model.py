"""SavedModels of other makers, damaged ones, and what cannot be asked of them; real ones: tests/export."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from zoo.cli import main

from zoo import runtime
from zoo.errors import UserError


def save(folder, outputs, *, seeded=False, signature="serving_default"):
    import tensorflow as tf

    specs = [tf.TensorSpec([None], tf.string, name="text")]
    specs += [tf.TensorSpec([], tf.int32, name="seed")] if seeded else []
    module = tf.Module()
    module.serve = tf.function(lambda text, *seed: outputs(text), input_signature=specs)
    tf.saved_model.save(module, str(folder), signatures={signature: module.serve})
    return folder


def loud(text):
    import tensorflow as tf

    return {"text": tf.strings.upper(text), "score": tf.zeros(tf.shape(text))}


def test_a_foreign_one_is_refused(tmp_path):
    other = save(tmp_path / "other", lambda text: {"embedding": text})
    with pytest.raises(UserError, match=r"its signature is \['text'\] -> \['embedding'\]; export it again"):
        runtime.load(other)
    nameless = save(tmp_path / "nameless", loud, signature="predict")
    with pytest.raises(UserError, match="no signature 'serving_default'"):
        runtime.load(nameless)


def test_damage_is_told(tmp_path):
    folder = save(tmp_path / "model", loud)
    assert runtime.load(folder).answer("a").text == "A"
    graph = folder / "saved_model.pb"
    whole = graph.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"nonsense"):
        graph.write_bytes(content)
        with pytest.raises(UserError, match=f"{folder}: .*export it again"):
            runtime.load(folder)


def test_the_command(tmp_path):
    folder = save(tmp_path / "model", loud)
    done = CliRunner().invoke(main, ["predict", str(folder), "a b", "ü 狗", "\udcff"])
    assert (done.exit_code, done.stdout) == (0, "A B\nü 狗\n\ufffd\n"), done.output
    done = CliRunner().invoke(main, ["predict", str(folder), "a", "--beams", "2"])
    assert done.exit_code == 2 and "one answer a text" in done.stderr
    writer = save(tmp_path / "writer", lambda text: {"text": text + " and"}, seeded=True)
    done = CliRunner().invoke(main, ["generate", str(writer), "--prompt", "one"])
    assert (done.exit_code, done.stdout) == (0, "one and\n"), done.output
    for options, said in (
        (["--max-length", "3"], "settled when it was exported"),
        (["--top-k", "3"], "--top-k"),
    ):
        done = CliRunner().invoke(main, ["generate", str(writer), "--prompt", "one", *options])
        assert done.exit_code == 2 and said in done.stderr, done.output
