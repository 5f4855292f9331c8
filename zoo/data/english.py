"""All English text of the public data sets, as documents for models that learn from text alone.

Their training splits are for training, their validation splits for validation, and so are their test splits.
A sentence is a document; of Shakespeare, a speech. What stands twice is read once, and what is held out anywhere
is learnt nowhere: many short sentences stand in several of the data sets.
"""

from __future__ import annotations

from pathlib import Path

from zoo.config import data as d
from zoo.data import public
from zoo.data.datasets import SPLITS, Dataset, Report, Split

SECTIONS = {
    "multi30k": lambda **where: d.Multi30k(name="multi30k", source="en", target="de", **where),
    "tatoeba_en_zh": lambda **where: d.TatoebaEnZh(name="tatoeba_en_zh", source="en", target="zh", **where),
    "tinyshakespeare": lambda **where: d.TinyShakespeare(name="tinyshakespeare", **where),
    "sst2": lambda **where: d.SST2(name="sst2", **where),
    "trec": lambda **where: d.TREC(name="trec", **where),
    "ud_ewt": lambda **where: d.UDEWT(name="ud_ewt", **where),
}


def load(config: d.English) -> Dataset:
    """Reads the parts; drops what stands twice, and of training what is held out."""
    report, licences = Report(), []
    texts: dict[str, list[str]] = {split: [] for split in SPLITS}
    for part in dict.fromkeys(config.parts):
        dataset = public.load(SECTIONS[part](**_where(config.dir, part)))
        licences.append(f"{part}: {dataset.licence}")
        report.warnings += dataset.report.warnings
        for name, split in dataset.splits().items():
            found = documents(part, split)
            report.add(name, f"documents of {part}", len(found))
            texts[name] += found
    held_out: set[str] = set()
    splits = {}
    for name in ("test", "val", "train"):  # the first that has it keeps it
        once = list(dict.fromkeys(texts[name]))
        kept = [text for text in once if text not in held_out]
        report.add(name, "documents left out: they stand twice", len(texts[name]) - len(once))
        report.add(name, "documents left out: another split holds them out", len(once) - len(kept))
        held_out.update(kept)
        splits[name] = Split(kept, [""] * len(kept))
    test = splits["test"] if splits["test"].sources else None
    return Dataset(splits["train"], splits["val"], test, report, "; ".join(licences), ", ".join(config.parts))


def documents(part: str, split: Split) -> list[str]:
    """The texts of a split one by one."""
    if part != "tinyshakespeare":
        return split.sources
    speeches = [speech.strip() for text in split.sources for speech in text.split("\n\n")]
    return [speech for speech in speeches if speech]


def _where(folder: Path | None, part: str) -> dict[str, Path]:
    return {} if folder is None else {"dir": folder / part}
