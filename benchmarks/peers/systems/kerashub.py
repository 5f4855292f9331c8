"""KerasHub: TransformerEncoder/TransformerDecoder layers to train, BartSeq2SeqLM.generate to decode.

Options jit=0/1 (KERAS_BACKEND chooses the backend).
"""

import common as C
import keras
import keras_hub
import numpy as np
from keras import layers, ops
from systems import keras_builtin as K


class Transformer(keras.Model):
    def __init__(self, c, vocab):
        super().__init__()
        self.c = c
        kw = dict(intermediate_dim=c["ff"], num_heads=c["heads"], dropout=c["dropout"], normalize_first=True)
        self.emb = layers.ReversibleEmbedding(vocab, c["d"])
        self.pos = keras_hub.layers.SinePositionEncoding()
        self.enc = [keras_hub.layers.TransformerEncoder(**kw) for _ in range(c["enc"])]
        self.dec = [keras_hub.layers.TransformerDecoder(**kw) for _ in range(c["dec"])]
        self.norms = [layers.LayerNormalization() for _ in range(2)]
        self.drop = layers.Dropout(c["dropout"])

    def embed(self, ids, training):
        x = self.emb(ids) * self.c["d"] ** 0.5
        return self.drop(x + self.pos(x), training=training)

    def call(self, inputs, training=False):
        src, tgt = inputs
        mask = ops.not_equal(src, C.PAD)
        x = self.embed(src, training)
        for layer in self.enc:
            x = layer(x, padding_mask=mask, training=training)
        memory, y = self.norms[0](x), self.embed(tgt, training)
        for layer in self.dec:
            y = layer(y, memory, encoder_padding_mask=mask, training=training)
        return self.emb(self.norms[1](y), reverse=True)


class GPT(keras.Model):
    def __init__(self, c, vocab):
        super().__init__()
        self.emb = keras_hub.layers.TokenAndPositionEmbedding(vocab, c["seq"], c["d"])
        self.blocks = [
            keras_hub.layers.TransformerDecoder(
                c["ff"], c["heads"], dropout=c["dropout"], normalize_first=True
            )
            for _ in range(c["layers"])
        ]
        self.norm, self.drop = layers.LayerNormalization(), layers.Dropout(c["dropout"])

    def call(self, ids, training=False):
        x = self.drop(self.emb(ids), training=training)
        for b in self.blocks:
            x = b(x, training=training)
        return self.emb.token_embedding(self.norm(x), reverse=True)


class System(K.System):
    def __init__(self, model, vocab, jit="0", policy="float32"):
        self.c = c = C.MODELS[model]
        if c["kind"] not in ("transformer", "lm_gpt"):
            raise NotImplementedError(model)
        self.vocab, self.jit, self.lm = vocab, bool(int(jit)), {}
        net = (Transformer if c["kind"] == "transformer" else GPT)(c, vocab)
        super().__init__(model, vocab, jit, policy, net)

    def decode(self, src, steps, beam):
        if beam not in self.lm:
            c = self.c
            assert c["enc"] == c["dec"]
            backbone = keras_hub.models.BartBackbone(
                self.vocab, c["enc"], c["heads"], c["d"], c["ff"], dropout=0.1, max_sequence_length=128
            )
            m = keras_hub.models.BartSeq2SeqLM(backbone, preprocessor=None)
            sampler = "greedy" if beam == 1 else keras_hub.samplers.BeamSampler(num_beams=beam)
            m.compile(sampler=sampler, jit_compile=self.jit)
            self.lm[beam] = m
        tgt = np.zeros((len(src), steps + 1), np.int32)
        tgt[:, 0] = C.BOS
        out = self.lm[beam].generate(
            dict(
                encoder_token_ids=src,
                encoder_padding_mask=src != C.PAD,
                decoder_token_ids=tgt,
                decoder_padding_mask=tgt != C.PAD,
            ),
            stop_token_ids=None,
        )
        return np.asarray(out["decoder_token_ids"])[:, 1:]


def build(model, vocab, **options):
    return System(model, vocab, **options)
