"""Dates as people write them in English, French, German and Chinese -> ISO 8601 (`2021-03-04`).

Babel writes the dates: CLDR's own forms and the other common ones, with and without weekday, in ordinary,
lower and upper case. What is written decides what is meant, by these rules alone, so the answer is a
function of the text:

1. A named month (March, mars, März, 三月, 3月) is the month; the number beside it that is no year is the day.
2. Of three bare numbers, a four-digit one in front is the year: year, month, day.
3. Otherwise the year is last. Of the two before it, one above 12 is the day: 12/25/2021 and 25/12/2021 are
   both Christmas.
4. If both could be months, the day comes first, as nearly everywhere: 03/04/2021 is the third of April. (The
   American order is therefore only written where rule 3 reads it rightly.)
5. A year of two digits lies in 1950-2049: 50-99 are 19.., 00-49 are 20.. .

A weekday always agrees with the date and decides nothing. Splits share no text.
"""

from __future__ import annotations

import random
import re
from datetime import date, timedelta

from babel import Locale
from babel.dates import parse_pattern

from zoo.config.data import Dates
from zoo.data.datasets import Dataset, Report, Split
from zoo.errors import UserError

FIRST, LAST = date(1900, 1, 1), date(2099, 12, 31)
PIVOT = 50  # years of two digits from here on are 19..

# CLDR patterns (Unicode TR 35): quotes hold literal text. `_written` fills in {ordinal}, {year} and {day}.
PATTERNS: dict[str, list[str]] = {
    "en_US": [
        "MMMM d, y",
        "MMM d, y",
        "MMMM d y",
        "EEEE, MMMM d, y",
        "EEE, MMM d, y",
        "EEE MMM dd y",
        "MMMM {ordinal}, y",
        "EEEE, MMMM {ordinal}, y",
        "MMM {ordinal}, ''yy",
        "M/d/y",
        "MM/dd/y",
        "M/d/yy",
        "MM-dd-y",
    ],
    "en_GB": [
        "d MMMM y",
        "d MMM y",
        "dd MMM yy",
        "d-MMM-y",
        "EEEE d MMMM y",
        "EEE, d MMM y",
        "{ordinal} MMMM y",
        "{ordinal} 'of' MMMM y",
        "'the' {ordinal} 'of' MMMM, y",
        "EEEE 'the' {ordinal} 'of' MMMM y",
        "{ordinal} MMM ''yy",
        "dd/MM/y",
        "d/M/yy",
        "dd-MM-y",
        "EEE dd/MM/y",
        "d.M.yy",
        "y-MM-dd",
    ],
    "fr_FR": [
        "d MMMM y",
        "{ordinal} MMMM y",
        "'le' {ordinal} MMMM y",
        "EEEE {ordinal} MMMM y",
        "'le' EEEE {ordinal} MMMM y",
        "d MMM y",
        "EEE d MMM y",
        "{ordinal} MMM yy",
        "dd/MM/y",
        "d/M/y",
        "dd/MM/yy",
        "EEE dd/MM/y",
        "dd.MM.y",
        "d-M-yy",
        "y-MM-dd",
    ],
    "de_DE": [
        "d. MMMM y",
        "dd. MMMM y",
        "EEEE, d. MMMM y",
        "EEEE, 'den' d. MMMM y",
        "'am' d. MMMM y",
        "'der' d. MMMM y",
        "d. MMM y",
        "EEE, d. MMM yy",
        "dd.MM.y",
        "d.M.y",
        "d. M. y",
        "dd.MM.yy",
        "d.M.yy",
        "EEE, dd.MM.y",
        "y-MM-dd",
    ],
    "zh_Hans_CN": [
        "y年M月d日",
        "y年MM月dd日",
        "yy年M月d日",
        "y年M月d日EEEE",
        "y年M月d日 EEE",
        "EEEE，y年M月d日",
        "y年M月d号",
        "{year}年MMMM{day}日",
        "{year}年MMMM{day}日EEEE",
        "{year}年MMMM{day}号",
        "EEE，{year}年MMMM{day}日",
        "y年MMMM{day}日",
        "y/M/d",
        "y-MM-dd",
        "y.M.d",
        "y/MM/dd",
    ],
}
LOCALES = {"en": ("en_US", "en_GB"), "fr": ("fr_FR",), "de": ("de_DE",), "zh": ("zh_Hans_CN",)}

