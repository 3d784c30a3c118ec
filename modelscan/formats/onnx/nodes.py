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

_SHORT = 4096
"""Bytes of a node that is read by the short way: too few for more entries than any limit allows."""
_INPUT, _OUTPUT, _NAME, _OP, _ATTRIBUTE = (n << 3 | LENGTH for n in (NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_OP, NODE_ATTRIBUTE))
"""Tags of the fields that most nodes have, and no others."""
_NO_NOTES: Mapping[str, str] = MappingProxyType({})
_NO_EXTENTS: list[Extent] = []


NodeFields = tuple[list[str], list[str], str, str, str, str, list[Extent], list[Extent], Mapping[str, str]]
"""What a node's message holds: inputs, outputs, name, operator, domain, overload, attributes, metadata, and the doc string as an entry of
the metadata."""


def parse(reading: Reading, start: int, end: int) -> NodeFields:
    """The fields of the node in `[start, end)`; raises `UnreadableFile` where it is broken or beyond a bound."""
    if end - start <= _SHORT:
        data, base = reading.wire.chunk(start, end - start)
        short = _short(reading, data, start - base, end - base, base)
        if short is not None:
            return short
    return _any(reading, start, end)


def _short(reading: Reading, data: bytes, at: int, stop: int, base: int) -> NodeFields | None:
    """A node of nothing but short names and attributes, as most are; None for any other. `data` begins at offset `base`."""
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: list[Extent] = []
    name = op = ""
    texts, text = reading.texts, reading.text
    try:
        while at < stop:
            tag, length = data[at], data[at + 1]
            begin = at + 2
            at = begin + length
            if length > 127:
                return None
            if tag == _INPUT:
                piece = data[begin:at]
                inputs.append(texts.get(piece) or text(piece))
            elif tag == _OUTPUT:
                outputs.append(text(data[begin:at]))
            elif tag == _NAME:
                name = data[begin:at].decode("utf-8", "backslashreplace")
            elif tag == _OP:
                op = text(data[begin:at])
            elif tag == _ATTRIBUTE and length:
                attributes.append((base + begin, base + at))
            else:
                return None
    except IndexError:
        return None
    return (inputs, outputs, name, op, "", "", attributes, _NO_EXTENTS, _NO_NOTES) if at == stop else None


def _any(reading: Reading, start: int, end: int) -> NodeFields:  # noqa: C901 - a branch for each field
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
