"""Tensors inside a graph (`TensorProto`): where the payload lies and, of the small ones, the elements.

Source: tensorflow/core/framework/tensor.proto. `tensor_content` is dense; otherwise a typed field holds the elements, and where it
holds fewer than the shape asks for, the last one is repeated.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from math import prod
from typing import Any

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats.tensorflow import proto
from modelscan.model import Kind, StoredTensor
from modelscan.program import Constant
from modelscan.wire import FIXED32, FIXED64, LENGTH, VARINT, Wire, signed

_FORMATS = {
    "float32": "f",
    "float64": "d",
    "float16": "e",
    "int8": "b",
    "qint8": "b",
    "uint8": "B",
    "quint8": "B",
    "int16": "h",
    "qint16": "h",
    "uint16": "H",
    "quint16": "H",
    "int32": "i",
    "qint32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "bool": "?",
}
_FIXED = {proto.TENSOR_FLOAT: ("f", 4), proto.TENSOR_DOUBLE: ("d", 8), proto.TENSOR_COMPLEX64: ("f", 4), proto.TENSOR_COMPLEX128: ("d", 8)}
_VARINTS = frozenset((proto.TENSOR_INT, proto.TENSOR_INT64, proto.TENSOR_BOOL, proto.TENSOR_HALF, proto.TENSOR_UINT32, proto.TENSOR_UINT64))
_DENSE = {"float32": proto.TENSOR_FLOAT, "float64": proto.TENSOR_DOUBLE}
"""Types whose packed typed field is a dense run of elements."""
_MOST = 1024
"""Elements that are kept: shapes, axes, small tables."""


def constant(wire: Wire, start: int, end: int) -> Constant:
    """The tensor in `[start, end)`."""
    dtype = "type 0"
    shape: tuple[int, ...] = ()
    content: tuple[int, int] | None = None
    fields: list[tuple[int, int, int, int]] = []
    extent, last = (0, 0), 0
    for number, kind, value, length in wire.fields(start, end):
        if number == proto.TENSOR_TYPE and kind == VARINT:
            dtype = proto.DTYPES.get(value, f"type {value}")
        elif number == proto.TENSOR_SHAPE and kind == LENGTH:
            shape = _shape(wire, value, value + length)
        elif number == proto.TENSOR_CONTENT and kind == LENGTH:
            content = (value, length)
        elif number in _FIXED or number in _VARINTS or number in (proto.TENSOR_STRING, proto.TENSOR_FLOAT8):
            if len(fields) <= _MOST:
                fields.append((number, kind, value, length))
            first = value if kind == LENGTH else last or start
            extent = (extent[0] or first, value + length if kind == LENGTH else length)
        last = value + length if kind == LENGTH else length
    elements = prod(shape)
    if content is not None and content[1]:
        return Constant(dtype, shape, content[1], content[0], "raw", _content(wire, dtype, elements, content))
    if not fields:
        zeros = _zeros(dtype, elements) if dtype in _FORMATS else None
        return Constant(dtype, shape, 0, None, "splat" if elements else "raw", zeros)
    return _typed(wire, dtype, shape, fields, extent)


def stored(name: str, tensor: Constant, file: str | None) -> StoredTensor:
    """A constant as a stored tensor: a weight where a variable was frozen into it, as far as its type and shape tell."""
    numeric = tensor.dtype.startswith(("float", "bfloat", "complex", "qint", "quint"))
    kind = Kind.WEIGHT if numeric and tensor.shape and prod(tensor.shape) > 1 else Kind.CONSTANT
    return StoredTensor(name, tensor.shape, tensor.dtype, tensor.nbytes, file, tensor.offset, kind, tensor.encoding)


def strings(wire: Wire, start: int, end: int, most: int) -> list[str]:
    """The elements of a string tensor of any size, up to `most`."""
    found: list[str] = []
    for number, kind, value, length in wire.fields(start, end):
        if number == proto.TENSOR_STRING and kind == LENGTH:
            if len(found) >= most:
                raise LimitExceeded("tensors", len(found) + 1, most, offset=value)
            found.append(wire.text(value, length))
    return found


def _shape(wire: Wire, start: int, end: int) -> tuple[int, ...]:
    dims: list[int] = []
    for number, kind, value, length in wire.fields(start, end):
        if number == proto.SHAPE_DIM and kind == LENGTH:
            if len(dims) >= wire.limits.rank:
                raise LimitExceeded("rank", len(dims) + 1, wire.limits.rank, offset=start)
            dims.append(
                next((signed(size) for inner, way, size, _ in wire.fields(value, value + length) if (inner, way) == (1, VARINT)), 0)
            )
    if any(size < 0 for size in dims):
        raise UnreadableFile("malformed-protobuf", f"a constant with a dimension of {min(dims)}", offset=start)
    if prod(dims) > wire.limits.elements:
        raise LimitExceeded("elements", prod(dims), wire.limits.elements, offset=start)
    return tuple(dims)


def _zeros(dtype: str, elements: int) -> tuple[Any, ...] | None:
    if elements > _MOST:
        return None
    zero: Any = False if dtype == "bool" else 0.0 if dtype.startswith("float") else 0
    return (zero,) * elements


def _content(wire: Wire, dtype: str, elements: int, content: tuple[int, int]) -> tuple[Any, ...] | None:
    code = _FORMATS.get(dtype)
    if code is None or elements > _MOST or content[1] != elements * struct.calcsize(f"<{code}"):
        return None
    return struct.unpack(f"<{elements}{code}", wire.read(*content))


def _typed(wire: Wire, dtype: str, shape: tuple[int, ...], fields: list[tuple[int, int, int, int]], extent: tuple[int, int]) -> Constant:
    elements = prod(shape)
    number, kind, value, length = fields[0]
    if len(fields) == 1 and kind == LENGTH and _DENSE.get(dtype) == number and length == elements * _FIXED[number][1]:
        return Constant(dtype, shape, length, value, "raw", _content(wire, dtype, elements, (value, length)))
    offset, nbytes = extent[0], extent[1] - extent[0]
    found: list[Any] = list(islice(_elements(wire, dtype, fields), _MOST + 1))
    splat = len(found) < elements and len(found) <= _MOST
    if found and splat and elements <= _MOST:
        found += [found[-1]] * (elements - len(found))
    values = tuple(found) if len(found) == elements else None
    return Constant(dtype, shape, nbytes, offset, "splat" if splat else "typed", values)


def _elements(wire: Wire, dtype: str, fields: list[tuple[int, int, int, int]]) -> Iterator[Any]:
    """What the typed fields hold, until it is too much."""
    for number, kind, value, length in fields:
        if number in _FIXED and kind in (FIXED32, FIXED64):
            yield struct.unpack(f"<{_FIXED[number][0]}", value.to_bytes(_FIXED[number][1], "little"))[0]
        elif number in _FIXED and kind == LENGTH:
            code, width = _FIXED[number]
            count = min(length // width, _MOST + 1)
            yield from struct.unpack(f"<{count}{code}", wire.read(value, count * width))
        elif number in _VARINTS and kind in (VARINT, LENGTH):
            if kind == LENGTH and length > 10 * _MOST:
                yield from (None for _ in range(_MOST + 1))
                continue
            yield from (_number(dtype, one) for one in wire.numbers((number, kind, value, length), 10 * _MOST))
        elif number == proto.TENSOR_STRING and kind == LENGTH:
            data = wire.read(value, min(length, wire.limits.name_bytes))
            try:
                yield data.decode("utf-8")
            except UnicodeDecodeError:
                yield data


def _number(dtype: str, value: int) -> Any:
    if dtype == "bool":
        return bool(value)
    if dtype == "float16":
        return struct.unpack("<e", (value & 0xFFFF).to_bytes(2, "little"))[0]
    return value if dtype.startswith(("uint", "quint")) else signed(value)
