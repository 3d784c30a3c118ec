"""Attributes of nodes as plain Python: types, shapes, numbers, strings, names of functions, and tensors left where they are."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from typing import Any

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats.tensorflow import proto
from modelscan.formats.tensorflow.constants import constant
from modelscan.model import Observation, Shape
from modelscan.program import FunctionRef, Opaque, Placeholder
from modelscan.wire import FIXED32, LENGTH, VARINT, Wire, float32, signed

_LIST_S, _LIST_I, _LIST_F, _LIST_B, _LIST_TYPE, _LIST_SHAPE, _LIST_TENSOR, _LIST_FUNC = range(2, 10)
Place = tuple[int, int]
"""Where a message begins and ends."""
_TEXT = 64 * 1024
"""A longer string (a serialised engine, a compiled kernel) is located, not kept."""


def type_name(code: int) -> str:
    """The canonical name of a type's code; a reference's is that of what it refers to."""
    plain = code - proto.REFERENCE if code > proto.REFERENCE else code
    return proto.DTYPES.get(plain, f"type {code}")


class Attributes(Mapping[str, Any]):
    """The attributes of one message, decoded when one is first looked at; nothing of it is kept before that.

    What is broken is left out and observed.
    """

    __slots__ = ("_decoded", "_end", "_number", "_seen", "_start", "_tail", "_wire")

    def __init__(self, wire: Wire, start: int, end: int, number: int, seen: list[Observation], tail: Tail | None = None) -> None:
        self._wire = wire
        self._start = start
        self._end = end
        self._number = number
        """Of the map's field in the message."""
        self._seen = seen
        self._tail = tail
        self._decoded: dict[str, Any] | None = None

    def _values(self) -> dict[str, Any]:
        if self._decoded is None:
            self._decoded = {}
            try:
                for name, value in attribute_map(self._wire, self._start, self._end, self._number, 0):
                    self._decoded[name] = value
            except UnreadableFile as error:
                self._seen.append(Observation(error.kind, str(error.inside("attr")), offset=error.offset))
        return self._decoded

    @property
    def tail(self) -> Tail | None:
        """What they have in common with equal ones: two with one `Tail` are the same but for where they lie."""
        return self._tail

    def names(self) -> Set[str]:
        """Their names, without looking at what they are."""
        if self._tail is not None:
            return self._tail.names
        if self._decoded is None:
            try:
                return {name for name, _, _ in _places(self._wire, self._start, self._end, self._number)}
            except UnreadableFile:
                return set(self._values())
        return set(self._decoded)

    def some(self, names: Collection[str]) -> Mapping[str, Any]:
        """Those of these names that are there, for somebody who looks once: what is decoded now is not kept."""
        if self._decoded is None:
            try:
                if self._tail is not None:
                    return self._tail.some(self._wire, self._end, names)
                places = [one for one in _places(self._wire, self._start, self._end, self._number) if one[0] in names]
                return {name: decoded(self._wire, *_value(self._wire, start, end)) for name, start, end in places}
            except UnreadableFile:
                self._values()
        return self._decoded or {}

    def __getitem__(self, key: str) -> Any:
        return self._values()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())


class Tail:
    """What is known of the attributes at the end of a message, whichever message it is: most nodes of a graph have the same as others."""

    __slots__ = ("_places", "_values", "names")

    def __init__(self, places: Mapping[str, Place], size: int) -> None:
        """`places` are those of the entries within the tail, which has so many bytes; kept is how far from its end they are."""
        self._places = {name: (size - start, size - end) for name, (start, end) in places.items()}
        self._values: dict[str, Any] = {}
        self.names = frozenset(places)

    def some(self, wire: Wire, end: int, names: Collection[str]) -> Mapping[str, Any]:
        """Those of these attributes that are there, of a message that ends at `end`."""
        found: dict[str, Any] = {}
        for name in names:
            place = self._places.get(name)
            if place is None:
                continue
            if name in self._values:
                found[name] = self._values[name]
                continue
            value = found[name] = decoded(wire, *_value(wire, end - place[0], end - place[1]))
            if _is_plain(value):
                self._values[name] = value
        return found


