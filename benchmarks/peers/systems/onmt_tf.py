"""OpenNMT-tf 2.32 (TensorFlow 2.13): its Transformer, its attentional RNN and its GPT-like language model."""

import os
import tempfile

import common as C
import opennmt
import tensorflow as tf
import tensorflow_addons as tfa


def data_config(vocab):
    """OpenNMT-tf fixes 0 <blank>, 1 <s>, 2 </s> and adds the unknown word last: the file has vocab-1 lines."""
    f = os.path.join(tempfile.mkdtemp(), "vocab.txt")
    with open(f, "w") as out:
        out.write("\n".join(["<blank>", "<s>", "</s>"] + [f"w{i}" for i in range(vocab - 4)]) + "\n")
    return f


class System:
    def __init__(self, model, vocab, jit="0"):
        tf.random.set_seed(0)
        self.c = c = C.MODELS[model]
        f = data_config(vocab)
        emb = lambda d: opennmt.inputters.WordEmbedder(embedding_size=d)
        if c["kind"] == "transformer":
            self.net = opennmt.models.Transformer(
                emb(c["d"]),
                emb(c["d"]),
                num_layers=(c["enc"], c["dec"]),
                num_units=c["d"],
                num_heads=c["heads"],
                ffn_inner_dim=c["ff"],
                dropout=c["dropout"],
                attention_dropout=c["dropout"],
                ffn_dropout=c["dropout"],
                share_embeddings=opennmt.models.EmbeddingsSharingLevel.ALL,
            )
        elif c["kind"] == "rnn":
            self.net = opennmt.models.SequenceToSequence(
                emb(c["emb"]),
                emb(c["emb"]),
                encoder=opennmt.encoders.RNNEncoder(1, c["d"], bidirectional=True, dropout=c["dropout"]),
                decoder=opennmt.decoders.AttentionalRNNDecoder(
                    1,
                    c["d"],
                    bridge_class=opennmt.layers.DenseBridge,
                    dropout=c["dropout"],
                    attention_mechanism_class=tfa.seq2seq.BahdanauAttention,
                ),
            )
        elif c["kind"] == "lm_gpt":
            self.net = opennmt.models.LanguageModel(
                opennmt.decoders.SelfAttentionDecoder(
                    c["layers"],
                    num_units=c["d"],
                    num_heads=c["heads"],
                    ffn_inner_dim=c["ff"],
                    dropout=c["dropout"],
                    attention_dropout=c["dropout"],
                    ffn_dropout=c["dropout"],
                    num_sources=0,
                ),
                embedding_size=c["d"],
                reuse_embedding=True,
            )
        else:
            raise NotImplementedError(model)
        self.lm = c["kind"] == "lm_gpt"
        params = dict(optimizer="Adam", learning_rate=1e-3, average_loss_in_time=True)
        self.net.initialize(
            {"vocabulary": f} if self.lm else {"source_vocabulary": f, "target_vocabulary": f}, params=params
        )
        if int(jit):
            self.net.set_jit_compile(True)
        self.opt = self.net.get_optimizer()
        self.net.create_variables(optimizer=self.opt)
        ids = tf.TensorSpec([None, None], tf.int32)
        self.train_fn = tf.function(self._train, input_signature=[ids] * 3)
        self.decode_fns = {}

    @property
    def params(self):
        return sum(int(tf.size(w)) for w in self.net.trainable_weights)

    def features(self, ids, out=None):
        f = {"ids": ids, "length": tf.math.count_nonzero(ids, axis=1, dtype=tf.int32)}
        if out is not None:
            f["ids_out"] = out
        return f

    def _train(self, src, tin, tout):
        if self.lm:
            f = self.features(tin, tout)
            loss, n = self.net.compute_training_loss(f, f)
        else:
            loss, n = self.net.compute_training_loss(self.features(src), self.features(tin, tout))
        loss = loss / tf.cast(n, loss.dtype) if n is not None else loss
        w = self.net.trainable_weights
        self.opt.apply_gradients(zip(tf.gradients(loss, w), w))
        return loss

    def train_step(self, b):
        return self.train_fn(tf.constant(b.src), tf.constant(b.tgt_in), tf.constant(b.tgt_out))

    def decode(self, src, steps, beam):
        if (steps, beam) not in self.decode_fns:

            def fn(src):
                self.net.params.update(
                    beam_width=beam, maximum_decoding_length=steps, minimum_decoding_length=steps
                )
                out = self.net(self.features(src))[1]
                return out["tokens"], out["length"]

            self.decode_fns[steps, beam] = tf.function(
                fn, input_signature=[tf.TensorSpec([None, None], tf.int32)]
            )
        tokens, length = self.decode_fns[steps, beam](tf.constant(src))
        return tokens[:, 0].numpy()


def build(model, vocab, **options):
    return System(model, vocab, **options)
