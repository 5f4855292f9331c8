"""Named public data sets: where their files come from, under which licence, and how to read them.

A file is looked for in `data.dir`, then in $ZOO_DATA/<name>, then in the cache; else it is downloaded into
the cache. A download must have the sha256 that stands here; a file that somebody put there with another
content is used, with a warning. The sha256 is of the unpacked content: a text can be packed in many ways.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zoo.cache import cache_dir
from zoo.config.data import SST2, TREC, UDEWT, Multi30k, Named, TatoebaEnZh, TinyShakespeare
from zoo.data.datasets import Dataset
from zoo.data.readers import Rows, answer_text, conllu_rows, kept, labeled_rows, parallel_rows, tsv_rows
from zoo.data.text_files import Reading, shown
from zoo.errors import UserError

GITHUB = "https://raw.githubusercontent.com/"
MULTI30K = GITHUB + "multi30k/dataset/master/data/task1/raw/"
SST2_TSV = GITHUB + "clairett/pytorch-sentiment-classification/master/data/SST2/"
TREC_LABEL = "https://cogcomp.seas.upenn.edu/Data/QA/QC/"
UD_EWT = GITHUB + "UniversalDependencies/UD_English-EWT/r2.15/"
SHAKESPEARE = GITHUB + "karpathy/char-rnn/master/data/tinyshakespeare/"


@dataclass(frozen=True)
class Source:
    """Where a data set comes from."""

    address: str
    licence: str
    sha256: dict[str, str]
    """File -> sha256 of its unpacked content."""
    upstream: Callable[[str], str] | None = None
    """Name of a file -> address of the one it is made from; None where it cannot be downloaded."""
    convert: Callable[[bytes], bytes] = bytes
    """From the upstream file's content to this file's."""
    by_hand: str = ""
    """How to get the files where they cannot be downloaded."""


def _latin1_to_utf8(content: bytes) -> bytes:
    return content.decode("latin-1").encode()


def _words_lemmas_tags(content: bytes) -> bytes:
    """CoNLL-U with sentence ids, texts and the first four columns, the others empty."""
    lines = []
    for line in content.decode().split("\n"):
        if line.startswith("#"):
            if line.startswith(("# sent_id", "# text =")):
                lines.append(line)
        else:
            lines.append("\t".join([*line.split("\t")[:4], *"_" * 6]) if line else "")
    return "\n".join(lines).encode()


SOURCES = {
    "multi30k": Source(
        address="https://github.com/multi30k/dataset",
        licence="CC BY-NC-SA 4.0: weights trained on it are for research",
        sha256={
            "test_2016_flickr.de.gz": "4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16",
            "test_2016_flickr.en.gz": "399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182",
            "test_2016_flickr.fr.gz": "cb3160d69b002bb638e66cc7612fcd56cb0af82eadc9c142dedc438afb885ef6",
            "train.de.gz": "2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72",
            "train.en.gz": "460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6",
            "train.fr.gz": "5925a3c18f1587b6b54b87743106e6e8ab93618edb6f65d19eac0621f853a10d",
            "val.de.gz": "660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660",
            "val.en.gz": "1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227",
            "val.fr.gz": "5304e444d842e962b2dda4d816b70b22a1765b15401642b7ca37a67477e708dc",
        },
        upstream=lambda name: MULTI30K + name,
    ),
    "tatoeba_en_zh": Source(
        address="https://www.manythings.org/anki/",
        licence="CC BY 2.0 FR",
        sha256={
            "train.tsv.gz": "8d97f2500897beed5a8d4eb711cb4555304ff171b672d49e64c404f1c31bfe71",
            "val.tsv.gz": "98f2f2c8db6b7e5107fd31ba04500181afa2f27a700bf8662e92b721ef78fe9f",
        },
        by_hand="this split is not published. Make train.tsv.gz and val.tsv.gz (English<TAB>Chinese) from "
        "cmn.txt in https://www.manythings.org/anki/cmn-eng.zip, no sentence in both",
    ),
    "sst2": Source(
        address="https://nlp.stanford.edu/sentiment/",
        licence="not stated by its authors (Socher et al. 2013)",
        sha256={
            "dev.tsv": "eddea6b39e601dd4e7a672b53cc40fdf6019fa80522f351206c24340ca5d9359",
            "test.tsv": "831169c7e2e429d6026e1bdbb542f33b636e3e596caad9602ebc953c205928b7",
            "train.tsv": "ec192f833a64da08f475488a77b0d0b47db47acd0f458bd18433fc793b569920",
        },
        upstream=lambda name: SST2_TSV + name,
    ),
    "trec": Source(
        address="https://cogcomp.seas.upenn.edu/Data/QA/QC/",
        licence="not stated by its authors (Li and Roth 2002)",
        sha256={
            "test.txt": "033f22c028c2bbba9ca682f68ffe204dc1aa6e1cf35dd6207f2d4ca67f0d0e8e",
            "train.txt": "016243a7ddb380241c94eabcf073a210b9a83a2e772347cb5ed844722a192faf",
        },
        upstream=lambda name: (
            TREC_LABEL + {"train.txt": "train_5500.label", "test.txt": "TREC_10.label"}[name]
        ),
        convert=_latin1_to_utf8,
    ),
    "ud_ewt": Source(
        address="https://github.com/UniversalDependencies/UD_English-EWT",
        licence="CC BY-SA 4.0",
        sha256={
            "en_ewt-upos-dev.conllu.gz": "5efc4682aaec55322b46c02253574733eb36ffefea21b8ebf79b593dece8a84c",
            "en_ewt-upos-test.conllu.gz": "99207949e82befa9e689669210cb5fd7b759625177c6acaf189a5fccde294400",
            "en_ewt-upos-train.conllu.gz": "53236b121575b3cbebdf49b71f437c33fade9d9e1e4d832dbe9e828ab97efa87",
        },
        upstream=lambda name: UD_EWT + name.removesuffix(".gz").replace("-upos-", "-ud-"),
        convert=_words_lemmas_tags,
    ),
    "tinyshakespeare": Source(
        address="https://github.com/karpathy/char-rnn",
        licence="public domain",
        sha256={
            "input.txt": "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        },
        upstream=lambda name: SHAKESPEARE + name,
    ),
}


def load(config: Named) -> Dataset:
    """Finds or fetches the files of a named data set, and reads them."""
    source = SOURCES[config.name]
    reading = Reading()
    splits = READERS[config.name](reading, lambda name: _find(reading, source, config, name), config)
    return reading.finish(
        {name: kept(reading, name, rows, config) for name, rows in splits.items()},
        source.licence,
        source.address,
    )


Find = Callable[[str], Path]


def _multi30k(reading: Reading, find: Find, config: Multi30k) -> dict[str, Rows]:
    stems = {"train": "train", "val": "val", "test": "test_2016_flickr"}
    sides = (config.source, config.target)
    return {
        split: parallel_rows(reading, split, *(find(f"{stem}.{language}.gz") for language in sides))
        for split, stem in stems.items()
    }


def _tatoeba(reading: Reading, find: Find, config: TatoebaEnZh) -> dict[str, Rows]:
    columns = (0, 1) if config.source == "en" else (1, 0)
    return {
        split: tsv_rows(reading, split, find(f"{split}.tsv.gz"), columns, header=False)
        for split in ("train", "val")
    }


def _sst2(reading: Reading, find: Find, config: SST2) -> dict[str, Rows]:
    names = {"0": "negative", "1": "positive"}
    rows = {
        split: tsv_rows(reading, split, find(f"{stem}.tsv"), (0, 1), header=False)
        for split, stem in {"train": "train", "val": "dev", "test": "test"}.items()
    }
    return {split: [(text, names.get(label, label)) for text, label in part] for split, part in rows.items()}


def _trec(reading: Reading, find: Find, config: TREC) -> dict[str, Rows]:
    """TREC has no validation split: each tenth training row is held out.

    Not, however, a question that stands in train twice, nor the first of its label; coarse and fine agree.
    """
    train, test = (labeled_rows(reading, split, find(f"{split}.txt"), " ") for split in ("train", "test"))
    times = Counter(text for text, _ in train)
    splits: dict[str, Rows] = {"train": [], "val": [], "test": test}
    known = set()
    for number, (text, label) in enumerate(train):
        held_out = number % 10 == 9 and times[text] == 1 and label in known
        splits["val" if held_out else "train"].append((text, label))
        known.add(label)
    if config.labels == "coarse":
        return {
            split: [(text, label.split(":")[0]) for text, label in rows] for split, rows in splits.items()
        }
    return splits


def _ud_ewt(reading: Reading, find: Find, config: UDEWT) -> dict[str, Rows]:
    return {
        split: conllu_rows(
            reading, split, find(f"en_ewt-upos-{stem}.conllu.gz"), config.source, config.target
        )
        for split, stem in {"train": "train", "val": "dev", "test": "test"}.items()
    }


def _tinyshakespeare(reading: Reading, find: Find, config: TinyShakespeare) -> dict[str, Rows]:
    text = reading.text("train", find("input.txt")) or ""
    cut = len(text) * 9 // 10
    return {"train": answer_text(text[:cut], config.target), "val": answer_text(text[cut:], config.target)}


READERS: dict[str, Callable[..., dict[str, Rows]]] = {
    "multi30k": _multi30k,
    "tatoeba_en_zh": _tatoeba,
    "sst2": _sst2,
    "trec": _trec,
    "ud_ewt": _ud_ewt,
    "tinyshakespeare": _tinyshakespeare,
}


def _find(reading: Reading, source: Source, config: Named, name: str) -> Path:
    """The file, from the first place that has it; the last place is filled by a download."""
    places = _places(config)
    for place in places.values():
        for candidate in (name, name.removesuffix(".gz")):
            path = place / candidate
            if path.is_file():
                if _sha256(path) != source.sha256[name]:
                    reading.report.warnings.append(
                        f"{shown(path)} is not the file as published (sha256 differs)"
                    )
                return path
    listed = ", ".join(
        f"{what} ({shown(places[what]) if what in places else 'not set'})"
        for what in ("data.dir", "$ZOO_DATA", "the cache")
    )
    missing = f"data: {config.name} needs {name}, which is in none of its places: {listed}"
    if source.upstream is None:
        raise UserError(f"{missing}; it cannot be downloaded: {source.by_hand}")
    return _download(source, name, places["the cache"], missing)


def _places(config: Named) -> dict[str, Path]:
    """Where files are looked for, in this order."""
    places = {}
    if config.dir is not None:
        places["data.dir"] = config.dir.expanduser()
        if not places["data.dir"].is_dir():
            raise UserError(f"data.dir: no folder {shown(places['data.dir'])}")
    if os.environ.get("ZOO_DATA"):
        places["$ZOO_DATA"] = Path(os.environ["ZOO_DATA"]).expanduser() / config.name
    places["the cache"] = cache_dir("datasets") / config.name
    return places


def _download(source: Source, name: str, folder: Path, missing: str) -> Path:
    """Fetches a file into the cache; it appears there under its name only when it is right."""
    import filelock
    import pooch

    address, path = source.upstream(name), folder / name
    logging.getLogger("zoo").info("downloading %s", address)
    pooch.get_logger().setLevel(logging.WARNING)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            filelock.FileLock(folder.with_suffix(".lock")),
            tempfile.TemporaryDirectory(dir=folder) as scratch,
        ):
            if path.is_file():  # another process was quicker
                return path
            fetched = pooch.retrieve(address, known_hash=None, fname=name, path=scratch)
            content = source.convert(_content(Path(fetched)))
            if hashlib.sha256(content).hexdigest() != source.sha256[name]:
                raise UserError(
                    f"{missing}; what {address} gives now is another file (sha256 differs): not kept"
                )
            packed = gzip.compress(content, mtime=0) if name.endswith(".gz") else content
            Path(fetched).write_bytes(packed)
            os.replace(fetched, path)
    except (OSError, ValueError, zlib.error) as error:  # requests' errors are OSErrors
        raise UserError(
            f"{missing}; and it could not be downloaded from {address} ({_reason(error)}). Put it into "
            "one of these, or run once with a network"
        ) from None
    return path


def _reason(error: Exception) -> str:
    """Few words where the library gives a paragraph."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"HTTP {status}"
    return getattr(error, "strerror", None) or type(error).__name__


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


def _sha256(path: Path) -> str:
    """Of the unpacked content; nothing where it cannot be unpacked, which reading it will report."""
    try:
        return hashlib.sha256(_content(path)).hexdigest()
    except (OSError, EOFError, zlib.error):
        return ""
