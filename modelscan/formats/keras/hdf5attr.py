"""Attributes of HDF5 objects, measured before the library reads them.

An element of variable length stands in the attribute as a length, an address and an index, and the library allocates that length before it
looks whether the heap holds so much (`H5T__conv_vlen` in `H5Tconv.c`, HDF5 1.14). So the lengths are read from the object's header first.
Layout: HDF5 File Format Specification 3.0, IV.A (object headers) and IV.A.2.m (attribute message). What is not found is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from h5py import h5a, h5o, h5t

from modelscan.formats.keras.dense import contents, heap_of
from modelscan.formats.keras.heaps import LARGEST
from modelscan.source import Source

_ATTRIBUTE, _CONTINUATION, _ATTRIBUTE_INFO = 0x0C, 0x10, 0x15
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
    found = _find(source, base, int(h5o.get_info(owner).addr), attribute.name, declared)
    if not any(len(data) == declared for data in found):
        return "lies where the lengths of its elements cannot be told beforehand; it was not read"
    for data in found:
        problem = _too_long([item * int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), _REFERENCE)], there)
        if problem is not None:
            return problem
    return None


def _too_long(sizes: list[int], there: int) -> str | None:
    """Why elements of these lengths cannot be in a file of so many bytes."""
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


def _find(source: Source, base: int, address: int, name: bytes, size: int) -> list[bytes]:
    """The bytes of an attribute, and whatever else could be taken for them; empty where they are not found."""
    found: list[bytes] = []
    heap: int | None = None
    for kind, body in _messages(source, base, base + address):
        if kind == _ATTRIBUTE:
            found.extend(_values(body, 0, name, size))
        elif kind == _ATTRIBUTE_INFO:
            heap = heap_of(body)
    if heap is not None:
        for block in contents(lambda start, many: _read(source, base + start, many), heap):
            at = block.find(name + b"\0")
            while at >= 0:
                found.extend(value for front in (8, 9) if at >= front for value in _values(block, at - front, name, size))
                at = block.find(name + b"\0", at + 1)
    return found


def _values(data: bytes, start: int, name: bytes, size: int) -> Iterator[bytes]:
    """The value of the attribute message of that name, if one begins there."""
    head = data[start : start + 9]
    if len(head) == 9 and head[0] in (1, 2, 3):
        parts = [int.from_bytes(head[at : at + 2], "little") for at in (2, 4, 6)]
        at = start + (9 if head[0] == 3 else 8)
        if data[at : at + parts[0]].rstrip(b"\0") == name:
            begin = at + sum((part + 7) & ~7 if head[0] == 1 else part for part in parts)
            yield data[begin : begin + size]


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
