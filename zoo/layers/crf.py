"""Linear-chain conditional random field: a score for whole sequences of tags.

The layer turns emissions into potentials; likelihood and best path are functions of the potentials alone.
So a model can give potentials as its output, and loss and search need no weights, no mask and no model.

Both recursions are `layers.RNN` over time: only it bounds its loop, which XLA needs for the gradient.
"""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.portable import float32

NEVER = -1e9
"""Log-score of what cannot be: exp of it is 0, and the sum of several is still finite in float32."""


@keras.saving.register_keras_serializable("zoo")
class CRF(keras.layers.Layer):
    """Linear-chain CRF: how well each tag fits its word, and its neighbour.

    `p(y | x) = 1/Z(x) exp sum_t phi_t(y_{t-1}, y_t)`, `phi_t(i, j) = A_ij + P_tj`, with A_start,j for the
    first word and A_j,end added to the last.

    The layer's output is phi. `log_likelihood(potentials, tags)` is log p(y | x) by the forward algorithm,
    `viterbi(potentials)` the best y and its score; both are also functions of `zoo.layers.crf`.

    Args:
        num_tags: K.

    Call arguments:
        emissions: P, the scores of each word's tags, (B, S, K).
        padding_mask: (B, S) bool, True = is a word; all words by default.

    Returns: potentials phi, (B, S, K, K), float32 whatever the precision policy: [b, t, i, j] is the score
    of tag j at place t after tag i. Of place 0 row i = 0 counts, for "nothing yet".

    Masking: by `padding_mask`, padding on the right. At padding phi is 0 where i = j and -1e9 elsewhere: the
    last tag is repeated, which costs and changes nothing. So what reads the potentials needs no mask.

    Errors: a ValueError when the emissions are not for num_tags tags.

    Differs from the paper: nothing; start and end of a sentence are scored as in Lample et al.

    Example:
        >>> import numpy as np
        >>> layer, mask = CRF(2), np.array([[True, True, True, False]])
        >>> potentials = layer(np.array([[[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 9.0]]]), mask)
        >>> tags, score = layer.viterbi(potentials)
        >>> tags.numpy().tolist(), score.numpy().tolist()
        ([[0, 1, 0, 0]], [6.0])

    Reference: Lafferty et al. 2001, "Conditional random fields"; Lample et al. 2016, arXiv:1603.01360,
    section 2.2; Ma and Hovy 2016, arXiv:1603.01354, section 2.3
    """

    def __init__(self, num_tags: int, **kwargs):
        super().__init__(autocast=False, **kwargs)  # log-scores of whole sentences need float32
        self.num_tags = num_tags

    def build(self, emissions_shape, padding_mask_shape=None):
        if emissions_shape[-1] != self.num_tags:
            raise ValueError(
                f"emissions have {emissions_shape[-1]} scores a word, not num_tags {self.num_tags}"
            )
        # Zeros: a CRF starts as the softmax of each word alone, and learns what the tags say about each other.
        for name, shape in {
            "transitions": (self.num_tags, self.num_tags),
            "start": (self.num_tags,),
            "end": (self.num_tags,),
        }.items():
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer="zeros", autocast=False))

    def call(self, emissions, padding_mask=None):
        length = ops.shape(emissions)[1]
        weights = (self.transitions, self.start, self.end)
        transitions, start, end = (float32(ops.convert_to_tensor(w)) for w in weights)
        first = ops.reshape(ops.equal(ops.arange(length), 0), (1, length, 1, 1))
        scores = ops.where(first, start, transitions)  # (1, S, K, K)
        if padding_mask is None:
            padding_mask = ops.ones(ops.shape(emissions)[:2], "bool")
        following = ops.concatenate([padding_mask[:, 1:], ops.zeros_like(padding_mask[:, :1])], axis=1)
        last = ops.expand_dims(ops.logical_and(padding_mask, ops.logical_not(following)), -1)
        emissions = float32(emissions) + ops.where(last, end, 0.0)
        potentials = scores + ops.expand_dims(emissions, 2)
        repeat = (1.0 - ops.eye(self.num_tags, dtype="float32")) * NEVER
        return ops.where(ops.expand_dims(ops.expand_dims(padding_mask, -1), -1), potentials, repeat)

    def log_likelihood(self, potentials, tags, counts=None):
        """See the function of this name."""
        return log_likelihood(potentials, tags, counts)

    def viterbi(self, potentials):
        """See the function of this name."""
        return viterbi(potentials)

    def compute_output_shape(self, emissions_shape, padding_mask_shape=None):
        return (*emissions_shape, self.num_tags)

    def compute_output_spec(self, emissions, padding_mask=None):
        return keras.KerasTensor(self.compute_output_shape(emissions.shape), dtype="float32")

    def get_config(self):
        return {**super().get_config(), "num_tags": self.num_tags}