def tail_of(data: bytes, number: int) -> Tail | None:
    """What is known of attributes by their bytes; None if these are broken."""
    try:
        return Tail({name: (start, end) for name, start, end in _places(Wire(data), 0, len(data), number)}, len(data))
    except UnreadableFile:
        return None


def _is_plain(value: Any) -> bool:
    """Whether a value says nothing of where it lies."""
    return value is None or isinstance(value, str | int | float | bytes) or (isinstance(value, tuple) and all(map(_is_plain, value)))


_SMALL = 16 * 1024
"""A message up to this size is read whole."""


def _places(wire: Wire, start: int, end: int, number: int) -> Iterator[tuple[str, int, int]]:
    """The keys of a `map<string, …>` that is field `number` of a message, each with the place of its entry."""
    data = wire.read(start, end - start) if end - start <= _SMALL else b""
    for field, kind, value, length in wire.fields(start, end):
        if field != number or kind != LENGTH:
            continue
        at = value - start
        size = data[at + 1] if data and length > 2 and data[at] == _KEY else 128
        if size < 128 and size + 2 <= length:
            yield data[at + 2 : at + 2 + size].decode("utf-8", "backslashreplace"), value, value + length
        else:
            keys = [wire.text(one, count) for inner, way, one, count in wire.fields(value, value + length) if (inner, way) == (1, LENGTH)]
            yield keys[-1] if keys else "", value, value + length


def _value(wire: Wire, start: int, end: int) -> tuple[int, int]:
    """Where the value of an entry lies."""
    places = [(at, at + size) for inner, way, at, size in wire.fields(start, end) if (inner, way) == (2, LENGTH)]
    return places[-1] if places else (start, start)


_KEY = 1 << 3 | LENGTH
"""How the key of an entry begins where it comes first, as every writer has it."""


def attribute_map(wire: Wire, start: int, end: int, number: int, depth: int) -> Iterator[tuple[str, Any]]:
    """The entries of a `map<string, AttrValue>` that is field `number` of a message; a broken value is None."""
    if depth > wire.limits.nesting:
        raise LimitExceeded("nesting", depth, wire.limits.nesting, offset=start)
    count = 0
    for field, kind, value, length in wire.fields(start, end):
        if field != number or kind != LENGTH:
            continue
        count += 1
        if count > wire.limits.values:
            raise LimitExceeded("values", count, wire.limits.values, offset=value)
        name, place = "", (0, 0)
        for inner, way, at, size in wire.fields(value, value + length):
            if way == LENGTH and inner == 1:
                name = wire.text(at, size)
            elif way == LENGTH and inner == 2:
                place = (at, at + size)
        yield name, decoded(wire, *place, depth)


def decoded(wire: Wire, start: int, end: int, depth: int = 0) -> Any:
    """The value of an `AttrValue`; None when it holds none. The lists of types and shapes of a graph are mostly the same few."""
    if not _FEW < end - start <= _REMEMBERED:
        return _decoded(wire, start, end, depth)
    data = wire.read(start, end - start)
    found = wire.known.get(data, _UNKNOWN)
    if found is _UNKNOWN:
        found = _decoded(wire, start, end, depth)
        if len(wire.known) < _MOST and _is_plain(found):
            wire.known[data] = found
    return found


_FEW, _REMEMBERED, _MOST = 4, 1024, 16 * 1024
"""Bytes of a value that is as fast to decode as to look up, of one that is remembered, and how many are."""
_UNKNOWN = object()


def _decoded(wire: Wire, start: int, end: int, depth: int) -> Any:
    for number, kind, value, length in wire.fields(start, end):
        if kind == LENGTH and number == proto.VALUE_LIST:
            return _list(wire, value, value + length, depth)
        reader = _SCALARS.get((number, kind))
        if reader is not None:
            return reader(wire, value, length, depth)
    return None


def _text(wire: Wire, start: int, length: int, depth: int) -> str | bytes | Opaque:
    del depth
    if length > _TEXT:
        return Opaque(start, length)
    data = wire.read(start, length)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data


