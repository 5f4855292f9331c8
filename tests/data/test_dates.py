"""The dates task: its answers are a function of the text, by the rules that its docstring states."""

from __future__ import annotations

import re
from datetime import date

import pytest
from babel import Locale

from zoo.config.data import Dates
from zoo.data import dates
from zoo.errors import UserError

DIGITS = {character: str(value) for value, character in enumerate("〇一二三四五六七八九")} | {"零": "0"}
# Written out here, not taken from Babel: these are what a reader knows.
MONTHS = [
    ("january jan janvier janv januar", "february feb février févr februar", "march mar mars märz"),
    ("april apr avril avr", "may mai", "june jun juin juni"),
    ("july jul juillet juil juli", "august aug août", "september sep sept septembre"),
    ("october oct octobre oktober okt", "november nov novembre", "december dec décembre déc dezember dez"),
]
MONTH = {
    word: 3 * i + j + 1
    for i, row in enumerate(MONTHS)
    for j, words in enumerate(row)
    for word in words.split()
}


@pytest.fixture(scope="module")
def sample() -> list[tuple[str, str]]:
    return list(dates.load(Dates(name="dates", train=30_000, val=1, test=1)).train)


def chinese(text: str) -> int:
    """二〇二一, 十二, 二十五, 7."""
    if "十" in text:
        tens, _, ones = text.partition("十")
        return 10 * int(DIGITS.get(tens, "1")) + int(DIGITS.get(ones, "0"))
    return int("".join(DIGITS.get(character, character) for character in text))


def year(text: str) -> int:
    return int(text) if len(text) == 4 else int(text) + (1900 if int(text) >= 50 else 2000)


def read(text: str) -> date:
    """A second reading of a date, written apart from the generator."""
    text = text.lower()
    if found := re.search("(.{2,4})年(.+)月(.+?)[日号]", text):
        whole = found[1][-4:] if not found[1].isdecimal() or len(found[1]) > 2 else found[1]
        if len(whole) == 4:
            return date(chinese(whole), chinese(found[2]), chinese(found[3]))
        return date(year(whole), chinese(found[2]), chinese(found[3]))
    numbers = re.findall(r"\d+", text)
    words = re.findall(r"[^\W\d_]+", text)
    if len(numbers) == 3:
        if len(numbers[0]) == 4:
            return date(*map(int, numbers))
        first, second = int(numbers[0]), int(numbers[1])
        day, month = (second, first) if second > 12 else (first, second)
        return date(year(numbers[2]), month, day)
    month = [MONTH[word] for word in words if word in MONTH][-1]  # `mar. 3 avril`: mar. is Tuesday
    return date(year(numbers[1]), month, int(numbers[0]))


def test_a_second_reader_gets_the_same_dates(sample):
    wrong = [(text, answer) for text, answer in sample if read(text).isoformat() != answer]
    assert not wrong, wrong[:5]


def test_a_text_never_means_two_dates():
    answers: dict[str, str] = {}
    for seed in range(3):
        for split in dates.load(Dates(name="dates", train=40_000, seed=seed)).splits().values():
            for text, answer in split:
                assert answers.setdefault(text, answer) == answer
                assert answers.setdefault(text.lower(), answer) == answer
    assert len(answers) > 100_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("03/04/2021", "2021-04-03"),
        ("12/25/2021", "2021-12-25"),
        ("25-12-2021", "2021-12-25"),
        ("5.6.49", "2049-06-05"),
        ("5. 6. 50", "1950-06-05"),
        ("Mo., 08.01.1979", "1979-01-08"),
        ("2021/3/4", "2021-03-04"),
    ],
)
def test_numeric_rules(text, expected):
    assert dates.read_numeric(text).isoformat() == expected == read(text).isoformat()


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d\d/\d\d/\d{4}$",
        r"^\d{1,2}\.\d{1,2}\.\d\d$",
        r"^\d{4}-\d\d-\d\d$",
        r"^\d+(st|nd|rd|th) of [A-Z]",
        r"^le 1er ",
        r"^[A-Z][a-z]+ \d+(st|nd|rd|th), \d{4}$",
        r"^Mittwoch, den \d+\. ",
        r"^[A-ZÉÛ]+ \d+ [A-ZÉÛ]+ \d{4}$",
        "^[〇零一二三四五六七八九]{4}年十?[一二]?月",
        "^[12][0-9]{3}年[0-9]+月[0-9]+日星期",
        "三十一日",
        "'[0-9]{2}$",
    ],
)
def test_every_kind_of_writing_occurs(sample, pattern):
    assert any(re.search(pattern, text) for text, _ in sample)


def test_month_first_is_written_only_where_it_cannot_be_misread(sample):
    slashed = [
        text.split("/") for text, _ in sample if re.fullmatch(r"\d+/\d+/\d{2,4}", text) and text[4] != "/"
    ]
    month_first = [parts for parts in slashed if len(parts[0]) < 4 and int(parts[1]) > 12]
    assert len(month_first) > 100
    assert all(int(parts[0]) <= 12 for parts in month_first)


def test_weekdays_agree(sample):
    names = Locale.parse("de").days["format"]["wide"]
    seen = 0
    for text, answer in sample:
        for number, name in names.items():
            if text.startswith(f"{name}, "):
                seen += 1
                assert date.fromisoformat(answer).weekday() == number
    assert seen > 500


def test_languages_are_balanced_and_obeyed(sample):
    assert (
        0.22 < sum(bool(re.search("[年]|^[12][0-9]{3}[/.]", text)) for text, _ in sample) / len(sample) < 0.28
    )
    french = dates.load(Dates(name="dates", languages=["fr"], train=2_000)).train.sources
    assert not any(re.search("[年]|of|den |am ", text) for text in french)
    assert sum("août" in text or "AOÛT" in text for text in french) > 20


def test_splits_share_no_text_and_follow_the_seed():
    one = dates.load(Dates(name="dates", train=3_000))
    texts = [set(split.sources) for split in one.splits().values()]
    assert [len(part) for part in texts] == [3_000, 1_000, 1_000]
    assert len(set.union(*texts)) == 5_000
    assert dates.load(Dates(name="dates", train=3_000)) == one
    assert dates.load(Dates(name="dates", train=3_000, seed=1)).val != one.val
    # More training data leaves the questions that are asked as they are.
    assert dates.load(Dates(name="dates", train=6_000)).val == one.val


def test_asking_for_more_than_there_are(monkeypatch):
    monkeypatch.setattr(dates, "LAST", date(1900, 1, 2))
    monkeypatch.setattr(dates, "PATTERNS", {"fr_FR": ["dd/MM/y"]})
    monkeypatch.setattr(dates, "_patterns", lambda name: dates.PATTERNS[name])
    with pytest.raises(UserError, match="only about 2 different dates"):
        dates.load(Dates(name="dates", languages=["fr"], train=10))