_NUMERIC = re.compile(r"(?<!\d)(\d+)([/.-]) ?(\d+)\2 ?(\d+)(?!\d)")
_TENS = {0: "", 1: "十", 2: "二十", 3: "三十"}


def load(config: Dates) -> Dataset:
    """The splits that the recipe's `data` section asks for; validation and test do not depend on `train`."""
    counts = {"test": config.test, "val": config.val, "train": config.train}
    rows = _generate(config, sum(counts.values()))
    splits, start = {}, 0
    for name, count in counts.items():
        part = rows[start : start + count]
        splits[name] = Split([text for text, _ in part], [answer for _, answer in part])
        start += count
    address = "generated with Babel"
    return Dataset(**splits, report=Report(), licence="generated, no rights reserved", address=address)


def read_numeric(text: str) -> date | None:
    """The date that rules 2-5 read from three bare numbers in a text; None where there are no three."""
    match = _NUMERIC.search(text)
    if match is None:
        return None
    a, b, c = (int(match[group]) for group in (1, 3, 4))
    if len(match[1]) == 4:
        return date(a, b, c)
    year = c if len(match[4]) == 4 else full_year(c)
    return date(year, a, b) if b > 12 else date(year, b, a)


def full_year(year: int) -> int:
    """Rule 5."""
    return 1900 + year if year >= PIVOT else 2000 + year


def _generate(config: Dates, count: int) -> list[tuple[str, str]]:
    """`count` different texts with their answers, in random order."""
    forms = {  # the two Englishes share the weight of their language
        language: [(Locale.parse(name), pattern) for name in LOCALES[language] for pattern in _patterns(name)]
        for language in sorted(set(config.languages))
    }
    languages = list(forms)
    draw = random.Random(f"dates {config.seed}")
    answers: dict[str, str] = {}
    misses = 0
    while len(answers) < count:
        locale, pattern = draw.choice(forms[draw.choice(languages)])
        day, text = _example(draw, locale, pattern)
        if text in answers:
            misses += 1
            if misses > 20 * count + 1000:
                raise UserError(
                    f"data.train: only about {len(answers):,} different dates can be written; ask for fewer"
                )
            continue
        answers[text] = day.isoformat()
    return list(answers.items())


def _patterns(name: str) -> list[str]:
    """CLDR's four forms of a locale and ours, each once."""
    standard = [form.pattern for form in Locale.parse(name).date_formats.values()]
    return sorted({*standard, *PATTERNS[name]})


def _example(draw: random.Random, locale: Locale, pattern: str) -> tuple[date, str]:
    """A random date in this form, drawn again while the rules would read another date from the text."""
    short_year = re.search("(?<!y)yy(?!y)", pattern) is not None
    first, last = (date(1900 + PIVOT, 1, 1), date(1999 + PIVOT, 12, 31)) if short_year else (FIRST, LAST)
    days = (last - first).days + 1
    while True:
        day = first + timedelta(draw.randrange(days))
        text = _written(draw, day, locale, pattern)
        if read_numeric(text) in (None, day):
            break
    case = draw.random()
    if case < 0.2:
        text = text.lower()
    elif case < 0.3:
        text = text.upper()
    return day, text


def _written(draw: random.Random, day: date, locale: Locale, pattern: str) -> str:
    if "{" in pattern:
        zero = draw.choice("〇零")
        pattern = pattern.format(
            ordinal=f"'{_ordinal(day.day, locale.language)}'",
            year="".join((zero + "一二三四五六七八九")[int(digit)] for digit in str(day.year)),
            day=_chinese_number(day.day),
        )
    return parse_pattern(pattern).apply(day, locale)


def _ordinal(day: int, language: str) -> str:
    if language == "fr":
        return "1er" if day == 1 else str(day)
    suffix = "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{suffix}"


def _chinese_number(number: int) -> str:
    """1-31 as in dates: 十, 十二, 二十五, 三十一."""
    return _TENS[number // 10] + " 一二三四五六七八九"[number % 10].strip()
