"""Payloads on demand: small constants for the graph, any tensor for those who asked for values, as dense little-endian bytes."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Mapping

from modelscan import dtypes
from modelscan.errors import UnreadableFile
from modelscan.formats import Artifact
from modelscan.formats.onnx.proto import ATTRIBUTE_F, ATTRIBUTE_FLOATS, ATTRIBUTE_I, ATTRIBUTE_INTS, TYPED_FIELDS
from modelscan.formats.payload import raw_blocks
from modelscan.limits import Limits
from modelscan.model import StoredTensor
from modelscan.wire import FIXED32, FIXED64, LENGTH, VARINT, Wire, varints

_FIELDS: dict[str, int] = {f"message:{name}": number for number, name in TYPED_FIELDS.items()} | {
    "attribute:f": ATTRIBUTE_F,
    "attribute:i": ATTRIBUTE_I,
    "attribute:floats": ATTRIBUTE_FLOATS,
    "attribute:ints": ATTRIBUTE_INTS,
}
"""Encodings of payloads that are not in one piece: the extent of the message, and the field in it."""
_FIXED = frozenset({"message:float_data", "message:double_data", "attribute:f", "attribute:floats"})
_CODES = {
    "bool": "B",
    "int8": "b",
    "uint8": "B",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float16": "e",
    "float32": "f",
    "float64": "d",
}
_PIECE = 1 << 20


def blocks(artifact: Artifact, tensor: StoredTensor, limits: Limits) -> Iterator[memoryview]:
    """See `formats.Format.blocks`."""
    if tensor.encoding == "raw":
        yield from raw_blocks(artifact, tensor, limits)
    elif artifact.source is not None and tensor.file is None and not tensor.dtype.startswith("float6"):  # one to a byte, not packed
        for piece in _typed_blocks(Wire(artifact.source, limits), tensor):
            yield memoryview(piece)


def _typed_blocks(wire: Wire, tensor: StoredTensor) -> Iterator[bytes]:
    """The payload of a tensor in a typed field or in an attribute, made dense."""
    width = (dtypes.BITS.get(tensor.dtype) or 0) // 8 or 1
    if tensor.offset is None or not tensor.nbytes or dtypes.BITS.get(tensor.dtype) is None:
        return
    start, end = tensor.offset, tensor.offset + tensor.nbytes
    if tensor.encoding.startswith("field:"):
        yield from _packed(wire, start, end, width)
    elif tensor.encoding in _FIELDS:
        yield from _message(wire, start, end, tensor.encoding, width)


def _packed(wire: Wire, start: int, end: int, width: int) -> Iterator[bytes]:
    """Packed varints, a piece at a time; a number that a piece cuts in two goes into the next one."""
    mask = (1 << (8 * width)) - 1
    while start < end:
        data = wire.source.read(start, min(_PIECE, end - start))
        while data and data[-1] >= 128 and start + len(data) < end:
            data = data[:-1]
        if not data:
            raise UnreadableFile("malformed-protobuf", "a number that does not end", offset=start)
        yield _dense((value & mask for value in varints(data, len(data), start)), width)
        start += len(data)


def _dense(values: Iterator[int], width: int) -> bytes:
    code = {1: "B", 2: "H", 4: "I", 8: "Q"}[width]
    dense = array(code, values)
    if struct.pack("=H", 1) != struct.pack("<H", 1):
        dense.byteswap()
    return dense.tobytes()


def _message(wire: Wire, start: int, end: int, encoding: str, width: int) -> Iterator[bytes]:
    """A field of a message, however it is written: single entries, packed pieces, several of them."""
    mask = (1 << (8 * width)) - 1
    wanted, fixed = _FIELDS[encoding], encoding in _FIXED
    kept = bytearray()
    for number, kind, value, length in wire.fields(start, end):
        if number != wanted:
            continue
        if kind == VARINT:
            kept += (value & mask).to_bytes(width, "little")
        elif kind == FIXED32:
            kept += value.to_bytes(4, "little")
        elif kind == FIXED64:
            kept += value.to_bytes(8, "little")
        elif kind == LENGTH and fixed:
            kept += wire.read(value, length)
        elif kind == LENGTH:
            for piece in _packed(wire, value, value + length, width):
                kept += piece
        if len(kept) >= _PIECE:
            yield bytes(kept)
            kept.clear()
    yield bytes(kept)


def dense(wire: Wire, tensor: StoredTensor) -> bytes | None:
    """The whole payload of a small tensor of this file as dense bytes; None when it cannot be told."""
    needed = dtypes.nbytes(tensor.dtype, tensor.elements)
    if needed is None or tensor.file is not None or tensor.offset is None or tensor.nbytes is None:
        return None
    try:
        if tensor.encoding == "raw":
            data = wire.read(tensor.offset, tensor.nbytes) if tensor.nbytes == needed else b""
        else:
            data = b"".join(_typed_blocks(wire, tensor))
    except UnreadableFile:  # noted when the tensor was measured
        return None
    return data if len(data) == needed else None


def elements(wire: Wire, tensor: StoredTensor) -> tuple[int | float, ...] | None:
    """The elements of a small tensor; None for types that Python has no number for, or when it cannot be told."""
    bits = dtypes.BITS.get(tensor.dtype)
    data = dense(wire, tensor)
    if data is None or bits is None:
        return None
    if tensor.dtype in _CODES:
        return struct.unpack(f"<{tensor.elements}{_CODES[tensor.dtype]}", data)
    if tensor.dtype == "bfloat16":
        return struct.unpack(f"<{tensor.elements}f", b"".join(b"\0\0" + data[at : at + 2] for at in range(0, len(data), 2)))
    if bits in (2, 4) and "int" in tensor.dtype:
        return tuple(_unpack(data, bits, tensor.elements, tensor.dtype.startswith("int")))
    return None


def _unpack(data: bytes, bits: int, count: int, signed_type: bool) -> Iterator[int]:
    mask, half = (1 << bits) - 1, 1 << (bits - 1)
    for index in range(count):
        value = data[index * bits // 8] >> (index * bits % 8) & mask
        yield value - (mask + 1) if signed_type and value >= half else value


class Contents(Mapping[str, tuple[int | float, ...]]):
    """Elements of the small tensors of one scope by value name; decoded when asked for, as most never are."""

    def __init__(self, wire: Wire, tensors: dict[str, StoredTensor]) -> None:
        self._wire = wire
        self._tensors = tensors
        self._known: dict[str, tuple[int | float, ...] | None] = {}

    def _find(self, name: object) -> tuple[int | float, ...] | None:
        if not isinstance(name, str) or name not in self._tensors:
            return None
        if name not in self._known:
            self._known[name] = elements(self._wire, self._tensors[name])
        return self._known[name]

    def __getitem__(self, name: str) -> tuple[int | float, ...]:
        found = self._find(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return self._find(name) is not None

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._tensors if self._find(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def small(tensor: StoredTensor, limits: Limits) -> bool:
    """Whether a tensor's elements are worth keeping at hand."""
    return (
        tensor.nbytes is not None
        and tensor.nbytes <= limits.kept_payload
        and tensor.file is None
        and tensor.offset is not None
        and tensor.encoding not in ("unreadable", "strings")
    )
