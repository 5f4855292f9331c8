"""The blocks of the Transformer: against NumPy, whole and step by step, in all their forms."""

from __future__ import annotations

import block_reference as reference
import numpy as np
import pytest
from model_tools import array, randomize

from zoo.layers import TransformerDecoderBlock, TransformerEncoderBlock
from zoo.layers.masks import cache_mask, causal_mask, key_mask

MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
SEEN = np.broadcast_to(MASK[:, None], (2, 5, 5))
CAUSAL = np.broadcast_to(np.tril(np.ones((4, 4), bool)), (2, 4, 4))
FORMS = {
    "post-LN": dict(),
    "pre-LN": dict(normalize_first=True),
    "rms, swiglu": dict(normalize_first=True, normalization="rms", activation="swiglu"),
    "batch, gelu": dict(normalization="batch", activation="gelu"),
    "pre-batch": dict(normalize_first=True, normalization="batch"),
    "one key-value head": dict(num_key_value_heads=1, activation="geglu"),
    "transformer_xl": dict(transformer_xl=True, num_key_value_heads=2),
    "rotary": dict(rotary=True, num_key_value_heads=2, normalize_first=True),
    "unscaled": dict(scale_attention=False),
}
every_form = pytest.mark.parametrize("form", FORMS)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def built(block, *shapes):
    block.build(*shapes)
    randomize(block, spread=0.3)
    for weight in block.weights:
        if weight.name == "moving_variance":
            weight.assign(np.linspace(0.5, 2.0, weight.shape[0]))
    return block


def close(actual, expected, tolerance=2e-5):
    np.testing.assert_allclose(array(actual), expected, rtol=tolerance, atol=tolerance)


@every_form
def test_encoder_block(form):
    x, bias = normal(2, 5, 16), normal(1, 4, 5, 5, seed=1)
    block = built(TransformerEncoderBlock(4, 24, **FORMS[form]), x.shape)
    close(block(x, attention_mask=key_mask(MASK)), reference.encoder_block(block, x, SEEN))
    biased = block(x, attention_mask=key_mask(MASK), attention_bias=bias, padding_mask=MASK)
    close(biased, reference.encoder_block(block, x, SEEN, bias[0]))


@every_form
def test_encoder_block_step_by_step(form):
    """Under a causal mask, as a language model writes."""
    x, bias = normal(2, 4, 16), normal(1, 4, 4, 6, seed=2)
    block = built(TransformerEncoderBlock(4, 24, **FORMS[form]), x.shape)
    expected = reference.encoder_block(block, x, CAUSAL, bias[0, :, :, :4])
    cache = tuple(np.zeros((2, block.attention.num_key_value_heads, 6, 4), "float32") for _ in range(2))
    for t in range(4):
        output, cache = block.step(x[:, t : t + 1], t, cache, cache_mask(6, t), bias[:, :, t : t + 1])
        close(output, expected[:, t : t + 1])


@every_form
def test_decoder_block_whole_and_step_by_step(form):
    x, memory, bias = normal(2, 4, 16), normal(2, 5, 16, seed=1), normal(1, 4, 4, 6, seed=2)
    block = built(TransformerDecoderBlock(4, 24, **FORMS[form]), x.shape, memory.shape)
    expected = reference.decoder_block(block, x, memory, CAUSAL, SEEN[:, :4], bias[0, :, :, :4])
    mask = key_mask(MASK)
    whole = block(x, memory, attention_mask=causal_mask(4), memory_mask=mask, attention_bias=bias[..., :4])
    close(whole, expected)

    heads = block.self_attention.num_key_value_heads
    cache = tuple(np.zeros((2, heads, 6, 4), "float32") for _ in range(2))  # two places more than are used
    projected = block.cross_attention.project_memory(memory)
    for t in range(4):
        output, cache = block.step(x[:, t : t + 1], t, cache, projected, mask, bias[:, :, t : t + 1])
        close(output, expected[:, t : t + 1])


def test_attention_weights_on_request():
    x, memory = normal(2, 4, 16), normal(2, 5, 16, seed=1)
    encoder = built(TransformerEncoderBlock(4, 24), memory.shape)
    y, weights = encoder(memory, attention_mask=key_mask(MASK), return_attention_scores=True)
    expected = reference.attention(encoder.attention, memory, memory, SEEN)[1]
    close(weights, expected)
    close(y, array(encoder(memory, attention_mask=key_mask(MASK))))

    decoder = built(TransformerDecoderBlock(4, 24), x.shape, memory.shape)
    masks = dict(attention_mask=causal_mask(4), memory_mask=key_mask(MASK))
    y, own, other = decoder(x, memory, **masks, return_attention_scores=True)
    close(own, reference.attention(decoder.self_attention, x, x, CAUSAL)[1])
    assert (array(other)[1, ..., 3:] == 0.0).all()
    np.testing.assert_allclose(array(other).sum(-1), 1.0, atol=1e-6)
    close(y, array(decoder(x, memory, **masks)))


@pytest.mark.parametrize("normalize_first", [False, True], ids=["post-LN", "pre-LN"])
def test_batch_norm_in_training_asks_for_the_tokens(normalize_first):
    """What stands at padding changes no real place, also by way of the statistics."""
    x = normal(2, 5, 16)
    other = np.where(MASK[..., None], x, 50.0).astype("float32")
    outputs = []
    for inputs in (x, other):
        block = TransformerEncoderBlock(4, 24, normalization="batch", normalize_first=normalize_first)
        built(block, x.shape)
        outputs.append(
            array(block(inputs, attention_mask=key_mask(MASK), padding_mask=MASK, training=True))[MASK]
        )
    close(outputs[1], outputs[0])


def test_the_names_of_the_weights_stay():
    """Weights are saved by these names."""
    block = TransformerDecoderBlock(2, 16)
    block.build((None, None, 8), (None, None, 8))
    assert {w.path.split("/", 1)[1].rsplit("/", 1)[0] for w in block.weights} == {
        *(
            f"{a}/{b}"
            for a in ("self_attention", "cross_attention")
            for b in ("query", "key", "value", "output")
        ),
        *("feed_forward/inner", "feed_forward/outer"),
        *(f"{name}_norm" for name in ("self_attention", "cross_attention", "feed_forward")),
    }


def test_dropout_is_for_training():
    x = normal(2, 5, 16)
    block = built(TransformerEncoderBlock(4, 24, dropout=0.5), x.shape)
    still = array(block(x))
    np.testing.assert_array_equal(array(block(x, training=False)), still)
    assert np.abs(array(block(x, training=True)) - still).max() > 1e-3
