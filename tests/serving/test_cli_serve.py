"""`zoo serve` as a stranger runs it, and every example of docs/serving.md."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from zoo.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
DATES = "dates-multi-lstm-tiny"
ZOO = [sys.executable, "-c", "from zoo.cli import main; main()"]


@contextmanager
def serving(*arguments: str, cwd: Path | None = None):
    """The process and the model's URL, when it answers."""
    command = [*ZOO, "serve", *arguments, "--port", "0"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=cwd) as process:
        try:
            url = process.stdout.readline().strip()
            assert url, process.stderr.read()
            yield process, url
        finally:
            process.kill()


@pytest.fixture(scope="module")
def dates():
    with serving(DATES, "--name", "dates") as (process, url):
        yield process, url


def ask(url: str, request: dict) -> dict:
    with urllib.request.urlopen(f"{url}:predict", json.dumps(request).encode(), timeout=60) as response:
        return json.load(response)


def fetch(words: list[str], url: str) -> object:
    """What `curl` would print: `[-d BODY] ADDRESS`."""
    body = words[words.index("-d") + 1].encode() if "-d" in words else None
    try:
        with urllib.request.urlopen(there(words[-1], url), body, timeout=60) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        return json.load(error)


def there(address: str, url: str) -> str:
    """An address or code of the page, with the port that the test's server has."""
    return address.replace("http://127.0.0.1:8501", url.split("/v1/")[0])


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_examples_of_the_page(dates) -> None:
    (session,) = blocks("console")
    shown = re.findall(r"^\$ curl -s (.*)\n((?:(?!\$).*\n)*)", session, re.MULTILINE)
    assert len(shown) == 5
    for command, answer in shown:
        assert near(fetch(shlex.split(command), dates[1]), json.loads(answer)), command
    code, _ = blocks("python")
    names: dict = {}
    exec(there(code, dates[1]), names)
    assert names["texts"] == ["2021-03-03", "2026-12-24"]


def test_the_pod_of_the_page_can_be_started(dates) -> None:
    (pod,) = blocks("yaml")
    (container,) = yaml.safe_load(pod)["containers"]
    program, verb, *arguments = container["command"]
    assert program == "zoo"
    main.get_command(None, verb).make_context(verb, arguments)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        path = container[probe]["httpGet"]["path"]
        with urllib.request.urlopen(dates[1].split("/v1/")[0] + path, timeout=10) as response:
            assert response.status == 200


def test_the_limits_of_the_page_are_those_of_the_command() -> None:
    from zoo.serving.limits import Limits

    table = dict(re.findall(r"^\| `--([a-z-]+)` \| ([\d,]+)", PAGE, re.MULTILINE))
    said = {name.replace("-", "_"): int(value.replace(",", "")) for name, value in table.items()}
    defaults = vars(Limits())
    assert said == {name.removesuffix("_s"): value for name, value in defaults.items()}
    shown = CliRunner().invoke(main, ["serve", "--help"]).stdout
    assert all(f"--{name}" in shown for name in table)


def test_a_signal_while_it_loads() -> None:
    command = [*ZOO, "serve", DATES, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert "loading" in process.stderr.readline()
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stdout.read() == ""


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    damaged = tmp_path / "model.tflite"
    damaged.write_bytes(b"no model")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        cases = [
            (["dates-multi-lstm"], "no saved model is called 'dates-multi-lstm'"),
            ([str(tmp_path / "none.tflite")], "no such file"),
            ([str(tmp_path / "empty")], "no model in it"),
            ([str(damaged), "--port", "0"], "the file is damaged"),
            ([str(damaged), "--port", str(port)], f"--port {port}: cannot listen there"),
            ([str(damaged), "--host", "no.such.host.invalid"], "cannot listen there"),
            ([str(tmp_path / "network.keras"), "--port", "0"], "no such file"),
            ([DATES, "--name", "a/b"], "--name 'a/b'"),
            ([DATES, "--max-queue", "3"], "--max-queue 3 is less than --max-texts 64"),
        ]
        for arguments, said in cases:
            done = subprocess.run([*ZOO, "serve", *arguments], capture_output=True, text=True, timeout=60)
            assert done.returncode == 2 and said in done.stderr, (arguments, done.stderr)
            assert done.stdout == "" and "Traceback" not in done.stderr


def test_names_and_versions(tmp_path: Path) -> None:
    from zoo.serving.models import find

    for version in ("1", "12", "3"):
        (tmp_path / "dates" / version).mkdir(parents=True)
        (tmp_path / "dates" / version / "saved_model.pb").touch()
    (tmp_path / "runs" / "mine" / "export" / "saved_model").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "export" / "saved_model" / "saved_model.pb").touch()
    (tmp_path / "runs" / "mine" / "export" / "model.tflite").touch()
    (tmp_path / "runs" / "mine" / "export" / "onnx").mkdir()
    (tmp_path / "runs" / "mine" / "export" / "onnx" / "model.onnx").touch()
    newest = find(str(tmp_path / "dates"))
    assert (newest.form, newest.path.name, newest.name, newest.version) == ("saved_model", "12", "dates", 12)
    one = find(str(tmp_path / "dates" / "3"))
    assert (one.name, one.version) == ("dates", 3)
    for file, form in (
        ("saved_model",) * 2,
        ("model.tflite", "tflite"),
        ("onnx",) * 2,
        ("onnx/model.onnx", "onnx"),
    ):
        found = find(str(tmp_path / "runs" / "mine" / "export" / file))
        assert (found.name, found.form) == ("mine", form)
    assert find(DATES)[0] == "task" and find(DATES).name == DATES


