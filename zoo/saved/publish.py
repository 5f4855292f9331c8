"""From a run to a saved model: weights, tokenizer, recipe and a card of figures measured on those very files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo import files
from zoo.config.data import Named
from zoo.config.decoding import Expect
from zoo.config.metrics import METRICS
from zoo.config.recipe import Recipe
from zoo.data.datasets import Dataset, Split, load_dataset
from zoo.errors import UserError
from zoo.export import export
from zoo.export.metric import drop
from zoo.loading import load, load_weights
from zoo.recipe import dump_recipe
from zoo.saved.card import Card, Data, Export, Score, Seeds, write_card
from zoo.saved.entry import enter
from zoo.saved.index import NAME, WEIGHTS, read_index_of
from zoo.saved.origin import Origin
from zoo.saved.page import NAMES, PAGE, SHARES, write_page
from zoo.saved.samples import asked, best_and_worst
from zoo.saved.weights import FORMS, shrink

ALL = 10**9
"""Rows: as many as there are."""
MAY_LOSE = 0.05
"""Points of validation that weights in fewer bytes may lose."""


@dataclass(frozen=True)
class Wishes:
    """What the publisher says; the rest is known from the run."""

    name: str | None = None
    summary: str | None = None
    licence: str | None = None
    ask: Sequence[str] = ()
    """Texts (or prompts) whose answers the card shows beside those that are chosen from validation."""
    seeds: Sequence[Path] = ()
    """Runs of the same recipe that differ in their seed alone: the mean of all stands in the card."""
    replace: bool = False
    exports: bool = True


def publish(
    source: Path, root: Path, wishes: Wishes, progress: Callable[[str], None] = lambda line: None
) -> Path:
    """Makes the folder of a saved model under `root` and writes it into the index there; returns the folder.

    Args:
        source: a run, or an average of its weights (`zoo average`).
        root: a folder of saved models; it and its index are made where they are not there.
        wishes: what the run does not know.
        progress: is told what goes on.
    """
    origin = Origin.of(source)
    recipe = origin.recipe
    name = wishes.name or recipe.name.rsplit("/", 1)[-1]
    folder = root / name
    if not NAME.fullmatch(name):
        given = (
            f"--name {name}" if wishes.name else f"{name}: is the name of the recipe; give another by --name"
        )
        raise UserError(f"{given}: a saved model's name has a-z, 0-9 and single . _ - between")
    if folder.exists() and not wishes.replace:
        raise UserError(f"{folder}: is published already; give --replace, or another --name")
    read_index_of(root)  # if it is damaged, that is said now
    dataset = load_dataset(recipe)
    summary, licence = _said(origin, dataset, wishes)
    training, others = origin.training(), [Origin.of(path) for path in wishes.seeds]
    for other in others:
        other.training()  # if it is not finished, that is said now
        if not origin.differs_in_seed(other):
            raise UserError(f"--seed-run {other.path}: differs from {source} in more, or less, than its seed")
    files.make_folder(root)
    with files.whole(folder, folder=True) as beside:
        shutil.copytree(origin.tokenizer, beside / "tokenizer")
        if origin.labels.is_file():
            shutil.copyfile(origin.labels, beside / origin.labels.name)
        files.write(beside / "recipe.yaml", dump_recipe(_without_paths(recipe)))
        progress("measuring the weights")
        weights = _write_weights(origin, beside, dataset.val, progress)
        task = load(beside)
        scores = [
            _score(task, name, split, rows) for split, rows in dataset.splits().items() if split != "train"
        ]
        published = next((score for score in scores if score.split == "test"), scores[0])
        expected = _expected(published, training.minutes)
        files.write(
            beside / "recipe.yaml",
            dump_recipe(_without_paths(recipe).model_copy(update={"expect": expected})),
        )
        progress("choosing samples")
        good, bad = ([], []) if task.generates or task.fills else best_and_worst(task, dataset.val)
        ask = wishes.ask or ([task.example(dataset.val)] if task.generates else [])
        if others:
            progress(f"measuring {len(others)} other seeds")
        card = Card(
            name=name,
            summary=summary,
            recipe=recipe.name,
            task=recipe.task,
            model=_model(recipe),
            parameters=task.model.count_params(),
            weights=weights,
            licence=licence,
            data=Data(
                name=recipe.data.name,
                address=dataset.address,
                licence=dataset.licence,
                rows={split: len(rows) for split, rows in dataset.splits().items()},
            ),
            training=training,
            scores=scores,
            seeds=_seeds(origin, others, published, dataset) if others else None,
            max_length=recipe.data.max_length,
            good=good,
            bad=bad,
            asked=asked(task, ask),
            exports=_exports(beside, name, recipe, progress) if wishes.exports else [],
        )
        if (folder / PAGE).is_file():
            shutil.copyfile(folder / PAGE, beside / PAGE)  # what somebody wrote there stays
        write_card(beside, card)
        write_page(beside, card)
        if folder.exists():
            files.remove(folder)
    enter(folder, card)
    return folder


def _said(origin: Origin, dataset: Dataset, wishes: Wishes) -> tuple[str, str]:
    """What it is and under which licence, where somebody said so."""
    summary, problems = wishes.summary or origin.summary(), []
    licence = wishes.licence or (None if dataset.licence == "yours" else f"as its data: {dataset.licence}")
    if not summary:
        problems.append(
            '--summary "...": say in a sentence what the model does; its recipe has no header that does'
        )
    if not licence:
        problems.append('--licence "...": say what others may do with the weights; the data is yours')
    if problems:
        raise UserError(*problems)
    return summary, licence


def _without_paths(recipe: Recipe) -> Recipe:
    """No folder of this machine is published: files of one's own are looked for beside the recipe."""
    data = recipe.data
    if getattr(data, "dir", None) is not None:
        data = data.model_copy(update={"dir": None if isinstance(data, Named) else Path(".")})
    masking = recipe.masking.model_copy(update={"phrases": None})
    return recipe.model_copy(update={"data": data, "masking": masking})


