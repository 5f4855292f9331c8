"""Ten thousand texts that nobody wrote for a model: a seeded generator, each class by name.

    for hostile in strings(10_000): hostile.name, hostile.text, hostile.content

Most are Python strings; those of `BROKEN` are bytes that are no UTF-8, for what takes bytes.
"""

from __future__ import annotations

import functools
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from zoo.text import valid

LONG = 100_000
"""Bytes of the longest texts."""

SENTENCES = (
    "3 March 2021",
    "The dog runs through the park, and two children follow it.",
    "Der Hund läuft durch den Park; où est passée la fenêtre ?",
    "狗跑过公园，两个孩子跟着它。",
    "日本語のテキストと仮名",
    "ภาษาไทยไม่มีช่องว่าง",
    "हिन्दी में क्षत्रिय",
    "한국어 문장입니다",
    "Ελληνικά και Кириллица",
    "மற்றும் தமிழ்",
)
RIGHT_TO_LEFT = ("مرحبا بالعالم", "שלום עולם", "سلام دنیا ۱۲۳", "ܫܠܡܐ", "ދިވެހި", "مُحَمَّد")
EMOJI = ("😀", "🦄", "🇩🇪", "👩‍👩‍👧", "👍🏽", "☹️", "1️⃣", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "❤️‍🔥", "\U0001fae0", "🏳️‍🌈")
SPECIAL = (
    *("<s>", "</s>", "<pad>", "<unk>", "<mask>", "<bos>", "<eos>", "<0x41>", "<0x00>", "<0xFF>", "▁", "▁▁"),
    *(
        "[CLS]",
        "[SEP]",
        "[PAD]",
        "[UNK]",
        "[BOS]",
        "[MASK",
        "MASK]",
        "[mask]",
        "<|endoftext|>",
        "<|im_start|>",
    ),
    *("<s", "/s>", "< /s>", "</s>\n", "⁇", "\u2585", "<extra_id_0>", "▁</s>▁", "##s", "@@ ", "￭", "\u0120"),
)
MARKUP = (
    *(
        "<script>alert(1)</script>",
        "&lt;b&gt;&#0;",
        "'; DROP TABLE runs; --",
        "$(touch owned)",
        "`id`",
        "| sh",
    ),
    *("../../../etc/passwd", "C:\\con\\nul", "%s%n%x %(a)s {0} {a.__class__}", "!!python/object:os.system"),
    *(
        "key: [1, *a]\n- b",
        "[bold red]x[/bold red]",
        "[link=file:///]",
        "\\u0000 \\x1b[0m \\n",
        '{"a": "\\ud800"}',
    ),
    *(
        "${jndi:ldap://x}",
        "{{7*7}}",
        "--beams 3",
        "-",
        "=cmd()",
        "&a !b *c",
        "# comment",
        "nan",
        "null",
        "1e999",
    ),
)
ESCAPES = (
    *(
        "\x1b[2J\x1b[H",
        "\x1b]0;owned\x07",
        "\x1b[31mred",
        "\x9b31m",
        "\x1bc",
        "\x1b[6n",
        "\x1b]8;;file:///x\x1b\\",
    ),
    *("\x1b[?1049h", "\x90q\x9c", "\x08\x08\x08", "\r", "\x0e", "\x07"),
)
SPACES = " \t\n\v\f\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2003\u200b\u2028\u2029\u202f\u205f\u3000\ufeff\u180e"
JOINERS = "\u200b\u200c\u200d\u2060\ufe0e\ufe0f\u034f\u00ad\u115f\u3164\u061c"
BIDI = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
LINE_ENDS = ("\n", "\r\n", "\r", "\n\r", "\x85", "\u2028", "\u2029", "\v", "\f", "\r\r\n", "\x1e")
COMPATIBLE = "ﬁﬃＡ①㍿ⅷ½²℀ꟹ㎏ﷺﷲＴＨＥﾊﾝｶｸ゛ǅſẛ̣İıßẞΐΐςΣÅ"


