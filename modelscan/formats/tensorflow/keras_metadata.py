"""What Keras 2 notes of its layers beside a SavedModel: `keras_metadata.pb`, or the same JSON inside the object graph until TF 2.4.

Source: keras/protobuf/saved_metadata.proto and keras/saving/legacy/saved_model/save.py of Keras 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats.keras.document import parse_json
from modelscan.formats.keras.objects import note_objects
from modelscan.formats.tensorflow.attributes import Place
from modelscan.model import Observation
from modelscan.program import KerasNode, SavedObject
from modelscan.wire import LENGTH, VARINT, Wire

FILE = "keras_metadata.pb"
_NODE_ID, _NODE_PATH, _IDENTIFIER, _METADATA = 2, 3, 4, 5


def from_file(wire: Wire, name: str, seen: list[Observation]) -> tuple[KerasNode, ...]:
    """The nodes of a metadata file, as far as they can be read."""
    found: list[KerasNode] = []
    try:
        for number, kind, value, length in wire.fields():
            if (number, kind) != (1, LENGTH):
                continue
            if len(found) >= wire.limits.layers:
                raise LimitExceeded("layers", len(found) + 1, wire.limits.layers, offset=value)
            found.append(_node(wire, value, value + length, name, seen))
    except UnreadableFile as error:
        seen.append(Observation(error.kind, str(error), offset=error.offset, where=name))
    return _checked(found, name, seen)


def from_objects(
    wire: Wire, objects: tuple[SavedObject, ...], metadata: Mapping[int, Place], name: str, seen: list[Observation]
) -> tuple[KerasNode, ...]:
    """The nodes that stand inside the object graph."""
    found = []
    for number, (at, length) in metadata.items():
        identifier = objects[number].identifier
        if identifier.startswith("_tf_keras"):
            found.append(KerasNode(number, "", identifier, _parsed(wire, at, length, name, seen), at, length))
    return _checked(found, name, seen)


def _checked(nodes: list[KerasNode], name: str, seen: list[Observation]) -> tuple[KerasNode, ...]:
    """The nodes, after a look at what their configurations ask a loader to run."""
    whole = next((one for one in nodes if _has_layers(one)), None)
    for one in [whole] if whole is not None else nodes:
        note_objects(dict(one.metadata), f"{name} > {one.path or one.node}", seen)
    return tuple(nodes)


def _has_layers(node: KerasNode) -> bool:
    """Whether a node is the whole model with the configurations of all its layers."""
    config = node.metadata.get("config")
    return node.node == 0 and isinstance(config, Mapping) and isinstance(config.get("layers"), list)


def _node(wire: Wire, start: int, end: int, name: str, seen: list[Observation]) -> KerasNode:
    number, texts = 0, {}
    place: Place = (0, 0)
    for field, kind, value, length in wire.fields(start, end):
        if (field, kind) == (_NODE_ID, VARINT):
            number = value
        elif kind == LENGTH and field in (_NODE_PATH, _IDENTIFIER):
            texts[field] = wire.text(value, length)
        elif kind == LENGTH and field == _METADATA:
            place = (value, length)
    metadata = _parsed(wire, *place, name, seen)
    return KerasNode(number, texts.get(_NODE_PATH, ""), texts.get(_IDENTIFIER, ""), metadata, *place)


def _parsed(wire: Wire, at: int, length: int, name: str, seen: list[Observation]) -> Mapping[str, Any]:
    """The JSON, an empty mapping when it is none."""
    if length > wire.limits.json_bytes:
        raise LimitExceeded("json_bytes", length, wire.limits.json_bytes, offset=at)
    try:
        value = parse_json(wire.read(at, length), name, wire.limits, seen)
    except UnreadableFile as error:
        seen.append(Observation(error.kind, str(error), offset=at, where=name))
        return {}
    return value if isinstance(value, dict) else {}
