"""Files in another encoding than the recipe says: which file is in which, and a remedy that works."""

from __future__ import annotations

import pytest
from data_files import LINES, PARALLEL, load, put, refused

from zoo.encodings import convert, guess, is_utf8

# name: (task, data section, files, what the only line says: all of these parts)
WRONG = {
    "wrong encoding": (
        "translation",
        LINES,
        {"t__txt": "eins\nzwölf\n".encode("latin-1"), "v__txt": "x\n"},
        ["t.txt:2: byte 0xf6 at offset 7 is not utf-8", "data.encoding", "cp1252"],
    ),
    "Chinese encoding": (
        "translation",
        LINES,
        {"t__txt": "我们今天去北京。\n".encode("gb18030"), "v__txt": "x\n"},
        [
            "t.txt:1: byte",
            "the file is gb18030, as it seems",
            "set data.encoding: {train: gb18030, val: utf-8}",
        ],
    ),
    "UTF-16": (
        "translation",
        LINES,
        {"t__txt": "eins\nzwei\n".encode("utf-16"), "v__txt": "x\n"},
        [
            "t.txt:1: byte",
            "the file is utf-16, as it seems",
            "set data.encoding: {train: utf-16, val: utf-8}",
        ],
    ),
    "not UTF-16": (
        "translation",
        LINES | {"encoding": "utf-16-le"},
        {"t__txt": "a\nb\n".encode("utf-16-le") + b"\x00\xd8", "v__txt": "x\n".encode("utf-16-le")},
        ["t.txt:3: byte 0x00 at offset 8 is not utf-16-le", "data.encoding"],
    ),
    "UTF-8 beside UTF-16": (
        "translation",
        LINES | {"encoding": "utf-16"},
        {"t__txt": "eins\nzwei\n".encode("utf-16"), "v__txt": "x\n"},
        ["v.txt: is utf-8, not utf-16", "set data.encoding: {train: utf-16, val: utf-8}"],
    ),
    "UTF-8 that can be read as GB 18030": (
        "translation",
        LINES | {"encoding": "gb18030"},
        {"t__txt": "我们今天去北京。\n".encode("gb18030"), "v__txt": "我们今天去北京看电影，这\n"},
        ["v.txt: is utf-8, not gb18030", "set data.encoding: {train: gb18030, val: utf-8}"],
    ),
    "Big5": (
        "translation",
        LINES,
        {"t__txt": "我們今天去北京，學生們在讀書。\n".encode("big5"), "v__txt": "x\n"},
        ["the file is big5, as it seems", "set data.encoding: {train: big5, val: utf-8}"],
    ),
    "one side in another encoding": (
        "translation",
        PARALLEL,
        {
            "t__en": "We go to Beijing.\n",
            "t__de": "我们今天去北京。\n".encode("gb18030"),
            "v__en": "a\n",
            "v__de": "a\n",
        },
        ["t.de:1: byte", "convert it with `iconv -f gb18030 -t utf-8 ", "t.de`"],
    ),
    "a line in another encoding": (
        "translation",
        LINES,
        {"t__txt": "学生读书\n".encode() + "我们今天去北京。\n".encode("gb18030"), "v__txt": "x\n"},
        [
            "t.txt:2: byte",
            "these are gb18030, as it seems, and the rest utf-8: convert them or leave them out",
        ],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_files_in_another_encoding(case, tmp_path):
    task, data, files, parts = WRONG[case]
    put(tmp_path, **files)
    (line,) = refused(tmp_path, task, **data)
    for part in parts:
        assert part in line


def test_all_wrong_bytes_are_named(tmp_path):
    put(tmp_path, t__txt="ä\nb\nü\n".encode("latin-1"), v__txt="x\n")
    lines = refused(tmp_path, **LINES)
    assert ["t.txt:1: byte 0xe4 at offset 0" in lines[0], "t.txt:3: byte 0xfc at offset 4" in lines[1]] == [
        True,
        True,
    ]


def test_each_split_in_its_own_encoding(tmp_path):
    text = "我们今天去北京。\n"
    put(tmp_path, t__txt=text.encode("gb18030"), v__txt=text, s__txt=text.encode("utf-16"))
    data = LINES | {"test": "s.txt", "encoding": {"train": "gb18030", "test": "utf-16"}}
    dataset = load(tmp_path, **data)
    assert [split.sources for split in dataset.splits().values()] == [[text.strip()]] * 3


def test_all_files_in_one_other_encoding(tmp_path):
    """One line a file, however many lines it has, and one setting that is right for both."""
    put(
        tmp_path,
        t__txt=("我们今天去北京。\n" * 9).encode("gb18030"),
        v__txt="学生读书写字。\n".encode("gb18030"),
    )
    lines = refused(tmp_path, **LINES)
    assert len(lines) == 2 and all(line.endswith("; set data.encoding: gb18030") for line in lines)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "big5"])
