"""The number-words task: what the libraries write, one meaning a text, and splits that are apart."""

from __future__ import annotations

from collections import Counter

import cn2an
import pytest
from num2words import num2words

from zoo.config.data import Numbers
from zoo.data import numbers
from zoo.errors import UserError


def load(**keys):
    return numbers.load(Numbers(name="numbers", **keys))


@pytest.mark.parametrize("language", ["en", "fr", "de"])
def test_words_are_those_of_num2words(language):
    """The quick converter is a trimmed copy; it must write what the whole one writes."""
    asked = [*range(0, 3_000, 7), *(10**n + n for n in range(3, 16)), *(10**n - 1 for n in range(3, 17))]
    asked += [80, 81, 200, 201, 80_000, 200_000, 80_000_000, 21_021_021, 2_000_000_000]
    for number in asked:
        assert numbers.in_words(number, language) == num2words(number, lang=language)


def test_chinese_reads_back():
    for number in [*range(0, 2_000, 3), 10_010, 100_110, 10**8 + 1, 12_345_678_901]:
        assert cn2an.cn2an(numbers.in_words(number, "zh"), "smart") == number
    assert [numbers.in_words(n, "zh") for n in (10, 12, 110, 1_001)] == ["十", "十二", "一百一十", "一千零一"]


@pytest.mark.parametrize("direction", ["to_digits", "to_words"])
def test_splits_are_apart_and_one_text_has_one_answer(direction):
    dataset = load(direction=direction, train=5_000)
    assert [len(split) for split in dataset.splits().values()] == [5_000, 1_000, 1_000]
    rows = [row for split in dataset.splits().values() for row in split]
    assert len({source for source, _ in rows}) == len(rows)
    assert load(direction=direction, train=5_000) == dataset
    assert load(direction=direction, train=5_000, seed=1).val != dataset.val


def test_to_words_names_the_language():
    for source, target in load(direction="to_words", train=500, val=50, test=50).train:
        language, number = source.split(" ")
        assert target == numbers.in_words(int(number), language)


def test_all_lengths_and_languages_occur():
    dataset = load(direction="to_words", train=20_000)
    lengths = Counter(len(source.split(" ")[1]) for source in dataset.train.sources)
    assert lengths[1] == 40  # each number below ten in each language
    assert lengths[2] > 250 and lengths[3] > 2_500
    assert max(lengths[n] for n in (4, 5, 6)) < 1.1 * min(lengths[n] for n in (4, 5, 6))
    languages = Counter(source[:2] for source in dataset.val.sources)
    assert set(languages) == {"en", "fr", "de", "zh"} and min(languages.values()) > 200


def test_basic_words_stand_in_train():
    dataset = load(direction="to_words", train=2_000)
    basic = {f"{language} {n}" for language in ("en", "fr", "de", "zh") for n in range(21)}
    assert basic <= set(dataset.train.sources)


def test_every_number_there_is_can_be_asked_for():
    """199, not 200: `six` is the same text in English and French."""
    assert len(load(languages=["en", "fr"], max_value=99, train=179, val=10, test=10).train) == 179
    with pytest.raises(UserError, match="only 199 exist up to 99"):
        load(languages=["en", "fr"], max_value=99, train=180, val=10, test=10)


def test_large_numbers():
    dataset = load(max_value=10**16 - 1, train=1_000, val=10, test=10)
    assert max(map(len, dataset.train.targets)) == 16
