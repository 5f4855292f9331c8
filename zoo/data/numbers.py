"""Numbers in words of four languages <-> digits: `quatre-vingt-dix-sept` <-> `97`.

num2words writes English, French and German; cn2an Chinese. To digits, the words alone decide, whatever the
language. To words, the question names it: `de 245` -> `zweihundertfünfundvierzig`.

All lengths occur equally often, as far as there are numbers of that length. 0-20, the words that all others
are made of, stand in train; the other splits ask for numbers that train does not show in that language.
"""

from __future__ import annotations

import copy
import random
from functools import cache
from itertools import pairwise

import cn2an
from num2words import CONVERTER_CLASSES
from num2words.base import Num2Word_Base

from zoo.config.data import Numbers
from zoo.data.datasets import Dataset, Report, Split
from zoo.errors import UserError

Item = tuple[int, str]  # number, language

_SPARE = 8  # for texts that two languages share: `six` is English and French


def load(config: Numbers) -> Dataset:
    """The splits that the recipe's `data` section asks for."""
    count = config.train + config.val + config.test
    draw = random.Random(f"numbers {config.seed}")
    items = _sample(draw, config.max_value, sorted(set(config.languages)), count + _SPARE)
    draw.shuffle(items)
    items.sort(key=lambda item: item[0] > 20)  # stable: the basic words come first, all else stays shuffled
    rows = list(dict(_row(item, config.direction) for item in items).items())
    if len(rows) < count:
        raise UserError(
            f"data.train: {count:,} examples asked for (train, val and test together), but only "
            f"{len(rows):,} exist up to {config.max_value:,}; ask for fewer or raise data.max_value"
        )
    cuts = (0, config.train, config.train + config.val, count)
    parts = [rows[start:end] for start, end in pairwise(cuts)]
    draw.shuffle(parts[0])
    return Dataset(
        *(Split([source for source, _ in part], [target for _, target in part]) for part in parts),
        report=Report(),
        licence="generated, no rights reserved",
        address="generated with num2words and cn2an",
    )


def in_words(number: int, language: str) -> str:
    """A number as it is written in a language."""
    return cn2an.an2cn(number) if language == "zh" else _converter(language).to_cardinal(number)


@cache
def _converter(language: str) -> Num2Word_Base:
    """num2words' converter without its names above 10**16: it searches all of them, 9 times slower."""
    converter = copy.copy(CONVERTER_CLASSES[language])
    converter.cards = type(converter.cards)((k, v) for k, v in converter.cards.items() if k <= 10**16)
    return converter


def _row(item: Item, direction: str) -> tuple[str, str]:
    number, language = item
    words = in_words(number, language)
    return (words, str(number)) if direction == "to_digits" else (f"{language} {number}", words)


def _sample(draw: random.Random, max_value: int, languages: list[str], count: int) -> list[Item]:
    """Different (number, language) pairs, each length equally often while there are any."""
    lengths = range(1, len(str(max_value)) + 1)
    strata = [range(10 ** (n - 1) if n > 1 else 0, min(10**n, max_value + 1)) for n in lengths]
    strata.sort(key=len)  # what a short stratum cannot give, the longer ones do
    items: list[Item] = []
    for position, numbers in enumerate(strata):
        quota = (count - len(items)) // (len(strata) - position)
        pairs = len(numbers) * len(languages)
        for pair in draw.sample(range(pairs), min(quota, pairs)):
            items.append((numbers[pair // len(languages)], languages[pair % len(languages)]))
    return items