def shape_of(wire: Wire, start: int, end: int) -> Shape | None:
    """A `TensorShapeProto`: -1 is an unknown dimension, an unknown rank is None."""
    dims: list[int | None] = []
    for number, kind, value, length in wire.fields(start, end):
        if number == proto.SHAPE_UNKNOWN_RANK and kind == VARINT and value:
            return None
        if number == proto.SHAPE_DIM and kind == LENGTH:
            if len(dims) >= wire.limits.rank:
                raise LimitExceeded("rank", len(dims) + 1, wire.limits.rank, offset=start)
            size = 0
            for inner, way, one, _ in wire.fields(value, value + length):
                if (inner, way) == (1, VARINT):
                    size = signed(one)
            dims.append(None if size < 0 else size)
    return tuple(dims)


def _function(wire: Wire, start: int, length: int, depth: int) -> FunctionRef:
    name = ""
    for number, kind, value, size in wire.fields(start, start + length):
        if (number, kind) == (1, LENGTH):
            name = wire.text(value, size)
    return FunctionRef(name, dict(attribute_map(wire, start, start + length, 2, depth + 1)))


def _tensor(wire: Wire, start: int, length: int, depth: int) -> Any:
    del depth
    return constant(wire, start, start + length)


_Reader = Callable[[Wire, int, int, int], Any]
_SCALARS: dict[tuple[int, int], _Reader] = {
    (proto.VALUE_S, LENGTH): _text,
    (proto.VALUE_I, VARINT): lambda wire, value, length, depth: signed(value),
    (proto.VALUE_F, FIXED32): lambda wire, value, length, depth: float32(value),
    (proto.VALUE_B, VARINT): lambda wire, value, length, depth: bool(value),
    (proto.VALUE_TYPE, VARINT): lambda wire, value, length, depth: type_name(value),
    (proto.VALUE_SHAPE, LENGTH): lambda wire, value, length, depth: shape_of(wire, value, value + length),
    (proto.VALUE_TENSOR, LENGTH): _tensor,
    (proto.VALUE_PLACEHOLDER, LENGTH): lambda wire, value, length, depth: Placeholder(wire.text(value, length)),
    (proto.VALUE_FUNC, LENGTH): _function,
}
_ELEMENTS: dict[int, _Reader] = {
    _LIST_S: _text,
    _LIST_SHAPE: _SCALARS[proto.VALUE_SHAPE, LENGTH],
    _LIST_TENSOR: _tensor,
    _LIST_FUNC: _function,
}
_NUMBERS: dict[int, Callable[[int], Any]] = {_LIST_I: signed, _LIST_B: bool, _LIST_TYPE: type_name}


def _list(wire: Wire, start: int, end: int, depth: int) -> tuple[Any, ...]:
    if depth > wire.limits.nesting:
        raise LimitExceeded("nesting", depth, wire.limits.nesting, offset=start)
    found: list[Any] = []
    for number, kind, value, length in wire.fields(start, end):
        if number in _NUMBERS:
            found.extend(map(_NUMBERS[number], wire.numbers((number, kind, value, length), wire.limits.values)))
        elif number == _LIST_F:
            found.extend(_floats(wire, kind, value, length))
        elif kind == LENGTH and number in _ELEMENTS:
            found.append(_ELEMENTS[number](wire, value, length, depth + 1))
        if len(found) > wire.limits.values:
            raise LimitExceeded("values", len(found), wire.limits.values, offset=start)
    return tuple(found)


def _floats(wire: Wire, kind: int, value: int, length: int) -> tuple[float, ...]:
    if kind == FIXED32:
        return (float32(value),)
    if kind != LENGTH or length % 4:
        raise UnreadableFile("malformed-protobuf", "a list of floats stored with another wire type", offset=value)
    if length > 4 * wire.limits.values:
        raise LimitExceeded("values", length // 4, wire.limits.values, offset=value)
    return struct.unpack(f"<{length // 4}f", wire.read(value, length))
