"""`zoo plot`: learning curves of runs in one picture, how well they do texts of each length, or what one looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from zoo.cli import options, output


@click.command()
@click.argument("runs", metavar="RUN|NAME...", nargs=-1, required=True)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Picture: .png, .svg or .pdf (default: see below)."
)
@click.option(
    "--x", "axis", type=click.Choice(["step", "tokens", "minutes"]), default="step", show_default=True
)
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", help="Figure of the validation; may be repeated."
)
@click.option("--log", is_flag=True, help="The loss on a logarithmic axis.")
@click.option(
    "--by-length",
    type=click.Choice(["val", "test"]),
    metavar="SPLIT",
    help="Instead of curves: BLEU by the length of the source, on val or test; `zoo eval` or a card knows it.",
)
@click.option(
    "--alignments",
    metavar="TEXT",
    help="Instead of curves: TEXT and a translator's answer, and which source token each token looked at.",
)
@options.allow_code
def command(
    runs: Sequence[str],
    out: Path | None,
    axis: str,
    metrics: Sequence[str],
    log: bool,
    by_length: str | None,
    alignments: str | None,
) -> None:
    """Draw what RUNs logged: training and validation loss, and below it the figures of the validation.

    With --by-length draw how well translators do texts of each length, as their newest `zoo eval` found; of a
    saved model (by its NAME) its card knows that. With --alignments draw what one translator looked at.

    The picture goes to RUN/curves.png, of several runs or a saved model to curves.png here (or by-length-SPLIT.png,
    alignments.png); its name is printed. Without --metric each run is shown by the figure that decides which of its
    weights are the best, which is ringed. Runs may still be training.
    """
    from zoo import curves
    from zoo.errors import UserError
    from zoo.saved.card import CARD
    from zoo.text import one_line
    from zoo.visualize import FORMATS, draw, draw_by_length

    others = {"--by-length": by_length, "--alignments": alignments}
    asked = [option for option, value in others.items() if value is not None]
    if asked and (len(asked) > 1 or metrics or log or axis != "step"):
        without = [option for option in ("--metric", "--log", "--x", *others) if option != asked[0]]
        raise UserError(f"{asked[0]}: is a picture of its own, without {', '.join(without)}")
    folders = list(dict.fromkeys(curves.find_run(run) for run in runs))
    name = f"by-length-{by_length}.png" if by_length else f"{'alignments' if asked else 'curves'}.png"
    own = len(folders) == 1 and not (folders[0] / CARD).is_file()  # a saved model's folder stays as it is
    out = out or (folders[0] if own else Path()) / name
    if out.suffix.lower() not in FORMATS:
        raise UserError(f"--out {out}: give a name that ends in {', '.join(FORMATS)}")
    names = curves.short_names(folders)
    if alignments is not None:
        if len(folders) > 1:
            raise UserError("--alignments: is a picture of one model; give one RUN or NAME")
        boxes = _draw_alignments(folders[0], names[0], alignments, out)
    elif by_length:
        units, found, told = zip(*(_by_length(folder, by_length) for folder in folders), strict=True)
        if len(set(told)) > 1:
            names = [f"{name} ({said})" if said else name for name, said in zip(names, told, strict=True)]
        unit = " or ".join(dict.fromkeys(units))
        boxes = draw_by_length(list(zip(names, found, strict=True)), out, by_length, unit)
    else:
        logged = curves.read_runs(folders)
        boxes = draw(logged, curves.choose_metrics(logged, metrics), out, axis, log)
    output.echo(str(out))
    differ = curves.differing(folders, ("data",)) if by_length else curves.differing(folders)
    if differ:
        what = "BLEU" if by_length else "losses"
        told = one_line(", ".join(differ))
        output.echo(f"note: these runs differ in {told}: their {what} cannot be compared", err=True)
    if boxes:
        output.echo(_without_font(boxes), err=True)


def _without_font(letters: str) -> str:
    """What is said of letters that stand in a picture as boxes."""
    shown = letters if len(letters) <= 12 else f"{letters[:12]}… ({len(letters)} letters)"
    return (
        f"warning: no installed font has {shown}: the picture shows boxes there; install one that does and draw again, "
        "for Chinese, Japanese and Korean for example the package fonts-noto-cjk"
    )


def _draw_alignments(folder: Path, name: str, text: str, out: Path) -> str:
    """The one picture that a model is asked for; returns the letters that no font has."""
    from zoo.cli import quiet

    from zoo.errors import UserError
    from zoo.visualize import draw_alignments, find_matplotlib

    find_matplotlib()  # before TensorFlow starts, which takes seconds
    quiet.start()
    from zoo.loading import load

    task = load(folder)
    if not task.searches:
        raise UserError(f"{name}: --alignments: for translation; this is {task.called}")
    if task.model.alignments_are is None:
        raise UserError(
            f"{name}: has no alignments to draw: its decoder does not look back at the tokens of the source "
            "(model.attention: none); give a model with attention"
        )
    ((answer,),) = task.answers([text], 1, alignments=True)
    return draw_alignments(answer, name, task.model.alignments_are, out)


def _by_length(folder: Path, split: str) -> tuple[str, dict, str]:
    """What the newest evaluation of a split says, or a saved model's card: what lengths count, the figures of each,
    and how it was asked."""
    import json

    from zoo.errors import UserError
    from zoo.saved.card import CARD, read_card

    if (folder / CARD).is_file():
        for score in read_card(folder).scores:
            if score.split == split and score.by_length:
                found = {length: found.model_dump() for length, found in score.by_length.items()}
                return score.length_unit, found, ""
        raise UserError(f"{folder}: its card does not say its figures by length on {split}")
    reports = sorted((folder / "eval").glob(f"{split}-*.json"), key=lambda path: path.stat().st_mtime)
    for path in reversed(reports):
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
            if all("bleu_lc" in figures for figures in report["by_length"].values()):
                return (
                    report.get("length_unit", "words"),
                    report["by_length"],
                    path.stem.removeprefix(f"{split}-"),
                )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    raise UserError(
        f"{folder}: its figures by length are not known: `zoo eval {folder} --split {split}` measures a translator's"
    )
