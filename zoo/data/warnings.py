"""What about data is probably not meant, in plain words: one line each, with an example and what to do.

`zoo data` and `zoo train` say the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from zoo.config import Recipe
from zoo.config.data import Generated
from zoo.config.tasks import STREAMS
from zoo.data.datasets import ANSWERS, Dataset, Split
from zoo.data.encoded import Encoded, Rows
from zoo.data.tokenizers import UNK, Tokenizer
from zoo.data.words import split_words

UNKNOWN, UNKNOWN_WORDS = 0.01, 0.15
"""Share of <unk> from which on we warn; of whole words some are always unknown."""
ONE_WORD = 0.8
"""Share of texts that are one word each, from which on a tokenizer of words is what is wrong."""
SAME, SHARED, TOO_LONG = 0.05, 0.05, 0.05
"""Share of rows with equal sides; of rows that another split has too; of rows that are left out."""
LINE_BYTES = 30
"""A line of a document that is shorter may stand in any other."""
SHOWN, WIDTH, LOOKED_AT = 5, 40, 2000
"""Examples of unknown words; characters of an example; texts that are searched for them."""


def data_warnings(
    recipe: Recipe, dataset: Dataset, encoded: Mapping[str, Encoded], tokenizer: Tokenizer, too_long: int
) -> list[str]:
    """All warnings.

    Args:
        dataset: its own warnings come first.
        encoded: its splits as ids, train and val at least.
        too_long: training rows that are left out, for they are longer than `data.max_length`.
    """
    found = [
        *_unknown(recipe, dataset, encoded, tokenizer),
        *_same_sides(recipe, dataset.train),
        *_shared(recipe.task, dataset.splits()),
        *_too_long(recipe, len(dataset.train), too_long),
    ]
    return [*dataset.report.warnings, *found]


def unknown_rate(encoded: Encoded, side: str) -> float:
    """Share of <unk> among the tokens of a side."""
    ids = side_of(encoded, side).ids
    return float((ids == UNK).mean()) if len(ids) else 0.0


def side_of(encoded: Encoded, side: str) -> Rows:
    """The ids of `source` or `target`."""
    return encoded.sources if side == "source" else encoded.targets


def sides_of(task: str) -> tuple[str, ...]:
    """The sides that are text."""
    return ("source", "target") if task == "translation" else ("source",)


def _unknown(
    recipe: Recipe, dataset: Dataset, encoded: Mapping[str, Encoded], tokenizer: Tokenizer
) -> Iterator[str]:
    """A word that no training text leaves unknown is <unk> for the first time when it matters."""
    tagging, whole = recipe.task == "tagging", tokenizer.whole_words
    for side in sides_of(recipe.task):
        train, val = (unknown_rate(encoded[name], side) for name in ("train", "val"))
        limit = UNKNOWN_WORDS if whole and train else UNKNOWN
        # Of a tagger unknown words are ordinary, once it has met some: characters tell their tags.
        if max(train, val) <= limit or (tagging and train):
            continue
        said = f"{val:.1%} of the {side} tokens of val are unknown to the tokenizer"
        examples = _examples(dataset.val if val else dataset.train, side, tokenizer)
        such = f", such as {examples}" if examples else ""
        alone = _one_word(dataset.train, side) if whole and not tagging else 0.0
        if alone >= ONE_WORD:
            yield (
                f"{said}{such}: {alone:.0%} of the training texts are one word, for the tokenizer splits at blanks "
                "alone: set tokenizer.name: character, or sentencepiece"
            )
            continue
        if not train:
            remedy = "lower tokenizer.vocabulary_size, so that rare words are <unk> there too"
            said += f", but none of train, so that the model never learns what <unk> means{such}: {remedy}"
        else:
            said += f" ({train:.1%} of train){such}: raise tokenizer.vocabulary_size"
        yield said + ("" if tagging else ", or use sentencepiece with byte_fallback")


def _one_word(split: Split, side: str) -> float:
    """The share of texts without a blank inside, as Chinese is written."""
    texts = (split.sources if side == "source" else split.targets)[:LOOKED_AT]
    return sum(len(text.split(maxsplit=1)) == 1 for text in texts) / len(texts)


def _examples(split: Split, side: str, tokenizer: Tokenizer) -> str:
    """The most frequent unknown words, or characters where tokens are parts of words."""
    parts = split_words if tokenizer.whole_words else list
    texts = (split.sources if side == "source" else split.targets)[:LOOKED_AT]
    counts = Counter(part for text in texts for part in parts(text[:1_000_000]))
    unknown = (
        part for part, _ in counts.most_common() if not part.isspace() and UNK in tokenizer.encode(part)
    )
    return ", ".join(f"'{_short(part)}'" for part, _ in zip(unknown, range(SHOWN), strict=False))


def _same_sides(recipe: Recipe, train: Split) -> Iterator[str]:
    """Equal sides are left to a generated ISO date, which is its own answer, and to whoever asks for copies."""
    meant = isinstance(recipe.data, Generated) or getattr(recipe.data, "target", None) == "copy"
    if recipe.task != "translation" or meant:
        return
    same = [source for source, target in train if source == target]
    if len(same) > SAME * len(train):
        yield (
            f"{len(same) / len(train):.1%} of the training rows have the same text on both sides, such as "
            f"'{_short(same[0])}': is that meant? A model learns to copy from them; take out what is not translated"
        )


def _shared(task: str, splits: Mapping[str, Split]) -> Iterator[str]:
    """What a model has seen in training, or what settings were chosen by, is no measure of it."""
    for one, other in (("val", "train"), ("test", "train"), ("test", "val")):
        if one not in splits or other not in splits:
            continue
        found = (_shared_text if task in STREAMS else _shared_rows)(task, splits[one], splits[other])
        if found:
            count, example, rest = found
            yield (
                f"{one} shares {count} with {other}, such as '{_short(example)}'{rest}: figures on {one} come out "
                f"too good; take them out of {other}"
            )


def _shared_rows(task: str, one: Split, other: Split) -> tuple[str, str, str] | None:
    known = set(other.sources)
    there = [row for row in one if row[0] in known]
    if len(there) <= SHARED * len(one):
        return None
    pairs = set(other)
    equal = sum(row in pairs for row in there)
    what = {"tagging": "tags"}.get(task) or ANSWERS.get(task, "target")
    return (
        f"{len(there):,} of its {len(one):,} texts ({len(there) / len(one):.1%})",
        there[0][0],
        f" ({equal:,} of them with the same {what} too)",
    )


def _shared_text(task: str, one: Split, other: Split) -> tuple[str, str, str] | None:
    """Of documents the lines count: one file may be a part of another."""
    known = {line for text in other.sources for line in _lines(text)}
    lines = [line for text in one.sources for line in _lines(text)]
    there = [line for line in lines if line in known]
    share = sum(map(len, there)) / max(sum(map(len, one.sources)), 1)
    if share <= SHARED:
        return None
    return f"{len(there):,} of its {len(lines):,} longer lines ({share:.1%} of its text)", there[0], ""


def _lines(text: str) -> Iterator[str]:
    return (line for line in text.split("\n") if len(line.encode("utf-8", "replace")) >= LINE_BYTES)


def _too_long(recipe: Recipe, rows: int, too_long: int) -> Iterator[str]:
    if too_long > TOO_LONG * rows:
        yield (
            f"{too_long / rows:.1%} of the training rows have more tokens than data.max_length "
            f"({recipe.data.max_length}) and are left out: raise it, or use longer pieces"
        )


def _short(text: str) -> str:
    text = " ".join(text.split()) or text
    return text if len(text) <= WIDTH else f"{text[:WIDTH]}…"