def test_encodings(tmp_path, encoding):
    put(tmp_path, t__txt="你好\n再見\n".encode(encoding), v__txt="好\n".encode(encoding))
    assert load(tmp_path, encoding=encoding, **LINES).train.sources == ["你好", "再見"]


RUSSIAN = "Собака бежит по траве с мячом в зубах. Двое детей лепят снеговика. Мужчина моет окно."
JAPANESE = "犬がボールをくわえて芝生の上を走っている。二人の子供が雪だるまを作っています。"
KOREAN = "개가 공을 물고 잔디밭을 달린다. 두 아이가 눈사람을 만들고 있다. 작년에 물가가 크게 올랐다."
# As much of each as can be told; the bytes of many are Chinese characters too.
MANY = {
    "cp1251": RUSSIAN,
    "koi8-r": RUSSIAN,
    "cp932": JAPANESE,
    "euc-jp": JAPANESE,
    "cp949": KOREAN,
    "cp1250": "Dwoje dzieci lepi bałwana. Mężczyzna w koszuli myje okno, ćwicząc język. " * 20,
    "cp1252": "Ein Mädchen in grünem Kleid läuft über die Straße; sie hört schöne Musik. " * 20,
    "gb18030": "我们今天去北京看电影，学生们在读书。两个孩子在公园里堆雪人，一只狗叼着球跑过草地，妈妈在家做饭。",
    "big5": "我們今天去北京看電影，學生們在讀書。兩個孩子在公園裡堆雪人，一隻狗叼著球跑過草地，媽媽在家做飯。",
}


@pytest.mark.parametrize("encoding", MANY)
def test_guess_of_some_sentences(encoding):
    text = "\n".join([MANY[encoding]] * 3)
    assert guess(text.encode(encoding)) == encoding


SIMPLE, TRADITIONAL = "我们今天去北京看电影，学生们在读书。", "我們今天去北京看電影，學生們在讀書。"


@pytest.mark.parametrize(
    ("text", "encoding", "found"),
    [
        (SIMPLE, "gb18030", "gb18030"),
        (TRADITIONAL, "gb18030", "gb18030"),
        (TRADITIONAL, "big5", "big5"),
        (SIMPLE, "utf-8", "utf-8"),
        (SIMPLE, "utf-8-sig", "utf-8"),
        (SIMPLE, "utf-16", "utf-16"),
        ("zwölf Boxkämpfer über", "latin-1", None),
        ("Привет, как дела", "cp1251", None),
    ],
)
def test_guess(text, encoding, found):
    assert guess(text.encode(encoding)) == found


def test_utf8_is_told_from_what_only_looks_like_it():
    assert is_utf8(SIMPLE.encode(), "gb18030") and is_utf8(SIMPLE.encode(), "latin-1")
    assert not is_utf8("联通".encode("gb18030"), "gb18030")  # two characters that are UTF-8 by chance
    assert not is_utf8(b"plain", "gb18030") and is_utf8(b"plain", "utf-16")
    assert not is_utf8("plain\n".encode("utf-16-le"), "utf-16") and not is_utf8(b"", "utf-16")


def test_the_command_names_the_encoding():
    assert convert(SIMPLE.encode("gb18030"), "utf-8", "my file") == "iconv -f gb18030 -t utf-8 'my file'"
    assert convert("é".encode("cp1252"), "utf-8-sig") == "iconv -f cp1252 -t utf-8"
    assert convert(b"\x81\xff", "utf-8") == "iconv -f iso8859-1 -t utf-8"
