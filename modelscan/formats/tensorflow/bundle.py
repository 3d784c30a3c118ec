"""A tensor bundle: the entries of a checkpoint's index, and the measure of its shards.

Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc and tensorflow/core/protobuf/tensor_bundle.proto. The key `""` holds the
header. The parts of a partitioned variable stand under keys that begin with a zero byte (tensorflow/core/util/saved_tensor_slice_util.cc):
such a key is zero bytes, name, number of dimensions, then start and length of each, in an encoding that keeps the order of numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

from modelscan import dtypes
from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats.tensorflow.proto import DTYPES, WIDTHS
from modelscan.formats.tensorflow.table import Item, Table
from modelscan.limits import Limits
from modelscan.model import Observation
from modelscan.program import Checkpoint, Entry, Extent, Shard
from modelscan.records import record
from modelscan.source import Tree
from modelscan.wire import FIXED32, LENGTH, VARINT, Wire, signed

_ENTRY_DTYPE, _ENTRY_SHAPE, _ENTRY_SHARD, _ENTRY_OFFSET, _ENTRY_SIZE, _ENTRY_CRC, _ENTRY_SLICE = range(1, 8)
_BIG = 1
_NEWEST_VERSION = 1


@record(frozen=True, slots=True)
class Header:
    """What the bundle says of itself."""

    shards: int
    big_endian: bool


def width_of(dtype: str) -> int | None:
    """Bytes of one element in a bundle, None for strings and unknown types."""
    own = WIDTHS.get(dtype)
    bits = dtypes.BITS.get(dtype)
    return own if own is not None else None if bits is None else bits // 8


def read_bundle(tree: Tree, prefix: str, limits: Limits, seen: list[Observation]) -> tuple[Checkpoint, bool]:
    """The checkpoint `prefix.index` without its object graph, and whether all of it could be read.

    Raises:
        UnreadableFile: there is no index, or it is none.
    """
    table = Table(tree.open(f"{prefix}.index"), limits, seen)
    header: Header | None = None
    entries: dict[str, Entry] = {}
    parts: dict[bytes, tuple[Entry, int]] = {}
    offsets: dict[str, int] = {}
    whole = True
    try:
        for item in table.items():
            if len(entries) + len(parts) >= limits.tensors:
                raise LimitExceeded("tensors", limits.tensors + 1, limits.tensors, offset=item.offset)
            if not item.key:
                header = _header(item, limits, seen, table.source.name)
                continue
            entry = _entry(item, limits, seen, table.source.name)
            if entry is None:
                whole = False
            elif item.key[:1] == b"\0":
                parts[item.key] = (entry, item.offset)  # slice_key finds it
            else:
                entries[entry.key] = entry
                offsets[entry.key] = item.offset
    except LimitExceeded as error:
        seen.append(Observation(error.kind, str(error), offset=error.offset, where=table.source.name))
        whole = False
    if header is None:
        if not table.damaged:
            seen.append(
                Observation("malformed-index", "the index has no header: nothing tells the number of shards", where=table.source.name)
            )
        header = Header(1 + max((one.shard for one in entries.values()), default=0), False)
    joined = dict(_joined(entries, parts, offsets, seen, table.source.name))
    shards = tuple(_shards(tree, prefix, header.shards, limits, seen))
    return Checkpoint(prefix, shards, joined, big_endian=header.big_endian), whole and not table.damaged


def _shards(tree: Tree, prefix: str, count: int, limits: Limits, seen: list[Observation]) -> Iterator[Shard]:
    if count > limits.values:
        raise LimitExceeded("shards", count, limits.values)
    for number in range(count):
        name = f"{prefix}.data-{number:05d}-of-{count:05d}"
        try:
            size = tree.size(name)
        except UnreadableFile as error:  # a link that leads out of the folder
            seen.append(Observation(error.kind, str(error), where=name))
            size = None
        yield Shard(name, size)


def _header(item: Item, limits: Limits, seen: list[Observation], where: str) -> Header:
    shards, big = 0, False
    wire = Wire(item.value, limits)
    version = 0
    try:
        for number, kind, value, length in wire.fields():
            if kind == VARINT and number == 1:
                shards = value
            elif kind == VARINT and number == 2:
                big = value == _BIG
            elif kind == LENGTH and number == 3:
                version = next((inner for n, k, inner, _ in wire.fields(value, value + length) if (n, k) == (2, VARINT)), 0)
    except UnreadableFile as error:
        seen.append(Observation("malformed-index", f"the header: {error.reason}", offset=item.offset, where=where))
    if version > _NEWEST_VERSION:
        text = f"the bundle asks for readers of version {version} or later; its entries may mean something else"
        seen.append(Observation("malformed-index", text, offset=item.offset, where=where))
    return Header(shards, big)


def _entry(item: Item, limits: Limits, seen: list[Observation], where: str) -> Entry | None:
    """An entry; None when its message is broken."""
    key = item.key.decode("utf-8", "backslashreplace")
    numbers: dict[int, int] = {}
    shape: tuple[int, ...] = ()
    extents: list[Entry] = []
    wire = Wire(item.value, limits)
    try:
        for number, kind, value, length in wire.fields():
            if kind in (VARINT, FIXED32):
                numbers[number] = signed(value)
            elif kind == LENGTH and number == _ENTRY_SHAPE:
                shape = tuple(_dims(wire, value, value + length, limits))
            elif kind == LENGTH and number == _ENTRY_SLICE:
                extents.append(Entry(key, "", (), 0, 0, 0, 0, extent=_extent(wire, value, value + length, limits)))
        if any(size < 0 for size in shape):
            raise UnreadableFile("malformed-index", f"a dimension of {min(shape)}")
        if prod(shape) > limits.elements:
            raise LimitExceeded("elements", prod(shape), limits.elements)
    except UnreadableFile as error:
        text = f"the entry of {key!r} cannot be read: {error.reason}"
        seen.append(Observation("malformed-index", text, tensor=key, offset=item.offset, where=where))
        return None
    dtype, shard, offset, size, crc = (numbers.get(one, 0) for one in (_ENTRY_DTYPE, _ENTRY_SHARD, _ENTRY_OFFSET, _ENTRY_SIZE, _ENTRY_CRC))
    return Entry(key, DTYPES.get(dtype, f"type {dtype}"), shape, shard, offset, size, crc, tuple(extents))


def _dims(wire: Wire, start: int, end: int, limits: Limits) -> Iterator[int]:
    rank = 0
    for number, kind, value, length in wire.fields(start, end):
        if (number, kind) == (2, LENGTH):
            rank += 1
            if rank > limits.rank:
                raise LimitExceeded("rank", rank, limits.rank)
            yield next((signed(size) for n, k, size, _ in wire.fields(value, value + length) if (n, k) == (1, VARINT)), 0)


def _extent(wire: Wire, start: int, end: int, limits: Limits) -> Extent:
    """Start and length by dimension; a length of -1 is the whole dimension."""
    starts: list[int] = []
    lengths: list[int] = []
    for number, kind, value, length in wire.fields(start, end):
        if (number, kind) != (1, LENGTH):
            continue
        if len(starts) >= limits.rank:
            raise LimitExceeded("rank", len(starts) + 1, limits.rank)
        fields = {n: signed(inner) for n, k, inner, _ in wire.fields(value, value + length) if k == VARINT}
        starts.append(fields.get(1, 0))
        lengths.append(fields.get(2, -1))
    return Extent(tuple(starts), tuple(lengths))


def slice_key(name: str, extent: Extent) -> bytes:
    """The key of a part of a partitioned variable (`EncodeTensorNameSlice`)."""
    escaped = name.encode().replace(b"\xff", b"\xff\0").replace(b"\0", b"\0\xff") if "\0" in name else name.encode()
    rank = len(extent.starts)
    out = b"\0" + escaped + b"\0\x01" + (bytes((1, rank)) if rank else b"\0")
    for start, length in zip(extent.starts, extent.lengths, strict=True):
        out += _ordered(start) + _ordered(length)
    return out


def _ordered(value: int) -> bytes:
    """A number as keys hold it: sorted as bytes it is sorted as a number (tensorflow/core/lib/strings/ordered_code.cc)."""
    size = (~value if value < 0 else value).bit_length() // 7 + 1
    header = ((1 << size) - 1) << 7 * size
    return (value & ((1 << 8 * size) - 1) ^ header).to_bytes(size, "big")


def _joined(
    entries: dict[str, Entry], parts: dict[bytes, tuple[Entry, int]], offsets: dict[str, int], seen: list[Observation], where: str
) -> Iterator[tuple[str, Entry]]:
    """The entries, each partitioned variable with its parts in it; what does not belong together is observed."""
    for key, entry in entries.items():
        if not entry.slices:
            yield key, entry
            continue
        found = []
        for one in entry.slices:
            extent = one.extent or Extent((), ())
            place = slice_key(key, extent)
            if place not in parts:
                text = f"the index has no entry for the part {_extent_text(extent)} of {key}"
                seen.append(Observation("missing-slice", text, tensor=key, offset=offsets[key], where=where))
            else:
                found.append(replace(parts.pop(place)[0], key=key, extent=extent))
        yield key, replace(entry, slices=tuple(found), nbytes=sum(one.nbytes for one in found))
    for raw, (_, offset) in parts.items():
        text = f"the entry {raw[:80]!r} is a part of no variable of the index"
        seen.append(Observation("malformed-index", text, offset=offset, where=where))


def _extent_text(extent: Extent) -> str:
    """As Python writes slices: `[0:4, :]`."""
    pieces = (":" if length < 0 else f"{start}:{start + length}" for start, length in zip(extent.starts, extent.lengths, strict=True))
    return f"[{', '.join(pieces)}]"