def _write_weights(origin: Origin, folder: Path, validation: Split, progress: Callable[[str], None]) -> str:
    """Weights in the fewest bytes that cost nothing; returns their form."""
    path = folder / WEIGHTS
    shutil.copyfile(origin.weights, path)
    task = load(folder)
    figures, _ = task.score(validation)
    metric = _metric(origin.recipe, figures)
    exact = figures[metric]
    for form, fraction in FORMS.items():
        if not shrink(origin.weights, path, fraction):
            break
        load_weights(task, path)
        found = task.score(validation)[0][metric]
        progress(f"{metric} {found:.4g}, of float32 {exact:.4g}: {form}, {path.stat().st_size:,} bytes")
        if drop(metric, exact, found) <= MAY_LOSE:
            return form
    shutil.copyfile(origin.weights, path)
    return "float32"


def _metric(recipe: Recipe, figures: Container[str]) -> str:
    """The figure that is published: that which the recipe goes by, where answers give it."""
    wanted = (recipe.expect and recipe.expect.metric, recipe.train.metric, *METRICS[recipe.task])
    return next(name for name in wanted if name in figures)


def _score(task, name: str, split: str, rows: Split) -> Score:
    """All figures of a split."""
    carried = task.carries_state
    found, _ = task.score(rows, carry_state=True) if carried else task.score(rows)
    metric = _metric(task.recipe, found)
    return Score(
        split=split,
        rows=found.get("tokens", len(rows)),
        metric=metric,
        figures={key: float(found[key]) for key in NAMES if key in found},
        length_unit=found.get("length_unit", "words"),
        by_length=found["by_length"] if metric.startswith(("bleu", "chrf")) else {},
        signatures={
            key.removesuffix("_signature"): value
            for key, value in found.items()
            if key.endswith("_signature")
        },
        command=f"zoo eval {name} --split {split}{' --carry-state' * carried}",
    )


def _expected(score: Score, minutes: float) -> Expect:
    """What `zoo check` holds it to: another machine rounds otherwise, which may turn an answer or two."""
    value = score.figures[score.metric]
    tolerance = max(0.1, 200.0 / score.rows) if score.metric in SHARES else 0.005
    if score.metric.startswith(("bleu", "chrf")):
        tolerance = 0.2
    return Expect(
        metric=score.metric,
        value=round(value, 4),
        tolerance=round(tolerance, 3),
        split=score.split,
        minutes=max(minutes, 0.1),
    )


def _seeds(origin: Origin, others: Sequence[Origin], published: Score, dataset: Dataset) -> Seeds:
    """The published figure of each run."""
    rows, values = dataset.splits()[published.split], {}
    for each in (origin, *others):
        values[each.recipe.seed] = float(load(each.path).score(rows)[0][published.metric])
    named = {str(seed): values[seed] for seed in sorted(values)}
    return Seeds(split=published.split, metric=published.metric, values=named)


def _model(recipe: Recipe) -> str:
    """Its name, and what its recipe says of it beyond the defaults."""
    said = recipe.model.model_dump(mode="json", exclude_defaults=True)
    return ", ".join([said.pop("name"), *(f"{key} {value}" for key, value in said.items())])


def _exports(folder: Path, name: str, recipe: Recipe, progress: Callable[[str], None]) -> list[Export]:
    """SavedModel and TFLite, the latter in 8 bits too: size, and figure on all of validation."""
    made = []
    with tempfile.TemporaryDirectory(prefix="zoo-publish-") as scratch:
        source = Path(scratch) / "source"
        shutil.copytree(folder, source)
        files.write(
            source / "recipe.yaml", dump_recipe(recipe)
        )  # the published one knows no data of one's own
        for formats, quantize in ((["saved_model", "tflite"], "none"), (["tflite"], "dynamic_int8")):
            reports = export(
                str(source),
                formats,
                scratch,
                quantize=quantize,
                metric_samples=ALL,
                max_drop=ALL,
                progress=progress,
            )
            command = f"zoo export {name} --format {','.join(formats)}"
            command += f" --quantize {quantize}" if quantize != "none" else ""
            made += [_measured(report, command) for report in reports]
    return made


def _measured(report: dict, command: str) -> Export:
    metric = report["metric"] or {}
    times = report["latency_ms"].get("1", {}).get("text") or {}
    return Export(
        file=Path(report["path"]).name,
        bytes=report["size"],
        metric=metric.get("name"),
        value=metric.get("export"),
        python=metric.get("python"),
        rows=metric.get("samples", 0),
        p50_ms=times.get("p50"),
        command=command,
    )
