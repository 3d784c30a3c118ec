"""Attributes of HDF5 objects, measured before the library reads them.

An element of variable length stands in the attribute as a length, an address and an index, and the library allocates that length before it
looks whether the heap holds so much (`H5T__conv_vlen` in `H5Tconv.c`, HDF5 1.14). So the lengths are read from the object's header first.
Layout: HDF5 File Format Specification 3.0, IV.A (object headers) and IV.A.2.m (attribute message); only attributes in the header itself
are found, not those of "dense" storage.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from h5py import h5a, h5o, h5t

from modelscan.formats.keras.heaps import LARGEST
from modelscan.source import Source

_ATTRIBUTE, _CONTINUATION = 0x0C, 0x10
_BLOCKS = 1_000
"""Blocks of one object's header that are followed."""
_REFERENCE = 16
"""Bytes that stand for an element of variable length: its length in 4, the address of its heap in 8, the index there in 4."""


def excess(owner: Any, attribute: h5a.AttrID, source: Source, base: int, there: int) -> str | None:
    """Why an attribute is not to be read: what it declares beyond what its file can hold. None when there is no such reason.

    Args:
        owner: the object that it belongs to.
        attribute: an attribute, opened.
        source: the HDF5 file.
        base: where its superblock lies, from where addresses count.
        there: bytes of the file that are really there.
    """
    kind = attribute.get_type()
    item = _item(kind)
    declared = prod(attribute.shape or ()) * (int(kind.get_size()) if item is None else _REFERENCE)
    if declared > there:  # what an attribute holds stands in the file, uncompressed
        return f"declares {declared:,} bytes, the file has {there:,}"
    if item is None:
        return None
    data = _find(source, base, int(h5o.get_info(owner).addr), attribute.name, declared)
    if data is None:
        return None
    sizes = [item * int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), _REFERENCE)]
    bound = min(LARGEST, there)
    if max(sizes, default=0) > bound:
        return f"holds an element of {max(sizes):,} bytes, a heap of this file can have {bound:,}"
    if sum(sizes) > there:
        return f"holds elements of {sum(sizes):,} bytes, the file has {there:,}"
    return None


def _item(kind: Any) -> int | None:
    """Bytes of an item of a type of variable length, None for any other type."""
    if isinstance(kind, h5t.TypeStringID):
        return 1 if kind.is_variable_str() else None
    return int(kind.get_super().get_size()) if isinstance(kind, h5t.TypeVlenID) else None


def _find(source: Source, base: int, address: int, name: bytes, size: int) -> bytes | None:
    """The bytes of an attribute, None where it is not found."""
    for kind, body in _messages(source, base, base + address):
        if kind == _ATTRIBUTE and len(body) > 8 and body[0] in (1, 2, 3):
            parts = [int.from_bytes(body[at : at + 2], "little") for at in (2, 4, 6)]
            at = 9 if body[0] == 3 else 8
            if body[at : at + parts[0]].rstrip(b"\0") == name:
                begin = at + sum((part + 7) & ~7 if body[0] == 1 else part for part in parts)
                return body[begin : begin + size]
    return None


def _messages(source: Source, base: int, start: int) -> Iterator[tuple[int, bytes]]:
    """Type and body of the messages of an object's header."""
    head = _read(source, start, 64)
    if head[:4] == b"OHDR":
        flags, width = head[5], 1 << (head[5] & 3)
        at = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        blocks = [(start + at + width, int.from_bytes(head[at : at + width], "little"))]
        wide, ordered = 1, 2 if flags & 4 else 0
    else:
        blocks = [(start + 16, int.from_bytes(head[8:12], "little"))]
        wide, ordered = 2, 0
    for place, (begin, size) in enumerate(blocks):
        if place == _BLOCKS:
            return
        block = _read(source, begin, min(size, LARGEST))
        at = 0
        header = 8 if wide == 2 else 4 + ordered
        while at + header <= len(block):
            kind = int.from_bytes(block[at : at + wide], "little")
            length = int.from_bytes(block[at + wide : at + wide + 2], "little")
            body = block[at + header : at + header + length]
            if kind == _CONTINUATION and len(body) >= 16:
                there, more = int.from_bytes(body[:8], "little"), int.from_bytes(body[8:16], "little")
                skip = 0 if wide == 2 else 4  # "OCHK" in front, a checksum behind
                blocks.append((base + there + skip, max(0, more - 2 * skip)))
            yield kind, body
            at += header + length


def _read(source: Source, start: int, size: int) -> bytes:
    """As much of that as there is."""
    there = max(0, min(size, source.size - start))
    return source.read(start, there) if there else b""
