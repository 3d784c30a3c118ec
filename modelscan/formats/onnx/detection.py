"""Whether a file is ONNX. The format has no magic number, so its first messages must have the right structure.

`GraphDef` and `SavedModel` begin with other fields: there field 1 is a message or a version and field 2 a message, here
field 1 is the IR version and field 7 the graph.
"""

from __future__ import annotations

from itertools import islice

from modelscan.errors import UnreadableFile
from modelscan.formats import Artifact
from modelscan.formats.onnx.proto import (
    GRAPH_NODE,
    MODEL_CONFIGURATION,
    MODEL_DOC,
    MODEL_DOMAIN,
    MODEL_FUNCTIONS,
    MODEL_GRAPH,
    MODEL_IR_VERSION,
    MODEL_METADATA,
    MODEL_OPSETS,
    MODEL_PRODUCER,
    MODEL_PRODUCER_VERSION,
    MODEL_TRAINING,
    MODEL_VERSION,
    NODE_ATTRIBUTE,
    NODE_INPUT,
    NODE_METADATA,
    NODE_OP,
    NODE_OUTPUT,
)
from modelscan.wire import LENGTH, VARINT, Wire

_MODEL = dict.fromkeys((MODEL_IR_VERSION, MODEL_VERSION), VARINT) | dict.fromkeys(
    (
        MODEL_PRODUCER,
        MODEL_PRODUCER_VERSION,
        MODEL_DOMAIN,
        MODEL_DOC,
        MODEL_GRAPH,
        MODEL_OPSETS,
        MODEL_METADATA,
        MODEL_TRAINING,
        MODEL_FUNCTIONS,
        MODEL_CONFIGURATION,
    ),
    LENGTH,
)
_TEXTS = frozenset({MODEL_PRODUCER, MODEL_PRODUCER_VERSION, MODEL_DOMAIN, MODEL_DOC})
_GRAPH = frozenset({1, 2, 5, 10, 11, 12, 13, 14, 15, 16})
_NODE = frozenset(range(1, 11))
_LOOKED_AT = 64
_LONGEST_TEXT = 1 << 20


def detect(artifact: Artifact) -> bool:
    """Whether the content has the structure of an ONNX model; a cut-off or damaged one still has it at its beginning."""
    if artifact.source is None or not artifact.source.size:
        return False
    seen: set[int] = set()
    wire = Wire(artifact.source, overrun=lambda error: None)
    try:
        for number, kind, value, length in islice(wire.fields(), _LOOKED_AT):
            if MODEL_GRAPH in seen and number not in _MODEL:
                break  # something behind the graph; the reader will tell
            if not _fits(wire, number, kind, value, length):
                return False
            seen.add(number)
    except UnreadableFile:
        pass  # what came before it decides
    if MODEL_GRAPH in seen:
        return bool(seen - {MODEL_GRAPH}) or artifact.name.endswith(".onnx")
    return {MODEL_IR_VERSION, MODEL_OPSETS} <= seen


def _fits(wire: Wire, number: int, kind: int, value: int, length: int) -> bool:
    """Whether a field can be one of a model."""
    if _MODEL.get(number) != kind:
        return False
    if number == MODEL_IR_VERSION:
        return 0 < value < 1 << 31
    if number in _TEXTS:
        return length <= _LONGEST_TEXT and _is_text(wire.read(value, min(length, 64, wire.size - value)))
    if number == MODEL_GRAPH:
        return _is_graph(wire, value, value + length)
    if number == MODEL_OPSETS:
        return all((inner, way) in ((1, LENGTH), (2, VARINT)) for inner, way, _, _ in wire.fields(value, value + length))
    return True


def _is_text(data: bytes) -> bool:
    return not any(byte < 32 and byte not in b"\t\r\n" for byte in data)


def _is_graph(wire: Wire, start: int, end: int) -> bool:
    """Whether a message can be a graph: only fields of one, and a first node with inputs or outputs and an operator."""
    some = False
    try:
        for number, kind, value, length in islice(wire.fields(start, end), _LOOKED_AT):
            if number not in _GRAPH or kind != LENGTH:
                return False
            if number == GRAPH_NODE:
                return _is_node(wire, value, value + length)
            some = True
    except UnreadableFile:
        pass
    return some or start == end


def _is_node(wire: Wire, start: int, end: int) -> bool:
    numbers = set()
    for number, kind, _, _ in islice(wire.fields(start, end), _LOOKED_AT):
        if number not in _NODE or kind != LENGTH:
            return False
        numbers.add(number)
    return bool(numbers & {NODE_INPUT, NODE_OUTPUT, NODE_OP, NODE_ATTRIBUTE, NODE_METADATA})
