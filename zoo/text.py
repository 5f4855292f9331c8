"""Text from anywhere, made fit for models, terminals and files. No imports of the zoo.

One rule wherever a text comes in: what is no Unicode text becomes U+FFFD, the sign of a lost character. A Python
string may hold half a surrogate pair, which no UTF-8 can write; bytes may be no UTF-8, of which `bytes.decode(...,
"replace")` and TensorFlow's `unicode_transcode` make the same.
"""

from __future__ import annotations

import json
import re
from typing import Any

LOST = "\ufffd"
"""The sign of a lost character."""

_HALF = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_NOT_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def valid(text: str) -> str:
    """The text that every model reads and every answer holds: each half of a surrogate pair becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _HALF.sub(LOST, text)
    return text


def printable(text: str) -> str:
    """What may go to a terminal: control characters become U+FFFD, but line feeds and tabs."""
    return _CONTROL.sub(LOST, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """The same on one line: whatever ends one becomes a blank."""
    return printable(" ".join(text.splitlines()))


def json_text(content: Any, **options: Any) -> str:
    """JSON, any language as it is; what terminals obey or readers take for a line's end is escaped."""
    text = json.dumps(content, ensure_ascii=False, **options)
    return _NOT_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
