"""`zoo generate`: a language model goes on from a prompt; the text and nothing else on standard output."""

from __future__ import annotations

from pathlib import Path

import click
from zoo.cli import options, output

from zoo import runtime


@click.command()
@click.argument("model", metavar="RUN|NAME|EXPORTED")
@click.option("--prompt", "prompts", multiple=True, help="How the text begins; may be given several times.")
@click.option("--file", type=click.Path(path_type=Path), help="Prompts, one a line; - is standard input.")
@click.option(
    "--samples", type=click.IntRange(1), default=1, show_default=True, help="Texts for each prompt."
)
@click.option(
    "--max-length", type=click.IntRange(1), help="Tokens added at most (default: decode.max_length)."
)
@click.option(
    "--temperature", type=click.FloatRange(0.0), help="0: always the likeliest (default: decode.temperature)."
)
@click.option(
    "--top-k", type=click.IntRange(1), help="Draw from so many tokens only (default: decode.top_k)."
)
@click.option(
    "--top-p",
    type=click.FloatRange(0.0, 1.0, min_open=True),
    help="Draw from the likeliest tokens of this probability (default: decode.top_p).",
)
@click.option(
    "--beams", type=click.IntRange(1, 64), help="Search for the likeliest text instead of drawing one."
)
@options.decode
@click.option("--stream", is_flag=True, help="Print each piece of the text as soon as it is there.")
@click.option("--xla", is_flag=True, help="Compile with XLA: slow at first, then faster; for long texts.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides what is drawn.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a text.")
@options.allow_code
def command(
    model: str,
    prompts: tuple[str, ...],
    file: Path | None,
    samples: int,
    max_length,
    temperature,
    top_k,
    top_p,
    beams,
    decode: tuple[str, ...],
    stream: bool,
    xla: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Let a language model (a run folder, a shipped model, or an exported one) write on.

    Each text begins with its prompt. Without --prompt and --file it begins with nothing. Between several texts
    stands an empty line. Control characters but tabs and line feeds are printed as U+FFFD; --json holds them as they
    are.
    """
    from zoo.cli.predict import load_exported, read_lines

    from zoo.errors import UserError
    from zoo.text import json_text

    if file and prompts:
        raise UserError("give --prompt or --file, not both")
    beginnings = read_lines(file) if file else list(prompts) or [""]
    beginnings = [prompt for prompt in beginnings for _ in range(samples)]
    chosen = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "beams": beams}
    if stream and (as_json or (beams or 1) > 1):
        raise UserError("--stream prints a text as it comes: not with --json, nor with several --beams")
    if runtime.kind_of(model):
        exported = load_exported(model)
        _expect(model, exported.task == "language_modeling")
        given = [f"--{name.replace('_', '-')}" for name, value in chosen.items() if value is not None]
        given += [name for name, said in (("--decode", decode), ("--stream", stream), ("--xla", xla)) if said]
        if given:
            raise UserError(
                f"{model}: how it writes was settled when it was exported; {given[0]} needs the run"
            )
        found = exported.generate(beginnings, max_length=max_length, seed=seed)
    else:
        from zoo.hub import find_model

        path = find_model(model)  # before TensorFlow starts, which takes seconds

        from zoo.cli import quiet

        quiet.start()
        from zoo.loading import load

        task = load(path, decode=decode)
        _expect(model, task.generates)
        task.xla = xla
        if beams:
            chosen["sample"] = False
        if stream:
            _stream(task, beginnings, seed=seed, max_length=max_length, **chosen)
            return
        found = task.generate(beginnings, seed=seed, max_length=max_length, **chosen)
    for number, answer in enumerate(found):
        if as_json:
            record = {"prompt": answer.prompt, "continuation": answer.continuation, "text": answer.text}
            output.echo(json_text(record))
        else:
            output.echo(("\n" if number else "") + answer.text)


def _stream(task, prompts, seed: int, **chosen) -> None:
    """Each text as it comes."""
    for number, prompt in enumerate(prompts):
        output.echo(("\n" if number else "") + prompt, nl=False)
        for piece in task.stream(prompt, seed=seed, number=number, **chosen):
            output.echo(piece, nl=False)
        output.echo("")


def _expect(model: str, is_one: bool) -> None:
    if not is_one:
        import shlex

        from zoo.errors import UserError

        raise UserError(f"{model}: no language model: use `zoo predict {shlex.quote(model)} TEXT`")