def _between(random: Random, parts, most: int = 4) -> str:
    """Some parts, each behind a piece of an ordinary sentence."""
    made = [random.choice(SENTENCES)[: random.randrange(12)] + random.choice(parts) for _ in range(most)]
    return "".join(made[: random.randint(1, most)]) + random.choice(("", " ", random.choice(SENTENCES)))


def _letters(random: Random, first: int, last: int, most: int = 20) -> str:
    return "".join(chr(random.randint(first, last)) for _ in range(random.randint(1, most)))


def _any_letters(random: Random) -> str:
    """From all of Unicode, assigned or not."""
    found = _letters(random, 0, 0x10FFFF - 0x800, 30)
    return "".join(chr(ord(c) + 0x800) if ord(c) >= 0xD800 else c for c in found)


def _halves(random: Random) -> str:
    """Half surrogate pairs at any place, also the halves of one, and in the wrong order."""
    halves = (*map(chr, (0xD800, 0xDBFF, 0xDC00, 0xDC80, 0xDCFF, 0xDFFF)), "\ud83d\ude00", "\ude00\ud83d")
    return _between(random, halves)


def _repeated(random: Random, size: int) -> str:
    """One of many things again and again: a text of so many bytes."""
    units = (
        *SENTENCES,
        *EMOJI,
        *RIGHT_TO_LEFT,
        "</s>",
        "a",
        "ab ",
        "\0",
        " ",
        "x\n",
        "é",
        "e\u0301",
        "\u0301",
    )
    unit = random.choice(units)
    return unit * max(1, size // len(unit.encode()))


CLASSES: dict[str, Callable[[Random], str]] = {
    "empty": lambda random: "",
    "blank": lambda random: "".join(random.choices(SPACES, k=random.randint(1, 8))),
    "thousands of blanks": lambda random: (
        random.choice(SPACES) * random.randint(2000, 9000) + "a" * random.randint(0, 1)
    ),
    "100 kB": lambda random: _repeated(random, LONG),
    "a very long word": lambda random: random.choice("aé狗😀<_\u0301") * random.randint(500, 3000),
    "ordinary": lambda random: random.choice(SENTENCES),
    "control characters": lambda random: _between(random, [chr(i) for i in (*range(32), *range(127, 160))]),
    "NUL": lambda random: _between(random, ["\0", "\0\0"]),
    "escape sequences": lambda random: _between(random, ESCAPES),
    "line ends": lambda random: _between(random, LINE_ENDS, 6),
    "odd spaces": lambda random: _between(random, SPACES),
    "byte order mark": lambda random: (
        "\ufeff" * random.randint(0, 1) + _between(random, ["\ufeff", "\ufffe"])
    ),
    "half surrogate pairs": _halves,
    "composed": lambda random: unicodedata.normalize(
        "NFC", random.choice(SENTENCES) + _letters(random, 0xC0, 0x24F)
    ),
    "decomposed": lambda random: unicodedata.normalize(
        "NFD", random.choice(SENTENCES) + _letters(random, 0xC0, 0x24F)
    ),
    "stacked marks": lambda random: (
        "Z" + _letters(random, 0x300, 0x36F, 60) + "a" + _letters(random, 0x300, 0x36F)
    ),
    "compatibility forms": lambda random: _between(random, COMPATIBLE),
    "joiners and selectors": lambda random: _between(random, JOINERS),
    "tag characters": lambda random: _between(random, [chr(i) for i in range(0xE0000, 0xE0080)], 12),
    "emoji": lambda random: _between(random, EMOJI),
    "right to left": lambda random: _between(random, RIGHT_TO_LEFT),
    "direction marks": lambda random: _between(random, BIDI) + random.choice(RIGHT_TO_LEFT),
    "mixed scripts": lambda random: " ".join(random.choices((*SENTENCES, *RIGHT_TO_LEFT, *EMOJI), k=3)),
    "look-alike letters": lambda random: "".join(random.choices("aаɑ ｅеe οoо pр cс", k=12)),
    "special tokens": lambda random: _between(random, SPECIAL),
    "nothing but special tokens": lambda random: "".join(random.choices(SPECIAL, k=random.randint(1, 5))),
    "markup and commands": lambda random: _between(random, MARKUP),
    "no characters": lambda random: _between(
        random, ["\uffff", "\ufffe", "\ufdd0", "\U0010ffff", "\U0001fffe", "\ufffd"]
    ),
    "private use": lambda random: _between(random, ["\ue000", "\uf8ff", "\U000f0000", "\U00100000"]),
    "all of Unicode": _any_letters,
    "above the basic plane": lambda random: _letters(random, 0x10000, 0x1FFFF),
    "digits and signs": lambda random: _letters(random, 0x21, 0x40, 40),
}
"""Name -> one text of that class."""


def _flipped(random: Random) -> bytes:
    content = bytearray((random.choice(SENTENCES) + random.choice(EMOJI)).encode())
    for _ in range(random.randint(1, 3)):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    return bytes(content)


def _around(random: Random, *wrong: bytes) -> bytes:
    return random.choice(SENTENCES).encode() + random.choice(wrong) + random.choice(("", "x", "狗")).encode()


BROKEN: dict[str, Callable[[Random], bytes]] = {
    "random bytes": lambda random: random.randbytes(random.randint(1, 40)),
    "cut UTF-8": lambda random: random.choice((*SENTENCES, *EMOJI)).encode()[: random.randint(1, 9)] + b" a",
    "stray continuation bytes": lambda random: _around(random, b"\x80", b"\xbf\xbf", b"\xa0\x80\x80"),
    "overlong UTF-8": lambda random: _around(
        random,
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\x80",
        b"\xc0\xbc/s>",
        b"\xf8\x88\x80\x80\x80",
    ),
    "surrogates in UTF-8": lambda random: _around(
        random, b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\xbd\xed\xb8\x80"
    ),
    "beyond Unicode": lambda random: _around(
        random, b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xfe", b"\xff\xff"
    ),
    "Latin-1": lambda random: "Hündchen fährt à la fenêtre ÿ".encode("latin-1")[random.randrange(9) :],
    "UTF-16": lambda random: random.choice(SENTENCES).encode("utf-16"),
    "GB18030": lambda random: "狗跑过公园，两个孩子".encode("gb18030")[: random.randint(1, 18)],
    "flipped bits": _flipped,
}
"""Name -> bytes of that class, most of them no UTF-8."""

SHARES = {"100 kB": 0.002, "thousands of blanks": 0.002, "a very long word": 0.008, "empty": 0.002}
"""Of those that take long or are all the same; the others share the rest alike."""


@dataclass(frozen=True)
class Hostile:
    """A text of the class `name`: a Python string or bytes."""

    name: str
    content: str | bytes

    @property
    def text(self) -> str:
        """As a Python string, half surrogate pairs and all."""
        return self.content if isinstance(self.content, str) else self.content.decode("utf-8", "replace")

    @property
    def bytes(self) -> bytes:
        """As a client sends it."""
        return self.content if isinstance(self.content, bytes) else valid(self.content).encode()


@functools.cache
def strings(count: int = 10_000, seed: int = 1) -> tuple[Hostile, ...]:
    """So many texts of all classes, one after another; the same ones each time."""
    makers = {**CLASSES, **BROKEN}
    numbers = {name: max(1, round(SHARES[name] * count)) for name in SHARES}
    common = [name for name in makers if name not in SHARES]
    for i in range(count - sum(numbers.values())):
        name = common[i % len(common)]
        numbers[name] = numbers.get(name, 0) + 1
    random = Random(seed)
    found = [Hostile(name, makers[name](random)) for name, number in numbers.items() for _ in range(number)]
    random.shuffle(found)
    return tuple(found)


def counted(found: tuple[Hostile, ...]) -> dict[str, int]:
    """How many there are of each class."""
    return dict(Counter(hostile.name for hostile in found))
