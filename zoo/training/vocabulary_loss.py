"""Cross-entropy over a large vocabulary, without ever holding the scores of a whole batch.

The scores of all tokens are by far the largest thing of a step: 2,048 tokens and 8,000 pieces are 65 MB, written and
read again by the product, the softmax, its gradient and two more products. Here some rows at a time go through all of
that while they lie in the cache, and rows that no label asks about do not go through it at all. What is kept is
the gradient, which is as small as the inputs.
"""

from __future__ import annotations

from keras import ops

from zoo.layers.portable import float32, put

ROWS = 256
"""Rows at a time: their scores fit into a cache, and the products are still large enough to be fast."""


def vocabulary_cross_entropy(labels, x, matrix, bias, label_smoothing: float = 0.0, gradient: bool = True):
    """Sum of the losses of all labels that count, and their number; as `cross_entropy` of `x matrix^T + bias`.

    With z = x E^T + b the loss is `log sum_v exp(z_v) - z_y + e (z_y - mean(z))`. All but the first term is linear
    in x and E, and needs no scores of other pieces: `z_y = x E_y + b_y`, `mean(z) = x mean(E) + mean(b)`.

    Args:
        labels: (...) int; below 0 counts for nothing.
        x: (..., D), what the output layer reads.
        matrix, bias: E (V, D) and b (V,).
        label_smoothing: e.
        gradient: whether one will be asked for; it is made on the way.
    """
    labels, x = ops.reshape(labels, (-1,)), ops.reshape(x, (-1, x.shape[-1]))
    counts = ops.greater_equal(labels, 0)
    # Rows that count come first, and the rest is zeros; the bias is one more column, of a one.
    order = ops.argsort(ops.cast(ops.logical_not(counts), "int32"))
    labels = ops.take(labels, order)
    counts = ops.expand_dims(ops.cast(ops.take(counts, order), x.dtype), -1)
    x = ops.concatenate([ops.take(x, order, axis=0) * counts, counts], axis=-1)
    columns = [ops.cast(ops.convert_to_tensor(m), x.dtype) for m in (matrix, ops.expand_dims(bias, -1))]
    matrix = ops.concatenate(columns, axis=-1)
    count = ops.sum(float32(counts))

    chosen = ops.sum(float32(x) * float32(ops.take(matrix, ops.maximum(labels, 0), axis=0)))
    total = _summed_log_partitions(x, matrix, count, gradient) - chosen
    if label_smoothing:
        mean = ops.sum(ops.matmul(float32(x), ops.expand_dims(ops.mean(float32(matrix), axis=0), -1)))
        total = total + label_smoothing * (chosen - mean)
    return total, count


def _summed_log_partitions(x, matrix, count, gradient):
    """`sum_r log sum_v exp(x_r E_v)` over the first `count` rows; of the others x must be zero."""

    @ops.custom_gradient
    def summed(x, matrix):
        total, x_gradient, matrix_gradient = _in_chunks(x, matrix, count, gradient)

        def scaled(*args, upstream=None):
            upstream = args[-1] if upstream is None else upstream
            return (
                ops.cast(upstream * x_gradient, x.dtype),
                ops.cast(upstream * matrix_gradient, matrix.dtype),
            )

        return total, scaled

    return summed(x, matrix)


def _in_chunks(x, matrix, count, gradient):
    rows, width = ops.shape(x)[0], x.shape[1]
    filler = ops.zeros((-rows % ROWS, width), x.dtype)
    chunks = ops.reshape(ops.concatenate([x, filler]), (-1, ROWS, width))
    used = ops.cast(ops.ceil(count / ROWS), "int32")

    def one(i, total, x_gradient, matrix_gradient):
        chunk = ops.take(chunks, i, axis=0)
        scores = float32(ops.matmul(chunk, ops.transpose(matrix)))
        p = ops.softmax(scores)
        # max(p) = exp(max(scores) - log sum exp(scores)): two maxima cost less than another pass of exp.
        partitions = ops.max(scores, axis=-1) - ops.log(ops.max(p, axis=-1))
        counted = ops.less(i * ROWS + ops.arange(ROWS), ops.cast(count, "int32"))
        total = total + ops.sum(ops.where(counted, partitions, 0.0))
        if gradient:
            p = ops.cast(p, x.dtype)
            read = ops.where(ops.expand_dims(counted, -1), ops.matmul(p, matrix), 0.0)
            x_gradient = put(x_gradient, i, ops.expand_dims(float32(read), 0), axis=0)
            matrix_gradient = matrix_gradient + float32(ops.matmul(ops.transpose(p), chunk))
        return i + 1, total, x_gradient, matrix_gradient

    zeros = [ops.zeros(ops.shape(y) if gradient else (), "float32") for y in (chunks, matrix)]
    start = (ops.zeros((), "int32"), ops.zeros((), "float32"), *zeros)
    _, total, *gradients = ops.while_loop(lambda i, *_: i < used, one, start)
    if not gradient:
        return total, *gradients
    return total, ops.reshape(gradients[0], (-1, width))[:rows], gradients[1]
