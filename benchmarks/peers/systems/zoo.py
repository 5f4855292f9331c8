"""This project: its models, its loss, its optimizer and its training step, at the sizes of the others.

Options: xla=0/1, precision=float32/bfloat16, target=python/saved_model/tflite/onnx (what decodes), quantize=none/
float16/dynamic_int8 (its weights).  KERAS_BACKEND chooses the backend.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
import common as C
import keras
import numpy as np

from zoo.config.training import Train
from zoo.data.objectives import Batch
from zoo.decoding.loop import decode
from zoo.decoding.settings import Decoding
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

    def __init__(
        self, name, vocab, xla="0", precision="float32", target="python", quantize="none", cores="0"
    ):
        if keras.backend.backend() == "jax":
            from zoo.training import step_jax as backend
        else:
            from zoo.training import step_tensorflow as backend
        train = Train(steps=1, batch_tokens=2048, learning_rate=1e-3, clip_norm=None, xla=xla == "1")
        parts = backend.share_cores(train) if cores == "1" else 1  # in training alone: it sets threads
        keras.utils.set_random_seed(0)
        self.kind = C.MODELS[name]["kind"]
        self.xla, self.target, self.quantize, self.decoders = xla == "1", target, quantize, {}
        keras.config.set_dtype_policy(precision if precision == "float32" else f"mixed_{precision}")
        self.model = make(name, vocab)
        keras.config.set_dtype_policy("float32")
        ranks = {key: 2 for key in self.inputs(np.zeros((1, 1), "int32"), np.zeros((1, 1), "int32"))}
        self.model.build_from_ids()
        optimizer, loss, rank = make_optimizer(train), MaskedCrossEntropy(), 1 if self.kind == "cls" else 2
        self.step = backend.Step(self.model, optimizer, loss, ranks, rank, xla=xla == "1", parts=parts)

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

    def decode(self, src, steps, beam):
        """Answers of so many tokens: none may end before."""
        key = (len(src) if self.target == "tflite" else 0, beam)
        if key not in self.decoders:
            how = Decoding(steps, min_length=steps, beams=beam, length_penalty=0.0)
            self.decoders[key] = getattr(self, f"_{self.target}")(
                lambda ids: {"found": decode(self.model, ids, how)[0][:, 0, 1:]}, len(src)
            )
        return self.decoders[key](src)

    def _python(self, function, batch):
        from zoo.compile import jit

        compiled = jit(function, self.model.variables, xla=self.xla)
        return lambda ids: keras.ops.convert_to_numpy(compiled(keras.ops.convert_to_tensor(ids))["found"])

    def _saved_model(self, function, batch):
        import tempfile

        import tensorflow as tf

        module = tf.Module()
        module.weights = [variable.value for variable in self.model.variables]
        spec = tf.TensorSpec([None, None], tf.int32, name="ids")
        module.found = tf.function(
            function, input_signature=[spec], jit_compile=self.xla or None, autograph=False
        )
        with tempfile.TemporaryDirectory() as folder:
            tf.saved_model.save(module, folder, signatures={"ids": module.found})
            loaded = tf.saved_model.load(folder)
        self.loaded = loaded  # its functions do not keep it
        return lambda ids: loaded.signatures["ids"](ids=tf.constant(ids))["found"].numpy()

    def _tflite(self, function, batch):
        from ai_edge_litert.interpreter import Interpreter

        from zoo.export.tflite import convert

        functions = {"found": (function, {"ids": ("int32", (None,))})}
        content = convert(functions, self.model.variables, batch, self.quantize)
        threads = min(batch, os.cpu_count())  # one sentence is too little to share
        run = Interpreter(model_content=content, num_threads=threads).get_signature_runner("found")
        return lambda ids: run(ids=ids)["found"]

    def _onnx(self, function, batch):
        import onnxruntime

        from zoo.export.onnx import convert
        from zoo.export.onnx_weights import store

        model = convert(function, {"ids": ("int32", (None,))})
        store(model, self.quantize)
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return lambda ids: session.run(None, {"ids": ids})[0]


def build(name, vocab, **options):
    """What bench.py asks for."""
    return System(name, vocab, **options)
