"""What tf2onnx leaves to be done in a graph."""

from __future__ import annotations

from collections.abc import Iterator

import onnx


def graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and those inside it: bodies of loops, branches."""
    yield graph
    for node in graph.node:
        yield from (inner for body in bodies(node) for inner in graphs(body))


def bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]


def hoist_invariants(graph: onnx.GraphProto) -> None:
    """What a loop hands on to itself unchanged, weights above all, its body reads from outside instead.

    A runtime copies what is handed on at every step, and cannot prepare a weight that might change.
    """
    for node in graph.node:
        if node.op_type == "Loop":
            _hoist(graph, node)
        for body in bodies(node):
            hoist_invariants(body)


def _hoist(graph: onnx.GraphProto, loop: onnx.NodeProto) -> None:
    (body,) = bodies(loop)
    same_as = {node.output[0]: node.input[0] for node in body.node if node.op_type == "Identity"}

    def origin(name: str) -> str:
        while name in same_as:
            name = same_as[name]
        return name

    # The body takes (number, condition, *states) and gives (condition, *states, *scans); the loop takes
    # (most, condition, *states) and gives (*states, *scans).
    for place in reversed(range(len(body.input) - 2)):
        inside, outside, result = body.input[place + 2].name, loop.input[place + 2], loop.output[place]
        handed_on = [i for i, output in enumerate(body.output) if origin(output.name) == inside]
        if handed_on != [place + 1]:
            continue
        del body.input[place + 2], body.output[place + 1], loop.input[place + 2], loop.output[place]
        _rename(body, inside, outside)
        _rename(graph, result, outside)
    _drop_unused_identities(body)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """What reads a value reads another one."""
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == old:
                node.input[i] = new
        for body in bodies(node):
            _rename(body, old, new)


def _drop_unused_identities(graph: onnx.GraphProto) -> None:
    while True:
        read = {name for part in graphs(graph) for node in part.node for name in node.input}
        read |= {output.name for part in graphs(graph) for output in part.output}
        unused = [node for node in graph.node if node.op_type == "Identity" and node.output[0] not in read]
        if not unused:
            return
        for node in unused:
            graph.node.remove(node)
