"""What must hold between the keys of a recipe, as data: where, when it is broken, and what to do.

pydantic checks each key by itself; a rule here looks at several. `says` is formatted with the recipe as `r`.
An error stops the recipe; a warning is printed and the run goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from zoo.config import data as d
from zoo.config import decoding_rules as decoding
from zoo.config.conditions import (
    chinese,
    columns,
    distinct_numbers,
    learned,
    missing_column,
    no_test_split,
    objective,
    odd_heads,
    same_file,
    unknown_encoding,
)
from zoo.config.convolution import TextCNN
from zoo.config.masking import Masking
from zoo.config.metrics import METRICS
from zoo.config.recipe import Recipe
from zoo.config.rnn import Recurrent, RNNSeq2Seq, RNNTagger
from zoo.config.rule import Rule
from zoo.config.tasks import (
    COLUMNS,
    STREAMS,
    columns_of_other_task,
    target_of_other_task,
    tasks_of_data,
)
from zoo.config.tokenizer import Pretrained, SentencePiece, Word
from zoo.config.training import BETAS
from zoo.config.transformer import Attentive

SMALLEST_SUBWORDS = 300
"""Of which 4 are special, 256 bytes, and the rest is left for the text itself."""


def errors(recipe: Recipe, whole: bool = True) -> Iterator[tuple[str, str]]:
    """(key, message) of each broken rule; where a recipe is not whole, not those about absent keys."""
    yield from _broken(ERRORS, recipe, whole)


def warnings(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """(key, message) of what is probably not meant."""
    yield from _broken(WARNINGS, recipe, True)


def _broken(rules: list[Rule], recipe: Recipe, whole: bool) -> Iterator[tuple[str, str]]:
    for rule in rules:
        try:
            if rule.broken(recipe):
                yield rule.key, rule.message(recipe)
        except AttributeError:
            if whole:
                raise


NAME = re.compile(r"(?!\.)[\w.+-]+(/(?!\.)[\w.+-]+)*")

ERRORS = [
    Rule(
        "name",
        lambda r: not NAME.fullmatch(r.name),
        "'{r.name}' names no run folder: use letters, digits, '-', '_', '.', with '/' between parts",
    ),
    # the task, and what fits it
    Rule(
        "model.name",
        lambda r: r.model.task != r.task,
        "{r.model.name} does not do {r.task}: use {models}",
    ),
    Rule(
        "data.name",
        lambda r: r.task not in tasks_of_data(r),
        "{r.data.name} is no data set for {r.task}: choose another, or change `task`",
    ),
    Rule(
        "data.target",
        target_of_other_task,
        "{r.data.target} is not for {r.task}: language models take next, translation copy or reverse",
    ),
    Rule(
        "train.metric",
        lambda r: r.train.metric is not None and r.train.metric not in METRICS[r.task],
        "{r.train.metric} does not measure {r.task}{meant} use one of {metrics}",
    ),
    Rule(
        "expect.metric",
        lambda r: r.expect is not None and r.expect.metric not in METRICS[r.task],
        "{r.expect.metric} does not measure {r.task}{meant} use one of {metrics}",
    ),
    Rule(
        "expect.split",
        lambda r: r.expect is not None and r.expect.split == "test" and no_test_split(r),
        "this data has no test split: use val",
    ),
    Rule(
        "tokenizer.sampling",
        lambda r: (
            getattr(r.tokenizer, "sampling", None) is not None
            and r.task not in ("translation", "classification")
        ),
        "is for translation and classification, not for {r.task}: remove it",
    ),
    # data
    Rule(
        "data.buckets",
        lambda r: r.data.buckets and max(r.data.buckets) >= r.data.max_length,
        "each must be below data.max_length ({r.data.max_length}), which is the last bucket by itself",
    ),
    Rule(
        "data.target",
        lambda r: isinstance(r.data, d.Multi30k | d.TatoebaEnZh) and r.data.source == r.data.target,
        "source and target are both '{r.data.target}': choose two languages",
    ),
    Rule(
        "data.target",
        lambda r: isinstance(r.data, d.UDEWT | d.CoNLLU) and r.data.source == r.data.target,
        "source and target are both '{r.data.target}': choose two columns",
    ),
    Rule(
        "data.languages",
        lambda r: isinstance(r.data, d.Generated) and len(set(r.data.languages)) < len(r.data.languages),
        "a language stands twice: name each once",
    ),
    Rule(
        "data.train",
        lambda r: (
            isinstance(r.data, d.Numbers) and r.data.train + r.data.val + r.data.test > distinct_numbers(r)
        ),
        "train, val and test together ask for more examples than there are numbers up to {r.data.max_value} "
        "in these languages: raise data.max_value or ask for fewer",
    ),
    *(
        Rule(
            key,
            unknown_encoding(split),
            f"unknown encoding '{{r.{key}}}': use utf-8, gb18030, latin-1 or another that Python knows",
        )
        for key, split in {
            "data.encoding": None,
            **{f"data.encoding.{s}": s for s in d.Encodings.model_fields},
        }.items()
    ),
    Rule("data.val", same_file("train", "val"), "is the training file: give a file of other examples"),
    Rule("data.test", same_file("train", "test"), "is the training file: give a file of other examples"),
    Rule("data.test", same_file("val", "test"), "is the validation file: give a file of other examples"),
    *(
        Rule(
            f"data.columns.{key}",
            missing_column(key),
            f"missing; {task} needs the columns {' and '.join(keys)}: give a number from 0, or a name",
        )
        for task, keys in COLUMNS.items()
        for key in keys
    ),
    Rule(
        "data.columns",
        columns_of_other_task,
        "{r.task} reads other columns: give source and target for translation, else text and label",
    ),
    Rule(
        "data.columns",
        lambda r: len(columns(r)) == 2 and len(set(columns(r))) == 1,
        "the same column is named twice: name two",
    ),
    Rule(
        "data.columns",
        lambda r: any(isinstance(column, int) and column < 0 for column in columns(r)),
        "columns are counted from 0: no number may be below",
    ),
    Rule(
        "data.columns",
        lambda r: isinstance(r.data, d.JSONL) and any(isinstance(column, int) for column in columns(r)),
        "fields of JSON objects have names, not numbers: give the names",
    ),
    Rule(
        "data.columns",
        lambda r: (
            isinstance(r.data, d.TSV | d.CSV)
            and not r.data.header
            and any(isinstance(column, str) for column in columns(r))
        ),
        "names need a first line that holds them: set data.header: true, or give numbers from 0",
    ),
    # tokenizer
    Rule(
        "tokenizer.vocabulary_size",
        lambda r: (
            isinstance(r.tokenizer, SentencePiece)
            and r.tokenizer.byte_fallback
            and r.tokenizer.vocabulary_size < SMALLEST_SUBWORDS
        ),
        "{r.tokenizer.vocabulary_size} pieces cannot hold 256 bytes, 4 special pieces and the text's own: "
        f"give at least {SMALLEST_SUBWORDS}, or set tokenizer.byte_fallback: false",
    ),
    Rule(
        "tokenizer.name",
        lambda r: isinstance(r.model, RNNTagger) and not isinstance(r.tokenizer, Word | Pretrained),
        "{r.model.name} reads one id a word, {r.tokenizer.name} gives several: use word, or transformer_tagger",
    ),
    # model
    Rule(
        "model.num_heads",
        lambda r: isinstance(r.model, Attentive) and r.model.hidden_dim % r.model.num_heads,
        "{r.model.num_heads} heads do not divide model.hidden_dim ({r.model.hidden_dim}): use a divisor",
    ),
    Rule(
        "model.num_key_value_heads",
        lambda r: (
            isinstance(r.model, Attentive)
            and r.model.num_key_value_heads is not None
            and r.model.num_heads % r.model.num_key_value_heads
        ),
        "{r.model.num_key_value_heads} heads of keys and values cannot be shared evenly by "
        "{r.model.num_heads} (model.num_heads): use a divisor",
    ),
    Rule(
        "model.hidden_dim",
        lambda r: (
            isinstance(r.model, Attentive)
            and r.model.positions in ("sinusoidal", "transformer_xl")
            and r.model.hidden_dim % 2
        ),
        "{r.model.hidden_dim} is odd, but positions are pairs of sine and cosine: use an even width",
    ),
    Rule(
        "model.positions",
        odd_heads,
        "rotary turns pairs of numbers, but model.hidden_dim / model.num_heads is odd: "
        "change one of them, or use other positions",
    ),
    Rule(
        "model.max_sequence_length",
        lambda r: learned(r) and r.model.max_sequence_length < r.data.max_length,
        "{r.model.max_sequence_length} learned positions are too few for data.max_length "
        "({r.data.max_length}): raise it, or use other positions",
    ),
    Rule(
        "model.positions",
        lambda r: learned(r) and r.task == "tagging",
        "learned positions end, and a tagger reads every word of a text however long: use others",
    ),
    Rule(
        "decode.max_length",
        lambda r: (
            learned(r)
            and r.task in ("translation", "language_modeling")
            and (r.decode.max_length or 0) > r.model.max_sequence_length
        ),
        "{r.decode.max_length} is beyond the learned positions (model.max_sequence_length "
        "{r.model.max_sequence_length}): raise those, or lower it",
    ),
    Rule(
        "model.units",
        lambda r: isinstance(r.model, RNNSeq2Seq) and not r.model.encoder_units and r.model.units % 2,
        "{r.model.units} is odd, but each direction of the encoder has half of it: use an even number",
    ),
    Rule(
        "model.encoder_units",
        lambda r: isinstance(r.model, RNNSeq2Seq) and (r.model.encoder_units or 0) % 2,
        "{r.model.encoder_units} is odd, but each direction has half of it: use an even number",
    ),
    Rule(
        "model.encoder_units",
        lambda r: (
            isinstance(r.model, RNNSeq2Seq)
            and r.model.attention == "luong_dot"
            and r.model.encoder_units not in (None, r.model.units)
        ),
        "luong_dot compares states of one width, model.units ({r.model.units}): leave it out, or use luong_general",
    ),
    Rule(
        "model.input_feeding",
        lambda r: (
            isinstance(r.model, RNNSeq2Seq)
            and r.model.input_feeding
            and not r.model.attention.startswith("luong")
        ),
        "feeds Luong's attentional vector, which attention '{r.model.attention}' does not have: "
        "set model.attention to luong_general or another luong, or this to false",
    ),
    Rule(
        "model.recurrent_dropout",
        lambda r: (
            isinstance(r.model, Recurrent) and r.model.rnn_kernel == "cudnn" and r.model.recurrent_dropout > 0
        ),
        "cuDNN kernels have no recurrent dropout: set it to 0, or model.rnn_kernel to auto or xla",
    ),
    Rule(
        "model.kernel_sizes",
        lambda r: isinstance(r.model, TextCNN) and max(r.model.kernel_sizes) > r.data.max_length,
        "a filter is wider than the longest text (data.max_length {r.data.max_length}): use narrower ones",
    ),
    Rule(
        "train.label_smoothing",
        lambda r: isinstance(r.model, RNNTagger) and r.model.crf and r.train.label_smoothing > 0,
        "a CRF scores whole sequences of tags, which cannot be smoothed: set it to 0, or model.crf: false",
    ),
    # masking
    Rule(
        "masking",
        lambda r: r.task != "masked_language_modeling" and r.masking != Masking(),
        "a {role} hides no tokens: remove this section",
    ),
    Rule(
        "masking.random",
        lambda r: r.masking.replaced + r.masking.random > 1.0 + 1e-9,
        "with masking.replaced ({r.masking.replaced:g}) it is more than all hidden tokens: lower one of them",
    ),
    Rule(
        "masking.span_length",
        lambda r: r.masking.unit != "span" and r.masking.span_length != Masking().span_length,
        "only spans have it: set masking.unit: span, or remove it",
    ),
    Rule(
        "masking.phrases",
        lambda r: r.masking.unit != "phrase" and r.masking.phrases is not None,
        "they are hidden by masking.unit: phrase alone: set that, or remove them",
    ),
    Rule(
        "masking.random",
        lambda r: (
            objective(r) == "permutation"
            and (r.masking.replaced, r.masking.random) != (Masking().replaced, Masking().random)
        ),
        "{r.model.name} learns by the order in which tokens are asked for and replaces none: "
        "remove masking.replaced and masking.random",
    ),
    # training
    Rule(
        "train.batch_tokens",
        lambda r: r.train.batch_tokens < r.data.max_length,
        "{r.train.batch_tokens} tokens cannot hold one text of data.max_length ({r.data.max_length}): "
        "give at least that many",
    ),
    Rule(
        "train.weight_decay",
        lambda r: r.train.optimizer == "adam" and r.train.weight_decay > 0,
        "adam has no weight decay: use adamw (train.optimizer: adamw)",
    ),
    Rule(
        "train.beta_2",
        lambda r: r.train.optimizer not in BETAS and r.train.beta_2 is not None,
        "{r.train.optimizer} has no such moment: remove it (adam, adamw and lion have it)",
    ),
    Rule(
        "train.momentum",
        lambda r: r.train.optimizer != "sgd" and r.train.momentum > 0,
        "{r.train.optimizer} has moments of its own: remove it (it is for train.optimizer: sgd)",
    ),
    Rule(
        "train.xla",
        lambda r: r.train.xla is True and getattr(r.model, "rnn_kernel", None) == "cudnn",
        "XLA cannot compile cuDNN kernels: set train.xla: false, or model.rnn_kernel: xla",
    ),
    *decoding.ERRORS,
    Rule(
        "export.beams",
        lambda r: (
            r.export.beams is not None
            and r.task != "translation"
            and (r.task not in decoding.WRITERS or decoding.draws(r))
        ),
        "there are beams only where an answer is searched for: remove it",
    ),
]

WARNINGS = [
    Rule(
        "train.warmup",
        lambda r: r.train.warmup_steps > r.train.steps,
        "the warm-up of {r.train.warmup} steps is longer than train.steps ({r.train.steps}): "
        "the learning rate never reaches its height",
    ),
    Rule(
        "train.warmup",
        lambda r: r.train.schedule == "inverse_sqrt" and r.train.warmup_steps == 0,
        "inverse_sqrt falls from the end of the warm-up, and there is none: set train.warmup, such as 0.1",
    ),
    Rule(
        "train.learning_rate",
        lambda r: (
            isinstance(r.model, Attentive) and r.train.learning_rate > 1e-3 and r.train.warmup_steps == 0
        ),
        "{r.train.learning_rate:g} is high for a Transformer without warm-up: set train.warmup",
    ),
    Rule(
        "train.learning_rate",
        lambda r: r.train.learning_rate >= 0.1 and r.train.optimizer != "sgd",
        "{r.train.learning_rate:g} is far above what {r.train.optimizer} bears: 0.001 is usual",
    ),
    Rule(
        "train.validate_every",
        lambda r: r.train.validate_every > r.train.steps,
        "validates only at the end, after train.steps ({r.train.steps})",
    ),
    Rule(
        "train.save_every",
        lambda r: r.train.save_every > r.train.steps,
        "saves only at the end, after train.steps ({r.train.steps}): a run that is killed starts anew",
    ),
    Rule(
        "train.patience",
        lambda r: r.train.patience is not None and r.train.patience * r.train.validate_every > r.train.steps,
        "{r.train.patience} validations do not fit into train.steps ({r.train.steps}): it never stops early",
    ),
    Rule(
        "tokenizer.name",
        lambda r: isinstance(r.tokenizer, Word) and chinese(r),
        "word splits at spaces, which Chinese does not write: use sentencepiece or character",
    ),
    Rule(
        "tokenizer.name",
        lambda r: isinstance(r.tokenizer, Word) and r.task == "language_modeling",
        "word splits at spaces alone: a line break stays glued to the words beside it, and several spaces "
        "become one; sentencepiece or character keep the text as it is",
    ),
    Rule(
        "tokenizer.normalization",
        lambda r: (
            r.task == "language_modeling" and getattr(r.tokenizer, "normalization", "identity") != "identity"
        ),
        "{r.tokenizer.normalization} makes line breaks spaces: use identity to keep the text as it is",
    ),
    Rule(
        "data.buckets",
        lambda r: r.task in STREAMS and r.data.buckets,
        "all windows of a language model have data.max_length ({r.data.max_length}): no effect",
    ),
    *decoding.WARNINGS,
]
