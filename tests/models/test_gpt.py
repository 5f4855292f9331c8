"""What is particular to GPT: the window, texts longer than training's, and the stack it shares.

What it promises like every model, also with each of its choices, is in test_contract.py.
"""

from __future__ import annotations

import numpy as np
import pytest
from model_tools import array, random_ids

from zoo.config import Recipe
from zoo.config.transformer import GPT as Section
from zoo.config.transformer import Transformer as TranslatorSection
from zoo.contract.cases import VOCABULARY, case
from zoo.contract.models import decodes_as_it_trains, never_looks_ahead
from zoo.data.datasets import Split
from zoo.data.tokenizers import train_tokenizer
from zoo.errors import UserError
from zoo.export.kinds.generator import GeneratorKind
from zoo.models import GPT, Transformer
from zoo.tasks import build_task

LENGTH = 11


def gpt(**changes):
    return case("gpt", GPT, Section, **{"positions": "rotary", **changes})


def ids_of(batch: int = 2, length: int = LENGTH):
    return random_ids((batch, length))


def step_by_step(model, ids):
    """The logits (B, T, V) of a search that knows these ids."""
    memory, said = model.encode(ids), []
    cache = model.init_cache(memory, ids.shape[1])
    for t in range(ids.shape[1]):
        logits, cache = model.step(ids[:, t], t, cache, memory)
        said.append(array(logits))
    return np.stack(said, axis=1)


@pytest.mark.parametrize("width", [1, 3, LENGTH])
def test_a_token_sees_as_far_as_the_windows_of_all_blocks_reach(width):
    """Each block reaches `width - 1` tokens back: the changes that NumPy's mask, multiplied, allows, and no others."""
    blocks, ids = 2, ids_of(1)
    model = gpt(attention_window=width, num_layers=blocks).make()
    places = np.arange(LENGTH)
    mask = (places[None] <= places[:, None]) & (places[None] > places[:, None] - width)
    reached = np.linalg.matrix_power(mask.astype(int), blocks) > 0
    changed = np.where(np.eye(LENGTH, dtype=bool), 1, ids)
    difference = np.abs(array(model({"token_ids": changed})) - array(model({"token_ids": ids})))
    np.testing.assert_array_equal((difference.max(-1) > 1e-5).T, reached)


@pytest.mark.parametrize("positions", ["rotary", "alibi", "t5", "transformer_xl", "sinusoidal"])
def test_cached_with_a_window(positions):
    model, ids = gpt(attention_window=3, positions=positions).make(), ids_of()
    np.testing.assert_allclose(step_by_step(model, ids), array(model({"token_ids": ids})), atol=5e-5)


@pytest.mark.parametrize("positions", ["rotary", "alibi", "t5", "transformer_xl"])
def test_a_window_forgets_what_is_far(positions):
    """However long a text has become, its end is read as a text by itself: 2 blocks of 3 tokens see 5."""
    model, ids = gpt(attention_window=3, positions=positions, num_layers=2).make(), ids_of(2, 40)
    np.testing.assert_allclose(
        step_by_step(model, ids)[:, -1], array(model({"token_ids": ids[:, -5:]}))[:, -1], atol=5e-5
    )


def test_a_window_as_wide_as_the_text_changes_nothing():
    ids = {"token_ids": ids_of()}
    np.testing.assert_array_equal(array(gpt(attention_window=LENGTH).make()(ids)), array(gpt().make()(ids)))


def test_it_knows_how_long_a_text_may_be():
    assert gpt().make().longest is None
    model = gpt(positions="learned", max_sequence_length=6).make()
    assert model.longest == 6
    model({"token_ids": ids_of(1, 6)})
    with pytest.raises(ValueError, match="max_sequence_length is 6"):
        model({"token_ids": ids_of(1, 7)})


def test_one_matrix_reads_and_says():
    """Embedding and output: V * D numbers once, and a bias."""
    model = gpt(num_layers=1, normalization="rms").make()
    sizes = [tuple(w.shape) for w in model.weights if VOCABULARY in w.shape]
    assert sizes == [(VOCABULARY, 8), (VOCABULARY,)]


@pytest.mark.parametrize("promise", [never_looks_ahead, decodes_as_it_trains])
def test_without_a_causal_mask_a_translator_reads_what_it_should_foretell(promise):
    """The ablation `causal: false`, which the contract therefore spares these two."""
    promise(case("transformer", Transformer, TranslatorSection))
    with pytest.raises(AssertionError):
        promise(case("transformer", Transformer, TranslatorSection, causal=False))


def test_unscaled_attention_has_scores_larger_by_the_root_of_a_head_s_width():
    """Which a query larger by as much gives too."""
    ids = {"token_ids": ids_of()}
    unscaled, scaled = (gpt(scale_attention=scale).make() for scale in (False, True))
    assert np.abs(array(unscaled(ids)) - array(scaled(ids))).max() > 1e-3
    for weight in scaled.weights:
        if "/query/" in weight.path:
            weight.assign(weight * 4**0.5)
    np.testing.assert_allclose(array(unscaled(ids)), array(scaled(ids)), atol=2e-5)


def learned(**decode):
    """A task whose model has learnt 12 positions; weights large enough to say different things."""
    recipe = Recipe.model_validate(
        {
            "name": "test/learned",
            "task": "language_modeling",
            "data": {"name": "tinyshakespeare", "max_length": 12},
            "tokenizer": {"name": "character"},
            "model": {
                **{"name": "gpt", "num_layers": 1, "hidden_dim": 8, "intermediate_dim": 8, "num_heads": 2},
                **{"positions": "learned", "max_sequence_length": 12},
            },
            "train": {"steps": 1, "batch_tokens": 64, "learning_rate": 1e-2},
            "decode": {"temperature": 0.0, **decode},
        }
    )
    return build_task(recipe, train_tokenizer(recipe.tokenizer, ["Row your boat, 船"]))


def test_a_text_ends_where_the_learned_positions_do():
    task = learned()
    said = task.generate(["Row your", "船"])
    assert [len(task.tokenizer.encode(x.text)) <= 13 for x in said] == [True, True]
    assert task.generate(["Row your"], max_length=5)[0].text[:13] == said[0].text[:13]
    with pytest.raises(
        UserError, match=r"6 tokens behind this prompt would pass the 12 positions .* for 5 at most"
    ):
        task.generate(["Row your"], max_length=6)
    with pytest.raises(UserError, match=r"learnt: shorten it$"):
        task.generate(["Row your boat"])
    with pytest.raises(UserError, match="the 12 positions"):
        learned(max_length=9).generate(["Row your"])
    _, shown = task.validate(Split(["Row your boat " * 4], [""]), loss=1.0, samples=1)
    assert len(shown) == 1


def test_an_export_leaves_room_for_prompts():
    kind = GeneratorKind(learned(max_length=9), "tflite")
    assert (kind.length, kind.room) == (9, 4)
    texts = kind.samples(Split(["Row your boat, 船" * 4], [""]), 9)
    assert {len(text) for text in texts} == {1, 2, 3, 4}
    with pytest.raises(UserError, match="the 12 positions"):
        GeneratorKind(learned(), "tflite", length=14)
