"""Small untrained tasks of every kind of model, for the tests of exports."""

from __future__ import annotations

from zoo.config import Recipe

TEXTS = [
    *("3 March 2021", "le 14 juillet 1999", "1. Mai 2004", "2021年3月3日", "二〇二一年三月", "12/31/1999"),
    *("tomorrow", "Der Hund läuft.", "ﬁne", "🙂", "🙂🇩🇪", "a", "1", "the\tcat", "  two  spaces ", "naïve"),
    *("March the third, two thousand and twenty-one", "x" * 200, "年" * 50, "", " "),
]
"""21 texts; two are far too long for `data.max_length`, one is empty."""
HIDDEN = [
    *(
        "[MASK]",
        "[MASK] March 2021",
        "le [MASK] juillet [MASK].",
        "un[MASK]able",
        "2021年[MASK]月3日",
        "a [MASK]",
    ),
    *(
        "[MASK][MASK]",
        "[MASK] [MASK] 🙂[MASK]",
        "a\n[MASK] b\n [MASK]\tc",
        "  [MASK]  [MASK]\n",
        "[mask] [MASK",
    ),
    *("the end is [MASK]", "3 March 2021 " * 5 + "[MASK] and [MASK]", "Der [MASK] läuft. Der Hund [MASK]."),
]
"""More of them for what is filled in; one has its [MASK] where nothing is read any more."""
LABELS = ["bad", "good", "中性"]

DATA = {
    "language_modeling": "tinyshakespeare",
    "masked_language_modeling": "tinyshakespeare",
    "classification": "sst2",
    "tagging": "ud_ewt",
    "translation": "dates",
}
SUBWORDS = {"name": "sentencepiece", "vocabulary_size": 320}
TOKENIZERS = {
    "language_modeling": {"name": "character"},
    "masked_language_modeling": {**SUBWORDS, "normalization": "nmt_nfkc_cf"},
    "tagging": {"name": "word"},
}
DECODE = {
    "language_modeling": {"max_length": 9, "temperature": 0.8, "top_k": 40, "top_p": 0.95},
    "translation": {"beams": 3, "max_length": 12},
}

RECURRENT = {"embedding_dim": 12, "units": 16}
ATTENTIVE = {"hidden_dim": 16, "intermediate_dim": 32, "num_heads": 2}
ENCODER_DECODER = {**ATTENTIVE, "num_encoder_layers": 1, "num_decoder_layers": 2}

FAST = {
    "rnn_language_model": {**RECURRENT, "cell": "gru", "num_layers": 2},
    "rnn_classifier": {**RECURRENT, "num_layers": 2},
    "rnn_tagger": {**RECURRENT, "character_dim": 8, "crf": True},
    "rnn_seq2seq": RECURRENT,
    "transformer": ENCODER_DECODER,
    "gpt": {**ATTENTIVE, "num_layers": 2, "positions": "rotary", "attention_window": 6},
    "bert": {**ATTENTIVE, "num_layers": 2, "positions": "learned"},
}
"""One of each family."""


def _variants():
    for cell in ("simple_rnn", "lstm", "gru"):
        yield f"rnn_language_model {cell}", {**RECURRENT, "cell": cell}
        yield f"rnn_classifier {cell}", {**RECURRENT, "cell": cell, "pooling": "last"}
        yield f"rnn_tagger {cell}", {**RECURRENT, "cell": cell}
        yield f"rnn_seq2seq {cell}", {**RECURRENT, "cell": cell, "attention": "none"}
    yield "rnn_language_model tied", {**RECURRENT, "tie_embeddings": True}
    yield "rnn_classifier one way", {**RECURRENT, "bidirectional": False, "pooling": "mean"}
    yield "rnn_tagger crf of words", {**RECURRENT, "crf": True, "bidirectional": False}
    for attention in ("bahdanau", "luong_dot", "luong_general", "luong_concat"):
        feeding = attention != "bahdanau"
        yield (
            f"rnn_seq2seq {attention}",
            {**RECURRENT, "attention": attention, "input_feeding": feeding, "num_encoder_layers": 2},
        )
    for positions in ("sinusoidal", "learned", "rotary", "alibi", "t5", "transformer_xl", "none"):
        yield f"transformer {positions}", {**ENCODER_DECODER, "positions": positions}
        yield f"gpt {positions}", {**ATTENTIVE, "num_layers": 2, "positions": positions}
        yield f"transformer_classifier {positions}", {**ATTENTIVE, "num_layers": 2, "positions": positions}
    yield (
        "transformer rms geglu grouped",
        {
            **ENCODER_DECODER,
            "normalization": "rms",
            "activation": "geglu",
            "num_key_value_heads": 1,
        },
    )
    yield "transformer batch post", {**ENCODER_DECODER, "normalization": "batch", "normalize_first": False}
    yield (
        "transformer_classifier swiglu",
        {**ATTENTIVE, "num_layers": 1, "activation": "swiglu", "pooling": "max"},
    )
    yield (
        "transformer_tagger rotary gelu",
        {**ATTENTIVE, "num_layers": 2, "positions": "rotary", "activation": "gelu"},
    )
    yield "bert", {**ATTENTIVE, "num_layers": 2, "positions": "learned"}
    yield "xlnet", {**ATTENTIVE, "num_layers": 2}
    yield "textcnn", {"embedding_dim": 12, "num_filters": 6}


VARIANTS = dict(_variants())
"""Name of a model and what is special -> its section."""


def texts_of(task) -> list[str]:
    return TEXTS + HIDDEN if task.fills else TEXTS


def make_task(name: str, section: dict | None = None, **sections):
    """Untrained, with weights so large that each text has an answer of its own.

    Args:
        name: of a model, words behind it are for people.
        section: its section (default: that of `FAST`).
        sections: other sections of the recipe than those for all.
    """
    from zoo.config.recipe import MODEL_SECTIONS
    from zoo.data.tokenizers import train_tokenizer
    from zoo.tasks import TASKS, build_task

    model = name.split()[0]
    kind = MODEL_SECTIONS[model].task
    recipe = Recipe.model_validate(
        {
            "name": f"test/{model}",
            "task": kind,
            "data": {"name": DATA[kind], "max_length": 32},
            "tokenizer": SUBWORDS if model == "transformer_tagger" else TOKENIZERS.get(kind, SUBWORDS),
            "model": {"name": model, **(FAST[name] if section is None else section)},
            "train": {"steps": 1, "batch_tokens": 64, "learning_rate": 1e-3},
            "decode": DECODE.get(kind, {}),
            **sections,
        }
    )
    labels = LABELS if TASKS[kind].needs_labels else None
    task = build_task(recipe, train_tokenizer(recipe.tokenizer, TEXTS * 3), labels)
    for variable in task.model.trainable_variables:
        # Recurrent kernels stay orthogonal: three times as large, a plain network makes of a rounding error of
        # 1e-7 a thousandth in 30 steps, in Python as in any file. So do two layers of attention whose scores,
        # products of queries and keys, are nine times as large.
        if not variable.path.endswith(("recurrent_kernel", "query/kernel", "key/kernel")):
            variable.assign(variable * 3.0)
    know_texts(task)
    return task


def know_texts(task) -> None:
    """Batch normalisation gets the averages of `TEXTS`, as training leaves them: with others it normalises
    nothing, and what grows from layer to layer drowns the differences between texts."""
    from zoo.layers.normalization import MaskedBatchNormalization

    norms = [layer for layer in task.model._flatten_layers() if isinstance(layer, MaskedBatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0
    if norms:
        inputs, _ = task.examples(TEXTS, TEXTS)
        task.model(inputs, training=True)
