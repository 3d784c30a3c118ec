"""Stored tensors: `TensorProto` and `SparseTensorProto` to where their payload lies, and whether its length can be right.

No payload is read, with two exceptions: integers in a typed field are varints, whose count only the bytes themselves tell.
They are counted up to a total of `_COUNTED` bytes a file; beyond it the bounds of one and ten bytes for each number hold. And the
indices of small sparse tensors: the runtime writes to where they point.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

from modelscan import dtypes
from modelscan.errors import UnreadableFile
from modelscan.formats.onnx import external
from modelscan.formats.onnx.context import Extent, Reading, TensorType
from modelscan.formats.onnx.payload import blocks
from modelscan.formats.onnx.proto import (
    DTYPES,
    TENSOR_DIMS,
    TENSOR_EXTERNAL,
    TENSOR_LOCATION,
    TENSOR_NAME,
    TENSOR_RAW,
    TENSOR_SEGMENT,
    TENSOR_STRINGS,
    TENSOR_TYPE,
    TYPED_FIELDS,
    typed_entries,
    typed_field,
)
from modelscan.graph import SparseTensor
from modelscan.model import Kind, StoredTensor
from modelscan.wire import FIXED32, FIXED64, LENGTH, VARINT, Field, signed, signed32

_COUNTED = 64 << 20
_INDICES = 1 << 20
"""Bytes of a sparse tensor's indices that are looked at."""
_CERTAIN_CONSTANTS = frozenset({"int64", "bool", "string"})
"""Types that no framework keeps weights in."""
_WIDTHS = {4: 4, 10: 8}
"""Bytes of an entry of `float_data` and `double_data`; the other typed fields hold varints or strings."""


@dataclass(slots=True)
class Typed:
    """One typed field of a tensor."""

    pieces: int = 0
    singles: int = 0
    """Entries that are fields of their own."""
    offset: int = 0
    nbytes: int = 0
    """Payload bytes of all packed pieces (of all strings)."""
    packed: list[Extent] = field(default_factory=list)


class RawTensor:
    """A `TensorProto` as it stands in the file."""

    __slots__ = ("code", "dims", "end", "external", "is_external", "name", "raw", "segmented", "start", "typed")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.name = ""
        self.dims: list[int] = []
        self.code = 0
        self.raw: Extent | None = None
        self.typed: dict[int, Typed] | None = None
        self.external: list[tuple[str, str]] = []
        self.is_external = False
        self.segmented = False


def parse(reading: Reading, extents: list[Extent]) -> RawTensor:
    """The fields of a tensor; `extents` are its pieces, nearly always one."""
    wire = reading.wire
    one = RawTensor(extents[0][0], extents[-1][1])
    for entry in wire.fields(*extents[0]) if len(extents) == 1 else reading.messages(extents):
        number, kind, value, length = entry
        if number == TENSOR_DIMS:
            if kind == VARINT:
                one.dims.append(signed(value))
            else:
                one.dims.extend(map(signed, wire.numbers(entry, reading.limits.rank)))
        elif number == TENSOR_NAME and kind == LENGTH:
            one.name = wire.text(value, length)
        elif number == TENSOR_RAW and kind == LENGTH:
            one.raw = (value, length)
        elif number == TENSOR_TYPE and kind == VARINT:
            one.code = value if value < 1 << 31 else signed32(value)
        else:
            _less_common(reading, one, entry)
    if len(one.dims) > reading.limits.rank:
        raise UnreadableFile("limit-exceeded", f"a tensor of {len(one.dims):,} dimensions", offset=one.start)
    return one


def _less_common(reading: Reading, one: RawTensor, entry: Field) -> None:
    number, kind, value, length = entry
    if number in TYPED_FIELDS:
        one.typed = {} if one.typed is None else one.typed
        _typed(one.typed, entry)
    elif number == TENSOR_EXTERNAL and kind == LENGTH:
        one.external.append(reading.entry(value, length))
    elif number == TENSOR_LOCATION and kind == VARINT:
        one.is_external = value == 1
    elif number == TENSOR_SEGMENT:
        one.segmented = True


def _typed(found: dict[int, Typed], entry: Field) -> None:
    number, kind, value, length = entry
    one = found.get(number)
    if one is None:
        one = found[number] = Typed()
    if number == TENSOR_STRINGS:
        if kind == LENGTH:
            one.singles += 1
            one.nbytes += length
            one.pieces += 1
    elif kind == LENGTH:
        one.offset = one.offset or value
        one.nbytes += length
        one.pieces += 1
        one.packed.append((value, length))
    elif kind in (VARINT, FIXED32, FIXED64):
        one.singles += 1
        one.pieces += 1


