"""The JSON of TensorFlow Serving's REST interface, case by case as its json_tensor.cc and REST page have it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from zoo.serving import contract
from zoo.serving.contract import Refusal
from zoo.serving.limits import Limits
from zoo.serving.signatures import Signature, Tensor

LIMITS = Limits(max_texts=4, max_characters=10)


def signature(**inputs) -> Signature:
    return Signature({name: Tensor(*kind) for name, kind in inputs.items()}, {})


TEXT = signature(text=("DT_STRING", (None,)))
SEEDED = signature(text=("DT_STRING", (None,)), seed=("DT_INT32", ()))
IDS = signature(ids=("DT_INT32", (None, None)))
PAIR = signature(ids=("DT_INT32", (None, None)), uniforms=("DT_FLOAT", (None, 2)))
KINDS = signature(a=("DT_INT64", (None,)), b=("DT_BOOL", (None,)), c=("DT_DOUBLE", (None,)))

GOOD = [
    (TEXT, {"instances": ["a", "b"]}, {"text": ["a", "b"]}),
    (TEXT, {"instances": [{"text": "a"}]}, {"text": ["a"]}),
    (TEXT, {"instances": [{"b64": "54uX"}, "b"]}, {"text": ["狗", "b"]}),
    (TEXT, {"instances": [{"text": {"b64": "YQ"}}]}, {"text": ["a"]}),
    (TEXT, {"inputs": ["a"]}, {"text": ["a"]}),
    (TEXT, {"inputs": {"text": ["a"]}, "more": 1}, {"text": ["a"]}),
    (TEXT, {"inputs": {"text": ["a"], "unknown": 2}}, {"text": ["a"]}),
    (TEXT, {"inputs": {"text": []}}, {"text": []}),
    (TEXT, {"instances": ["\0", "‮🙂"]}, {"text": ["\0", "‮🙂"]}),
    (SEEDED, {"inputs": {"text": ["a"], "seed": 7}}, {"text": ["a"], "seed": 7}),
    (IDS, {"instances": [[1, 2], [3, 4]]}, {"ids": [[1, 2], [3, 4]]}),
    (IDS, {"inputs": [[1], [-2]]}, {"ids": [[1], [-2]]}),
    (PAIR, {"instances": [{"ids": [1], "uniforms": [0, 0.5]}]}, {"ids": [[1]], "uniforms": [[0.0, 0.5]]}),
    (
        KINDS,
        {"inputs": {"a": [2**62], "b": [True], "c": [1e300]}},
        {"a": [2**62], "b": [True], "c": [1e300]},
    ),
]


@pytest.mark.parametrize(("kind", "request_", "tensors"), GOOD, ids=lambda x: str(x)[:50])
def test_taken(kind: Signature, request_: dict, tensors: dict) -> None:
    found, layout = contract.read_predict(contract.parse(json.dumps(request_).encode()), kind, LIMITS)
    assert {name: value.tolist() for name, value in found.items()} == tensors
    assert layout in request_


BAD = [
    (TEXT, {}, 400, "Missing 'inputs' or 'instances' key"),
    (TEXT, {"instances": ["a"], "inputs": ["a"]}, 400, "not both"),
    (TEXT, {"instances": []}, 400, "No values in 'instances' array"),
    (TEXT, {"instances": "a"}, 400, "not a string"),
    (TEXT, {"instances": None}, 400, "not null"),
    (TEXT, {"instances": [1]}, 400, "value 0: a number is not of expected type: string"),
    (TEXT, {"instances": ["a", None]}, 400, "value 1: null"),
    (TEXT, {"instances": [True]}, 400, "true or false"),
    (TEXT, {"instances": [["a"]]}, 400, "another shape than [-1]"),
    (TEXT, {"instances": ["a", ["b"]]}, 400, "unexpected level"),
    (TEXT, {"instances": [["a"], "b"]}, 400, "another shape"),
    (TEXT, {"instances": ["a", {"text": "b"}]}, 400, "mixes objects and values, at item 1"),
    (TEXT, {"instances": [{"txt": "a"}]}, 400, "keys must be equal to: text"),
    (TEXT, {"instances": [{"text": "a", "seed": 1}]}, 400, "keys must be equal to: text"),
    (TEXT, {"instances": [{}]}, 400, "keys must be equal to: text"),
    (TEXT, {"instances": [{"b64": 1}]}, 400, "keys must be equal"),
    (TEXT, {"instances": [{"b64": "a", "text": "a"}]}, 400, "keys must be equal"),
    (TEXT, {"instances": [{"b64": "?"}]}, 400, "Unable to base64 decode"),
    (TEXT, {"instances": [{"b64": "ü"}]}, 400, "Unable to base64 decode"),
    (TEXT, {"instances": [{"b64": "/w=="}]}, 400, "not UTF-8"),
    (TEXT, {"instances": ["\ud800"]}, 400, "half of a surrogate pair"),
    (TEXT, {"inputs": "a"}, 400, "another shape"),
    (TEXT, {"inputs": {"txt": ["a"]}}, 400, "Missing named input: text in 'inputs' object."),
    (TEXT, {"instances": ["a" * 11]}, 413, "11 characters"),
    (TEXT, {"instances": ["a"] * 5}, 413, "5 rows"),
    (SEEDED, {"instances": [{"text": "a", "seed": 1}]}, 400, 'write {"inputs": {"text": ..., "seed": ...}}'),
    (SEEDED, {"inputs": {"text": ["a"]}}, 400, "Missing named input: seed"),
    (SEEDED, {"inputs": ["a"]}, 400, "plain value/list"),
    (SEEDED, {"inputs": {"text": ["a"], "seed": [1]}}, 400, "another shape than []"),
    (SEEDED, {"inputs": {"text": ["a"], "seed": 1.0}}, 400, "a fraction is not of expected type: int32"),
    (SEEDED, {"inputs": {"text": ["a"], "seed": True}}, 400, "true or false"),
    (SEEDED, {"inputs": {"text": ["a"], "seed": "1"}}, 400, "a string"),
    (SEEDED, {"inputs": {"text": ["a"], "seed": {"b64": "YQ=="}}}, 400, "an object"),
    (SEEDED, {"inputs": {"text": ["a"], "seed": 2**31}}, 400, "does not fit int32"),
    (IDS, {"instances": [[1, 2], [3]]}, 400, "not all of the same length"),
    (IDS, {"instances": [[1, 2], 3]}, 400, "not all of the same length"),
    (IDS, {"instances": [[]]}, 400, "an empty row"),
    (IDS, {"instances": [1]}, 400, "another shape than [-1,-1]"),
    (IDS, {"instances": [[1] * 11]}, 413, "longer than 10"),
    (PAIR, {"instances": [[1]]}, 400, "expecting list of objects"),
    (PAIR, {"instances": [{"ids": [1], "uniforms": [0.5]}]}, 400, "another shape than [-1,2]"),
    (PAIR, {"instances": [{"ids": [1], "uniforms": [0.5, 2**24]}]}, 400, "loss of precision"),
    (PAIR, {"instances": [{"ids": [1], "uniforms": [0.5, 1e39]}]}, 400, "loss of precision"),
    (PAIR, {"inputs": {"ids": [[1], [2]], "uniforms": [[0, 1]]}}, 400, "'ids' has 2, 'uniforms' has 1"),
]


@pytest.mark.parametrize(("kind", "request_", "status", "reason"), BAD, ids=lambda x: str(x)[:50])
def test_refused(kind: Signature, request_: dict, status: int, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        contract.read_predict(contract.parse(json.dumps(request_).encode()), kind, LIMITS)
    assert refused.value.status == status
    assert reason in refused.value.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "JSON Parse error"),
        (b"[1]", "must be a JSON object, not a list"),
        (b'{"instances": ["a"', "line 1, column"),
        (b'{"instances": ["\xff"]}', "not UTF-8 (byte 16)"),
        ('{"instances": ["a"]}'.encode("utf-16"), "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "a number is too long"),
        (b"{'instances': ['a']}", "JSON Parse error"),
        (b'{"instances": ["\t"]}', "JSON Parse error"),
    ],
    ids=lambda x: str(x)[:30],
)
def test_what_is_no_json(body: bytes, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        contract.parse(body)
    assert refused.value.status == 400 and reason in refused.value.reason


def test_json_that_is_unusual() -> None:
    """A byte order mark; a key twice, of which the first counts; numbers that JSON does not have."""
    assert contract.parse(b'\xef\xbb\xbf{"instances": ["a"]}') == {"instances": ["a"]}
    assert contract.parse(b'{"a": 1, "b": 3, "a": 2}') == {"a": 1, "b": 3}
    assert contract.parse(b'{"a": [NaN, -Infinity]}')["a"][1] == -np.inf


def test_signature_names() -> None:
    assert contract.signature_name({}) == contract.signature_name({"signature_name": ""}) == "serving_default"
    for wrong in (1, None, ["a"]):
        with pytest.raises(Refusal, match="must be a string"):
            contract.signature_name({"signature_name": wrong})
    with pytest.raises(Refusal, match='Serving signature name: "b" not found in signature def'):
        contract.find({"serving_default": TEXT}, "b")


def test_answers() -> None:
    """One output stands without its name, several are objects; of rows, one for each."""
    text, score = np.array(["a", b"\xe7\x8b\x97"], object), np.array([0.1, -2], "float32")
    assert written({"text": text}, "instances") == {"predictions": ["a", "狗"]}
    assert written({"text": text}, "inputs") == {"outputs": ["a", "狗"]}
    assert written({"text": text, "score": score}, "instances") == {
        "predictions": [{"text": "a", "score": 0.1}, {"text": "狗", "score": -2.0}]
    }
    assert written({"text": text, "score": score}, "inputs") == {
        "outputs": {"text": ["a", "狗"], "score": [0.1, -2.0]}
    }
    ids = np.array([[1, 2], [3, 4]], "int32")
    assert written({"ids": ids}, "instances") == {"predictions": [[1, 2], [3, 4]]}
    assert written({"image_bytes": text}, "inputs") == {"outputs": [{"b64": "YQ=="}, {"b64": "54uX"}]}
    assert written({"one": np.array(1.5, "float32")}, "inputs") == {"outputs": 1.5}
    with pytest.raises(Refusal, match="not one for each instance"):
        contract.write_predict({"one": np.array(1.5)}, "instances")
    with pytest.raises(Refusal, match="not one for each instance"):
        contract.write_predict({"text": text, "ids": ids[:1]}, "instances")


def test_digits_of_a_score() -> None:
    """As C++ writes a float: six digits where they give it back, else nine."""
    scores = [0.1, 0.669074059, 3e-5, 2.0, -0.0180477258, 1e30, 16777216.0]
    said = contract.write_predict({"score": np.array(scores, "float32")}, "inputs")
    assert json.loads(said)["outputs"] == scores
    assert b"0.1, 0.669074059, 3e-05, 2.0," in said
    strange = contract.write_predict({"score": np.array([np.nan, np.inf, -np.inf], "float32")}, "inputs")
    assert strange == b'{"outputs": [NaN, Infinity, -Infinity]}'


def written(outputs: dict, layout: str) -> dict:
    return json.loads(contract.write_predict(outputs, layout))
