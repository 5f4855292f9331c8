"""Runs a server until a signal asks it to go: listens, loads, answers, and answers what it has taken."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Sequence
from urllib.parse import quote

from aiohttp import web

from zoo.errors import UserError
from zoo.serving.app import App
from zoo.serving.limits import Limits
from zoo.serving.models import Model

SIGNALS = (signal.SIGTERM, signal.SIGINT)
LAST = 5.0
"""Seconds for the last answers to leave, at the end."""


def serve(
    load: Callable[[], Model],
    name: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8501,
    version: int = 1,
    labels: Sequence[str] = (),
    limits: Limits | None = None,
    started: Callable[[str], None] = lambda url: None,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serves a model until SIGTERM or SIGINT.

    Args:
        load: gives the model; it is called in the model's own thread, while /healthz already answers.
        name: of the model, in the URLs.
        host, port: where to listen; port 0 is any free one.
        version: the number in /versions/N.
        labels: names in /labels/NAME that stand for this version.
        limits: what is taken on.
        started, ready: are told the model's URL when the server listens, and when the model answers.
    """
    app = App(name, version, tuple(labels), limits or Limits())

    async def until_signalled() -> None:
        loop, leave = asyncio.get_running_loop(), asyncio.Event()

        def go() -> None:
            leave.set()
            for number in SIGNALS:
                loop.remove_signal_handler(number)  # whoever asks twice does not wait

        with contextlib.suppress(NotImplementedError):  # Windows, where Ctrl-C ends at once
            for number in SIGNALS:
                loop.add_signal_handler(number, go)
        await run(app, load, host, port, leave, started, ready)

    asyncio.run(until_signalled())


async def run(
    app: App,
    load: Callable[[], Model],
    host: str,
    port: int,
    leave: asyncio.Event,
    started: Callable[[str], None] = lambda url: None,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Listens, loads and answers until `leave` is set; then answers what it has taken."""
    # What clients send that is no HTTP is no news, and a log of it could hold their texts.
    quiet = logging.getLogger("zoo.serving.http")
    quiet.setLevel(logging.CRITICAL)
    # Bodies are unpacked by `zoo.serving.unpack`: aiohttp waits for ever for the end of one that is no whole deflate.
    runner = web.AppRunner(
        app.web, access_log=None, logger=quiet, shutdown_timeout=LAST, auto_decompress=False
    )
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        reason = error.strerror or str(error)
        raise UserError(f"--host {host} --port {port}: cannot listen there ({reason})") from error
    address, taken = runner.addresses[0][:2]
    url = f"http://{f'[{address}]' if ':' in address else address}:{taken}/v1/models/{quote(app.name)}"
    started(url)
    loading, leaving = app.start(load), asyncio.ensure_future(leave.wait())
    try:
        await asyncio.wait([loading, leaving], return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            loading.result()
            ready(url)
            await leaving
    finally:
        leaving.cancel()
        await site.stop()
        await app.finish()
        await runner.cleanup()
        if loading.done():
            await asyncio.to_thread(app.stop)
