"""card.yaml: what is known and was measured of a saved model. zoo/saved/page.py says it to people."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from zoo import files
from zoo.config.base import Section
from zoo.errors import UserError
from zoo.yaml_strict import dump_yaml, parse_yaml

CARD = "card.yaml"


class Data(Section):
    """What it learnt from."""

    name: str
    address: str = ""
    licence: str
    rows: dict[str, int]
    """Split -> its rows; of running text, its documents."""


class Training(Section):
    """How it was trained."""

    command: str
    steps: int
    best_step: int | None = None
    tokens: int
    minutes: float
    cpus: int | None = None
    devices: list[str]
    versions: dict[str, str]
    xla: bool


class OfLength(Section):
    """What a translator reaches on texts of about the same length."""

    rows: int
    bleu_lc: float


class Score(Section):
    """What it reaches on a split, measured on the files as they are shipped."""

    split: str
    rows: int
    """Of a language model: tokens that were foretold."""
    metric: str
    """The figure that counts."""
    figures: dict[str, float]
    length_unit: str = "words"
    by_length: dict[str, OfLength] = {}
    """Words of the source (or characters, as `length_unit` says), as "6-10" -> what a translator reaches there."""
    signatures: dict[str, str] = {}
    command: str


class Seeds(Section):
    """What runs of the same recipe reach that differ in their seed alone."""

    split: str
    metric: str
    values: dict[str, float]
    """Seed -> figure."""


class Sample(Section):
    """A question and what it is answered."""

    ask: str
    answer: str
    gold: str | None = None
    """The right answer, where it is known."""
    seed: int | None = None
    """Of a language model: what decides what is drawn."""


class Export(Section):
    """An exported file, measured in its own runtime."""

    file: str
    bytes: int
    metric: str | None = None
    value: float | None = None
    python: float | None = None
    """What Python reaches on the same rows."""
    rows: int
    p50_ms: float | None = None
    """Median time of one text, from text to text."""
    command: str


class Card(Section):
    """All that is known of a saved model."""

    name: str
    summary: str
    recipe: str
    task: str
    model: str
    parameters: int
    weights: str
    """Their form: float32, or one of zoo/saved/weights.py."""
    licence: str
    data: Data
    training: Training
    scores: list[Score]
    seeds: Seeds | None = None
    max_length: int
    """The longest text that it reads, in tokens."""
    good: list[Sample] = []
    """Of its best answers in validation."""
    bad: list[Sample] = []
    """Of its worst."""
    asked: list[Sample] = []
    """What its publisher asked it."""
    exports: list[Export] = []

    @property
    def score(self) -> Score:
        """The one that is published: of test, where there is one."""
        return next((score for score in self.scores if score.split == "test"), self.scores[0])


def read_card(folder: Path) -> Card:
    """The card in a folder."""
    path = folder / CARD
    try:
        return Card.model_validate(parse_yaml(path.read_text(encoding="utf-8"), str(path)))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); `zoo publish` writes it") from None
    except ValidationError as error:
        places = ", ".join(".".join(map(str, item["loc"])) for item in error.errors(include_url=False))
        raise UserError(f"{path}: damaged, or of another version: {places}") from None


def write_card(folder: Path, card: Card) -> None:
    """card.yaml."""
    plain = card.model_dump(exclude_defaults=True)
    files.write(folder / CARD, dump_yaml(plain))
