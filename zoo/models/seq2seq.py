"""Recurrent encoder-decoder (N -> M): with attention, or with one fixed context."""

from __future__ import annotations

import keras
from keras import ops

from zoo.errors import UserError
from zoo.layers.attention_decoder import AttentionDecoder
from zoo.layers.bidirectional import Bidirectional
from zoo.layers.dropout import Dropout
from zoo.layers.embedding import TiedEmbedding
from zoo.layers.masks import padding_mask
from zoo.layers.rnn import recurrent_layer
from zoo.models.base import Seq2Seq


@keras.saving.register_keras_serializable("zoo")
class RNNSeq2Seq(Seq2Seq):
    """Bidirectional recurrent encoder; a recurrent decoder that attends to its states, or has one fixed context.

    `h = biRNN(E[x])`, `s_0 = tanh(W [h_S; h_1])`, `d_t = Decoder(E[y_{t-1}], s_{t-1}, h)`,
    `r_t = tanh(W_r [d_t; E[y_{t-1}]])`, `p(y_t) = softmax(E r_t + b)`.

    What the decoder says is `d_t = [s_t; c_t]` with Bahdanau's attention, `d_t = tanh(W_c [c_t; s_t])` with
    Luong's. Without attention it is `d_t = [s_t; c]`, where `c = [h_S; h_1]` (h_S of the reader from left to
    right, h_1 of the other) also enters every step beside E[y_{t-1}]: the whole sentence in one vector.

    Args:
        vocabulary_size: V.
        cell, attention, input_feeding, embedding_dim, units, num_encoder_layers, encoder_units,
            dropout, recurrent_dropout, rnn_kernel: as in `zoo.config.rnn.RNNSeq2Seq`, where they are described.

    Call arguments:
        inputs: {"encoder_token_ids": (B, S) int, "decoder_token_ids": (B, T) int}.

    Returns: logits (B, T, V), float32. `alignments(inputs)` returns the weights of attention, (B, T, S).

    Masking: derived from the ids (0 is padding): the logits do not depend on the padding.

    Errors: a UserError from `alignments` where there is no attention.

    Differs from the paper: in all, one embedding matrix for source, target and output instead of three, so
    that the readout is as wide as the embeddings. Bahdanau: a tanh readout instead of maxout, s_0 from both
    directions. Luong: an encoder of both directions instead of stacked layers of one, whose states the
    decoder would start with; a readout that also sees E[y_{t-1}]; no local attention. No attention (Cho et
    al.): both directions are the context, as they are; s_0 is made as with attention.

    Example:
        >>> import numpy as np
        >>> model = RNNSeq2Seq(vocabulary_size=10, cell="lstm", attention="bahdanau", input_feeding=False,
        ...     embedding_dim=4, units=6, num_encoder_layers=1, encoder_units=None, dropout=0.0,
        ...     recurrent_dropout=0.0, rnn_kernel="auto")
        >>> ids = np.array([[4, 5, 3, 0]])
        >>> inputs = {"encoder_token_ids": ids, "decoder_token_ids": ids[:, :3]}
        >>> model(inputs).shape, model.alignments(inputs).shape
        (TensorShape([1, 3, 10]), TensorShape([1, 3, 4]))

    Reference: Bahdanau et al. 2015, arXiv:1409.0473; Luong et al. 2015, arXiv:1508.04025; without attention
    Cho et al. 2014, arXiv:1406.1078, section 2.2, and Sutskever et al. 2014, arXiv:1409.3215
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        cell: str,
        attention: str,
        input_feeding: bool,
        embedding_dim: int,
        units: int,
        num_encoder_layers: int,
        encoder_units: int | None,
        dropout: float,
        recurrent_dropout: float,
        rnn_kernel: str,
        **kwargs,
    ):
        super().__init__(
            vocabulary_size=vocabulary_size,
            cell=cell,
            attention=attention,
            input_feeding=input_feeding,
            embedding_dim=embedding_dim,
            units=units,
            num_encoder_layers=num_encoder_layers,
            encoder_units=encoder_units,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            rnn_kernel=rnn_kernel,
            **kwargs,
        )
        self.units, self.memory_width = units, encoder_units or units
        dtype, same = self.dtype_policy, {"recurrent_dropout": recurrent_dropout}
        self.embedding = TiedEmbedding(vocabulary_size, embedding_dim, name="embedding", dtype=dtype)
        self.encoder = [
            Bidirectional(
                recurrent_layer(
                    cell, self.memory_width // 2, rnn_kernel, f"{cell}_{i}", dtype, return_state=True, **same
                ),
                name=f"encoder_{i}",
                dtype=dtype,
            )
            for i in range(num_encoder_layers)
        ]
        self.attends = attention != "none"
        if self.attends:
            same |= {"attention": attention, "cell": cell, "input_feeding": input_feeding}
            self.decoder = AttentionDecoder(units, rnn_kernel=rnn_kernel, name="decoder", dtype=dtype, **same)
            self.state_names = self.decoder.cell.state_names
        else:
            self.decoder = recurrent_layer(cell, units, rnn_kernel, "decoder", dtype, **same)
            self.state_names = self.decoder.cell.state_names
        self.state_names = self.decoder.cell.state_names
        # One first state for each that the recurrence has; input feeding begins with zeros.
        self.first_states = [name for name in self.state_names if name != "attentional"]
        self.bridge = keras.layers.Dense(
            len(self.first_states) * units, activation="tanh", name="bridge", dtype=dtype
        )
        self.readout = keras.layers.Dense(embedding_dim, activation="tanh", name="readout", dtype=dtype)
        self.dropout = Dropout(dropout, dtype=dtype)

    def build(self, input_shape):
        embedding_dim, memory_width = self.embedding.hidden_dim, self.memory_width
        self.embedding.build()
        width = embedding_dim
        for layer in self.encoder:
            layer.build((None, None, width))
            width = memory_width
        self.bridge.build((None, memory_width))
        if self.attends:
            shapes = (None, None, embedding_dim), (None, None, memory_width)
            self.decoder.build(*shapes)
            width = self.decoder.compute_output_shape(*shapes)[-1]
        else:
            self.decoder.build((None, None, embedding_dim + memory_width))
            width = self.units + memory_width
        self.readout.build((None, None, width + embedding_dim))

    def before_logits(self, inputs, training=None):
        memory = self.encode(inputs["encoder_token_ids"], training=training)
        embedded = self.dropout(self.embedding(inputs["decoder_token_ids"]), training=training)
        first = [memory[name] for name in self.first_states]
        if self.attends:
            said = self.decoder(
                embedded, memory["states"], memory["mask"], initial_state=first, training=training
            )
        else:
            context = ops.expand_dims(memory["context"], 1) + ops.zeros_like(embedded[..., :1])  # (B, T, M)
            said = self.decoder(_join(embedded, context), initial_state=first, training=training)
            said = _join(said, context)
        return self._readout(said, embedded, training)

    def output_matrix(self):
        return self.embedding.embeddings, self.embedding.bias

    @property
    def alignments_are(self):
        kind = self.keywords["attention"].replace("_", " ").capitalize()
        return f"{kind} attention" if self.attends else None

    def alignments(self, inputs):
        """How much each target token looked at each source token: (B, T, S); rows of padding mean nothing."""
        if not self.attends:
            raise UserError(
                "a model with `attention: none` has no alignments to show: its decoder sees one fixed context"
            )
        memory = self.encode(inputs["encoder_token_ids"])
        _, weights = self.decoder(
            self.embedding(inputs["decoder_token_ids"]),
            memory["states"],
            memory["mask"],
            initial_state=[memory[name] for name in self.first_states],
            return_alignments=True,
        )
        return weights

    def encode(self, token_ids, training=None):
        mask = padding_mask(token_ids)
        x = self.dropout(self.embedding(token_ids), training=training)
        for layer in self.encoder:
            x, *last = layer(x, mask=mask, training=training)
            x = self.dropout(x, training=training)
        context = _join(last[0], last[len(last) // 2])  # h of both directions; an LSTM's cells stay behind
        first = ops.split(self.bridge(context), len(self.first_states), axis=-1)
        memory = dict(zip(self.first_states, first, strict=True))
        if not self.attends:
            return {"context": context, **memory}
        return {"states": x, "keys": self.decoder.project_memory(x), "mask": mask, **memory}

    def init_cache(self, memory, length: int):
        states = [memory[name] for name in self.first_states]
        states = self.decoder.initial_states(states) if self.attends else states
        return dict(zip(self.state_names, states, strict=True))

    def step(self, token, position, cache, memory):
        embedded = self.embedding(token)  # (B, E)
        states = [cache[name] for name in self.state_names]
        if self.attends:
            said, states = self.decoder.step(
                embedded, states, memory["keys"], memory["states"], memory["mask"]
            )
        else:
            projected = self.decoder.cell.project(_join(embedded, memory["context"]))
            said, states = self.decoder.cell.step(projected, states)
            said = _join(said, memory["context"])
        logits = self.logits(self._readout(said, embedded))
        return logits, dict(zip(self.state_names, states, strict=True))

    def _readout(self, said, embedded, training=False):
        return self.dropout(self.readout(_join(said, embedded)), training=training)


def _join(*parts):
    return ops.concatenate(parts, axis=-1)
