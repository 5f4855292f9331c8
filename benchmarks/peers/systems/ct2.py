"""CTranslate2 (decoding only): random weights of the same sizes.  Options compute=float32|int8, plus "default"."""

import os
import tempfile

import common as C
import ctranslate2
import numpy as np
from ctranslate2.specs import TransformerSpec, common_spec


def fill_linear(spec, rng, i, o):
    spec.weight = (rng.standard_normal((o, i)) * i**-0.5).astype(np.float32)
    spec.bias = np.zeros(o, np.float32)


def fill_norm(spec, d):
    spec.gamma, spec.beta = np.ones(d, np.float32), np.zeros(d, np.float32)


def fill_layer(layer, rng, d, ff, cross):
    fill_norm(layer.self_attention.layer_norm, d)
    fill_linear(layer.self_attention.linear[0], rng, d, 3 * d)
    fill_linear(layer.self_attention.linear[1], rng, d, d)
    if cross:
        fill_norm(layer.attention.layer_norm, d)
        fill_linear(layer.attention.linear[0], rng, d, d)
        fill_linear(layer.attention.linear[1], rng, d, 2 * d)
        fill_linear(layer.attention.linear[2], rng, d, d)
    fill_norm(layer.ffn.layer_norm, d)
    fill_linear(layer.ffn.linear_0, rng, d, ff)
    fill_linear(layer.ffn.linear_1, rng, ff, d)


class System:
    def __init__(self, model, vocab, compute="float32"):
        c = C.MODELS[model]
        if c["kind"] != "transformer":
            raise NotImplementedError(model)
        rng = np.random.RandomState(0)
        spec = TransformerSpec.from_config(
            (c["enc"], c["dec"]), c["heads"], pre_norm=True, activation=common_spec.Activation.RELU
        )
        emb = (rng.standard_normal((vocab, c["d"])) * c["d"] ** -0.5).astype(np.float32)
        for side in (spec.encoder, spec.decoder):
            e = side.embeddings[0] if isinstance(side.embeddings, list) else side.embeddings
            e.weight = emb
            side.position_encodings.encodings = C.sinusoid(512, c["d"])
            fill_norm(side.layer_norm, c["d"])
        fill_linear(spec.decoder.projection, rng, c["d"], vocab)
        spec.decoder.projection.weight = emb
        for layer in spec.encoder.layer:
            fill_layer(layer, rng, c["d"], c["ff"], False)
        for layer in spec.decoder.layer:
            fill_layer(layer, rng, c["d"], c["ff"], True)
        self.words = ["<blank>", "<s>", "</s>", "<unk>"] + [f"w{i}" for i in range(vocab - 4)]
        spec.register_source_vocabulary(self.words)
        spec.register_target_vocabulary(self.words)
        spec.validate()
        spec.optimize(quantization=None if compute == "float32" else compute)
        folder = tempfile.mkdtemp()
        spec.save(folder)
        self.params = emb.size + sum(
            v.size for k, v in spec.variables().items() if hasattr(v, "size") and "layer_" in k
        )
        self.tr = ctranslate2.Translator(
            folder, device="cpu", compute_type=compute, inter_threads=1, intra_threads=os.cpu_count()
        )

    def decode(self, src, steps, beam):
        tokens = [[self.words[i] for i in row if i != C.PAD] for row in src]
        out = self.tr.translate_batch(
            tokens, beam_size=beam, max_decoding_length=steps, min_decoding_length=steps, max_batch_size=0
        )
        return np.array([(r.hypotheses[0] + [""] * steps)[:steps] for r in out])


def build(model, vocab, **options):
    return System(model, vocab, **options)
