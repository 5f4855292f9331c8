"""Texts to ids inside a graph: what `zoo.data.reading` does in Python."""

from __future__ import annotations

import tensorflow as tf

from zoo.data.tokenizers import EOS, UNK


def with_end(tokenizer, text, max_length: int, width: int | None):
    """Ids (one `<unk>` for an empty text) cut to max_length - 1, then the end mark: (B,) -> (B, S)."""
    return padded(ended(tokenizer.tokenize(text), max_length), width)


def ended(pieces: tf.RaggedTensor, max_length: int) -> tf.RaggedTensor:
    """Ids (one `<unk>` where there is none) cut to max_length - 1, then the end mark."""
    pieces = instead_of_nothing(pieces[:, : max_length - 1], UNK)
    return tf.concat([pieces, tf.fill([tf.cast(pieces.nrows(), tf.int32), 1], EOS)], axis=1)


def instead_of_nothing(rows: tf.RaggedTensor, token: int) -> tf.RaggedTensor:
    """Rows without any id get this one."""
    empty = tf.cast(tf.equal(rows.row_lengths(), 0), tf.int64)
    one = tf.fill(tf.reshape(tf.reduce_sum(empty), [1]), token)
    return tf.concat([rows, tf.RaggedTensor.from_row_lengths(one, empty)], axis=1)


def within(rows: tf.RaggedTensor, longest: int) -> tf.RaggedTensor:
    """The rows; an InvalidArgumentError where one of them is longer."""
    said = f"a text has more tokens than the {longest} that are read at most"
    check = tf.debugging.assert_less_equal(rows.row_lengths(), tf.cast(longest, tf.int64), message=said)
    # In a graph the check is an operation that something must wait for.
    with tf.control_dependencies([check] if check is not None else []):
        return rows.with_flat_values(tf.identity(rows.flat_values))


def padded(rows: tf.RaggedTensor, width: int | None = None):
    """(B, ragged, ...) -> (B, S, ...), S the width, else that of the longest row."""
    if width:
        return rows.to_tensor(shape=[None, width])
    ids = rows.to_tensor()
    # Without a text there is no longest row; the loops of the models still want one place.
    missing = tf.cast(tf.equal(tf.shape(ids)[1], 0), tf.int32)
    return tf.pad(ids, [[0, 0], [0, missing], *[[0, 0]] * (ids.shape.rank - 2)])
