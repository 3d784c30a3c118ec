"""The fields of one `NodeProto`, before anything is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from modelscan.errors import LimitExceeded
from modelscan.formats.onnx.context import Extent, Reading, standard
from modelscan.formats.onnx.proto import (
    NODE_ATTRIBUTE,
    NODE_DOC,
    NODE_DOMAIN,
    NODE_INPUT,
    NODE_METADATA,
    NODE_NAME,
    NODE_OP,
    NODE_OUTPUT,
    NODE_OVERLOAD,
)
from modelscan.wire import LENGTH

_NO_NOTES: Mapping[str, str] = MappingProxyType({})


NodeFields = tuple[list[str], list[str], str, str, str, str, list[Extent], list[Extent], Mapping[str, str]]
"""What a node's message holds: inputs, outputs, name, operator, domain, overload, attributes, metadata, and the doc string as an entry of
the metadata."""


def parse(reading: Reading, start: int, end: int) -> NodeFields:  # noqa: C901 - a branch for each field
    """The fields of the node in `[start, end)`; raises `UnreadableFile` where it is broken or beyond a bound."""
    most, text = reading.limits.values, reading.wire.text
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: list[Extent] = []
    metadata: list[Extent] = []
    notes = _NO_NOTES
    name = op = domain = overload = ""
    for number, kind, value, length in reading.wire.fields(start, end):
        if kind != LENGTH:
            continue
        if number == NODE_INPUT:
            inputs.append(text(value, length))
        elif number == NODE_OUTPUT:
            outputs.append(text(value, length))
        elif number == NODE_NAME:
            name = text(value, length)
        elif number == NODE_OP:
            op = text(value, length)
        elif number == NODE_ATTRIBUTE and length:
            attributes.append((value, value + length))
        elif number == NODE_DOMAIN:
            domain = standard(text(value, length))
        elif number == NODE_OVERLOAD:
            overload = text(value, length)
        elif number == NODE_METADATA and length:
            metadata.append((value, value + length))
        elif number == NODE_DOC and length:
            notes = reading.doc(value, length)
        if len(inputs) + len(outputs) + len(attributes) + len(metadata) > most:
            raise LimitExceeded("values", most + 1, most, offset=start)
    return inputs, outputs, name, op, domain, overload, attributes, metadata, notes
