"""The `zoo` command: a group that imports a command only when it is asked for."""

if __name__ == "cli":
    raise ImportError("import zoo.cli; the folder cli/ is not a package of its own")

import sys
from importlib import import_module

import click

from zoo import __version__
from zoo.errors import UserError

COMMANDS = {
    "ls": "List recipes, models, layers, data sets and saved models.",
    "show": "Print a recipe.",
    "cp": "Copy a recipe to a file of your own.",
    "validate": "Check recipes without running them.",
    "schema": "Print the JSON Schema of recipes, for editors.",
    "data": "Show a recipe's data: samples, lengths, unknown words.",
    "tokenizer": "Train a tokenizer.",
    "train": "Train a recipe, or resume its run.",
    "plot": "Draw the learning curves of runs, or what an answer looked at.",
    "curves": "Print the validations of runs, and when they were good enough.",
    "average": "Average the weights of a run's last or best validations.",
    "eval": "Score a run or saved model on a split.",
    "predict": "Answer texts with a run, saved or exported model.",
    "generate": "Let a language model go on from a prompt.",
    "export": "Write a SavedModel, TFLite or ONNX file and check its answers.",
    "publish": "Make a saved model of a run, with a card of what it reaches.",
    "fetch": "Bring a saved model from elsewhere.",
    "check": "Measure again what models are expected to score.",
    "serve": "Answer over HTTP as TensorFlow Serving does.",
    "test": "Check that a model or layer of yours keeps its promises.",
    "doctor": "Check this machine: versions, devices, XLA, export.",
}
"""Each lives in the module of its name and is called `command` there."""


class LazyGroup(click.Group):
    """Lists commands from a table and imports the one that runs; users' mistakes show no traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return import_module(f"zoo.cli.{name}").command if name in COMMANDS else None

    def resolve_command(self, ctx: click.Context, args: list[str]):
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from zoo.registry import did_you_mean

            hint = did_you_mean(args[0], COMMANDS) or ";"
            ctx.fail(f"no command is called '{args[0]}'{hint} `zoo --help` lists them")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context):
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # here, a reader that went away (`| head`) is still dealt with by click
            return result
        except UserError as error:
            from zoo.cli import output

            output.echo(str(error), err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(130)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="zoo", message="%(prog)s %(version)s")
def main() -> None:
    """Sequence models for Keras 3, from a YAML recipe to a served file.

    \b
    First steps:
      zoo ls recipes
      zoo train translation/dates-multi-lstm-tiny
    """
