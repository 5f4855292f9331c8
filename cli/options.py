"""Options that several commands have."""

from __future__ import annotations

import click


def _allow(ctx: click.Context, parameter: click.Parameter, said: bool) -> None:
    if said:
        from zoo.cli import quiet

        from zoo import user_code

        user_code.allow()
        quiet.start()  # that code will import Keras


allow_code = click.option(
    "--allow-code",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_allow,
    help="Run the Python files that the recipe imports.",
)

decode = click.option(
    "--decode",
    multiple=True,
    metavar="KEY=VALUE",
    help="A key of the recipe's section `decode`, otherwise: no_repeat_ngram=3, 'forbidden=[a, b]'. Repeatable.",
)
