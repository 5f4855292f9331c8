"""What comes from outside is fit for models, terminals and files behind these."""

from __future__ import annotations

import json

import pytest

from zoo.text import json_text, one_line, printable, valid


def test_half_a_surrogate_pair_is_a_lost_character():
    assert valid("a\ud83d\udcff狗") == "a\ufffd\ufffd狗"
    for text in ("", "ascii", "😀狗 é", "\0\x1b\u2028\ufeff\uffff"):
        assert valid(text) is text


def test_a_terminal_gets_no_orders():
    assert printable("a\tb\nc\r\nd") == "a\tb\nc\nd"
    assert printable("\x1b[2J\x9b31m\x07\x08\r\x7f\udcff") == "\ufffd[2J\ufffd31m" + "\ufffd" * 5
    kept = "狗 😀 👩‍👩‍👧 שלום\u200f é e\u0301 \u2028\u00ad\ufeff\ue000"
    assert printable(kept) == kept


@pytest.mark.parametrize(
    "end", ["\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
)
def test_an_answer_is_one_line(end):
    assert one_line(f"a{end}b{end}") == "a b"
    assert one_line("") == "" and one_line("a\tb") == "a\tb"


def test_json_is_one_line_and_loses_nothing():
    content = {"text": "狗\u2028\u2029\x85\x1b[0m\x9b\x7f\udcff\n😀", "score": 0.5, "nested": [["\0"]]}
    line = json_text(content)
    assert json.loads(line) == content and "狗" in line and "😀" in line
    assert len(line.splitlines()) == 1 and printable(line) == line and line.encode()
