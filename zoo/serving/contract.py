"""TensorFlow Serving's REST contract: a request's JSON to tensors, tensors to the JSON of an answer.

What its server takes is taken, and answered in the same shape; where it accepts what no text can be (broken
UTF-8 inside base64) or passes a limit of ours, the request is refused. No message repeats what was sent.

Reference: https://www.tensorflow.org/tfx/serving/api_rest, and `tensorflow_serving/util/json_tensor.cc`.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.serving.limits import Limits
from zoo.serving.signatures import DEFAULT, KINDS, PREDICT, Signature, Tensor
from zoo.text import json_text

ROWS, COLUMNS = "instances", "inputs"
ANSWERS = {ROWS: "predictions", COLUMNS: "outputs"}
"""How a request is written -> what its answer stands under."""
BOUNDS = {"DT_INT32": 31, "DT_INT64": 63}
WHOLE = {"DT_FLOAT": 24, "DT_DOUBLE": 53}
"""Bits of the whole numbers that a fraction's type holds exactly."""


class Refusal(Exception):
    """A request that is not answered: an HTTP status, and the reason for whoever sent it."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status, self.reason = status, reason


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; of a key that stands twice, the first counts."""
    try:
        found = json.loads(body.decode("utf-8-sig"), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    except UnicodeDecodeError as error:
        raise Refusal(400, f"the body is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Refusal(400, f"JSON Parse error: {error.msg} at {where}") from None
    except ValueError:  # a number of thousands of digits
        raise Refusal(400, "JSON Parse error: a number is too long") from None
    except RecursionError:
        raise Refusal(400, "JSON Parse error: nested too deeply") from None
    if not isinstance(found, dict):
        raise Refusal(400, f"the body must be a JSON object, not {_kind(found)}")
    return found


def signature_name(request: Mapping[str, Any]) -> str:
    """The signature that is asked for."""
    name = request.get("signature_name", "")
    if not isinstance(name, str):
        raise Refusal(400, f"'signature_name' must be a string, not {_kind(name)}")
    return name or DEFAULT


def find(signatures: Mapping[str, Signature], name: str) -> Signature:
    """A signature by its name."""
    if name not in signatures:
        raise Refusal(
            400,
            f'Serving signature name: "{short(name)}" not found in signature def; '
            f"there is {' and '.join(signatures)}",
        )
    return signatures[name]


def read_predict(
    request: Mapping[str, Any], signature: Signature, limits: Limits
) -> tuple[dict[str, np.ndarray], str]:
    """The tensors of a predict request by their names, and how it was written."""
    given = [key for key in (ROWS, COLUMNS) if key in request]
    if len(given) != 1:
        said = (
            "Missing 'inputs' or 'instances' key" if not given else "give 'inputs' or 'instances', not both"
        )
        raise Refusal(400, said)
    (layout,) = given
    values = request[layout]
    columns = _from_rows(values, signature) if layout == ROWS else _from_columns(values, signature)
    tensors = {
        name: _tensor(columns[name], tensor, name, limits) for name, tensor in signature.inputs.items()
    }
    sizes = {
        name: tensors[name].shape[0]
        for name in tensors
        if tensors[name].ndim and signature.inputs[name].shape
    }
    if len(set(sizes.values())) > 1:
        said = ", ".join(f"'{name}' has {size}" for name, size in sizes.items())
        raise Refusal(400, f"the inputs differ in their number of rows: {said}")
    return tensors, layout


def refuse_verb(verb: str, request: Mapping[str, Any], signatures: Mapping[str, Signature]) -> None:
    """Models here have no signature for :classify and :regress, which is said as TensorFlow Serving does."""
    name = signature_name(request)
    examples = request.get("examples")
    if not isinstance(examples, list) or not examples:
        raise Refusal(400, f"When method is {verb}, key 'examples' is expected to be a list with values")
    if name not in signatures:
        raise Refusal(400, f"No signature was found with the name: {short(name)}")
    raise Refusal(
        400,
        f"Expected signature method_name to be tensorflow/serving/{verb}. Was: {PREDICT}; use :predict",
    )


def write_predict(outputs: Mapping[str, np.ndarray], layout: str) -> bytes:
    """The answer to a predict request, written as the request was."""
    lists = {name: _plain(name, value) for name, value in outputs.items()}
    if layout == COLUMNS:
        answer: Any = lists if len(lists) > 1 else next(iter(lists.values()))
    else:
        if any(value.ndim == 0 for value in outputs.values()) or len({len(x) for x in lists.values()}) > 1:
            raise Refusal(400, "the outputs are not one for each instance; ask with 'inputs'")
        if len(lists) > 1:
            rows = zip(*lists.values(), strict=True)
            answer = [dict(zip(lists, row, strict=True)) for row in rows]
        else:
            answer = next(iter(lists.values()))
    return json_text({ANSWERS[layout]: answer}).encode()


def write_error(reason: str) -> bytes:
    return json_text({"error": reason}).encode()


def write_status(version: int, state: str) -> bytes:
    """A GetModelStatusResponse."""
    status = {"error_code": "OK", "error_message": ""}
    one = {"version": str(version), "state": state, "status": status}
    return json.dumps({"model_version_status": [one]}, indent=1).encode()


def write_metadata(name: str, version: int, signatures: Mapping[str, Signature]) -> bytes:
    """A GetModelMetadataResponse."""
    told = {key: signature.record() for key, signature in signatures.items()}
    spec = {"name": name, "signature_name": "", "version": str(version)}
    return json.dumps(
        {"model_spec": spec, "metadata": {"signature_def": {"signature_def": told}}}, indent=1
    ).encode()


def short(text: str) -> str:
    """A name that somebody sent, for a message."""
    shown = text if len(text) <= 60 else text[:60] + "…"
    return shown.encode("utf-8", "replace").decode()


def _from_rows(values: Any, signature: Signature) -> dict[str, list]:
    """ "instances": one value for each row, or one object where there are several inputs."""
    if not isinstance(values, list):
        raise Refusal(400, f"Expecting 'instances' to be an list/array, not {_kind(values)}")
    if not values:
        raise Refusal(400, "No values in 'instances' array")
    names = set(signature.inputs)
    for name, tensor in signature.inputs.items():
        if tensor.shape == ():
            raise Refusal(
                400,
                f"input '{short(name)}' is one value for all rows, which 'instances' cannot say: "
                f'write {{"inputs": {{{", ".join(json.dumps(key) + ": ..." for key in signature.inputs)}}}}}',
            )
    named = _is_object(values[0])
    if not named and len(names) > 1:
        raise Refusal(
            400,
            "instances is a plain list, but expecting list of objects as multiple input tensors required: "
            + ", ".join(sorted(names)),
        )
    columns: dict[str, list] = {name: [] for name in signature.inputs}
    for number, row in enumerate(values):
        if _is_object(row) != named:
            raise Refusal(400, f"'instances' mixes objects and values, at item {number}")
        if not named:
            columns[next(iter(names))].append(row)
        elif set(row) != names:
            raise Refusal(
                400,
                f"Failed to process element: {number} of 'instances' list. JSON object keys must be equal to: "
                + ",".join(sorted(names)),
            )
        else:
            for name in names:
                columns[name].append(row[name])
    return columns


def _from_columns(values: Any, signature: Signature) -> dict[str, Any]:
    """ "inputs": a tensor, or an object of tensors."""
    if not _is_object(values):
        if len(signature.inputs) > 1:
            raise Refusal(
                400,
                "inputs is a plain value/list, but expecting an object as multiple input tensors required: "
                + ", ".join(sorted(signature.inputs)),
            )
        return {next(iter(signature.inputs)): values}
    for name in signature.inputs:
        if name not in values:
            raise Refusal(400, f"Missing named input: {name} in 'inputs' object.")
    return values


def _tensor(value: Any, tensor: Tensor, name: str, limits: Limits) -> np.ndarray:
    """One input; its nesting is the shape, which the first element of each list decides."""
    kind = KINDS.get(tensor.dtype)
    if kind is None or tensor.shape is None:
        raise Refusal(501, f"input '{short(name)}' is {tensor.dtype}, which this server does not take")
    shape: list[int] = []
    inner = value
    while isinstance(inner, list) and len(shape) <= len(tensor.shape):
        shape.append(len(inner))
        if not inner:
            break
        inner = inner[0]
    wanted = "[" + ",".join(str(-1 if size is None else size) for size in tensor.shape) + "]"
    fits = len(shape) == len(tensor.shape) and all(
        size in (None, given) for size, given in zip(tensor.shape, shape, strict=True)
    )
    if not fits:
        raise Refusal(400, f"input '{short(name)}' has another shape than {wanted}")
    if 0 in shape[1:]:
        raise Refusal(400, f"input '{short(name)}' has an empty row")
    if shape and shape[0] > limits.max_texts:
        raise Refusal(413, f"{shape[0]} rows are more than the {limits.max_texts} that a request may have")
    if any(size > limits.max_characters for size in shape[1:]):
        raise Refusal(413, f"a row of '{short(name)}' is longer than {limits.max_characters}")
    leaves: list = []
    _flatten(value, shape, 0, f"input '{short(name)}'", leaves)
    read = _text if tensor.dtype == "DT_STRING" else _boolean if tensor.dtype == "DT_BOOL" else _number
    found = [
        read(leaf, f"input '{short(name)}', value {i}", tensor.dtype, limits) for i, leaf in enumerate(leaves)
    ]
    array = np.empty(len(found), kind)
    array[:] = found
    return array.reshape(shape)


def _flatten(value: Any, shape: list[int], level: int, where: str, leaves: list) -> None:
    if level == len(shape):
        if isinstance(value, list):
            raise Refusal(400, f"{where}: Encountered list at unexpected level: {level}")
        leaves.append(value)
        return
    if not isinstance(value, list) or len(value) != shape[level]:
        raise Refusal(400, f"{where}: the lists at level {level} are not all of the same length")
    for part in value:
        _flatten(part, shape, level + 1, where, leaves)


def _text(leaf: Any, where: str, dtype: str, limits: Limits) -> str:
    """A text; one in base64 must be UTF-8 inside."""
    if _is_base64(leaf):
        try:
            raw = leaf["b64"].encode("ascii")
            leaf = base64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True).decode()
        except UnicodeDecodeError:
            raise Refusal(400, f"{where}: the bytes are not UTF-8") from None
        except (UnicodeEncodeError, binascii.Error):
            raise Refusal(400, f"{where}: Unable to base64 decode") from None
    if not isinstance(leaf, str):
        raise Refusal(400, f"{where}: {_kind(leaf)} is not of expected type: string")
    if len(leaf) > limits.max_characters:
        raise Refusal(
            413, f"{where}: {len(leaf)} characters are more than the {limits.max_characters} of a text"
        )
    try:
        leaf.encode()
    except UnicodeEncodeError:
        raise Refusal(400, f"{where}: holds half of a surrogate pair, which is no character") from None
    return leaf


def _boolean(leaf: Any, where: str, dtype: str, limits: Limits) -> bool:
    if not isinstance(leaf, bool):
        raise Refusal(400, f"{where}: {_kind(leaf)} is not of expected type: bool")
    return leaf


def _number(leaf: Any, where: str, dtype: str, limits: Limits) -> int | float:
    bits = BOUNDS.get(dtype)
    wanted = int if bits else int | float
    if isinstance(leaf, bool) or not isinstance(leaf, wanted):
        said = "a fraction" if isinstance(leaf, float) else _kind(leaf)
        raise Refusal(400, f"{where}: {said} is not of expected type: {dtype.removeprefix('DT_').lower()}")
    if bits and not -(2**bits) <= leaf < 2**bits:
        raise Refusal(400, f"{where}: the number does not fit {dtype.removeprefix('DT_').lower()}")
    if not bits:
        exact = abs(leaf) < 2 ** WHOLE[dtype] if isinstance(leaf, int) else _holds(leaf, dtype)
        if not exact:
            raise Refusal(400, f"{where}: cannot be converted without loss of precision")
    return leaf


def _holds(value: float, dtype: str) -> bool:
    """Whether a fraction is within the range of a type; no number and infinity are."""
    return dtype == "DT_DOUBLE" or not math.isfinite(value) or abs(value) <= float(np.finfo("float32").max)


def _plain(name: str, value: np.ndarray) -> Any:
    """A tensor as nested lists; texts under a name that ends in _bytes as base64."""
    if value.dtype == object:
        as_bytes = name.endswith("_bytes")
        return _each(value.tolist(), lambda x: _coded(x) if as_bytes else _said(x))
    if value.dtype == np.float32:
        return _each(value.tolist(), decimal)
    return value.tolist()


def _each(value: Any, function) -> Any:
    return [_each(x, function) for x in value] if isinstance(value, list) else function(value)


def _said(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _coded(value: str | bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()}


def decimal(value: float) -> float:
    """A float32 in as many digits as TensorFlow Serving writes: six if they are enough, else nine."""
    brief = float(f"{value:.6g}")
    return brief if not math.isfinite(value) or np.float32(brief) == value else float(f"{value:.9g}")


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _kind(value: Any) -> str:
    """What a JSON value is, in words."""
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "a string", list: "a list"}
    return "null" if value is None else kinds.get(type(value), "an object")
