"""How many requests a second `zoo serve` answers, and how long each waits: on this machine's loopback address.

    python benchmarks/serve_load.py --forms tflite,saved_model --concurrency 1,4,16,64

Each form of the shipped model is served by a process of its own, once with batches and once without (--max-batch 1).
So many clients as --concurrency says, each with one connection, ask for one text at a time, one after the other, and
every answer is compared with the first one to its text. They share the cores with the server: the figures are those of
both.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

MODEL = "dates-multi-lstm-tiny"
TEXTS = [
    *("3 mars 2021", "Thursday, September 9th, 1999", "2017年四月二十四日", "24.12.26", "1. Mai 2004"),
    *("le 14 juillet 1999", "12/31/1999", "2021年3月3日"),
]
ZOO = [sys.executable, "-c", "from zoo.cli import main; main()"]
COLUMNS = ("form", "batching", "clients", "requests/s", "p50 ms", "p95 ms", "p99 ms", "texts a batch")


@contextmanager
def serving(model: str, *options: str) -> Iterator[str]:
    """The URL of a server."""
    command = [*ZOO, "serve", model, "--name", "dates", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise click.ClickException(process.stderr.read())
            yield url
        finally:
            process.terminate()
            process.wait(60)


class Client(threading.Thread):
    """Asks until the time is over."""

    def __init__(self, url: str, number: int, known: dict[str, object], end: float):
        super().__init__()
        host, self.path = re.fullmatch(r"http://([^/]+)(/.*)", f"{url}:predict").groups()
        self.connection = http.client.HTTPConnection(host, timeout=60)
        self.number, self.known, self.end = number, known, end
        self.seconds: list[float] = []
        self.wrong = 0

    def run(self) -> None:
        count = self.number
        while (start := time.perf_counter()) < self.end:
            text = TEXTS[count % len(TEXTS)]
            self.connection.request("POST", self.path, json.dumps({"instances": [text]}))
            response = self.connection.getresponse()
            answer = json.loads(response.read())
            self.seconds.append(time.perf_counter() - start)
            found = answer["predictions"][0]["text"] if response.status == 200 else answer["error"]
            self.wrong += self.known.setdefault(text, found) != found
            count += 1
        self.connection.close()


def measure(url: str, clients: int, seconds: float) -> dict:
    """Of one server under so many clients, after a quarter of the time for warming up."""
    known: dict[str, object] = {}
    for length in (seconds / 4, seconds):
        before, start = batches(url), time.perf_counter()
        running = [Client(url, number, known, start + length) for number in range(clients)]
        for client in running:
            client.start()
        for client in running:
            client.join()
        wall, after = time.perf_counter() - start, batches(url)
    taken = sorted(1000 * second for client in running for second in client.seconds)
    texts, count = (a - b for a, b in zip(after, before, strict=True))
    return {
        "clients": clients,
        "requests/s": round(len(taken) / wall, 1),
        **{
            f"p{share} ms": round(taken[min(len(taken) - 1, len(taken) * share // 100)], 2)
            for share in (50, 95, 99)
        },
        "texts a batch": round(texts / count, 2),
        "wrong": sum(client.wrong for client in running),
    }


def batches(url: str) -> tuple[float, float]:
    """Texts and batches so far."""
    with urllib.request.urlopen(url.split("/v1/")[0] + "/metrics", timeout=10) as response:
        page = response.read().decode()
    return tuple(
        float(re.search(rf"^zoo_batch_texts_{name} (\S+)$", page, re.MULTILINE)[1])
        for name in ("sum", "count")
    )


@click.command()
@click.option("--forms", default="tflite,saved_model", show_default=True, help="Also: run.")
@click.option("--concurrency", default="1,4,16,64", show_default=True, help="Numbers of clients.")
@click.option("--seconds", default=4.0, show_default=True, help="Of each cell.")
@click.option("--max-wait-ms", default=0.0, show_default=True, help="As of `zoo serve`.")
@click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")
def main(forms: str, concurrency: str, seconds: float, max_wait_ms: float, as_json: bool) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        wanted = forms.split(",")
        exported = [form for form in wanted if form != "run"]
        if exported:
            command = [*ZOO, "export", MODEL, "--format", ",".join(exported), "--out", folder]
            subprocess.run(command, check=True, capture_output=True)
        paths = {"run": MODEL, "tflite": str(Path(folder) / "model.tflite")}
        for form in wanted:
            for batching, options in (
                ("on", ["--max-wait-ms", str(max_wait_ms)]),
                ("off", ["--max-batch", "1"]),
            ):
                with serving(paths.get(form, str(Path(folder) / form)), *options) as url:
                    for clients in map(int, concurrency.split(",")):
                        rows.append({"form": form, "batching": batching, **measure(url, clients, seconds)})
                        if not as_json:
                            if len(rows) == 1:
                                click.echo("  ".join(f"{name:>13}" for name in COLUMNS))
                            click.echo("  ".join(f"{rows[-1][name]!s:>13}" for name in COLUMNS))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    wrong = sum(row["wrong"] for row in rows)
    if wrong:
        raise click.ClickException(f"{wrong} answers were wrong")


if __name__ == "__main__":
    main()
