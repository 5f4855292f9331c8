"""The `data` section: a named data set, or files of one's own in one of six formats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from zoo.config.base import PositiveInt, Section

Column = int | str
FilePath = Annotated[Path, Field(strict=False)]
FileOrFiles = FilePath | Annotated[list[FilePath], Field(min_length=1)]
Language = Literal["en", "fr", "de", "zh"]


class DataSection(Section):
    """Keys of every data set."""

    max_length: Annotated[int, Field(ge=4)] = 64
    """Longest text in tokens, end mark included; longer training rows are left out and counted. Of a language
    model: the tokens it sees at once."""
    buckets: list[PositiveInt] = []
    """Lengths below max_length at which batches are cut; each is one compiled shape."""

    @field_validator("buckets")
    @classmethod
    def _ascending(cls, value: list[int]) -> list[int]:
        if value != sorted(set(value)):
            raise ValueError("must rise from one to the next")
        return value


class Generated(DataSection):
    languages: Annotated[list[Language], Field(min_length=1)] = ["en", "fr", "de", "zh"]
    """Languages the texts are written in."""
    train: PositiveInt = 20_000
    """Training examples to generate."""
    val: PositiveInt = 1_000
    """Validation examples."""
    test: PositiveInt = 1_000
    """Test examples."""
    seed: int = 0
    """Decides the examples; apart from the recipe's seed, so that several runs see the same data."""


class Dates(Generated):
    """Dates as people write them in four languages -> ISO 8601 (generated)."""

    name: Literal["dates"]


class Numbers(Generated):
    """Numbers written in words of four languages <-> digits (generated)."""

    name: Literal["numbers"]
    direction: Literal["to_digits", "to_words"] = "to_digits"
    """Words to digits, or digits (with a language mark) to words."""
    max_value: Annotated[int, Field(ge=99, lt=10**16)] = 999_999
    """Largest number."""


class Named(DataSection):
    """A public data set; its files are found under `dir`, $ZOO_DATA or the cache, else downloaded."""

    dir: FilePath | None = None
    """Folder that holds the files (default: $ZOO_DATA/<name>, else the cache)."""


class Multi30k(Named):
    """English, German, French image captions (Elliott et al. 2016), task 1."""

    name: Literal["multi30k"]
    source: Literal["en", "de", "fr"]
    """Language of the input."""
    target: Literal["en", "de", "fr"]
    """Language of the output."""


class TatoebaEnZh(Named):
    """English-Chinese short sentences (Tatoeba via ManyThings)."""

    name: Literal["tatoeba_en_zh"]
    source: Literal["en", "zh"]
    """Language of the input."""
    target: Literal["en", "zh"]
    """Language of the output."""


class SST2(Named):
    """Sentiment of film-review sentences, two classes (Socher et al. 2013)."""

    name: Literal["sst2"]


class TREC(Named):
    """Types of questions (Li and Roth 2002)."""

    name: Literal["trec"]
    labels: Literal["coarse", "fine"] = "coarse"
    """6 coarse or 50 fine labels."""


class UDEWT(Named):
    """English Web Treebank (Universal Dependencies): words -> part-of-speech tags or lemmas."""

    name: Literal["ud_ewt"]
    source: Literal["form", "lemma", "upos"] = "form"
    """Column read as input."""
    target: Literal["form", "lemma", "upos"] = "upos"
    """Column read as output."""


class TinyShakespeare(Named):
    """Plays of Shakespeare (public domain), the last tenth for validation, as one text or line by line."""

    name: Literal["tinyshakespeare"]
    target: Literal["next", "copy", "reverse"] = "next"
    """next: documents, whose tokens are asked for (language models); copy, reverse: each line is answered by
    itself or by its words in reverse order (translation)."""


def files_of(said: Path | list[Path] | None) -> list[Path]:
    """The files of a key that takes one or several."""
    return said if isinstance(said, list) else [said] if said else []


EnglishPart = Literal["multi30k", "tatoeba_en_zh", "tinyshakespeare", "sst2", "trec", "ud_ewt"]


class English(Named):
    """All English text of the public data sets: a sentence or a speech is a document; nothing stands twice."""

    name: Literal["english"]
    parts: Annotated[list[EnglishPart], Field(min_length=1)] = list(get_args(EnglishPart))
    """The data sets that are read."""
    dir: FilePath | None = None
    """Folder that holds the folders of the parts (default: $ZOO_DATA, else the cache)."""


