"""Which texts are computed at once."""

from __future__ import annotations

from zoo.data.reading import similar


def test_long_texts_are_computed_few_at_once():
    """So many tokens at once, padding included, however many and long the texts are; each text once."""
    lengths = [3] * 200 + [700] * 30 + [5000, 9000, 1]
    parts = list(similar(lengths, 64, 8192))
    assert sorted(i for part in parts for i in part) == list(range(len(lengths)))
    sizes = [(len(part), max(lengths[i] for i in part)) for part in parts]
    assert all(count <= 64 and (count == 1 or count * longest <= 8192) for count, longest in sizes)
    assert sizes[0] == (64, 3) and sizes[-1] == (1, 9000) and (11, 700) in sizes
    assert [len(part) for part in similar(lengths, 100)] == [100, 100, 33]
    assert list(similar([], 64, 8192)) == []