def stored(reading: Reading, extents: list[Extent], where: str, scope: str, name: str | None = None) -> tuple[str, StoredTensor]:
    """A tensor of the file with its own name; what is wrong with it is noted.

    Args:
        reading: the file.
        extents: pieces of the `TensorProto`.
        where: field path for messages.
        scope: path of the scope, empty for the root, otherwise ending with `/`.
        name: what to call it instead of its own name (tensors of attributes).
    """
    raw = parse(reading, extents)
    own = raw.name if name is None else name
    full = reading.unique(scope + own)
    known = type_of(reading, tuple(raw.dims), raw.code)
    dims, dtype, elements, needed, kind = known
    if dtype is None:
        return own, _impossible(reading, raw, full, where)
    encoding = "raw"
    file = None
    offset: int | None
    nbytes: int | None
    if raw.is_external:
        file, offset, nbytes = external.locate(reading, raw.external, full, dtype, elements, where, raw.start)
        if raw.raw is not None or any(one.pieces for one in (raw.typed or {}).values()):
            text = f"{full}: a payload here and in {file}; which one counts depends on the reader"
            reading.note("payload-field", text, tensor=full, offset=raw.start, where=where)
    elif raw.raw is not None and raw.typed is None:
        offset, nbytes = raw.raw
        if nbytes != needed:
            _note_bytes(reading, full, known, offset, nbytes, where)
    else:
        offset, nbytes, encoding = _payload(reading, raw, full, dtype, elements, where)
    if raw.segmented:
        reading.note("tensor-segmented", f"{full} is a segment of a larger tensor", tensor=full, offset=raw.start, where=where)
    return own, reading.add(StoredTensor(full, dims, dtype, nbytes, file, offset, kind, encoding))


def type_of(reading: Reading, dims: tuple[int, ...], code: int) -> TensorType:
    """What dimensions and element type make; models have thousands of tensors and a few dozen of these."""
    known = reading.tensor_types.get((dims, code))
    if known is None:
        known = reading.tensor_types[dims, code] = _tensor_type(reading, dims, code)
    return known


def _tensor_type(reading: Reading, dims: tuple[int, ...], code: int) -> TensorType:
    dtype = DTYPES.get(code)
    elements = prod(dims)
    if dtype is None or elements > reading.limits.elements or (dims and min(dims) < 0):
        return dims, None, 0, None, Kind.WEIGHT
    return dims, dtype, elements, dtypes.nbytes(dtype, elements), Kind.CONSTANT if dtype in _CERTAIN_CONSTANTS else Kind.WEIGHT


def _note_bytes(reading: Reading, full: str, known: TensorType, offset: int, nbytes: int, where: str) -> None:
    _, dtype, elements, needed, _ = known
    place = f"{where}.raw_data"
    if needed is None:
        reading.note("payload-field", f"{full}: strings cannot be raw bytes", tensor=full, offset=offset, where=place)
        return
    _note_length(reading, full, f"{nbytes:,} bytes stored, {needed:,} needed for {elements:,} × {dtype}", nbytes > needed, offset, place)


def _note_length(reading: Reading, full: str, text: str, longer: bool, offset: int, where: str) -> None:
    kind = "payload-too-long" if longer else "payload-too-short"
    reading.note(kind, f"{full}: {text}", tensor=full, offset=offset, where=where)


def _impossible(reading: Reading, raw: RawTensor, full: str, where: str) -> StoredTensor:
    """A tensor whose type or dimensions are none: noted, and kept with what can be said of it."""
    shape = tuple(raw.dims)
    if raw.dims and min(raw.dims) < 0:
        reading.note("invalid-dims", f"{full}: dimensions {shape}", tensor=full, offset=raw.start, where=f"{where}.dims")
        shape = tuple(max(0, size) for size in shape)
    elif prod(raw.dims) > reading.limits.elements:
        reading.note("invalid-dims", f"{full}: {prod(raw.dims):,} elements", tensor=full, offset=raw.start, where=f"{where}.dims")
    if raw.code not in DTYPES:
        text = "its element type is undefined" if raw.code == 0 else f"element type {raw.code} is unknown"
        reading.note("unknown-data-type", f"{full}: {text}", tensor=full, offset=raw.start, where=f"{where}.data_type")
    offset, nbytes = raw.raw if raw.raw is not None else (raw.start, sum(one.nbytes for one in (raw.typed or {}).values()))
    dtype = DTYPES.get(raw.code, f"data_type {raw.code}")
    return reading.add(StoredTensor(full, shape, dtype, nbytes, None, offset, Kind.WEIGHT, "unreadable"))


def _payload(reading: Reading, raw: RawTensor, full: str, dtype: str, elements: int, where: str) -> tuple[int | None, int | None, str]:
    """Offset, bytes and encoding of a payload in typed fields, or of none."""
    typed = raw.typed or {}
    places = [TYPED_FIELDS[number] for number, one in typed.items() if one.pieces]
    if raw.raw is not None:
        places.append("raw_data")
    if not places:
        if elements:
            reading.note("payload-too-short", f"{full}: {elements:,} × {dtype} and no payload", tensor=full, offset=raw.start, where=where)
        return None, 0, "raw"
    own = typed_field(dtype)
    if len(places) > 1:
        text = f"{full}: payload in {' and in '.join(sorted(places))}; which one counts depends on the reader"
        reading.note("payload-field", text, tensor=full, offset=raw.start, where=where)
    elif own not in typed:
        text = f"{full}: payload in {places[0]}, where {dtype} belongs in {TYPED_FIELDS[own]}"
        reading.note("payload-field", text, tensor=full, offset=raw.start, where=where)
    if raw.raw is not None:
        return *raw.raw, "raw"
    number = own if own in typed else next(iter(typed))
    one = typed[number]
    if number == own:
        _check_entries(reading, raw, one, number, full, dtype, elements, where)
    if len(one.packed) == 1 and not one.singles:
        return one.offset, one.nbytes, "raw" if number in _WIDTHS else f"field:{TYPED_FIELDS[number]}"
    if number == TENSOR_STRINGS:
        return raw.start, one.nbytes, "strings"
    return raw.start, raw.end - raw.start, f"message:{TYPED_FIELDS[number]}"


