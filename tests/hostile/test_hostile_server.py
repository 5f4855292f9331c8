"""Hostile texts over real HTTP: Python's answer or a reason, never a fault, and a server that goes on."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from servers import Running
from small_tasks import make_task
from strings import BROKEN, strings

from zoo.text import valid

LONGEST = 2_000
ORDERS = {*map(chr, range(32)), *map(chr, range(127, 160)), "\u2028"}


@pytest.fixture(scope="module", params=["classifier", "tagger"])
def served(request):
    """(server, task)."""
    from zoo.serving.models import TextModel

    if request.param == "tagger":
        task = make_task("rnn_tagger", {"embedding_dim": 8, "units": 8, "character_dim": 4})
    else:
        task = make_task("textcnn", {"embedding_dim": 8, "num_filters": 4})
    model = TextModel(task.recipe.task, task.labels, lambda texts, seed: task.answer(texts))
    with Running(model, max_characters=LONGEST, max_body=10**6) as server:
        yield server, task


def said(task, answer) -> dict:
    if task.recipe.task == "tagging":
        return {"words": " ".join(answer.words), "tags": " ".join(answer.tags)}
    return {"label": answer.label}


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_answers_are_python_s(served, count):
    """What is text and not too long has Python's answer; all else a reason."""
    server, task = served
    # In JSON two halves of a pair that meet are a character.
    texts = [json.loads(json.dumps(hostile.text)) for hostile in strings(count)]
    asked = [text for text in texts if valid(text) == text and len(text) <= LONGEST]
    answers = dict(zip(asked, task.answer(asked), strict=True))
    refused = 0
    for text in texts:
        status, found = server.ask({"instances": [text]})
        if valid(text) != text:
            assert status == 400 and "half of a surrogate pair" in found["error"]
        elif len(text) > LONGEST:
            assert status == 413 and "characters are more than" in found["error"]
        else:
            assert status == 200, found
            (row,) = found["predictions"]
            assert row == row | said(task, answers[text])
            continue
        refused += 1
    assert 5 < refused < count * 0.15


def test_bytes_in_base64(served):
    server, _ = served
    for hostile in strings(300):
        if len(hostile.bytes) > 1000:
            continue
        request = {"instances": [{"b64": base64.b64encode(hostile.bytes).decode()}]}
        status, found = server.ask(request)
        if hostile.bytes == hostile.bytes.decode("utf-8", "replace").encode():
            assert status == 200, found
        else:
            assert status == 400 and "not UTF-8" in found["error"]


def test_bodies_and_urls_of_any_bytes(served):
    """They are refused in JSON, whatever stood in them; the server lives."""
    server, _ = served
    for hostile in strings(300):
        content = hostile.bytes[:3000]
        for body in (content, b'{"instances": ["' + content + b'"]}', b'{"instances": ' + content):
            status, answer = server.send("POST", f"/v1/models/{server.name}:predict", body)
            assert status in (200, 400, 413) and json.loads(answer)
            assert not ORDERS.intersection(answer.decode())
        path = quote(content[:200], safe="")
        for method, url in (
            ("GET", f"/v1/models/{path}"),
            ("POST", f"/v1/models/{path}:predict"),
            ("GET", f"/{path}"),
        ):
            status, answer = server.send(method, url, b"{}")
            assert status in (200, 400, 404), (url, answer)
            json.loads(answer)
        status, _ = server.ask({"instances": ["a"], "signature_name": valid(hostile.text)[:500]})
        assert status == 400 or hostile.text == ""
    assert server.get("/healthz") == (200, {"status": "alive"}) and server.get("/readyz")[0] == 200


def test_deep_and_endless_json(served):
    server, _ = served
    for body in (
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[1e999, NaN]",
        b'{"instances": [' + b"9" * 100_000,
    ):
        status, found = server.ask(body)
        assert status == 400 and found["error"]
    assert server.ask({"instances": ["a"] * 5000})[0] == 413
    assert server.ask({"instances": ["a" * 10**6]})[0] == 413
    assert {name for name in BROKEN} <= {hostile.name for hostile in strings(300)}
