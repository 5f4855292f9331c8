"""TensorFlow Serving's two interfaces over a SavedModel, as its C++ has them; holds none of the zoo.

    python -I model_server.py NAME FOLDER [NAME FOLDER ...]

A model is run as the model server runs it: by a session over the graph, fed and fetched by the tensors that
the SignatureDef names. In between stand its own messages, PredictRequest and PredictResponse, which come over gRPC
or are made from JSON after `FillPredictRequestFromJson` and `MakeJsonFromTensors` of
tensorflow_serving/util/json_tensor.cc. Standard output is a line with the ports of REST and gRPC.
"""

import base64
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import tensorflow as tf
import tensorflow_text  # noqa: F401 - what the stock server has linked in
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc as services


class Invalid(Exception):
    """INVALID_ARGUMENT."""


class Servable:
    def __init__(self, folder):
        graph = tf.Graph()
        self.session = tf.compat.v1.Session(graph=graph)
        with graph.as_default():
            self.signatures = tf.compat.v1.saved_model.load(self.session, ["serve"], folder).signature_def

    def signature(self, name):
        if (name or "serving_default") not in self.signatures:
            raise Invalid(f'Serving signature name: "{name}" not found in signature def')
        return self.signatures[name or "serving_default"]

    def predict(self, request):
        signature = self.signature(request.model_spec.signature_name)
        if set(request.inputs) != set(signature.inputs):
            raise Invalid(f"input keys must be {sorted(signature.inputs)}")
        fed = {}
        for name, info in signature.inputs.items():
            if request.inputs[name].dtype != info.dtype:
                raise Invalid(
                    f"Expects {name} to be {info.dtype} but {request.inputs[name].dtype} is provided"
                )
            fed[info.name] = tf.make_ndarray(request.inputs[name])
        try:
            found = self.session.run({name: info.name for name, info in signature.outputs.items()}, fed)
        except (tf.errors.OpError, ValueError) as error:
            raise Invalid(str(error).splitlines()[0]) from error
        response = predict_pb2.PredictResponse(model_spec=request.model_spec)
        for name, value in found.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value, signature.outputs[name].dtype))
        return response


def request_of(body, servable):
    try:
        document = json.loads(body)
    except ValueError as error:
        raise Invalid(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise Invalid("Is not object")
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = document.get("signature_name", "")
    inputs = servable.signature(request.model_spec.signature_name).inputs
    if ("instances" in document) == ("inputs" in document):
        raise Invalid("expecting one of 'inputs' or 'instances'")
    if "instances" in document:
        rows = document["instances"]
        if not isinstance(rows, list) or not rows:
            raise Invalid("Expecting 'instances' to be a list with values")
        if not is_object(rows[0]) and len(inputs) > 1:
            raise Invalid("instances is a plain list, but expecting list of objects")
        if any(is_object(row) != is_object(rows[0]) for row in rows):
            raise Invalid("Expecting one kind of item")
        if not is_object(rows[0]):
            rows = [{next(iter(inputs)): row} for row in rows]
        if any(set(row) != set(inputs) for row in rows):
            raise Invalid(f"keys must be equal to {sorted(inputs)}")
        values = {name: [row[name] for row in rows] for name in inputs}
    else:
        values = document["inputs"]
        if not is_object(values):
            if len(inputs) > 1:
                raise Invalid("inputs is a plain value/list, but expecting an object")
            values = {next(iter(inputs)): values}
        for name in inputs:
            if name not in values:
                raise Invalid(f"Missing named input: {name} in 'inputs' object.")
    for name, info in inputs.items():
        leaves, shape = [], shape_of(values[name])
        fill(values[name], shape, info.dtype, leaves)
        request.inputs[name].CopyFrom(tf.make_tensor_proto(leaves, info.dtype, shape))
    return request, "instances" in document


def is_object(value):
    return isinstance(value, dict) and not (list(value) == ["b64"] and isinstance(value["b64"], str))


def shape_of(value):
    if not isinstance(value, list):
        return []
    return [len(value), *(shape_of(value[0]) if value else [])]


def fill(value, shape, dtype, leaves):
    if isinstance(value, list):
        if not shape or len(value) != shape[0]:
            raise Invalid("Encountered list at unexpected level or size")
        for part in value:
            fill(part, shape[1:], dtype, leaves)
        return
    if shape:
        raise Invalid("found at incorrect level")
    if isinstance(value, dict) and dtype == tf.string.as_datatype_enum and not is_object(value):
        leaves.append(base64.b64decode(value["b64"] + "=="))
        return
    kinds = {tf.string: str, tf.int32: int, tf.float32: (int, float)}
    if isinstance(value, bool) or not isinstance(value, kinds[tf.as_dtype(dtype)]):
        raise Invalid(f"is not of expected type: {tf.as_dtype(dtype).name}")
    leaves.append(value)


def json_of(response, row_format):
    columns = {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}
    lists = {name: plain(value.tolist(), value.dtype) for name, value in columns.items()}
    if not row_format:
        return {"outputs": lists if len(lists) > 1 else next(iter(lists.values()))}
    if len(lists) == 1:
        return {"predictions": next(iter(lists.values()))}
    return {"predictions": [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]}


def plain(value, dtype):
    if isinstance(value, list):
        return [plain(part, dtype) for part in value]
    if isinstance(value, bytes):
        return value.decode()
    if dtype == "float32":
        six = float(f"{value:.6g}")
        return six if tf.constant(six).numpy() == value else float(f"{value:.9g}")
    return value


class Rest(BaseHTTPRequestHandler):
    models: dict

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name = re.fullmatch(r"/v1/models/([^/:]+)(?:/versions/1)?:predict", self.path)
        if not name or name[1] not in self.models:
            return self.answer(404, {"error": "Servable not found for request"})
        try:
            request, row_format = request_of(body, self.models[name[1]])
            self.answer(200, json_of(self.models[name[1]].predict(request), row_format))
        except Invalid as error:
            self.answer(400, {"error": str(error)})

    def do_GET(self):
        name, metadata = re.fullmatch(r"/v1/models/([^/:]+)(/metadata)?", self.path).groups()
        if not metadata:
            response = get_model_status_pb2.GetModelStatusResponse()
            response.model_version_status.add(version=1, state=30).status.SetInParent()
            found = told(response)
        else:
            every = get_model_metadata_pb2.SignatureDefMap()
            for key, signature in self.models[name].signatures.items():
                every.signature_def[key].CopyFrom(signature)
            spec = predict_pb2.PredictRequest().model_spec
            spec.name, spec.version.value = name, 1
            found = {"model_spec": told(spec), "metadata": {"signature_def": told(every)}}
        self.answer(200, found)

    def answer(self, status, found):
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def told(message):
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


class PredictionService(services.PredictionServiceServicer):
    def __init__(self, models):
        self.models = models

    def Predict(self, request, context):
        if request.model_spec.name not in self.models:
            context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found for request")
        try:
            return self.models[request.model_spec.name].predict(request)
        except Invalid as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))


if __name__ == "__main__":
    Rest.models = {
        name: Servable(folder) for name, folder in zip(sys.argv[1::2], sys.argv[2::2], strict=True)
    }
    rest = ThreadingHTTPServer(("127.0.0.1", 0), Rest)
    server = grpc.server(ThreadPoolExecutor(2))
    services.add_PredictionServiceServicer_to_server(PredictionService(Rest.models), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    strangers = {"zoo", "sentencepiece", "click", "pydantic", "aiohttp"} & set(sys.modules)
    assert not strangers, strangers
    print(rest.server_address[1], port, flush=True)
    rest.serve_forever()
