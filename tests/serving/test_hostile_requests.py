"""Thousands of requests that no client should send: each gets an answer, none is a fault, and nothing is kept."""

from __future__ import annotations

import base64
import contextlib
import gc
import http.client
import json
import random
import socket
import string
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from servers import Echo, Running

FINE = {200, 400, 404, 405, 413}
PREDICT = "/v1/models/echo:predict"
TEXTS = [
    *(
        "",
        " ",
        "\0",
        "\x1b[2J\r\n",
        "</s>",
        "<unk><pad>",
        "[MASK]",
        "\u202eلا",
        "e\u0301" * 20,
        "🙂🇩🇪👩\u200d👩\u200d👧",
    ),
    *(
        "\ufeff",
        "\u2028",
        "3 mars 2021",
        "年" * 300,
        "a" * 1000,
        "\ud800",
        "\udfff\ud800",
        "%s%n{0}",
        "';--",
        "\\",
    ),
    *('"', "\uffff", "e\u0301" * 20),
]
VALUES = [
    *(
        None,
        True,
        False,
        0,
        -1,
        2**31,
        -(2**63),
        10**400,
        1e308,
        -0.0,
        float("nan"),
        float("inf"),
        [],
        {},
        [[]],
    ),
    *({"b64": "/w=="}, {"b64": "?"}, {"b64": 5}, {"b64": "YQ==", "a": 1}, {"text": []}, {"text": {}}),
]
KEYS = ["instances", "inputs", "signature_name", "text", "seed", "b64", "examples", "", "__proto__", "ids"]
VALID = [
    {"instances": ["3 mars 2021", "a"]},
    {"instances": [{"text": "a"}]},
    {"inputs": {"text": ["a", {"b64": "YQ=="}]}, "signature_name": "serving_default"},
]


