"""Signs of a Chinese or Japanese keyboard that stand where YAML has its own: `name：x` for `name: x`.

YAML takes them for letters, and so fails lines behind them, or makes a key of a whole line. Inside texts and comments
they are ordinary: only where something failed are they looked for.
"""

from __future__ import annotations

import re

SIGNS = {
    "：": ("a full-width colon", ": "),
    "，": ("a full-width comma", ", "),
    "、": ("an ideographic comma", ", "),
    "＝": ("a full-width equals sign", "="),
    "．": ("a full-width dot", "."),
    "。": ("an ideographic full stop", "."),
    "＃": ("a full-width number sign", " #"),
    "－": ("a full-width hyphen", "-"),
    "｛": ("a full-width bracket", "{"),
    "［": ("a full-width bracket", "["),
    "【": ("a full-width bracket", "["),
    "“": ("a curly quote", '"'),
    "‘": ("a curly quote", "'"),
    "＂": ("a full-width quote", '"'),
    "\u3000": ("a full-width blank", " "),
    "\u00a0": ("a no-break space", " "),
}
"""Sign -> what it is, and what YAML wants."""
CLOSING = {"｝": "}", "］": "]", "】": "]", "”": '"', "’": "'"}
"""Those at an end are mended with those at the beginning, and not named by themselves."""

_QUOTED_OR_COMMENT = re.compile(r"""(?<![^\s\[{:,：，｛])(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\#[^\n]*)""")
_KEY = re.compile(
    r"""(?:^[ \u3000\u00a0]*|[{｛,，、]\s*)  # its indentation, or what stands before it in braces
    [“"”]?[A-Za-z_][\w.]*[”“]?[ ]*(?:：|:(?=[\s\u3000\u00a0]|$))[\u3000\u00a0]*""",
    re.MULTILINE | re.VERBOSE | re.ASCII,
)
_QUOTES = re.compile("[“”‘’＂]")


def first(text: str) -> str | None:
    """What is said of the first such sign in a text."""
    found = next((sign for sign in text if sign in SIGNS), None)
    return found and named(found)


def named(sign: str) -> str:
    """What a sign is, and what to write for it."""
    what, instead = SIGNS[sign]
    shown = f"'{sign}'" if sign.isprintable() else f"U+{ord(sign):04X}"
    wanted = "spaces" if instead == " " else f"'{instead}'" if instead != "'" else f'"{instead}"'
    return f"{shown} is {what}; write {wanted}"


def around_keys(text: str) -> list[int]:
    """Where such signs stand around what looks like a key, outside of quotes and comments."""
    bare = _without_texts(text)
    return [
        at
        for match in _KEY.finditer(bare)
        for at in range(*match.span())
        if bare[at] in SIGNS or bare[at] in CLOSING
    ]


def quotes(text: str, line: int) -> list[int]:
    """Where curly quotes stand in a line (counted from 0), outside of quotes and comments."""
    start = sum(map(len, text.split("\n")[:line])) + line
    bare = _without_texts(text).split("\n")[line : line + 1]
    return [start + match.start() for part in bare for match in _QUOTES.finditer(part)]


def mended(text: str, places: list[int]) -> str:
    """The text with YAML's own signs in these places; a full-width blank is as wide as two."""
    instead = {sign: wanted for sign, (_, wanted) in SIGNS.items()} | CLOSING | {"\u3000": "  "}
    here = set(places)
    return "".join(instead[sign] if at in here else sign for at, sign in enumerate(text))


def _without_texts(text: str) -> str:
    """The text, as long as before: quoted texts are letters, comments blanks."""
    return _QUOTED_OR_COMMENT.sub(lambda m: (" " if m[0][0] == "#" else "x") * len(m[0]), text)
