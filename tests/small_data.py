"""Stand-ins for the public data sets, a few rows each, so that every recipe can be run anywhere."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

SUBJECTS = {
    "en": ["a man", "two dogs", "the girl", "a red car", "some children"],
    "de": ["ein Mann", "zwei Hunde", "das Mädchen", "ein rotes Auto", "einige Kinder"],
    "fr": ["un homme", "deux chiens", "la fille", "une voiture rouge", "des enfants"],
    "zh": ["一个男人", "两只狗", "那个女孩", "一辆红色的汽车", "一些孩子"],
}
VERBS = {
    "en": ["runs", "sleeps", "plays on the grass", "looks at a book"],
    "de": ["läuft", "schläft", "spielt auf dem Gras", "schaut ein Buch an"],
    "fr": ["court", "dort", "joue sur l'herbe", "regarde un livre"],
    "zh": ["在跑步", "在睡觉", "在草地上玩", "在看书"],
}
TAGS = {"a": "DET", "the": "DET", "some": "DET", "two": "NUM", "red": "ADJ", "on": "ADP", "at": "ADP"}
QUESTIONS = {"HUM:ind": "Who was", "LOC:city": "Where is", "NUM:date": "When was", "ABBR:exp": "What does"}


def write(folder: Path, rows: int = 240) -> Path:
    """Files of every public data set, as `$ZOO_DATA` holds them."""
    for part in (_multi30k, _tatoeba, _sst2, _trec, _ud_ewt, _shakespeare):
        for name, text in part(rows).items():
            path = folder / part.__name__.lstrip("_").replace("tatoeba", "tatoeba_en_zh").replace(
                "shakespeare", "tinyshakespeare"
            )
            path.mkdir(parents=True, exist_ok=True)
            content = text.encode()
            (path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return folder


def _sentences(rows: int, seed: int, *languages: str) -> list[tuple[str, ...]]:
    """The same sentences in several languages; numbers make them many."""
    chance = random.Random(seed)
    made = []
    for _ in range(rows):
        i, j, number = chance.randrange(5), chance.randrange(4), chance.randrange(1000)
        made.append(tuple(f"{SUBJECTS[x][i]} {VERBS[x][j]} {number} ." for x in languages))
    return made


def _sizes(rows: int) -> tuple[int, int, int]:
    return rows, rows // 10, rows // 10


def _multi30k(rows: int) -> dict[str, str]:
    files = {}
    for seed, (stem, count) in enumerate(
        zip(("train", "val", "test_2016_flickr"), _sizes(rows), strict=True)
    ):
        for number, language in enumerate(("en", "de", "fr")):
            lines = [row[number] for row in _sentences(count, seed, "en", "de", "fr")]
            files[f"{stem}.{language}.gz"] = "\n".join(lines) + "\n"
    return files


def _tatoeba(rows: int) -> dict[str, str]:
    return {
        f"{stem}.tsv.gz": "".join(f"{en}\t{zh}\n" for en, zh in _sentences(count, seed, "en", "zh"))
        for seed, (stem, count) in enumerate(zip(("train", "val"), _sizes(rows)[:2], strict=True))
    }


def _sst2(rows: int) -> dict[str, str]:
    files = {}
    for seed, (stem, count) in enumerate(zip(("train", "dev", "test"), _sizes(rows), strict=True)):
        texts = [row[0] for row in _sentences(count, seed, "en")]
        files[f"{stem}.tsv"] = "".join(
            f"{text} {'good' if i % 2 else 'bad'}\t{i % 2}\n" for i, text in enumerate(texts)
        )
    return files


def _trec(rows: int) -> dict[str, str]:
    files = {}
    for seed, (stem, count) in enumerate(zip(("train", "test"), _sizes(rows)[:2], strict=True)):
        texts = [row[0] for row in _sentences(count, seed, "en")]
        labels = list(QUESTIONS)
        files[f"{stem}.txt"] = "".join(
            f"{labels[i % 4]} {QUESTIONS[labels[i % 4]]} {text} ?\n" for i, text in enumerate(texts)
        )
    return files


def _ud_ewt(rows: int) -> dict[str, str]:
    files = {}
    for seed, (stem, count) in enumerate(zip(("train", "dev", "test"), _sizes(rows), strict=True)):
        blocks = []
        for (sentence,) in _sentences(count, seed, "en"):
            words = sentence.split()
            lines = [
                f"{i}\t{word}\t{word}\t{_tag(word)}" + "\t_" * 6 for i, word in enumerate(words, start=1)
            ]
            blocks.append("\n".join([f"# text = {sentence}", *lines]) + "\n")
        files[f"en_ewt-upos-{stem}.conllu.gz"] = "\n".join(blocks) + "\n"
    return files


def _tag(word: str) -> str:
    if word in TAGS:
        return TAGS[word]
    return "NUM" if word.isdigit() else "PUNCT" if word == "." else "VERB" if word.endswith("s") else "NOUN"


def _shakespeare(rows: int) -> dict[str, str]:
    lines = [
        f"{'ROMEO' if i % 2 else 'JULIET'}:\n{row[0]}\n" for i, row in enumerate(_sentences(rows, 0, "en"))
    ]
    return {"input.txt": "\n".join(lines)}
