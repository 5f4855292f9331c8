"""The server over real HTTP: its URLs, what it refuses, its queue, and how it goes."""

from __future__ import annotations

import gzip
import http.client
import json
import logging
import socket
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from servers import Echo, Running

from zoo.answers import Generation
from zoo.errors import UserError
from zoo.serving.models import TextModel

PREDICT = "/v1/models/echo:predict"


@pytest.fixture(scope="module")
def server():
    with Running(Echo(), max_characters=50, max_texts=8, max_body=20_000, timeout_s=2) as running:
        yield running


def test_rows_and_columns(server) -> None:
    said = [{"text": "cba", "score": 3.0}, {"text": "狗", "score": 1.0}]
    assert server.ask({"instances": ["abc", "狗"]}) == (200, {"predictions": said})
    assert server.ask({"instances": [{"text": "abc"}, {"text": "狗"}]}) == (200, {"predictions": said})
    columns = {"outputs": {"text": ["cba", "狗"], "score": [3.0, 1.0]}}
    assert server.ask({"inputs": ["abc", {"b64": "54uX"}]}) == (200, columns)
    assert server.ask({"inputs": {"text": ["abc", "狗"]}, "signature_name": "serving_default"}) == (
        200,
        columns,
    )
    assert server.ask({"inputs": []}) == (200, {"outputs": {"text": [], "score": []}})


