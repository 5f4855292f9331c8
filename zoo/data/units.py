"""What belongs together in a stream of tokens: words, and the phrases that words make.

Where a word begins is seen from the pieces of the tokenizer:

- a piece with ▁ in front, SentencePiece's sign for a blank, begins one;
- a piece without any letter or digit (a comma, an emoji, a line break) is one by itself, as in BERT;
- so is a piece with a letter of a script that writes no blanks (Chinese, Japanese, Thai ...): what the tokenizer
  cuts off there is as near to a word as one comes without a dictionary;
- a character that is written in bytes is together what the character is.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

import numpy as np

from zoo.data.tokenizers import BLANK, BYTE_PIECE, EOS, Tokenizer
from zoo.data.words import UNSPACED

SPECIAL = 4
"""Ids below are marks, padding or <unk>: never hidden, and the end of what stands before them."""
UNSPACED_LETTER = re.compile(f"[{UNSPACED}]")
DISCOUNT, THRESHOLD, ROUNDS = 5, 20.0, 2
"""Of Mikolov et al. 2013, section 4: pairs as rare as the discount are none; each round joins two words or what the
round before has joined."""


def words(ids: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """Number of the word that each token of a stream belongs to: (N,) int32, rising."""
    begins, closes = (np.array(flags) for flags in zip(*map(_edges, _pieces(tokenizer)), strict=True))
    starts = begins[ids]
    starts[:1] = True  # a stream may begin inside a word
    starts[1:] |= closes[ids[:-1]]
    return np.cumsum(starts, dtype="int32") - 1


def phrases(ids: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """As `words`, with the words of each phrase in `tokenizer.phrases` as one; the longest that fits, from the left."""
    number = words(ids, tokenizer)
    known = set(tokenizer.phrases)
    begun = {phrase[:end] for phrase in known for end in range(1, len(phrase) + 1)}
    texts = list(_texts(ids, number, tokenizer))
    joined = np.zeros(len(texts), bool)
    first = 0
    while first < len(texts):
        last, text, end = first, texts[first].lstrip(), first + 1
        while text in begun:
            if text in known:
                last = end - 1
            if end == len(texts):
                break
            text, end = text + texts[end], end + 1
        joined[first + 1 : last + 1] = True
        first = last + 1
    return (np.cumsum(~joined, dtype="int32") - 1)[number]


def learn_phrases(texts: Sequence[str], tokenizer: Tokenizer) -> list[str]:
    """Neighbours that meet far more often than their frequencies let expect: phrases of two to four words.

    `score(a, b) = n (count(ab) - discount) / (count(a) count(b))`, n words in all; a pair above the threshold is
    one word in the next round. Words without a letter, and <unk>, are in no phrase.
    """
    rows = tokenizer.encode_batch(texts)
    ids = np.fromiter(chain.from_iterable([*row, EOS] for row in rows), "int32")
    read = [text if _speaks(text) else "" for text in _texts(ids, words(ids, tokenizer), tokenizer)]
    found: set[str] = set()
    for _ in range(ROUNDS):
        # A word at the beginning of a text may lack its blank, but is the same word.
        single = Counter(text.strip() for text in read)
        pairs = Counter((a.strip(), b) for a, b in pairwise(read) if a and b)
        total = len(read)
        good = {
            (a, b)
            for (a, b), count in pairs.items()
            if total * (count - DISCOUNT) > THRESHOLD * single[a] * single[b.strip()]
        }
        found |= {a + b for a, b in good}
        read = list(_joined(read, good))
    return sorted(found)


def read_phrases(lines: Sequence[str], tokenizer: Tokenizer) -> list[str]:
    """The phrases of a file as the tokenizer would write them; those of no or one token are none."""
    rows = tokenizer.encode_batch([line.strip() for line in lines])
    return sorted({_text(row, _pieces(tokenizer)) for row in rows if len(row) > 1 and min(row) >= SPECIAL})


def _edges(piece: str) -> tuple[bool, bool]:
    """Whether a piece begins a word, and whether the next piece does."""
    byte = BYTE_PIECE.fullmatch(piece)
    if byte:
        value = int(byte[1], 16)
        if value < 0x80:
            return (True, False) if value == 0x20 else (not chr(value).isalnum(),) * 2
        return value >= 0xE3, False  # of three bytes or more: mostly Chinese, Japanese, Korean, emoji
    text = piece.removeprefix(BLANK)
    if not text and piece:
        return True, False
    alone = not _speaks(text)
    return (
        piece.startswith(BLANK) or alone or bool(UNSPACED_LETTER.match(text)),
        alone or bool(UNSPACED_LETTER.match(text[-1])),
    )


def _speaks(text: str) -> bool:
    """Whether there is a letter, a digit or an accent in it."""
    return any(unicodedata.category(character)[0] in "LNM" for character in text)


def _pieces(tokenizer: Tokenizer) -> list[str]:
    """The pieces; those of special ids without a text, so that each stands alone."""
    return ["", "", "", "", *tokenizer.pieces[SPECIAL:]]


def _text(ids: Sequence[int], pieces: Sequence[str]) -> str:
    return "".join(pieces[i] for i in ids).replace(BLANK, " ").strip()


def _texts(ids: np.ndarray, number: np.ndarray, tokenizer: Tokenizer) -> Iterator[str]:
    """The text of each word, with its blank; nothing of a special id."""
    pieces = [piece.replace(BLANK, " ") for piece in _pieces(tokenizer)]
    ends = [*np.flatnonzero(np.diff(number)) + 1, len(ids)]
    start, listed = 0, ids.tolist()
    for end in ends:
        yield "".join(map(pieces.__getitem__, listed[start:end]))
        start = end


def _joined(read: Sequence[str], good: set[tuple[str, str]]) -> Iterator[str]:
    """The words with good pairs as one, from the left."""
    waiting = ""
    for text in read:
        if waiting and text and (waiting.strip(), text) in good:
            yield waiting + text
            waiting = ""
            continue
        if waiting:
            yield waiting
        waiting = text
        if not text:
            yield text
    if waiting:
        yield waiting
