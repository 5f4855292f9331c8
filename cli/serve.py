"""`zoo serve`: a model behind HTTP, as TensorFlow Serving would answer."""

from __future__ import annotations

import logging
import sys

import click
from zoo.cli import options, output

from zoo.serving.limits import Limits

DEFAULTS = Limits()


@click.command()
@click.argument("model", metavar="RUN|NAME|ARTEFACT")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is all.")
@click.option("--port", type=click.IntRange(0, 65535), default=8501, show_default=True, help="0: a free one.")
@click.option("--name", help="Of the model in the URLs (default: from the path).")
@click.option(
    "--version",
    "version",
    type=click.IntRange(0),
    help="In /versions/N (default: the folder's number, or 1).",
)
@click.option("--label", "labels", multiple=True, help="In /labels/LABEL; may be given several times.")
@click.option(
    "--max-batch",
    type=click.IntRange(1),
    default=DEFAULTS.max_batch,
    show_default=True,
    help="Texts of several requests that the model is given at once; 1: each request by itself.",
)
@click.option(
    "--max-wait-ms",
    type=click.FloatRange(0, 10_000),
    default=DEFAULTS.max_wait_ms,
    show_default=True,
    help="How long a request waits for others to share its batch.",
)
@click.option(
    "--max-queue",
    type=click.IntRange(1),
    default=DEFAULTS.max_queue,
    show_default=True,
    help="Texts that may wait for the model; beyond: 503.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1),
    default=DEFAULTS.timeout_s,
    show_default=True,
    help="Seconds until a request is given up: 504.",
)
@click.option(
    "--max-body",
    type=click.IntRange(1),
    default=DEFAULTS.max_body,
    show_default=True,
    help="Bytes of a request's body; beyond: 413.",
)
@click.option(
    "--max-texts",
    type=click.IntRange(1),
    default=DEFAULTS.max_texts,
    show_default=True,
    help="Texts of a request; beyond: 413.",
)
@click.option(
    "--max-characters",
    type=click.IntRange(1),
    default=DEFAULTS.max_characters,
    show_default=True,
    help="Characters of a text; beyond: 413.",
)
@options.allow_code
def command(
    model: str, host: str, port: int, name: str | None, version: int | None, labels, **bounds
) -> None:
    """Serve RUN (a run folder), NAME (of `zoo ls saved`) or ARTEFACT (of `zoo export`) over HTTP.

    \b
    POST /v1/models/NAME:predict   {"instances": ["a text"]}   as TensorFlow Serving's REST interface
    GET  /v1/models/NAME           its status; /v1/models/NAME/metadata: its signatures
    GET  /healthz, /readyz         alive; loaded and warm
    GET  /metrics                  for Prometheus

    Standard output is the model's URL, when it answers. SIGTERM or Ctrl-C ends the server after what it has taken
    is answered. docs/serving.md has examples and the limits.
    """
    from zoo.errors import UserError

    try:
        from zoo.serving.models import TextModel, find
        from zoo.serving.server import serve
    except ModuleNotFoundError as error:
        raise UserError(
            f"zoo serve needs {error.name}, of the extra `serve`: pip install 'sequence-zoo[serve]'"
        ) from error
    source = find(model)
    if name is not None and (not name or set(name) & set("/:")):
        raise UserError(f"--name {name!r}: a name in a URL is not empty and has no / and no :")
    limits = Limits(**bounds)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger("zoo.serving").addHandler(handler)

    if source.form in ("task", "saved_model"):
        from zoo.cli import quiet

        quiet.start()  # before there is a second thread

    def load():
        """What needs TensorFlow imports it here, while /healthz answers already."""
        if source.form == "saved_model":
            from zoo.serving.saved_model import SavedModel

            return SavedModel(source.path)
        if source.form == "task":
            from zoo.loading import load

            return TextModel.of_task(load(source.path))
        from zoo import runtime

        return TextModel.of_export(runtime.load(source.path), str(source.path))

    serve(
        load,
        name or source.name,
        host=host,
        port=port,
        version=source.version if version is None else version,
        labels=labels,
        limits=limits,
        started=lambda url: output.echo(f"loading {source.path} for {url} …", err=True),
        ready=output.echo,
    )
    output.echo("stopped", err=True)