def _check_entries(reading: Reading, raw: RawTensor, one: Typed, number: int, full: str, dtype: str, elements: int, where: str) -> None:
    needed = typed_entries(dtype, elements)
    least = most = one.singles
    width = _WIDTHS.get(number)
    for offset, length in one.packed:
        if width is not None:
            count = length / width
            least, most = least + int(count), most + -int(-count // 1)
        elif reading.counted + length <= _COUNTED:
            reading.counted += length
            found = reading.wire.count_varints(offset, length)
            least, most = least + found, most + found
        else:
            least, most = least + -(-length // 10), most + length
    if least <= needed <= most and (least == most or width is None):
        return
    count_text = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    text = f"{count_text} entries in {TYPED_FIELDS[number]}, {needed:,} needed for {elements:,} × {dtype}"
    _note_length(reading, full, text, least > needed, one.offset or raw.start, f"{where}.{TYPED_FIELDS[number]}")


def sparse(reading: Reading, extents: list[Extent], where: str, scope: str, name: str | None = None) -> tuple[str, SparseTensor] | None:
    """A sparse tensor: its values and indices are stored tensors of their own. None if it has no values."""
    values: list[Extent] = []
    indices: list[Extent] = []
    dims: list[int] = []
    for entry in reading.messages(extents):
        number, kind, value, length = entry
        if number == 1 and kind == LENGTH:
            values.append((value, value + length))
        elif number == 2 and kind == LENGTH:
            indices.append((value, value + length))
        elif number == 3:
            dims.extend(map(signed, reading.wire.numbers(entry, reading.limits.rank)))
    if not values or not indices:
        missing = "indices" if values else "values"
        reading.note("sparse-tensor-broken", f"a sparse tensor without {missing}", offset=extents[0][0], where=where)
    if not values:
        return None
    own, stored_values = stored(reading, values, f"{where}.values", scope, name)
    if not indices:
        return None
    _, stored_indices = stored(reading, indices, f"{where}.indices", scope, f"{own}.indices")
    _check_sparse(reading, stored_values, stored_indices, dims, where)
    return own, SparseTensor(stored_values, stored_indices, tuple(max(0, size) for size in dims))


def _wrong_place(reading: Reading, indices: StoredTensor, dims: list[int]) -> str | None:
    """The first index that is outside of the dense tensor or not behind the one before; of large tensors none is looked at."""
    if not indices.nbytes or indices.nbytes > _INDICES or indices.file is not None:
        return None
    data = b"".join(blocks(reading.artifact, indices, reading.limits))
    places = struct.unpack(f"<{len(data) // 8}q", data[: len(data) // 8 * 8])
    rows = [(one,) for one in places] if len(indices.shape) == 1 else list(_rows(places, len(dims)))
    bounds = (prod(dims),) if len(indices.shape) == 1 else tuple(dims)
    before: tuple[int, ...] = ()
    for number, row in enumerate(rows):
        if not all(0 <= one < bound for one, bound in zip(row, bounds, strict=True)):
            return f"index {number} is {row if len(row) > 1 else row[0]} in a tensor of {' × '.join(map(str, bounds))}"
        if row <= before:
            return f"index {number} does not come after the one before it"
        before = row
    return None


def _rows(places: tuple[int, ...], width: int) -> Iterator[tuple[int, ...]]:
    """Rows of so many numbers."""
    return (places[at : at + width] for at in range(0, len(places) // width * width, width))


def _check_sparse(reading: Reading, values: StoredTensor, indices: StoredTensor, dims: list[int], where: str) -> None:
    count = values.elements
    if len(values.shape) != 1:
        problem = f"values of rank {len(values.shape)}, 1 is needed"
    elif not dims or min(dims) < 0:
        problem = f"dense dimensions {tuple(dims)}"
    elif count > prod(dims):
        problem = f"{count:,} values in a tensor of {prod(dims):,}"
    elif indices.shape not in ((count,), (count, len(dims))):
        problem = f"indices of shape {indices.shape} for {count:,} values of rank {len(dims)}"
    elif indices.dtype != "int64":
        problem = f"indices of type {indices.dtype}, int64 is needed"
    elif (found := _wrong_place(reading, indices, dims)) is not None:
        problem = found
    else:
        return
    reading.note("sparse-tensor-broken", f"{values.name}: {problem}", tensor=values.name, offset=values.offset, where=where)
