"""Exported SavedModels behind TensorFlow Serving's interfaces, in a process without the zoo, beside `zoo serve`:
the same requests, the same answers. (model_server.py stands in for the model server's binary.)"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from servers import Running

sys.path.append(str(Path(__file__).parents[1] / "export"))
from small_tasks import FAST, make_task

GENERATOR = "rnn_language_model"
QUICK = ("rnn_classifier", GENERATOR)
TASKS = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
    for name in (*QUICK, "rnn_seq2seq", "rnn_tagger", "bert")
]
TEXTS = ["3 March 2021", "Der Hund läuft.", "年🙂", "", " ", "x" * 200]


@pytest.fixture(scope="module")
def tasks(request):
    """Those that the tests of this run ask for."""
    mine = [item for item in request.session.items if item.path == Path(__file__)]
    names = {item.callspec.params["name"] for item in mine if hasattr(item, "callspec")} | {GENERATOR}
    return {name: make_task(name, FAST[name]) for name in sorted(names)}


@pytest.fixture(scope="module")
def folders(tasks, tmp_path_factory):
    from zoo.export.build import Build
    from zoo.export.kinds import KINDS
    from zoo.export.saved_model import export_saved_model

    folder = tmp_path_factory.mktemp("saved")
    for name, task in tasks.items():
        export_saved_model(KINDS[task.recipe.task](task), folder / name / "1", Build())
    return folder


@pytest.fixture(scope="module")
def ports(tasks, folders):
    """Of REST and gRPC of the stand-in."""
    models = [part for name in tasks for part in (name, str(folders / name / "1"))]
    command = [sys.executable, "-I", str(Path(__file__).parent / "model_server.py"), *models]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield [int(port) for port in process.stdout.readline().split()]
        finally:
            process.kill()


@pytest.fixture(scope="module")
def servers(tasks, folders):
    """Name -> `zoo serve` of its SavedModel, and of the task itself."""
    from zoo.serving.models import TextModel
    from zoo.serving.saved_model import SavedModel

    with ExitStack() as stack:
        yield {
            name: (
                stack.enter_context(
                    Running(lambda n=name: SavedModel(folders / n / "1"), name, max_characters=300)
                ),
                stack.enter_context(Running(lambda t=task: TextModel.of_task(t), name, max_characters=300)),
            )
            for name, task in tasks.items()
        }


def requests_of(name: str) -> list[dict]:
    """What is asked of a model: both layouts, bytes, its ids, and what it must refuse."""
    if name == GENERATOR:
        good = [{"inputs": {"text": TEXTS[:n], "seed": seed}} for n, seed in ((1, 3), (5, 3), (5, -4))]
        bad = [
            {"instances": [{"text": "a", "seed": 1}]},
            {"inputs": {"text": ["a"]}},
            {"inputs": {"text": ["a"], "seed": "1"}},
            {"inputs": {"text": ["a"], "seed": [1]}},
            {"inputs": {"text": ["a"], "seed": 1.5}},
            {"inputs": ["a"]},
            {"instances": ["a"]},
        ]
    else:
        good = [
            {"instances": TEXTS},
            {"instances": [{"text": text} for text in TEXTS]},
            {"instances": [{"b64": "M8KgTWFyY2g="}], "signature_name": "serving_default"},
            {"inputs": TEXTS},
            {"inputs": {"text": TEXTS}},
        ]
        bad = [
            {"instances": []},
            {"instances": ["a", 1]},
            {"instances": ["a", ["b"]]},
            {"instances": ["a", {"text": "b"}]},
            {"instances": [{"words": "b"}]},
            {"instances": [["a"]]},
            {"inputs": "a"},
            {"inputs": {"words": ["a"]}},
        ]
    bad += [{}, {"instances": ["a"], "inputs": ["a"]}, {"instances": ["a"], "signature_name": "none"}]
    return good + bad


IDS = {
    "rnn_seq2seq": {"instances": [[5, 6, 3], [7, 3, 0]]},
    "rnn_classifier": {"inputs": {"ids": [[5, 6, 3]]}},
    "rnn_tagger": {"instances": [{"token_ids": [5, 6], "character_ids": [[1] * 24, [2] * 24]}]},
    "bert": {"inputs": {"token_ids": [[5, 4, 3]], "places": [[1]], "order": [[0, 1, 0]]}},
    GENERATOR: {
        "instances": [{"token_ids": [5, 6], "uniforms": [0, 0.5, 0.25, 0.1, 0.9, 0.7, 0.2, 0.6, 1.0]}]
    },
}


@pytest.mark.parametrize("name", TASKS)
def test_the_same_answers(name: str, servers, ports) -> None:
    saved, _ = servers[name]
    for request in [*requests_of(name), {**IDS[name], "signature_name": "ids"}]:
        theirs, ours = ask(ports[0], name, request), saved.ask(request)
        assert ours[0] == theirs[0], (request, ours, theirs)
        if theirs[0] == 200:
            assert ours[1] == theirs[1], request
        else:
            assert list(ours[1]) == list(theirs[1]) == ["error"]


@pytest.mark.parametrize("name", TASKS)
def test_a_run_answers_in_the_same_shape(name: str, servers, ports) -> None:
    _, run = servers[name]
    for request in requests_of(name):
        theirs, ours = ask(ports[0], name, request), run.ask(request)
        assert ours[0] == theirs[0], (request, ours, theirs)
        if theirs[0] == 200:
            assert shape(ours[1]) == shape(theirs[1]), request
            if name != GENERATOR:  # which draws by other numbers
                assert rounded(ours[1]) == rounded(theirs[1]), request


@pytest.mark.parametrize("name", TASKS)
def test_status_and_metadata(name: str, servers, ports) -> None:
    for path in (f"/v1/models/{name}", f"/v1/models/{name}/metadata"):
        status, theirs = ask(ports[0], name, None, path)
        assert status == 200
        for number, server in enumerate(servers[name]):
            ours = server.get(path)[1]
            same = json.dumps(ours).replace('"version": "3"', '"version": "1"')
            assert shape(
                json.loads(same)["model_spec" if "metadata" in path else "model_version_status"]
            ) == shape(theirs["model_spec" if "metadata" in path else "model_version_status"])
            if "metadata" in path:
                told, known = (x["metadata"]["signature_def"]["signature_def"] for x in (ours, theirs))
                del known["__saved_model_init_op"]
                if number == 0:
                    assert told == known
                else:
                    assert nameless(told["serving_default"]) == nameless(known["serving_default"])
                known["__saved_model_init_op"] = {}
            else:
                assert json.loads(same) == theirs


@pytest.mark.parametrize("name", TASKS)
def test_grpc_gives_what_rest_gives(name: str, servers, ports) -> None:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    asked = {"text": TEXTS[:5], **({"seed": 3} if name == GENERATOR else {})}
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    for key, value in asked.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    with grpc.insecure_channel(f"127.0.0.1:{ports[1]}") as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        outputs = service.Predict(request, 30).outputs
        del request.inputs["text"]
        with pytest.raises(grpc.RpcError) as refused:
            service.Predict(request, 30)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    found = {key: tf.make_ndarray(tensor) for key, tensor in outputs.items()}
    status, rest = servers[name][0].ask({"inputs": asked})
    assert status == 200
    rest = rest["outputs"] if len(found) > 1 else {next(iter(found)): rest["outputs"]}
    assert set(rest) == set(found)
    for key, value in found.items():
        if value.dtype == object:
            assert [x.decode() for x in value.ravel()] == rest[key]
        else:
            assert np.array_equal(value, np.array(rest[key], value.dtype))


def test_a_seed_decides_whatever_else_is_asked(servers) -> None:
    """Requests of a language model never share a batch: what is drawn would depend on who else asks."""
    for server in servers[GENERATOR]:
        alone = {seed: server.ask({"inputs": {"text": ["a", "3 M"], "seed": seed}})[1] for seed in range(6)}
        assert len({json.dumps(answer) for answer in alone.values()}) > 1
        with ThreadPoolExecutor(6) as pool:
            asked = [
                (seed, pool.submit(server.ask, {"inputs": {"text": ["a", "3 M"], "seed": seed}}))
                for seed in list(range(6)) * 3
            ]
            assert all(answer.result()[1] == alone[seed] for seed, answer in asked)


def test_who_draws_nothing_takes_no_seed() -> None:
    from zoo.export.kinds import KINDS
    from zoo.serving.models import TextModel

    task = make_task(GENERATOR, FAST[GENERATOR], decode={"max_length": 4, "sample": False})
    assert not KINDS["language_modeling"](task).seeded, "a SavedModel of it has no such input"
    with Running(TextModel.of_task(task), max_batch=8) as server:
        first, again = (server.ask({"instances": ["a", "3 M"]}) for _ in range(2))
        assert first[0] == 200 and first == again
        both = zip(first[1]["predictions"], ("a", "3 M"), strict=True)
        assert all(found.startswith(text) for found, text in both)


def ask(port: int, name: str, request: dict | None, path: str = "") -> tuple[int, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    if request is None:
        connection.request("GET", path)
    else:
        connection.request("POST", f"/v1/models/{name}:predict", json.dumps(request))
    response = connection.getresponse()
    found = json.loads(response.read())
    connection.close()
    return response.status, found


def shape(value):
    """Keys, lengths and types of JSON."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    return [shape(part) for part in value] if isinstance(value, list) else type(value)


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return pytest.approx(value, rel=1e-3, abs=1e-4) if isinstance(value, float) else value


def nameless(signature: dict) -> dict:
    """Without what the graph calls its tensors."""
    return {
        side: {key: {**tensor, "name": ""} for key, tensor in signature[side].items()}
        if side != "method_name"
        else ""
        for side in ("inputs", "outputs", "method_name")
    }
