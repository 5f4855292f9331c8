"""`zoo eval`: the figures of a run or shipped model on a split."""

from __future__ import annotations

import click
from zoo.cli import options


@click.command()
@click.argument("model", metavar="RUN|NAME")
@click.option("--split", type=click.Choice(["train", "val", "test"]), default="val", show_default=True)
@click.option("--beams", type=click.IntRange(1, 64), help="Hypotheses followed (default: decode.beams).")
@click.option(
    "--length-penalty", type=click.FloatRange(0.0), help="Exponent (default: decode.length_penalty)."
)
@click.option("--checkpoint", type=click.Choice(["best", "last"]), default="best", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@options.allow_code
def command(model: str, split: str, beams, length_penalty, checkpoint: str, as_json: bool) -> None:
    """Score RUN (a run folder) or NAME (of `zoo ls saved`) on a split of its own data.

    The figures go to standard output and, for a run, into its folder eval/, with the answers beside them.
    """
    from zoo.hub import find_model

    path = find_model(model)  # before TensorFlow starts, which takes seconds

    from zoo.cli import quiet

    quiet.start()
    from zoo.cli.output import print_json, table

    from zoo.data.datasets import load_dataset
    from zoo.errors import UserError
    from zoo.loading import load
    from zoo.training.run_folder import RunFolder

    task = load(path, checkpoint)
    if not task.searches and (beams or length_penalty is not None):
        raise UserError(f"--beams and --length-penalty are for translation; this is {task.called}")
    rows = load_dataset(task.recipe).splits().get(split)
    if rows is None:
        raise UserError(f"{model}: its data has no split '{split}'")
    options = {"beams": beams, "length_penalty": length_penalty} if task.searches else {}
    figures, answers = task.score(rows, **options)
    followed = {"beams": beams or task.recipe.decode.beams} if task.searches else {}
    result = {"split": split, "rows": len(rows), **followed, **figures}
    folder = RunFolder(path)
    if folder.resolved.exists():
        name = "-".join([split, *(f"{key}{value}" for key, value in followed.items())])
        folder.write_json(folder.evaluations / f"{name}.json", result)
        if answers:
            (folder.evaluations / f"{name}.txt").write_text("\n".join(answers) + "\n", encoding="utf-8")
    if as_json:
        print_json(result)
    else:
        flat = {key: value for key, value in result.items() if not isinstance(value, dict)}
        table([{"figure": key, "value": value} for key, value in flat.items()], title=model)
