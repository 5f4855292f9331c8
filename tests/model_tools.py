"""Small models and weights that hide nothing, for the tests of layers, models and decoders."""

from __future__ import annotations

import numpy as np

from zoo import registry

VOCABULARY = 13
SMALL = {
    "rnn_classifier": dict(
        vocabulary_size=VOCABULARY,
        num_classes=3,
        cell="lstm",
        embedding_dim=6,
        units=5,
        num_layers=2,
        bidirectional=True,
        pooling="max",
        dropout=0.0,
        rnn_kernel="auto",
    ),
    "rnn_seq2seq": dict(
        vocabulary_size=VOCABULARY,
        cell="lstm",
        attention="bahdanau",
        embedding_dim=6,
        units=8,
        num_encoder_layers=2,
        dropout=0.0,
        rnn_kernel="auto",
    ),
    "transformer": dict(
        vocabulary_size=VOCABULARY,
        num_encoder_layers=1,
        num_decoder_layers=2,
        hidden_dim=8,
        intermediate_dim=16,
        num_heads=2,
        dropout=0.0,
        attention_dropout=0.0,
        activation="relu",
        normalize_first=True,
    ),
}
"""One small config for each model of the registry."""
SEQ2SEQ = ("rnn_seq2seq", "transformer")


def small_model(name: str, seed: int = 0, **changes):
    """A small model with random weights, biases included."""
    model = registry.resolve("model", name)(**{**SMALL[name], **changes})
    return randomize(model.build_from_ids(), seed)


def randomize(layer, seed: int = 0, spread: float = 0.6):
    """New random values for all weights: biases that are zero and gains that are one would hide mistakes."""
    random = np.random.default_rng(seed)
    for w in layer.weights:
        w.assign(random.normal(1.0 if w.name == "gamma" else 0.0, spread, w.shape))
    return layer


def random_ids(shape, seed: int = 0):
    """Ids of ordinary tokens: neither padding nor a special mark."""
    return np.random.default_rng(seed).integers(4, VOCABULARY, shape).astype("int32")


def random_inputs(name: str, batch: int = 2, source: int = 5, target: int = 4, seed: int = 0) -> dict:
    """A batch without padding for the model of that name."""
    if name not in SEQ2SEQ:
        return {"token_ids": random_ids((batch, source), seed)}
    return {
        "encoder_token_ids": random_ids((batch, source), seed),
        "decoder_token_ids": random_ids((batch, target), seed + 1),
    }


def array(x) -> np.ndarray:
    """A tensor of any precision as a NumPy array; bfloat16 and float16 as float32."""
    from keras import ops

    x = ops.convert_to_tensor(x)
    return ops.convert_to_numpy(ops.cast(x, "float32") if "float" in str(x.dtype) else x)
