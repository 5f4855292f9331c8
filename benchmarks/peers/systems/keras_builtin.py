"""Plain Keras 3: only keras.layers builtins.  KERAS_BACKEND chooses the backend; option jit=0/1."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
import warnings

import keras
import numpy as np
from keras import layers, ops

warnings.filterwarnings("ignore")
import common as C

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
elif keras.backend.backend() == "torch":
    import torch

    torch.set_num_threads(os.cpu_count())


class Encoder(layers.Layer):
    def __init__(self, c):
        super().__init__()
        self.att = layers.MultiHeadAttention(c["heads"], c["d"] // c["heads"], dropout=c["dropout"])
        self.ff1 = layers.Dense(c["ff"], activation="relu")
        self.ff2 = layers.Dense(c["d"])
        self.n1, self.n2 = layers.LayerNormalization(), layers.LayerNormalization()
        self.drop = layers.Dropout(c["dropout"])

    def call(self, x, mask=None, training=None, causal=False):
        y = self.n1(x)
        x = x + self.drop(
            self.att(y, y, attention_mask=mask, use_causal_mask=causal, training=training), training=training
        )
        return x + self.drop(self.ff2(self.ff1(self.n2(x))), training=training)


class Decoder(Encoder):
    def __init__(self, c):
        super().__init__(c)
        self.cross = layers.MultiHeadAttention(c["heads"], c["d"] // c["heads"], dropout=c["dropout"])
        self.n3 = layers.LayerNormalization()

    def call(self, x, memory, mask=None, training=None):
        y = self.n1(x)
        x = x + self.drop(self.att(y, y, use_causal_mask=True, training=training), training=training)
        x = x + self.drop(
            self.cross(self.n3(x), memory, attention_mask=mask, training=training), training=training
        )
        return x + self.drop(self.ff2(self.ff1(self.n2(x))), training=training)


class Transformer(keras.Model):
    def __init__(self, c, vocab):
        super().__init__()
        self.c = c
        self.emb = layers.Embedding(vocab, c["d"])
        self.enc = [Encoder(c) for _ in range(c["enc"])]
        self.dec = [Decoder(c) for _ in range(c["dec"])]
        self.norms = [layers.LayerNormalization() for _ in range(2)]
        self.drop = layers.Dropout(c["dropout"])
        self.pos = C.sinusoid(512, c["d"])

    def embed(self, ids, training):
        x = self.emb(ids) * self.c["d"] ** 0.5
        x = x + ops.cast(ops.convert_to_tensor(self.pos), x.dtype)[: ops.shape(ids)[1]]
        return self.drop(x, training=training)

    def encode(self, src, training=False):
        mask = ops.expand_dims(ops.not_equal(src, C.PAD), 1)
        x = self.embed(src, training)
        for layer in self.enc:
            x = layer(x, mask=mask, training=training)
        return self.norms[0](x), mask

    def logits(self, memory, mask, tgt, training=False, last=None):
        x = self.embed(tgt, training)
        for layer in self.dec:
            x = layer(x, memory, mask=mask, training=training)
        if last is not None:
            x = x[:, last]
        return ops.matmul(self.norms[1](x), ops.cast(ops.transpose(self.emb.embeddings), x.dtype))

    def call(self, inputs, training=False):
        src, tgt = inputs
        return self.logits(*self.encode(src, training), tgt, training)


class AttentionCell(layers.Layer):
    """LSTM cell that attends (Bahdanau) to self.memory with its previous state."""

    def __init__(self, d):
        super().__init__()
        self.d = d
        self.cell = layers.LSTMCell(d)
        self.wq, self.v = layers.Dense(d, use_bias=False), layers.Dense(1, use_bias=False)
        self.state_size, self.output_size = [d, d], 3 * d
        self.memory = self.keys = self.bias = None

    def build(self, shape):
        self.cell.build((shape[0], shape[-1] + 2 * self.d))
        self.wq.build((None, self.d))
        self.v.build((None, None, self.d))
        self.built = True

    def call(self, x, states, training=None):
        query = ops.expand_dims(self.wq(states[0]), 1)
        score = ops.squeeze(self.v(ops.tanh(self.keys + query)), -1) + self.bias
        context = ops.squeeze(ops.matmul(ops.expand_dims(ops.softmax(score), 1), self.memory), 1)
        h, states = self.cell(ops.concatenate([x, context], -1), states, training=training)
        return ops.concatenate([h, context], -1), states


class RNNAttn(keras.Model):
    def __init__(self, c, vocab):
        super().__init__()
        d = c["d"]
        self.src_emb, self.tgt_emb = layers.Embedding(vocab, c["emb"]), layers.Embedding(vocab, c["emb"])
        self.enc = layers.Bidirectional(layers.LSTM(d, return_sequences=True))
        self.cell = AttentionCell(d)
        self.dec = layers.RNN(self.cell, return_sequences=True)
        self.wk = layers.Dense(d)
        self.mix = layers.Dense(d, activation="tanh")
        self.out = layers.Dense(vocab)
        self.drop = layers.Dropout(c["dropout"])

    def call(self, inputs, training=False):
        src, tgt = inputs
        mask = ops.not_equal(src, C.PAD)
        memory = self.enc(self.drop(self.src_emb(src), training=training), mask=mask, training=training)
        self.cell.memory, self.cell.keys = memory, self.wk(memory)
        self.cell.bias = (1.0 - ops.cast(mask, "float32")) * -1e9
        y = self.dec(self.drop(self.tgt_emb(tgt), training=training), training=training)
        return self.out(self.drop(self.mix(y), training=training))


class RNNPost(keras.Model):
    """Builtins only: LSTM decoder, then AdditiveAttention over all its outputs at once."""

    def __init__(self, c, vocab):
        super().__init__()
        d = c["d"]
        self.src_emb, self.tgt_emb = layers.Embedding(vocab, c["emb"]), layers.Embedding(vocab, c["emb"])
        self.enc = layers.Bidirectional(layers.LSTM(d, return_sequences=True))
        self.dec = layers.LSTM(d, return_sequences=True)
        self.wq, self.wk = layers.Dense(d), layers.Dense(d)
        self.att = layers.AdditiveAttention()
        self.mix = layers.Dense(d, activation="tanh")
        self.out = layers.Dense(vocab)
        self.drop = layers.Dropout(c["dropout"])

    def call(self, inputs, training=False):
        src, tgt = inputs
        mask = ops.not_equal(src, C.PAD)
        memory = self.enc(self.drop(self.src_emb(src), training=training), mask=mask, training=training)
        y = self.dec(self.drop(self.tgt_emb(tgt), training=training), training=training)
        k = self.wk(memory)
        context = self.att([self.wq(y), k, k], mask=[None, mask])
        return self.out(self.drop(self.mix(ops.concatenate([y, context], -1)), training=training))


class GPT(keras.Model):
    def __init__(self, c, vocab):
        super().__init__()
        self.c = c
        self.emb, self.posemb = layers.Embedding(vocab, c["d"]), layers.Embedding(c["seq"], c["d"])
        self.blocks = [Encoder(c) for _ in range(c["layers"])]
        self.norm, self.drop = layers.LayerNormalization(), layers.Dropout(c["dropout"])

    def call(self, ids, training=False):
        x = self.drop(self.emb(ids) + self.posemb(ops.arange(ops.shape(ids)[1])), training=training)
        for b in self.blocks:
            x = b(x, causal=True, training=training)
        return ops.matmul(self.norm(x), ops.cast(ops.transpose(self.emb.embeddings), x.dtype))


def make(model, vocab):
    c = C.MODELS[model]
    if c["kind"] == "transformer":
        return Transformer(c, vocab)
    if c["kind"] == "rnn":
        return (RNNPost if model == "RNN-post" else RNNAttn)(c, vocab)
    if c["kind"] == "lm_gpt":
        return GPT(c, vocab)
    if c["kind"] == "lm_lstm":
        lstms = [layers.LSTM(c["d"], return_sequences=True) for _ in range(c["layers"])]
        return keras.Sequential(
            [layers.Embedding(vocab, c["d"])] + lstms + [layers.Dropout(c["dropout"]), layers.Dense(vocab)]
        )
    return keras.Sequential(
        [layers.Embedding(vocab, c["emb"], mask_zero=True), layers.LSTM(c["d"]), layers.Dense(c["classes"])]
    )


class System:
    def __init__(self, model, vocab, jit="0", policy="float32", net=None):
        keras.utils.set_random_seed(0)
        keras.config.set_dtype_policy(policy)
        self.kind = C.MODELS[model]["kind"]
        self.net = net or make(model, vocab)
        ignore = None if self.kind == "cls" else C.PAD
        self.net.compile(
            optimizer=keras.optimizers.Adam(1e-3),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=ignore),
            jit_compile=bool(int(jit)),
        )
        self.fn = None

    @property
    def params(self):
        return self.net.count_params() if self.net.built else None

    def inputs(self, b):
        return (b.src, b.tgt_in) if self.kind in ("transformer", "rnn") else b.src

    def train_step(self, b):
        return self.net.train_on_batch(self.inputs(b), b.tgt_out)

    def predict(self, x):
        return self.net.predict(x, verbose=0)

    def decode(self, src, steps, beam):
        """Naive loop, as in the Keras tutorials, but encoding once and compiled: the whole decoder
        over the whole (fixed width) prefix at each step."""
        assert beam == 1, "plain Keras has no beam search"
        if self.fn is None:
            self.fn = (
                tf.function(self.net.encode, reduce_retracing=True),
                tf.function(lambda m, k, t, i: ops.argmax(self.net.logits(m, k, t, last=i), -1)),
            )
        memory, mask = self.fn[0](tf.constant(src))
        tgt = np.zeros((len(src), steps + 1), np.int32)
        tgt[:, 0] = C.BOS
        for i in range(steps):
            tgt[:, i + 1] = self.fn[1](memory, mask, tf.constant(tgt[:, :steps]), tf.constant(i))
        return tgt[:, 1:]


def build(model, vocab, **options):
    return System(model, vocab, **options)
