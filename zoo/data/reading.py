"""One text as the ids that a model reads, with the marks its task puts around them, and rows of them padded.

Training, answering, exports and the runtime without TensorFlow all read here, so that they cannot differ.
Padding is 0 and stands on the right. A row that only fills up a batch holds one `<unk>`, for GPU kernels
refuse rows without any token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np

from zoo.data.tokenizers import BOS, EOS, MASK, UNK, Tokenizer
from zoo.data.words import WORD_BYTES, character_ids, split_words
from zoo.errors import UserError

HIDDEN = "[MASK]"
"""What a hidden token is in a text."""
BLANKS = " \t\n\r\f"
LONGEST_SENTENCE, LONGEST_PROMPT = 2048, 8192
"""Tokens that a tagger and a language model read of one text. Neither cuts it; attention to many thousand tokens
takes all memory there is, and a prompt that is read token by token hours."""
AT_ONCE = 8192
"""Tokens of the texts that are computed at once, padding included."""
Inputs = dict[str, np.ndarray]
"""Name of an input -> ids of one text (S, ...), or of a batch (B, S, ...)."""


def read(task: str, tokenizer: Tokenizer, text: str, max_length: int) -> Inputs:
    """The ids of one text, unpadded: `token_ids` (S,), of a tagger also `character_ids` (S, W)."""
    return READERS[task](tokenizer, text, max_length)


def read_text(tokenizer: Tokenizer, text: str, max_length: int) -> Inputs:
    """A text with its end mark, both within max_length; an empty text is one <unk>."""
    return {"token_ids": ended(tokenizer.encode(text) or [UNK], max_length)}


def read_prompt(tokenizer: Tokenizer, text: str, max_length: int | None = None) -> Inputs:
    """The beginning of a text, never cut, for its end is what is continued; an empty one is the begin mark.

    No begin mark else: of all windows of training only the first one of the stream may show it.
    """
    ids = within(tokenizer.encode(text), LONGEST_PROMPT, "a prompt", "give its end alone")
    return {"token_ids": np.array(ids or [BOS], "int32")}


def read_hidden(tokenizer: Tokenizer, text: str, max_length: int) -> Inputs:
    """A text in which each [MASK] is one hidden token: also its `places` (K,) and `order` (S,).

    Where there is none, the one place is 0 and asks for nothing that anybody wants.
    """
    ids: list[int] = []
    for number, (part, goes_on) in enumerate(between(text, tokenizer.glues)):
        ids += [MASK] * bool(number)
        ids += tokenizer.encode_inside(part) if goes_on else tokenizer.encode(part)
    token_ids = ended(ids or [UNK], max_length)
    order = (token_ids == MASK).astype("int32")
    places = np.flatnonzero(order) if order.any() else np.zeros(1)
    return {"token_ids": token_ids, "places": places.astype("int32"), "order": order}


def between(text: str, glues: bool) -> list[tuple[str, bool]]:
    """What stands between the hidden tokens of a text, and whether it goes on without a blank behind one.

    A blank before a hidden token is part of that, where the tokenizer glues blanks to the words behind them.
    """
    parts = text.split(HIDDEN)
    cut = [part.removesuffix(" ") if glues else part for part in parts[:-1]] + parts[-1:]
    return [(part, bool(number and part) and part[0] not in BLANKS) for number, part in enumerate(cut)]


def filled(text: str, found: Sequence[str]) -> str:
    """A text with its first hidden tokens written out; a piece loses its blank where there is one, or none is due."""
    parts = text.split(HIDDEN)
    written = parts[0]
    for number, part in enumerate(parts[1:]):
        if number < len(found):
            before = parts[number]
            blank = before[-1] in BLANKS if before else number == 0
            written += (found[number].removeprefix(" ") or found[number]) if blank else found[number]
        else:
            written += HIDDEN
        written += part
    return written


def read_words(tokenizer: Tokenizer, words: Sequence[str]) -> Inputs:
    """The pieces of words: `token_ids` (S,), and `character_ids` (S, W). Never cut.

    The characters of a word stand at its first piece, and nothing at the others: so they tell which piece
    carries the word's tag. No words are one <unk> without characters; an empty word is a blank.
    """
    words = [word or " " for word in words]
    pieces = tokenizer.encode_words(words) if words else [[UNK]]
    token_ids = np.fromiter(chain.from_iterable(pieces), "int32")
    characters = np.zeros((len(token_ids), WORD_BYTES), "int32")
    firsts = np.cumsum([0, *map(len, pieces[:-1])])
    characters[firsts] = character_ids(words or [""])
    return {"token_ids": token_ids, "character_ids": characters}


def read_sentence(tokenizer: Tokenizer, words: Sequence[str]) -> Inputs:
    """The same, of a sentence that is to be tagged: at most LONGEST_SENTENCE pieces."""
    read = read_words(tokenizer, words)
    within(read["token_ids"], LONGEST_SENTENCE, "a text to tag", "give it sentence by sentence")
    return read


def within(ids: Sequence[int], longest: int, what: str, remedy: str) -> Sequence[int]:
    """The ids; a UserError where they are too many."""
    if len(ids) > longest:
        raise UserError(f"{what} has {len(ids):,} tokens, and {longest:,} are read at most: {remedy}")
    return ids


def first_pieces(character_ids: np.ndarray) -> np.ndarray:
    """Where words begin: (S, W) -> (S,) bool."""
    return character_ids.any(axis=-1)


READERS: dict[str, Callable[[Tokenizer, str, int], Inputs]] = {
    "translation": read_text,
    "classification": read_text,
    "tagging": lambda tokenizer, text, max_length: read_sentence(tokenizer, split_words(text)),
    "language_modeling": read_prompt,
    "masked_language_modeling": read_hidden,
}


def ended(ids: Sequence[int] | np.ndarray, max_length: int) -> np.ndarray:
    """Ids and the end mark, cut so that both are within max_length."""
    return np.append(np.asarray(ids[: max_length - 1], "int32"), np.int32(EOS))


def similar(lengths: Sequence[int], most: int, tokens: int | None = None) -> Iterator[list[int]]:
    """The numbers of texts of these lengths that are computed at once, those of similar length.

    Args:
        most: texts at once.
        tokens: in them at once, padding included; a longer text stands alone. Attention takes memory by the square.
    """
    part: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        too_many = tokens is not None and (len(part) + 1) * lengths[i] > tokens
        if part and (len(part) == most or too_many):
            yield part
            part = []
        part.append(i)
    if part:
        yield part


def pad(rows: Sequence[Inputs], count: int | None = None, length: int | None = None) -> Inputs:
    """Texts that were read, as a batch: (count, length, ...) int32, as many and as long as needed by default."""
    count = len(rows) if count is None else count
    length = max(len(row["token_ids"]) for row in rows) if length is None else length
    batch = {}
    for name, first in rows[0].items():
        width = max(len(row[name]) for row in rows) if name == "places" else length
        out = np.zeros((count, width, *first.shape[1:]), "int32")
        for i, row in enumerate(rows):
            ids = row[name][:width]
            out[i, : len(ids)] = ids
        batch[name] = out
    batch["token_ids"][len(rows) :, 0] = UNK
    return batch
