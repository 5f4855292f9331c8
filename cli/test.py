"""`zoo test`: whether a model or layer keeps the promises that the zoo's own keep."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
from zoo.cli import options


@click.command()
@click.argument("what", metavar="RECIPE|FILE.py")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@options.allow_code
def command(what: str, as_json: bool) -> None:
    """Check the model of a RECIPE, made small, or all that FILE.py registers.

    Padding, masks, causality, decoding, precision, saving, gradients, training, XLA: each promise is a line.
    A FILE.py is run, of course; a recipe that imports code needs --allow-code.
    """
    from zoo.errors import UserError
    from zoo.recipe import load_recipe

    if what.endswith(".py"):
        path = Path(what)
        if not path.is_file():
            raise UserError(f"{what}: no such file")
        recipe = None
    else:
        recipe = load_recipe(what).recipe

    from zoo.cli import output, quiet

    quiet.start()
    cases = _of_recipe(recipe) if recipe else _of_file(path)
    pairs = [(case, check) for case, checks in cases for check in checks]
    with click.progressbar(pairs, label="promises", file=sys.stderr) as shown:
        rows = [_run(case, check) for case, check in shown]
    broken = [row for row in rows if row["result"] != "kept"]
    if as_json:
        output.print_json({"checks": rows, "broken": len(broken)})
    else:
        output.table(rows, ("of", "promise", "result", "seconds"))
    if broken:
        raise UserError(
            f"{len(broken)} of {len(rows)} promises are broken:",
            *(f"  {row['of']}: {row['promise']}: {row['why']}" for row in broken),
        )


def _of_recipe(recipe) -> list:
    from zoo import registry
    from zoo.contract.cases import shrunk
    from zoo.contract.models import checks_of

    name = recipe.model.name
    model_class = registry.resolve("model", name)
    case = shrunk(name, model_class, recipe.model.model_dump(exclude={"name"}))
    return [(case, checks_of(case))]


def _of_file(path: Path) -> list:
    from zoo import registry, user_code
    from zoo.config.own import section_of
    from zoo.contract import layers
    from zoo.contract.cases import case
    from zoo.contract.layer_cases import of_shapes
    from zoo.contract.models import checks_of
    from zoo.errors import UserError

    before = {kind: set(names) for kind, names in registry.REGISTERED.items()}
    user_code.run(path)
    found = []
    for name, layer_class in registry.REGISTERED["layer"].items():
        if name not in before["layer"]:
            said = dict(layer_class.zoo_example)
            if "inputs" not in said:
                raise UserError(
                    f"{path}: say how the layer '{name}' is called, such as "
                    f'@zoo.register("layer", "{name}", example={{}}, inputs=[(2, 5, 8)])'
                )
            found.append(
                (of_shapes(name, layer_class, said.get("example", {}), said["inputs"]), layers.CHECKS)
            )
    for name, model_class in registry.REGISTERED["model"].items():
        if name not in before["model"]:
            small = case(name, model_class, section_of(name, model_class), **model_class.zoo_example)
            found.append((small, checks_of(small)))
    if not found:
        raise UserError(f"{path}: registers nothing; see docs/your-own-layers.md")
    return found


def _run(case, check: Callable) -> dict:
    """One promise, kept or broken; whatever goes wrong inside the user's code is told, not thrown."""
    start, why = time.perf_counter(), ""
    try:
        check(case)
    except AssertionError as error:
        why = " ".join(str(error).split())[:300]
    except Exception as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return {
        "of": str(case),
        "promise": check.__name__.replace("_", " "),
        "result": "broken" if why else "kept",
        "seconds": round(time.perf_counter() - start, 1),
        **({"why": why} if why else {}),
    }
