"""Which encoding bytes are in, as far as they tell it, and the command that converts a file. No imports of the zoo."""

from __future__ import annotations

import codecs
import re
import shlex
from pathlib import Path

# Of each Chinese encoding the first bytes of its usual characters, and the smallest second one.
_USUAL = {"gb18030": (range(0xB0, 0xD8), 0xA1), "big5": (range(0xA4, 0xC7), 0x40)}
_CHINESE = re.compile("[\u4e00-\u9fff]")
_SIGNS = re.compile("[\u3000-\u303f\uff00-\uffef]")
_EVERY = ("gb18030", "big5", "cp932", "euc-jp", "cp949", "cp1252", "cp1251", "koi8-r", "cp1250")
SAMPLE = 50_000  # characters that are looked at
_ENOUGH = 100  # bytes beyond ASCII; of one line, charset-normalizer often takes German or Chinese for Korean or Big5
_MANY = 10  # characters beyond ASCII; as many in other encodings are no UTF-8 by chance


def guess(content: bytes) -> str | None:
    """The encoding that all of the bytes are in, as it seems; of few bytes, one of utf-8, utf-16, gb18030, big5."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if _decoded(content, "utf-8") is not None:
        return "utf-8"
    if sum(byte > 0x7F for byte in content[:SAMPLE]) >= _ENOUGH:
        return _of_many(content)
    shares = {encoding: _usual(content, encoding) for encoding in _USUAL}
    best = max(shares, key=shares.__getitem__)
    return best if shares[best] > 0.5 else None


def likely(content: bytes) -> str:
    """The same, or one of those that take any bytes."""
    return guess(content) or ("iso8859-1" if _decoded(content, "cp1252") is None else "cp1252")


def is_utf8(content: bytes, encoding: str) -> bool:
    """Whether bytes said to be in another encoding are UTF-8: decoded as what they are not, they would be nonsense."""
    if not content or codecs.lookup(encoding).name.startswith("utf-8"):
        return False
    text = _decoded(content, "utf-8")
    if text is None:
        return False
    # Two bytes or more a character: there would be zeros, of line ends at least.
    wide = "a".encode(encoding) != b"a"
    return b"\0" not in content if wide else sum(character > "\x7f" for character in text) >= _MANY


def convert(content: bytes, encoding: str, path: Path | str | None = None) -> str:
    """The command that writes a file, or standard input, in another encoding."""
    wanted = codecs.lookup(encoding).name.removesuffix("-sig")  # iconv knows not all names that Python knows
    return shlex.join(["iconv", "-f", likely(content), "-t", wanted, *([str(path)] if path else [])])


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _of_many(content: bytes) -> str | None:
    """What charset-normalizer finds; of encodings that say the same, the most usual."""
    from charset_normalizer import from_bytes  # here, because only files that cannot be read need it

    sample = content[:SAMPLE].rpartition(b"\n")[0] or content[:SAMPLE]
    best = from_bytes(sample, cp_isolation=list(_EVERY), enable_fallback=False).best()
    text = _decoded(content, best.encoding) if best else None
    return next((each for each in _EVERY if _decoded(content, each) == text), None) if text else None


def _usual(content: bytes, encoding: str) -> float:
    """The share of usual Chinese characters among what is beyond ASCII; 0 where there is something else."""
    text = (_decoded(content, encoding) or "")[:SAMPLE]
    beyond = sum(character > "\x7f" for character in text) - len(_SIGNS.findall(text))
    first, second = _USUAL[encoding]
    pairs = (character.encode(encoding) for character in _CHINESE.findall(text))
    usual = sum(pair[0] in first and pair[1] >= second for pair in pairs)
    return usual / max(beyond, 1)
