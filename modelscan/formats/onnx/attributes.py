"""Attributes of nodes: `AttributeProto` to plain values, or to the extents of the tensors and graphs in it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from modelscan.errors import LimitExceeded
from modelscan.formats.onnx.context import Extent, Reading
from modelscan.formats.onnx.proto import (
    ATTRIBUTE_F,
    ATTRIBUTE_FIELDS,
    ATTRIBUTE_FLOATS,
    ATTRIBUTE_G,
    ATTRIBUTE_GRAPHS,
    ATTRIBUTE_I,
    ATTRIBUTE_INTS,
    ATTRIBUTE_NAME,
    ATTRIBUTE_REFERENCE,
    ATTRIBUTE_S,
    ATTRIBUTE_SPARSE,
    ATTRIBUTE_SPARSES,
    ATTRIBUTE_STRINGS,
    ATTRIBUTE_T,
    ATTRIBUTE_TENSORS,
    ATTRIBUTE_TP,
    ATTRIBUTE_TPS,
    ATTRIBUTE_TYPE,
)
from modelscan.formats.onnx.types import type_proto
from modelscan.graph import Reference
from modelscan.model import TensorInfo
from modelscan.wire import FIXED32, LENGTH, VARINT, Field, float32, signed

_KEPT_NUMBERS = 1 << 20
"""Entries of one list attribute that are read; tree ensembles have lists of some hundred thousand."""
_VALUE_FIELDS = frozenset(ATTRIBUTE_FIELDS.values())
_MESSAGES = frozenset({ATTRIBUTE_T, ATTRIBUTE_G, ATTRIBUTE_TP, ATTRIBUTE_SPARSE})
"""Single messages: pieces of one are merged. In the repeated fields each occurrence is a message of its own."""
_LISTS = frozenset({ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS, ATTRIBUTE_TPS, ATTRIBUTE_SPARSES})
NUMBERS = {
    ATTRIBUTE_F: ("float32", "attribute:f"),
    ATTRIBUTE_I: ("int64", "attribute:i"),
    ATTRIBUTE_S: ("string", "strings"),
    ATTRIBUTE_FLOATS: ("float32", "attribute:floats"),
    ATTRIBUTE_INTS: ("int64", "attribute:ints"),
    ATTRIBUTE_STRINGS: ("string", "strings"),
}
"""Element type and encoding of a Constant's tensor by the field that holds it."""


@dataclass(slots=True)
class Attribute:
    """One attribute. Exactly one of `value` and `messages` counts."""

    start: int
    end: int
    name: str = ""
    type: int = 0
    """`AttributeProto.type`, 0 when the file (of IR version 1) leaves it out."""
    kind: int = 0
    """Number of the field that holds the value, 0 if none does."""
    value: Any = None
    sound: bool = False
    """Whether it is numbers or texts and nothing contradicts that."""
    messages: list[list[Extent]] = field(default_factory=list)
    """Tensors, sparse tensors, graphs or types; each with the pieces it is written in."""

    @property
    def repeated(self) -> bool:
        """Whether it is a list."""
        return self.kind in _LISTS or self.kind in (ATTRIBUTE_FLOATS, ATTRIBUTE_INTS, ATTRIBUTE_STRINGS)


def parse(reading: Reading, extent: Extent, where: str) -> Attribute:
    """Read one attribute; contradictions between its declared type and the fields it has are noted."""
    wire = reading.wire
    one = Attribute(*extent)
    fields: dict[int, list[Field]] = {}
    reference = ""
    for entry in wire.fields(*extent):
        number, kind, value, length = entry
        if number == ATTRIBUTE_NAME and kind == LENGTH:
            one.name = wire.text(value, length)
        elif number == ATTRIBUTE_TYPE and kind == VARINT:
            one.type = value
        elif number == ATTRIBUTE_REFERENCE and kind == LENGTH:
            reference = wire.text(value, length)
        elif number in _VALUE_FIELDS:
            entries = fields.setdefault(number, [])
            entries.append(entry)
            if len(entries) > _KEPT_NUMBERS:
                raise LimitExceeded("entries of an attribute", len(entries), _KEPT_NUMBERS, offset=extent[0])
    if reference:
        one.value = Reference(reference)
        return one
    declared = ATTRIBUTE_FIELDS.get(one.type)
    one.kind = declared or (next(iter(fields)) if len(fields) == 1 else 0)
    one.sound = one.kind in NUMBERS and [*fields] == [one.kind]
    if len(fields) > 1 or (declared is not None and fields and declared not in fields):
        text = f"attribute {one.name}: its type is {one.type}, its value in field {' and '.join(map(str, sorted(fields)))}"
        reading.note("attribute-contradiction", text, offset=extent[0], where=where)
    if one.kind in _MESSAGES or one.kind in _LISTS:
        extents = [(value, value + length) for _, kind, value, length in fields.get(one.kind, ()) if kind == LENGTH]
        one.messages = [[piece] for piece in extents] if one.kind in _LISTS else [extents] if extents else []
        if one.kind in (ATTRIBUTE_TP, ATTRIBUTE_TPS):
            types = tuple(TensorInfo("", *type_proto(reading, pieces)) for pieces in one.messages)
            one.value = types if one.kind == ATTRIBUTE_TPS else types[0] if types else None
    else:
        one.value = _plain(reading, one.kind, fields.get(one.kind, []))
    return one


def _plain(reading: Reading, number: int, entries: list[Field]) -> Any:
    """Numbers and strings; a field that is left out has the value that protobuf gives it."""
    match number:
        case 2:  # f
            return next((float32(value) for _, kind, value, _ in reversed(entries) if kind == FIXED32), 0.0)
        case 3:  # i
            return next((signed(value) for _, kind, value, _ in reversed(entries) if kind == VARINT), 0)
        case 4:  # s
            return next(iter(_strings(reading, entries[-1:])), "")
        case 7:
            return _floats(reading, entries)
        case 8:  # ints
            ints: list[int] = []
            for entry in entries:
                if entry[1] in (VARINT, LENGTH) and len(ints) < _KEPT_NUMBERS:
                    ints.extend(map(signed, reading.wire.numbers(entry, _KEPT_NUMBERS)))
            return tuple(ints)
        case 9:
            return _strings(reading, entries[:_KEPT_NUMBERS])
        case _:
            return None


def _floats(reading: Reading, entries: list[Field]) -> tuple[float, ...]:
    floats: list[float] = []
    for _, kind, value, length in entries:
        if kind == FIXED32:
            floats.append(float32(value))
        elif kind == LENGTH:
            count = min(length // 4, _KEPT_NUMBERS - len(floats))
            floats.extend(struct.unpack(f"<{count}f", reading.wire.read(value, 4 * count)))
        if len(floats) >= _KEPT_NUMBERS:
            break
    return tuple(floats)


def _strings(reading: Reading, entries: list[Field]) -> tuple[str | bytes, ...]:
    limit = reading.limits.name_bytes
    return tuple(_string(reading.wire.read(value, min(length, limit))) for _, kind, value, length in entries if kind == LENGTH)


def _string(data: bytes) -> str | bytes:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data