class Enemy:
    """Requests by a seed."""

    def __init__(self, seed: int):
        self.chance = random.Random(seed)

    def value(self, depth: int = 0):
        chance = self.chance
        kind = chance.randrange(6 if depth < 4 else 3)
        if kind < 2:
            return chance.choice(TEXTS)
        if kind == 2:
            return chance.choice(VALUES)
        if kind == 3:
            return {chance.choice(KEYS): self.value(depth + 1) for _ in range(chance.randrange(4))}
        return [self.value(depth + 1) for _ in range(chance.randrange(5))]

    def body(self) -> bytes:
        chance = self.chance
        kind = chance.randrange(9)
        if kind == 0:
            return chance.randbytes(chance.randrange(200))
        if kind == 1:
            return json.dumps(self.value()).encode()
        if kind == 2:
            return json.dumps({chance.choice(KEYS[:3]): self.value() for _ in range(3)}).encode()
        if kind == 3:
            return json.dumps(
                {chance.choice(KEYS[:2]): [self.value(4) for _ in range(chance.randrange(9))]}
            ).encode()
        if kind == 4:
            deep = chance.choice([b"[", b'{"instances":', b'[{"a":'])
            return chance.choice([b"", b'{"instances":']) + deep * chance.randrange(3000)
        if kind == 5:
            texts = [base64.b64encode(chance.randbytes(9)).decode() for _ in range(3)]
            return json.dumps({"instances": [{"b64": text} for text in texts]}).encode()
        body = bytearray(json.dumps(chance.choice(VALID), ensure_ascii=False).encode())
        for _ in range(chance.randrange(1, 4)):  # valid but for some bytes
            place = chance.randrange(len(body))
            if kind == 6:
                body[place] = chance.randrange(256)
            elif kind == 7:
                del body[place : place + chance.randrange(1, 5)]
                body = body or bytearray(b"{")
            else:
                body[place:place] = chance.choice(
                    [b"\xff", b"\xed\xa0\x80", b"\0", b",", b'"', b"1e999", b"\\u"]
                )
        return bytes(body)

    def url(self) -> tuple[str, str]:
        chance = self.chance
        if chance.random() < 0.7:
            return "POST", PREDICT
        method = chance.choice(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"])
        parts = [
            "v1",
            "models",
            "echo",
            "versions",
            "3",
            "labels",
            "metadata",
            ":predict",
            ":classify",
            "..",
            "%00",
        ]
        parts += ["%ff", "%2e%2e", "9" * 40, "echo:predict", "healthz", "metrics", "", "?a=b", ";", "a" * 500]
        return method, "/" + "/".join(chance.choices(parts, k=chance.randrange(1, 7)))

    def headers(self) -> dict[str, str]:
        chance, found = self.chance, {}
        if chance.random() < 0.1:
            found["Content-Encoding"] = chance.choice(["gzip", "deflate", "br", "x", ""])
        if chance.random() < 0.1:
            found["Content-Type"] = chance.choice(["text/html", "application/json; charset=utf-16", "?", ""])
        if chance.random() < 0.05:
            found["Expect"] = "100-continue"
        if chance.random() < 0.05:
            found["X-" + chance.choice(string.ascii_letters)] = "a" * chance.randrange(2000)
        return found


def attack(server: Running, seed: int, count: int) -> dict[int, int]:
    """Status -> how often, over connections that are kept as long as the server keeps them."""
    enemy, seen = Enemy(seed), {}
    connection = server.connect()
    for _ in range(count):
        method, path = enemy.url()
        body, headers = enemy.body(), enemy.headers()
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = response.read()
        except (http.client.RemoteDisconnected, ConnectionError):
            # After an answer to a request whose body was left unread, the connection is closed.
            connection.close()
            continue
        seen[response.status] = seen.get(response.status, 0) + 1
        assert b"Traceback" not in answer and b".py" not in answer
        if response.status >= 400 and answer and "json" in response.headers["Content-Type"]:
            assert list(json.loads(answer)) in (["error"], ["status"]), answer
        elif response.status >= 400 and method != "HEAD":  # already HTTP itself was wrong
            assert response.status == 400, answer
    connection.close()
    return seen


def noise(server: Running, count: int) -> None:
    """What is no HTTP."""
    chance = random.Random(1)
    post = f"POST {PREDICT} HTTP/1.1\r\nHost: a\r\n".encode()
    for _ in range(count):
        raw = chance.choice(
            [
                chance.randbytes(300),
                b"POST / HTTP/9.9\r\n\r\n",
                b"BREW /v1/models/echo:predict HTTP/1.1\r\n\r\n",
                post + b"Content-Length: -5\r\n\r\n{}",
                post + b"Content-Length: 9\r\nContent-Length: 2\r\n\r\n{}",
                post + b"Content-Length: 90\r\n\r\n{}",
                post + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",
                b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 500 + b"\r\n",
                b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
            ]
        )
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            try:
                while part := connection.recv(4096):
                    answer += part
            except ConnectionError:
                pass
            assert b"Traceback" not in answer and b" 500 " not in answer.split(b"\r\n")[0]


def resident(server: Running) -> float:
    gc.collect()
    return server.figures()["process_resident_memory_bytes"] / 2**20


@contextlib.contextmanager
def light_collector() -> Iterator[None]:
    """What tests before have left in this process is not searched for garbage again and again, which takes seconds
    and would be blamed on the server."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def besiege(server: Running, name: str, count: int) -> None:
    with light_collector():
        _besiege(server, name, count)


def _besiege(server: Running, name: str, count: int) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda seed: attack(server, seed, count // 8), range(100, 104)))
    noise(server, 50)
    before = resident(server)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda seed: attack(server, seed, count // 4), range(4)))
    noise(server, 100)
    seen = {status for each in found for status in each}
    assert seen <= FINE and {200, 400, 404, 405} <= seen, found
    assert sum(sum(each.values()) for each in found) > count * 0.8
    assert resident(server) - before < 24, "MiB more"
    assert server.ask({"instances": ["a"]})[0] == 200
    assert server.get("/readyz")[0] == 200 and server.figures()["zoo_queue_texts"] == 0


def test_a_server_under_attack() -> None:
    with Running(Echo(), max_characters=600, max_body=20_000) as server:
        besiege(server, "echo", 4000)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["task", "saved_model", "tflite", "onnx"])
def test_a_model_under_attack(form: str, tmp_path) -> None:
    from zoo import runtime
    from zoo.export import export
    from zoo.loading import load
    from zoo.serving.models import TextModel
    from zoo.serving.saved_model import SavedModel

    if form == "onnx":
        pytest.importorskip("tf2onnx")
        pytest.importorskip("onnxruntime")
    if form == "task":
        model = TextModel.of_task(load("dates-multi-lstm-tiny"))
    else:
        (report,) = export("dates-multi-lstm-tiny", [form], tmp_path, samples=4)
        path = report["path"]
        model = SavedModel(path) if form == "saved_model" else TextModel.of_export(runtime.load(path))
    with Running(model, max_characters=600, max_body=20_000) as server:
        besiege(server, "echo", 4000)