def test_a_signal_ends_it_after_what_it_has_taken(dates) -> None:
    """The last of those that share a server."""
    process, url = dates
    with ThreadPoolExecutor(8) as pool:
        texts = [f"{day} mars 2021" for day in range(1, 29)] * 2
        asked = [pool.submit(ask, url, {"instances": texts}) for _ in range(8)]
        time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        answers = [each.exception() or each.result() for each in asked]
    assert process.wait(30) == 0
    assert process.stderr.read().splitlines()[-1] == "stopped"
    answered = [answer for answer in answers if isinstance(answer, dict)]
    assert answered, "whoever was listened to has an answer"
    for answer in answers:
        if isinstance(answer, dict):
            assert [row["text"] for row in answer["predictions"]] == [
                f"2021-03-{day:02}" for day in range(1, 29)
            ] * 2
        else:  # came too late: no connection, or one that was closed before anything was said
            assert isinstance(answer, urllib.error.URLError | ConnectionError), answer


@pytest.mark.slow
def test_the_way_to_tensorflow_serving(tmp_path: Path) -> None:
    """The page's commands as they stand, without Docker's; gRPC against the stand-in."""
    _, export = (block for block in blocks("bash"))
    for command in export.split("docker")[0].splitlines():
        for part in command.split("&&"):
            words = shlex.split(part)
            words = [*ZOO, *words[1:]] if words[0] == "zoo" else words
            subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, timeout=600)
    folder = tmp_path / "models" / "dates"
    stand_in = [
        sys.executable,
        "-I",
        str(Path(__file__).parent / "model_server.py"),
        "dates",
        str(folder / "1"),
    ]
    with subprocess.Popen(stand_in, stdout=subprocess.PIPE, text=True) as process:
        try:
            rest, grpc = process.stdout.readline().split()
            _, code = blocks("python")
            names: dict = {}
            exec(code.replace("127.0.0.1:8500", f"127.0.0.1:{grpc}"), names)
            assert names["texts"] == ["2021-03-03", "2026-12-24"]
            with serving("models/dates", cwd=tmp_path) as (_, url):
                assert url.endswith("/v1/models/dates")
                for command in re.findall(r"^\$ curl -s (.*):predict$", blocks("console")[0], re.MULTILINE):
                    words = shlex.split(f"{command}:predict")
                    theirs = fetch(words, f"http://127.0.0.1:{rest}/v1/")
                    assert "error" in theirs or theirs == fetch(words, url), command
        finally:
            process.kill()


@pytest.mark.slow
def test_a_tflite_file_needs_no_tensorflow(tmp_path: Path) -> None:
    command = [*ZOO, "export", DATES, "--format", "tflite", "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    with serving(str(tmp_path / "model.tflite"), "--name", "dates") as (process, url):
        answer = ask(url, {"instances": ["3 mars 2021", "24.12.26"]})
        assert [row["text"] for row in answer["predictions"]] == ["2021-03-03", "2026-12-24"]
        if os.path.exists(f"/proc/{process.pid}/maps"):
            loaded = Path(f"/proc/{process.pid}/maps").read_text()
            assert "libtensorflow" not in loaded and "ai_edge_litert" in loaded


def near(found, shown) -> bool:
    """Equal JSON, the last digits of a score aside."""
    if isinstance(shown, dict):
        return list(found) == list(shown) and all(near(found[key], shown[key]) for key in shown)
    if isinstance(shown, list):
        return len(found) == len(shown) and all(map(near, found, shown))
    return found == (pytest.approx(shown, rel=1e-4) if isinstance(shown, float) else shown)
