"""The tokenizer inside a TensorFlow graph, for SavedModels that take and give text.

`tensorflow_text.SentencepieceTokenizer` runs the same library on the same model. (FastSentencepieceTokenizer,
which TFLite would prefer, silently gives other pieces for BPE models.)
"""

from __future__ import annotations

import tensorflow as tf
import tensorflow_text

from zoo.data.tokenizers import BOS, EOS, PAD, UNK, Tokenizer
from zoo.data.words import FIRST_BYTE, WORD_BYTES


class GraphTokenizer(tf.Module):
    """Gives in a graph what `Tokenizer.encode` and `.decode` give in Python.

    A tf.Module, for a SavedModel must track the table that holds the model. One more table, for `tokenize_inside`,
    is made where it is asked for.
    """

    def __init__(self, tokenizer: Tokenizer, inside: bool = False):
        super().__init__()
        self._whole_words = tokenizer.whole_words
        self._sentencepiece = tensorflow_text.SentencepieceTokenizer(
            model=tokenizer.model_bytes, out_type=tf.int32
        )
        if inside:  # a saved table is found again by its name: without one, both would be the first
            self._inside = tensorflow_text.SentencepieceTokenizer(
                model=tokenizer.inside_bytes, out_type=tf.int32, name="inside"
            )

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Strings (B,) -> ids (B, ragged) int32, without bos and eos; an empty text has no ids."""
        return self._sentencepiece.tokenize(texts)

    def tokenize_inside(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """As `Tokenizer.encode_inside`: of texts that go on where another ended."""
        return self._inside.tokenize(texts)

    def words(self, texts: tf.Tensor) -> tuple[tf.RaggedTensor, tf.RaggedTensor]:
        """Strings (B,) -> ids (B, pieces) int32 and characters (B, pieces, W) int32 of their words.

        As `zoo.data.reading.read_words`; an empty text is one <unk> without characters.
        """
        words = tf.strings.split(texts)
        missing = tf.cast(tf.equal(words.row_lengths(), 0), tf.int64)
        empty = tf.RaggedTensor.from_row_lengths(tf.fill([tf.reduce_sum(missing)], ""), missing)
        words = tf.concat([words, empty], axis=1)
        flat = words.flat_values
        if self._whole_words:
            pieces = self._sentencepiece.tokenize(flat)
            first = pieces[:, :1].to_tensor(default_value=UNK, shape=[None, 1])[:, 0]
            ids = tf.where(tf.equal(pieces.row_lengths(), 1), first, UNK)
            return words.with_flat_values(ids), words.with_flat_values(_characters(flat))
        is_first = tf.equal(tf.ragged.range(words.row_lengths()).flat_values, 0)
        pieces = self._sentencepiece.tokenize(tf.where(is_first, flat, tf.strings.join([" ", flat])))
        none = tf.cast(tf.equal(pieces.row_lengths(), 0), tf.int64)
        unknown = tf.RaggedTensor.from_row_lengths(tf.fill([tf.reduce_sum(none)], UNK), none)
        pieces = tf.concat([pieces, unknown], axis=1)
        shape = [tf.size(pieces.flat_values, tf.int64), WORD_BYTES]
        characters = tf.scatter_nd(tf.expand_dims(pieces.row_starts(), 1), _characters(flat), shape)
        splits = tf.gather(pieces.row_splits, words.row_splits)
        ids, characters = (
            tf.RaggedTensor.from_row_splits(x, splits) for x in (pieces.flat_values, characters)
        )
        return ids, characters

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


def valid(texts: tf.Tensor) -> tf.Tensor:
    """As `zoo.text.valid`, of strings (B,): bytes that are no UTF-8 become U+FFFD."""
    return tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")


def _characters(words: tf.Tensor) -> tf.Tensor:
    """Strings (n,) -> the ids of their first and last bytes (n, WORD_BYTES) int32."""
    half = WORD_BYTES // 2
    length = tf.strings.length(words)
    ends = tf.strings.substr(words, 0, WORD_BYTES - half) + tf.strings.substr(
        words, tf.maximum(length - half, 0), tf.fill(tf.shape(words), half)
    )
    content = tf.where(length > WORD_BYTES, ends, words)
    content = tf.cast(tf.io.decode_raw(content, tf.uint8, fixed_length=WORD_BYTES), tf.int32) + FIRST_BYTE
    return tf.where(tf.sequence_mask(length, WORD_BYTES), content, 0)
