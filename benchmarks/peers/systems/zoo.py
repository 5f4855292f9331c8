"""This project: its models, its loss, its optimizer and its training step, at the sizes of the others.

Options: xla=0/1, precision=float32/bfloat16.  KERAS_BACKEND chooses the backend.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
import common as C
import keras
import numpy as np

from zoo.config.training import Train
from zoo.data.objectives import Batch
from zoo.models import GPT, RNNClassifier, RNNLanguageModel, RNNSeq2Seq, Transformer
from zoo.training.losses import IGNORE, MaskedCrossEntropy
from zoo.training.optim import make_optimizer

BLOCKS = dict(
    positions="sinusoidal",
    max_sequence_length=512,
    num_key_value_heads=None,
    normalization="layer",
    normalize_first=True,
    activation="relu",
    scale_attention=True,
)


def make(name, vocab):
    """The model of this name at its size in common.py."""
    c = C.MODELS[name]
    if c["kind"] in ("transformer", "lm_gpt"):
        both = dict(
            vocabulary_size=vocab,
            hidden_dim=c["d"],
            intermediate_dim=c["ff"],
            num_heads=c["heads"],
            dropout=c["dropout"],
            attention_dropout=c["dropout"],
        )
        if c["kind"] == "transformer":
            layers = dict(num_encoder_layers=c["enc"], num_decoder_layers=c["dec"], causal=True)
            return Transformer(**BLOCKS, **both, **layers)
        own = dict(positions="learned", max_sequence_length=c["seq"], attention_window=None)
        return GPT(**{**BLOCKS, **both, **own}, num_layers=c["layers"])
    rnn = dict(vocabulary_size=vocab, cell="lstm", units=c["d"], recurrent_dropout=0.0, rnn_kernel="auto")
    if c["kind"] == "rnn":
        sizes = dict(embedding_dim=c["emb"], encoder_units=2 * c["d"], num_encoder_layers=1)
        return RNNSeq2Seq(**rnn, **sizes, attention="bahdanau", input_feeding=False, dropout=c["dropout"])
    if c["kind"] == "lm_lstm":
        sizes = dict(embedding_dim=c["d"], num_layers=c["layers"], tie_embeddings=False)
        return RNNLanguageModel(**rnn, **sizes, dropout=c["dropout"])
    sizes = dict(embedding_dim=c["emb"], num_layers=1, num_classes=c["classes"])
    return RNNClassifier(**rnn, **sizes, bidirectional=False, pooling="last", dropout=0.0)


class System:
    """A model in its training step."""

    def __init__(self, name, vocab, xla="0", precision="float32"):
        keras.utils.set_random_seed(0)
        self.kind = C.MODELS[name]["kind"]
        keras.config.set_dtype_policy(precision if precision == "float32" else f"mixed_{precision}")
        self.model = make(name, vocab)
        keras.config.set_dtype_policy("float32")
        train = Train(steps=1, batch_tokens=1, learning_rate=1e-3, clip_norm=None)
        if keras.backend.backend() == "jax":
            from zoo.training.step_jax import JaxStep as Step
        else:
            from zoo.training.step_tensorflow import TensorFlowStep as Step
        ranks = {key: 2 for key in self.inputs(np.zeros((1, 1), "int32"), np.zeros((1, 1), "int32"))}
        self.model.build_from_ids()
        optimizer, loss, rank = make_optimizer(train), MaskedCrossEntropy(), 1 if self.kind == "cls" else 2
        self.step = Step(self.model, optimizer, loss, ranks, rank, xla=xla == "1")

    def inputs(self, source, target):
        """A batch as the model takes it."""
        if self.kind in ("transformer", "rnn"):
            return {"encoder_token_ids": source, "decoder_token_ids": target}
        return {"token_ids": source}

    @property
    def params(self):
        """How many parameters the model has."""
        return self.model.count_params()

    def train_step(self, b):
        """One update; the loss."""
        labels = b.tgt_out if self.kind == "cls" else np.where(b.tgt_out == C.PAD, IGNORE, b.tgt_out)
        return self.step.train(Batch(self.inputs(b.src, b.tgt_in), labels.astype("int32"), b.tokens))


def build(name, vocab, **options):
    """What bench.py asks for."""
    return System(name, vocab, **options)