class Encodings(Section):
    """Of each split its own."""

    train: str = "utf-8"
    """Of the training files."""
    val: str = "utf-8"
    """Of the validation files."""
    test: str = "utf-8"
    """Of the test files."""


class Files(DataSection):
    """Keys of every data set read from one's own files."""

    encoding: str | Encodings = "utf-8"
    """Encoding of the files, or of each split its own: {train: gb18030, val: utf-8}. gzip is recognised by the ending
    .gz."""
    bad_rows: Literal["error", "skip"] = "error"
    """What becomes of rows that cannot be used (too few columns, no JSON, no label): they stop everything, or are left
    out, counted and shown."""
    dir: FilePath | None = None
    """Folder that relative paths start from (default: the folder of the recipe)."""

    def path(self, path: Path) -> Path:
        """Where a file of the section is."""
        return (self.dir or Path()) / path.expanduser()

    @property
    def encodings(self) -> dict[str, str]:
        """Split -> encoding of its files."""
        said = self.encoding
        return dict.fromkeys(Encodings.model_fields, said) if isinstance(said, str) else said.model_dump()

    def files(self) -> Iterator[tuple[str, Path]]:
        """Where each file is that the section names, and the key that names it."""
        for split in Encodings.model_fields:
            said = getattr(self, split)
            if isinstance(said, Sides):
                yield f"data.{split}.source", self.path(said.source)
                yield f"data.{split}.target", self.path(said.target)
            else:
                yield from ((f"data.{split}", self.path(path)) for path in files_of(said))


class Sides(Section):
    source: FilePath
    """Input file, one text a line."""
    target: FilePath
    """Output file, line by line parallel to source."""


class Parallel(Files):
    """Two text files a split, parallel line by line (plain or gzip)."""

    name: Literal["parallel"]
    train: Sides
    """Training files."""
    val: Sides
    """Validation files."""
    test: Sides | None = None
    """Test files."""


class OneFile(Files):
    train: FilePath
    """Training file."""
    val: FilePath
    """Validation file."""
    test: FilePath | None = None
    """Test file."""


class Columns(Section):
    """Where the fields stand: source and target for translation, text and label for classification and for language
    modelling, which learns to write texts by their labels."""

    source: Column | None = None
    """Column of the input text: number from 0, or name."""
    target: Column | None = None
    """Column of the output text."""
    text: Column | None = None
    """Column of the text to classify."""
    label: Column | None = None
    """Column of its label."""


class TSV(OneFile):
    """Tab-separated values; a tab cannot stand inside a field, quotes are ordinary characters."""

    name: Literal["tsv"]
    columns: Columns
    """Which column is what."""
    header: bool = False
    """Whether the first line names the columns."""


class CSV(OneFile):
    """Comma-separated values with the usual quoting."""

    name: Literal["csv"]
    columns: Columns
    """Which column is what."""
    header: bool = True
    """Whether the first line names the columns."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """What separates the fields."""


class JSONL(OneFile):
    """One JSON object a line."""

    name: Literal["jsonl"]
    columns: Columns
    """Which field is what."""


class Labeled(OneFile):
    """A label, a separator, then the text: `__label__pos great film` or `DESC:manner How did ...`."""

    name: Literal["labeled"]
    separator: Annotated[str, Field(min_length=1)] = " "
    """What ends the label."""
    prefix: str = ""
    """What is cut off the label's front, such as `__label__`."""


class CoNLLU(OneFile):
    """CoNLL-U: one column of the words is answered by another, tag by tag or as a sequence."""

    name: Literal["conllu"]
    source: Literal["form", "lemma", "upos", "xpos"] = "form"
    """Column read as input."""
    target: Literal["form", "lemma", "upos", "xpos"] = "upos"
    """Column read as output."""


class Text(OneFile):
    """Plain text: documents whose tokens are asked for, or one example a line, copied or reversed."""

    name: Literal["text"]
    train: FileOrFiles
    """Training file, or a list of files: each is a document."""
    val: FileOrFiles
    """Validation file or files."""
    test: FileOrFiles | None = None
    """Test file or files."""
    target: Literal["next", "copy", "reverse"] = "next"
    """next: documents, whose tokens are asked for (language models); copy, reverse: each line is answered by
    itself or by its words in reverse order (translation)."""


Data = Annotated[
    Dates
    | Numbers
    | Multi30k
    | TatoebaEnZh
    | SST2
    | TREC
    | UDEWT
    | TinyShakespeare
    | English
    | Parallel
    | TSV
    | CSV
    | JSONL
    | Labeled
    | CoNLLU
    | Text,
    Field(discriminator="name"),
]
