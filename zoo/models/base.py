"""What the rest of the zoo asks of a model.

Every model is a plain `keras.Model` that takes a dict of integer ids and derives its masks from
them, so that nothing has to travel beside the ids. Padding is 0, on the right.

| kind | inputs | outputs |
| --- | --- | --- |
| `Classifier` | token_ids (B, S) | logits (B, C) |
| `Tagger` | token_ids (B, S), character_ids (B, S, W) | scores, see `Tagger` |
| `LanguageModel` | token_ids (B, T) | logits (B, T, V) of the token after each |
| `MaskedLanguageModel` | token_ids (B, S), places (B, K), order (B, S) | logits (B, K, V) of hidden tokens |
| `Seq2Seq` | encoder_token_ids (B, S), decoder_token_ids (B, T) | logits (B, T, V) |

What writes text (`LanguageModel`, `Seq2Seq`) has three methods for decoding, which give the same
logits one at a time; the search knows no other difference between the models:

- `encode(token_ids) -> memory`: a dict of tensors, batch first; it does not change while decoding.
- `init_cache(memory, length) -> cache`: a nest of tensors, batch first; it changes with each step.
- `step(token, position, cache, memory) -> logits, cache`: token (B,), logits (B, V).

A search that follows N hypotheses of each row begins with `fan_out(memory, length, beams) -> memory, cache`, after
which `step` takes and gives N rows for each, and calls `reorder(cache, rows)` where hypotheses go on from others.

A language model whose cache is a state of fixed size (`carries_state`) also goes on with it for a whole window at once:
`carry(token_ids, cache) -> x, cache`, x as `before_logits` gives it.
"""

from __future__ import annotations

import keras
from keras import ops

from zoo.errors import UserError
from zoo.layers.heads import output_scores
from zoo.training.losses import MaskedCrossEntropy


class ZooModel(keras.Model):
    """A model built by keywords, which are its config: `type(model)(**model.get_config())`."""

    input_ranks: dict[str, int] = {}
    """Name of each input -> number of its axes."""

    def __init__(self, *, name=None, dtype=None, trainable=True, **keywords):
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.keywords = keywords

    def get_config(self):
        return {**super().get_config(), **self.keywords}

    def build_from_ids(self):
        """Create all weights, by shapes alone."""
        if not self.built:
            self.build({name: (None,) * rank for name, rank in self.input_ranks.items()})
        return self

    def make_loss(self, label_smoothing: float = 0.0):
        """What is minimised: a `keras.losses.Loss` that also has `total(labels, outputs)`."""
        return MaskedCrossEntropy(label_smoothing)


class VocabularyModel(ZooModel):
    """Its outputs are scores of all tokens of a vocabulary; takes the keyword `vocabulary_size`.

    The last product, `logits = x E^T + b`, is by far the largest of a model. Of a model that has it apart from the
    rest the loss can be known without holding all logits of a batch (zoo/training/vocabulary_loss.py):

    - `before_logits(inputs, training) -> x`: (..., D), what the output layer reads.
    - `output_matrix() -> E, b`: (V, D) and (V,).
    """

    @property
    def vocabulary_size(self) -> int:
        return self.keywords.get("vocabulary_size", 0)

    def call(self, inputs, training=None):
        return self.logits(self.before_logits(inputs, training=training))

    def logits(self, x):
        """Scores of all tokens, (..., V), float32."""
        matrix, bias = self.output_matrix()
        return output_scores(x, ops.transpose(ops.convert_to_tensor(matrix)), bias)


class Decodes:
    """What writes text token by token; see the module for the protocol."""

    def encode(self, token_ids):
        raise NotImplementedError

    def init_cache(self, memory, length: int):
        raise NotImplementedError

    def step(self, token, position, cache, memory):
        raise NotImplementedError

    def fan_out(self, memory, length: int, beams: int):
        """What `beams` hypotheses of each row read, and their caches."""
        memory = keras.tree.map_structure(lambda x: ops.repeat(x, beams, axis=0), memory)
        return memory, self.init_cache(memory, length)

    def reorder(self, cache, rows):
        """The caches of the hypotheses `rows` (R,), in this order."""
        return keras.tree.map_structure(lambda x: ops.take(x, rows, axis=0), cache)


class Classifier(ZooModel):
    """Text -> logits of the labels; takes the keyword `num_classes`."""

    task = "classification"
    input_ranks = {"token_ids": 2}


class Tagger(ZooModel):
    """Words -> a tag for each; takes the keyword `num_classes`.

    A word is one piece or more. Its tag stands at the first, where `character_ids` hold its bytes; they are 0 at
    the others. Its outputs are logits (B, S, C), or what its loss and `best_tags` understand (a CRF's potentials).
    """

    task = "tagging"
    input_ranks = {"token_ids": 2, "character_ids": 3}

    def best_tags(self, outputs):
        """The tags that the outputs speak for: (B, S) int32; where no word begins anything."""
        raise NotImplementedError


class LanguageModel(Decodes, VocabularyModel):
    """Text -> logits of the token after each; see the module for the decoding protocol.

    `encode` of a language model keeps the prompt itself: `{"prompt": token_ids}`, right-padded; the
    search feeds its tokens to `step` one by one before it chooses any.
    """

    task = "language_modeling"
    input_ranks = {"token_ids": 2}
    longest: int | None = None
    """Tokens of the longest text that it can read; None: of any."""
    carries_state = False
    """Whether it has `carry`, so that a window can begin where another one ended."""

    def encode(self, token_ids):
        return {"prompt": token_ids}

    def carry(self, token_ids, cache):
        raise NotImplementedError


class MaskedLanguageModel(VocabularyModel):
    """Text with hidden tokens -> logits of the hidden ones; a text encoder that is trained without labels.

    K places of each text are asked for, always as many, so that the dear output layer sees no others:

    - `places` (B, K): where they stand in the text; what only fills the row up is 0 and has no label.
    - `token_ids` (B, S): the text, `MASK` at each place that nobody knows. Of a model that asks by an order
      (`objective = "permutation"`) training gives the ids themselves even at the places that are asked for.
    - `order` (B, S): 0 of all that is known from the beginning; the others are asked for in rising order, each
      seeing those before it. Equal numbers do not see each other, a place never sees itself. Where nothing is
      factorised (BERT, and a text to be filled in) it is 1 at each hidden place, and may be left unread.

    Its encoder is called `encoder` and is a `TextEncoder`, so that others can begin from it.
    """

    task = "masked_language_modeling"
    objective = "masking"
    """How training hides: "masking" (ids are replaced) or "permutation" (an order says who sees whom)."""
    input_ranks = {"token_ids": 2, "places": 2, "order": 2}


class Seq2Seq(Decodes, VocabularyModel):
    """Text -> logits of the next target token; see the module for the decoding protocol."""

    task = "translation"
    input_ranks = {"encoder_token_ids": 2, "decoder_token_ids": 2}
    alignments_are: str | None = None
    """What `alignments(inputs)` gives, (B, T, S), in words; None: there are none to show."""

    def alignments(self, inputs):
        raise UserError("this model has no alignments to show")