@pytest.mark.parametrize("path", ["", "/versions/3", "/versions/03", "/labels/stable"])
def test_versions_and_labels(server, path: str) -> None:
    assert server.ask({"instances": ["ab"]}, path)[0] == 200
    status, found = server.get(f"/v1/models/echo{path}")
    assert status == 200
    assert found == {
        "model_version_status": [
            {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }
    status, found = server.get(f"/v1/models/echo{path}/metadata")
    assert (status, found["model_spec"]) == (200, {"name": "echo", "signature_name": "", "version": "3"})
    assert list(found["metadata"]["signature_def"]["signature_def"]) == ["serving_default"]


def test_a_name_that_must_be_quoted() -> None:
    with Running(Echo(), "my Modell ü") as server:
        assert server.url.endswith("/v1/models/my%20Modell%20%C3%BC")
        status, answer = server.send(
            "POST", server.url.split(str(server.port))[1] + ":predict", b'{"inputs": ["ab"]}'
        )
        assert (status, json.loads(answer)["outputs"]["text"]) == (200, ["ba"])


OTHERS = [
    ("POST", "/v1/models/other:predict", 404, "Servable not found for request: Latest(other)"),
    ("POST", "/v1/models/echo/versions/4:predict", 404, "Servable not found for request: Specific(echo, 4)"),
    ("POST", "/v1/models/echo/labels/canary:predict", 400, "Unrecognized servable version label: canary"),
    ("POST", "/v1/models/echo:explain", 400, "Malformed request: POST /v1/models/echo:explain"),
    ("POST", "/v1/models/echo", 400, "Malformed request"),
    ("GET", PREDICT, 400, "Malformed request: GET"),
    ("PUT", PREDICT, 400, "Malformed request: PUT"),
    ("DELETE", PREDICT, 400, "Malformed request"),
    ("GET", "/v1/models/echo/versions/x", 400, "Malformed request"),
    ("GET", "/v1/models/other", 404, "Could not find any versions of model other"),
    ("GET", "/v1/models/echo/versions/4", 404, "Could not find version 4 of model echo"),
    ("GET", "/v1/models/other/metadata", 404, "Servable not found"),
    ("GET", "/", 404, "Not Found"),
    ("POST", "/metrics", 405, "asked with GET"),
    ("GET", "/v1/models/echo%FF:predict", 400, "Malformed"),
    ("POST", "/v1/models/%ff%00:predict", 404, "Servable not found"),
]


@pytest.mark.parametrize(("method", "path", "status", "reason"), OTHERS, ids=lambda x: str(x)[:40])
def test_other_urls(server, method: str, path: str, status: int, reason: str) -> None:
    found, body = server.send(method, path, b'{"instances": ["a"]}')
    assert found == status
    error = json.loads(body)
    assert list(error) == ["error"] and reason in error["error"]


def test_classify_and_regress(server) -> None:
    for verb in ("classify", "regress"):
        status, found = server.ask({"examples": [{"text": "a"}]}, verb=verb)
        assert status == 400 and f"tensorflow/serving/{verb}" in found["error"]
        assert server.ask({"instances": ["a"]}, verb=verb)[0] == 400
        status, found = server.ask({"examples": [{}], "signature_name": "b"}, verb=verb)
        assert status == 400 and found["error"] == "No signature was found with the name: b"


def test_limits(server) -> None:
    assert server.ask({"instances": ["a" * 50] * 8})[0] == 200
    status, found = server.ask({"instances": ["a" * 51]})
    assert status == 413 and "51 characters" in found["error"]
    assert server.ask({"instances": ["a"] * 9})[0] == 413
    assert server.ask({"inputs": {"text": ["a"] * 9}})[0] == 413
    status, found = server.ask(b'{"instances": ["a"]}' + b" " * 20_000)
    assert status == 413 and "20000 bytes" in found["error"]


def test_compressed_bodies(server) -> None:
    """Are read; a bomb is stopped at the limit."""
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    body = json.dumps({"instances": ["ab"]}).encode()
    status, answer = server.send("POST", PREDICT, gzip.compress(body), headers)
    assert (status, json.loads(answer)["predictions"][0]["text"]) == (200, "ba")
    status, _ = server.send("POST", PREDICT, gzip.compress(b" " * 50_000_000), headers)
    assert status == 413
    assert server.send("POST", PREDICT, b"no gzip", headers)[0] == 400
    assert server.ask({"instances": ["ab"]})[0] == 200


def test_deflate(server) -> None:
    """With and without zlib's header; one that is not whole is refused at once, and the connection goes on."""
    body = json.dumps({"instances": ["ab"]}).encode()
    headers = {"Content-Encoding": "deflate"}
    bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    for packed in (zlib.compress(body), bare.compress(body) + bare.flush()):
        status, answer = server.send("POST", PREDICT, packed, headers)
        assert (status, json.loads(answer)["predictions"][0]["text"]) == (200, "ba")
    began = time.monotonic()
    for broken in (b'["\\""]', zlib.compress(body)[:-5], b""):
        assert server.send("POST", PREDICT, broken, headers)[0] == 400
    assert server.send("POST", "/nowhere", b'["\\""]', headers)[0] == 404
    assert server.send("POST", PREDICT, body, {"Content-Encoding": "br"})[0] == 400
    assert server.ask({"instances": ["ab"]})[0] == 200
    assert time.monotonic() - began < 10


def test_the_type_of_the_content_is_not_asked_for(server) -> None:
    """`curl -d` says that it sends a form."""
    for kind in ("application/x-www-form-urlencoded", "text/plain; charset=latin-1", "multipart/form-data"):
        body = json.dumps({"instances": ["é"]}, ensure_ascii=False).encode()
        status, answer = server.send("POST", PREDICT, body, {"Content-Type": kind})
        assert (status, json.loads(answer)["predictions"][0]["text"]) == (200, "é"), kind


def test_what_is_no_http_or_never_ends(server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        answer = raw.recv(4000)
    assert answer.startswith(b"HTTP/1.") and b" 400 " in answer and b"Traceback" not in answer
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(f"POST {PREDICT} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{{".encode())
        assert b" 408 " in raw.recv(4000).splitlines()[0]
    assert server.ask({"instances": ["ab"]})[0] == 200


def test_a_failing_model(server, caplog) -> None:
    """The client learns that it failed; the log says where, and no text."""
    with caplog.at_level(logging.DEBUG):
        status, found = server.ask({"instances": ["fail"]})
    assert (status, list(found)) == (500, ["error"])
    assert "secret" not in found["error"] and "Traceback" not in found["error"]
    assert "RuntimeError" in caplog.text and "servers.py" in caplog.text
    assert "the secret text is" not in "".join(record.getMessage() for record in caplog.records).replace(
        'raise RuntimeError(f"the secret text is {texts}")', ""
    )
    assert server.ask({"instances": ["ab"]})[0] == 200


def test_what_a_model_refuses() -> None:
    """Is a mistake of the request, and says nothing of where the model lies."""

    class Refusing:
        task, labels, draws = "language_modeling", None, True

        def generate(self, texts, seed):
            if "long" in texts[0]:
                raise UserError("/srv/model.tflite: 9 tokens behind this prompt would pass the 8 positions")
            return [Generation(text, f" {seed}") for text in texts]

    with Running(TextModel.of_export(Refusing(), "/srv/model.tflite")) as server:
        status, found = server.ask({"inputs": {"text": ["long"], "seed": 1}})
        assert (status, found["error"]) == (400, "9 tokens behind this prompt would pass the 8 positions")
        assert server.ask({"inputs": {"text": ["a"], "seed": -1}}) == (200, {"outputs": [f"a {2**32 - 1}"]})


def test_a_request_takes_no_other_down() -> None:
    model = Echo()
    with Running(model, max_batch=8) as server, ThreadPoolExecutor(5) as pool:
        model.go.clear()
        held = pool.submit(server.ask, {"instances": ["held"]})
        wait_for(lambda: model.batches == [["held"]])
        others = [pool.submit(server.ask, {"instances": [word]}) for word in ("ab", "fail", "cd")]
        wait_for(lambda: server.figures()["zoo_queue_texts"] == 3)
        model.go.set()
        assert held.result()[0] == 200
        assert [other.result()[0] for other in others] == [200, 500, 200]
    assert sorted(map(len, model.batches)) == [1, 1, 1, 1, 3]


def test_the_queue_is_bounded() -> None:
    model = Echo()
    with Running(model, max_queue=4, max_texts=4, timeout_s=20) as server, ThreadPoolExecutor(8) as pool:
        model.go.clear()
        first = pool.submit(server.ask, {"instances": ["first"]})
        wait_for(lambda: model.batches)
        waiting = [pool.submit(server.ask, {"instances": ["a", "b"]}) for _ in range(2)]
        wait_for(lambda: server.figures()["zoo_queue_texts"] == 4)
        connection = server.connect()
        connection.request("POST", PREDICT, b'{"instances": ["more"]}')
        response = connection.getresponse()
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
        assert "too many texts wait" in json.loads(response.read())["error"]
        connection.close()
        assert server.get("/healthz")[0] == server.get("/readyz")[0] == 200
        model.go.set()
        assert first.result()[0] == 200
        assert [each.result()[1]["predictions"][1]["text"] for each in waiting] == ["b", "b"]


def test_requests_at_once_are_bounded(monkeypatch) -> None:
    """Before their bodies are read: what is held in memory is bounded too."""
    monkeypatch.setattr("zoo.serving.app.OPEN", 3)
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{{".encode()
    with Running(Echo(), timeout_s=1) as server:
        slow = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(3)]
        for connection in slow:
            connection.sendall(head)
        wait_for(lambda: server.app._open == 3)
        status, found = server.ask({"instances": ["a"]})
        assert status == 503 and "too many requests at once" in found["error"]
        assert server.get("/readyz")[0] == 200
        assert all(b" 408 " in connection.recv(4000).splitlines()[0] for connection in slow)
        assert server.ask({"instances": ["a"]})[0] == 200
        for connection in slow:
            connection.close()


def test_who_waits_too_long_gives_up() -> None:
    model = Echo()
    with Running(model, timeout_s=0.4) as server, ThreadPoolExecutor(3) as pool:
        model.go.clear()
        asked = [pool.submit(server.ask, {"instances": [word]}) for word in ("a", "b", "c")]
        answers = [each.result() for each in asked]
        assert [status for status, _ in answers] == [504] * 3
        assert "within 0.4 s" in answers[0][1]["error"]
        assert server.figures()["zoo_queue_texts"] == 0, "who gave up has left the queue"
        model.go.set()
        assert server.ask({"instances": ["ab"]})[0] == 200
    assert len(model.batches) == 2, "what nobody waited for was not computed"


def test_probes_while_it_loads() -> None:
    held = threading.Event()

    def load():
        held.wait(20)
        return Echo()

    with Running(load, wait=False) as server:
        assert server.get("/healthz") == (200, {"status": "alive"})
        assert server.get("/readyz") == (503, {"status": "loading"})
        assert server.get("/v1/models/echo")[1]["model_version_status"][0]["state"] == "LOADING"
        status, found = server.ask({"instances": ["ab"]})
        assert status == 503 and "still loading" in found["error"]
        assert server.get("/v1/models/echo/metadata")[0] == 503
        held.set()
        wait_for(lambda: server.get("/readyz")[0] == 200)
        assert server.ask({"instances": ["ab"]})[0] == 200


def test_a_model_that_does_not_load_ends_the_server() -> None:
    def load():
        raise UserError("model.tflite: damaged")

    server = Running(load)
    with server:
        pass
    assert isinstance(server.error, UserError)


def test_what_was_taken_is_answered() -> None:
    """At the end: the one that is computed, and those that wait; nobody else is listened to."""
    model = Echo()
    with Running(model) as server, ThreadPoolExecutor(6) as pool:
        model.go.clear()
        asked = [pool.submit(server.ask, {"instances": ["text 0"]})]
        wait_for(lambda: model.batches)
        asked += [pool.submit(server.ask, {"instances": [f"text {i}"]}) for i in range(1, 5)]
        wait_for(lambda: server.figures()["zoo_queue_texts"] == 4)
        server.leave()
        wait_for(lambda: refused(server))
        model.go.set()
        assert [each.result()[1]["predictions"][0]["text"] for each in asked] == [
            f"text {i}"[::-1] for i in range(5)
        ]
    assert server.error is None


def test_at_whatever_instant_it_ends() -> None:
    """Whoever has a connection is answered or refused at once, and nobody keeps the server waiting."""
    for number in range(8):
        with Running(Echo(0.01)) as server, ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(outcome, server) for _ in range(8)]
            time.sleep(number * 0.001)
            server.leave()
            start = time.monotonic()
            server._thread.join(20)
            assert time.monotonic() - start < 4
            assert {each.result() for each in asked} <= {200, "no connection"}


def outcome(server) -> int | str:
    try:
        return server.ask({"instances": ["a"]})[0]
    except (ConnectionError, http.client.RemoteDisconnected):
        return "no connection"


def test_hundreds_of_requests_from_threads() -> None:
    """Every answer is that of its question, in its order; the figures add up."""
    model, count = Echo(0.003), 600
    with Running(model, max_batch=16, max_queue=256) as server:

        def client(number: int) -> list[int]:
            connection, seen = server.connect(), []
            for i in range(count // 20):
                texts = [f"{number} {i} {k}" for k in range(1 + i % 3)]
                connection.request("POST", PREDICT, json.dumps({"instances": texts}))
                response = connection.getresponse()
                found = json.loads(response.read())
                seen.append(response.status)
                assert [row["text"] for row in found["predictions"]] == [text[::-1] for text in texts]
            connection.close()
            return seen

        with ThreadPoolExecutor(20) as pool:
            statuses = [status for seen in pool.map(client, range(20)) for status in seen]
        assert statuses == [200] * count
        # A batch is counted when its answers are on their way.
        wait_for(lambda: server.figures()["zoo_batch_requests_sum"] == count)
        figures = server.figures()
    texts = sum(1 + i % 3 for i in range(count // 20)) * 20
    assert figures["zoo_requests_total,code=200,verb=predict"] == count
    assert figures["zoo_request_seconds_count"] == count == figures["zoo_batch_requests_sum"]
    assert figures["zoo_batch_texts_sum"] == texts == sum(map(len, model.batches))
    assert figures["zoo_batch_texts_count"] == len(model.batches) == figures["zoo_model_seconds_count"]
    assert len(model.batches) < count / 2, "requests share batches"
    assert max(map(len, model.batches)) <= 16
    assert figures["zoo_queue_texts"] == 0 and figures["zoo_ready"] == 1
    assert figures["process_resident_memory_bytes"] > 0


def wait_for(condition, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def refused(server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=2).close()
    except OSError:
        return True
    return False