def log_likelihood(potentials, tags, counts=None):
    """log p(y | x) of one sequence of tags a row.

    Args:
        potentials: (B, S, K, K).
        tags: y, (B, S) int in 0..K-1; at padding anything in this range.
        counts: (B, S) bool, True at words; all by default.

    Returns: (B,) float32.
    """
    return path_score(potentials, tags, counts) - log_partition(potentials)


def path_score(potentials, tags, counts=None):
    """`sum_t phi_t(y_{t-1}, y_t)`: (B,), with the arguments of `log_likelihood`."""
    size, length = potentials.shape[-1], ops.shape(potentials)[1]
    before = ops.concatenate([ops.zeros_like(tags[:, :1]), tags[:, :-1]], axis=1)
    pairs = ops.reshape(potentials, (-1, length, size * size))
    scores = ops.squeeze(ops.take_along_axis(pairs, ops.expand_dims(before * size + tags, -1), axis=-1), -1)
    return ops.sum(scores if counts is None else ops.where(counts, scores, 0.0), axis=1)


def log_partition(potentials):
    """log Z, over all sequences of tags: (B, S, K, K) -> (B,)."""
    size = potentials.shape[-1]
    nothing_yet = ops.where(ops.equal(ops.arange(size), 0), 0.0, NEVER)
    start = ops.zeros_like(potentials[:, 0, 0]) + nothing_yet
    alpha = keras.layers.RNN(_Forward(size), dtype="float32")(potentials, initial_state=[start])
    return ops.logsumexp(alpha, axis=-1)


def viterbi(potentials):
    """The best sequence of tags and its score; of several best ones the first in the dictionary.

    From right to left the best score of what follows each tag; from left to right the tags themselves.

    Args:
        potentials: (B, S, K, K).

    Returns: tags (B, S) int32, the last one repeated at padding; scores (B,) float32.
    """
    size = potentials.shape[-1]
    options = dict(return_sequences=True, go_backwards=True, dtype="float32")
    zeros = ops.zeros_like(potentials[:, 0, 0])
    following, best = keras.layers.RNN(_BestFollower(size), return_state=True, **options)(
        potentials, initial_state=[zeros]
    )
    # The followers come out from right to left: backwards once more is forwards.
    tags = keras.layers.RNN(_Follow(size), **options)(following, initial_state=[zeros[:, :1]])
    return ops.cast(ops.squeeze(tags, -1), "int32"), best[:, 0]


class _Cell(keras.layers.Layer):
    """One step of a recursion, without weights; its last axis is the tags."""

    def __init__(self, size: int):
        super().__init__(dtype="float32")
        self.size = self.state_size = self.output_size = size
        self.built = True


class _Forward(_Cell):
    """`alpha_t(j) = log sum_i exp(alpha_{t-1}(i) + phi_t(i, j))`."""

    def call(self, potentials, states):
        alpha = ops.logsumexp(ops.expand_dims(states[0], -1) + potentials, axis=1)
        return alpha, [alpha]


class _BestFollower(_Cell):
    """`beta_{t-1}(i) = max_j phi_t(i, j) + beta_t(j)`; the output is the j, as a float."""

    def call(self, potentials, states):
        scores, tags = ops.top_k(potentials + ops.expand_dims(states[0], 1), 1)  # of equal ones the first
        return ops.cast(ops.squeeze(tags, -1), "float32"), [ops.squeeze(scores, -1)]


class _Follow(_Cell):
    """`y_t = follower_t(y_{t-1})`."""

    def __init__(self, size: int):
        super().__init__(size)
        self.state_size = self.output_size = 1

    def call(self, following, states):
        here = ops.equal(ops.arange(self.size, dtype="float32"), states[0])  # (B, K)
        tag = ops.sum(ops.where(here, following, 0.0), axis=-1, keepdims=True)
        return tag, [tag]
