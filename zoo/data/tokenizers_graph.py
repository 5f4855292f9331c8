"""The tokenizer inside a TensorFlow graph, for SavedModels that take and give text.

`tensorflow_text.SentencepieceTokenizer` runs the same library on the same model. (FastSentencepieceTokenizer,
which TFLite would prefer, silently gives other pieces for BPE models.)
"""

from __future__ import annotations

import tensorflow as tf
import tensorflow_text

from zoo.data.tokenizers import BOS, EOS, PAD, Tokenizer


class GraphTokenizer(tf.Module):
    """Gives in a graph what `Tokenizer.encode` and `.decode` give in Python.

    A tf.Module, for a SavedModel must track the table that holds the model.
    """

    def __init__(self, tokenizer: Tokenizer):
        super().__init__()
        self._sentencepiece = tensorflow_text.SentencepieceTokenizer(
            model=tokenizer.model_bytes, out_type=tf.int32
        )

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Strings (B,) -> ids (B, ragged) int32, without bos and eos; an empty text has no ids."""
        return self._sentencepiece.tokenize(texts)

    def detokenize(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """Ids (B, ragged) -> strings (B,): up to the first eos, pad and bos left out."""
        ids = tf.cast(ids, tf.int32)
        ends = tf.cast(tf.equal(ids, EOS), tf.int32)
        # Ragged tensors have no cumulative sum: on the flat values, less what stood there when the row began.
        counted = tf.concat([[0], tf.cumsum(ends.flat_values)], axis=0)
        before_row = tf.gather(counted, ids.row_starts())
        ended = counted[1:] - tf.gather(before_row, ids.value_rowids())
        special = tf.equal(ids.flat_values, PAD) | tf.equal(ids.flat_values, BOS)
        kept = tf.logical_not(special) & tf.equal(ended, 0)
        return self._sentencepiece.detokenize(tf.ragged.boolean_mask(ids, ids.with_flat_values(kept)))
