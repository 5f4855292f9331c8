"""`zoo ls`: what there is, one line each, read without importing TensorFlow or a model."""

from __future__ import annotations

from pathlib import Path

import click
from zoo.cli import output

from zoo import hub, registry

KINDS = ("recipes", "models", "layers", "datasets", "saved")
COLUMNS = {"saved": ("name", "score", "description")}
"""Of kinds that have more than a description."""


@click.command()
@click.argument("kind", type=click.Choice([*KINDS, "runs"]), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--markdown", is_flag=True, help="Of saved models: a table for a page, made of their cards.")
def command(kind: str | None, as_json: bool, markdown: bool) -> None:
    """List recipes, models, layers, data sets or saved models; without KIND, all of them.

    `zoo ls runs` lists your own runs under runs/, the newest first: how far they are, the best figure, minutes.
    """
    if markdown:
        _saved_as_markdown(kind)
    elif kind == "runs":
        _runs(as_json)
    elif kind == "recipes" and output.is_terminal() and not as_json:
        _recipes_by_task()
    elif kind:
        output.table(rows(kind), COLUMNS.get(kind, ("name", "description")), as_json)
    elif as_json:
        output.print_json({kind: rows(kind) for kind in KINDS})
    elif output.is_terminal():
        for kind in KINDS:
            if kind == "recipes":
                _recipes_by_task()
            else:
                output.table(rows(kind), COLUMNS.get(kind, ("name", "description")), title=kind)
            output.echo()
    else:
        everything = [{"kind": kind, **row} for kind in KINDS for row in rows(kind)]
        output.table(everything, ("name", "kind", "description"))


def _runs(as_json: bool) -> None:
    from zoo.runs import COLUMNS, runs_in

    found = runs_in(Path("runs"))
    output.table(found, COLUMNS, as_json, title="runs")
    if not found and not as_json:
        output.echo("no runs under runs/ here; `zoo train RECIPE` makes one", err=True)


def _saved_as_markdown(kind: str | None) -> None:
    from zoo.errors import UserError
    from zoo.saved.card import read_card
    from zoo.saved.page import models_table

    if kind != "saved":
        raise UserError("--markdown: is for `zoo ls saved`")
    cards = [read_card(hub.find_saved(name)) for name in hub.here_names()]
    output.echo(models_table(sorted(cards, key=lambda card: (card.task, card.name)), "saved_models"))


def _recipes_by_task() -> None:
    """A table for each task, so that what does the same stands together."""
    everything = rows("recipes")
    for number, task in enumerate(dict.fromkeys(row["name"].split("/")[0] for row in everything)):
        if number:
            output.echo()
        these = [row for row in everything if row["name"].startswith(f"{task}/")]
        output.table(these, ("name", "description"), title=f"recipes, {task.replace('_', ' ')}")


def rows(kind: str) -> list[dict[str, str]]:
    """name and description of everything of a kind, and the score of what has one."""
    if kind == "saved":
        return [
            {"name": name, "score": entry.score, "description": _with_licence(entry.summary, entry.licence)}
            for name, entry in sorted(hub.saved_index().items())
        ]
    found = {
        "recipes": lambda: {
            name: _first_comment(hub.recipes_dir() / f"{name}.yaml") for name in hub.recipe_names()
        },
        "models": lambda: _said("model"),
        "layers": lambda: {name: line for name, _, line in registry.documented_layers()},
        "datasets": _datasets,
    }[kind]()
    return [{"name": name, "description": description} for name, description in found.items()]


def _said(kind: str) -> dict[str, str]:
    """Every registered name with the first docstring line of its section in a recipe."""
    said = registry.documented_sections(kind)
    return {name: said.get(name, "") for name in registry.table(kind)}


def _datasets() -> dict[str, str]:
    licences = registry.licences()
    return {name: _with_licence(line, licences.get(name)) for name, line in _said("dataset").items()}


def _with_licence(line: str, licence: str | None) -> str:
    return f"{line} [{licence}]" if licence else line


def _first_comment(path: Path) -> str:
    with path.open(encoding="utf-8") as lines:
        return next((line.lstrip("# ").strip() for line in lines if line.startswith("#")), "")
