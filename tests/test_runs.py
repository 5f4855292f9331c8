"""`zoo ls runs`: what stands in run folders, whole, unfinished and damaged."""

from __future__ import annotations

import json
import os
from pathlib import Path

from click.testing import CliRunner
from zoo.cli import main

RECIPE = "task: {task}\ntrain: {{steps: 100, metric: {metric}}}\n"


def write(folder: Path, lines: list[dict], age: int, task="translation", metric="null", **outcome) -> None:
    folder.mkdir(parents=True)
    (folder / "resolved.yaml").write_text(RECIPE.format(task=task, metric=metric))
    log = folder / "metrics.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 999, "tr')
    os.utime(log, (1_000_000 - age, 1_000_000 - age))
    if outcome:
        (folder / "outcome.json").write_text(json.dumps(outcome))


def test_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs"
    bleu = [{"step": 50, "val_bleu": 30.5, "val_loss": 2.0}, {"step": 100, "val_bleu": None, "val_loss": 1.0}]
    write(
        runs / "translation" / "done",
        [bleu[0], bleu[1] | {"seconds": 90.0}],
        3,
        steps=100,
        stopped_early=False,
    )
    write(runs / "early", bleu[:1], 2, metric="loss", steps=50, stopped_early=True, seconds=30.0)
    # Stopped early, then gone on with more patience: the outcome is of before.
    write(runs / "on", [*bleu[:1], {"step": 60, "train_loss": 2.0}], 1, steps=50, stopped_early=True)
    write(runs / "字", [], 0, task="language_modeling")
    (runs / "broken").mkdir()
    (runs / "broken" / "resolved.yaml").write_text("train: [")
    (runs / "broken" / "metrics.jsonl").write_text("{\n{\n")
    (runs / "broken" / "outcome.json").write_text("[]")
    os.utime(runs / "broken" / "metrics.jsonl", (1000, 1000))

    rows = json.loads(CliRunner().invoke(main, ["ls", "runs", "--json"]).stdout)
    assert [list(row.values()) for row in rows] == [
        ["字", 0, 100, "loss", None, None, "unfinished"],
        ["on", 60, 100, "bleu", 30.5, None, "unfinished"],
        ["early", 50, 100, "loss", 2.0, 0.5, "stopped early"],
        ["translation/done", 100, 100, "bleu", 30.5, 1.5, "done"],
        ["broken", 0, None, None, None, None, "unfinished"],
    ]
    lines = CliRunner().invoke(main, ["ls", "runs"]).stdout.splitlines()
    assert [line.split()[0] for line in lines] == [row["name"] for row in rows]
    assert lines[3].split() == ["translation/done", "100", "100", "bleu", "30.5", "1.5", "done"]


def test_no_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["ls", "runs"])
    assert (done.exit_code, done.stdout) == (0, "") and "no runs under runs/ here" in done.stderr
    assert json.loads(CliRunner().invoke(main, ["ls", "runs", "--json"]).stdout) == []
