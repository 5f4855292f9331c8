"""Words and their characters, as a tagger reads them; tokenizers_graph.py does the same in a graph.

Words are what stands between ASCII white space (space, tab, line feed, vertical tab, form feed, carriage
return) and nothing else, for that is where a TensorFlow graph splits. So a no-break space may stand inside a
word: data sets write `10 000` with one, and the word keeps its one tag.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from zoo.text import valid

WORD_BYTES = 24
"""Bytes of a word that a model sees. Of a longer word the first and the last 12: suffixes tell most of a tag."""
FIRST_BYTE = 4
"""Byte b is the id b + 4, as of the `byte` tokenizer; 0 is padding."""

UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Inside the brackets of a regular expression: Thai, Lao, Burmese, Khmer, Chinese, Japanese, whose words have no
blanks between them."""

_SPACE = re.compile(r"[ \t\n\v\f\r]+")


def split_words(text: str) -> list[str]:
    """The words of a text; of an empty text none."""
    return [word for word in _SPACE.split(text) if word]


def character_ids(words: Sequence[str], width: int = WORD_BYTES) -> np.ndarray:
    """The UTF-8 bytes of words as ids: (words, width) int32, 0 behind a word's end."""
    out = np.zeros((len(words), width), "int32")
    half = width // 2
    for row, word in zip(out, words, strict=True):
        content = valid(word).encode()
        if len(content) > width:
            content = content[: width - half] + content[-half:]
        row[: len(content)] = np.frombuffer(content, "uint8")
        row[: len(content)] += FIRST_BYTE
    return out
