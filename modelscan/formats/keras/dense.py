"""Where HDF5 keeps the attributes of an object that has many of them: the blocks of a fractal heap, and what is too long for these.

Layout: HDF5 File Format Specification 3.0, III.A.2 (version 2 B-trees), III.G (fractal heaps), IV.A.2.v (attribute info message). Addresses
and lengths have 8 bytes, as in every file that has been seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

Read = Callable[[int, int], bytes]
"""As many of so many bytes from an address on as there are."""
NOWHERE = (1 << 64) - 1
MOST = 1 << 22
"""Bytes of one heap that are looked at; what honest files keep there is a few kilobytes."""
_HEADER = 142
_INDIRECT = b"FHIB"
_ROWS = 64
"""Rows of an indirect block: each is of blocks twice as large, and a heap's offsets have 64 bits."""
_FRONT, _RECORD = 6, 24
"""Bytes before the records of a tree's node; bytes of a record: address, length, number."""


def heap_of(body: bytes) -> int | None:
    """The address of the heap that an attribute info message names."""
    at = 4 if len(body) > 1 and body[1] & 1 else 2  # behind the version, the flags and the highest creation index
    address = _number(body, at, 8)
    return None if len(body) < at + 8 or address == NOWHERE else address


def contents(read: Read, address: int) -> Iterator[bytes]:
    """The bytes of a heap: its blocks with what they have in front, and its objects of their own place; nothing of a filtered heap."""
    head = read(address, _HEADER)
    if len(head) < _HEADER or head[:4] != b"FRHP" or _number(head, 7, 2):
        return
    yield from _blocks(read, head)
    yield from _huge(read, _number(head, 22, 8))


def _blocks(read: Read, head: bytes) -> Iterator[bytes]:
    """Direct blocks, found through the indirect ones: rows of `width` blocks, of the starting size in the first two rows, then doubled."""
    width, start, largest = _number(head, 110, 2), _number(head, 112, 8), _number(head, 120, 8)
    root, rows = _number(head, 132, 8), _number(head, 140, 2)
    begin = 13 + (_number(head, 128, 2) + 7) // 8
    left = MOST
    if not width or not 0 < start <= largest <= MOST or rows > _ROWS:
        return
    pending = [(root, start, rows)]
    while pending and left > 0:
        address, size, rows = pending.pop()
        if address == NOWHERE:
            continue
        if not rows:
            block = read(address, min(size, left))
            left -= max(len(block), 1)
            yield block
            continue
        entries = read(address, min(begin + 8 * width * rows, left))
        left -= max(len(entries), 1)
        if entries[:4] != _INDIRECT:
            continue
        for index in range((len(entries) - begin) // 8):
            inner = start << min(max(index // width - 1, 0), _ROWS)
            below = 0 if inner <= largest else (inner // (start * width)).bit_length()
            pending.append((_number(entries, begin + 8 * index, 8), inner, below))


def _huge(read: Read, tree: int) -> Iterator[bytes]:
    """Objects that are too long for a block; their tree is followed two levels deep, which is enough for hundreds."""
    head = b"" if tree == NOWHERE else read(tree, 38)
    depth = _number(head, 12, 2)
    if head[:4] != b"BTHD" or head[5:6] != b"\x01" or depth > 1:  # objects without filters
        return
    left = MOST
    for node, count in _nodes(read, _number(head, 16, 8), _number(head, 24, 2), depth, _number(head, 6, 4)):
        for at in range(_FRONT, min(len(node), _FRONT + _RECORD * count) - _RECORD + 1, _RECORD):
            data = read(_number(node, at, 8), min(_number(node, at + 8, 8), left))
            left -= len(data)
            yield data


def _nodes(read: Read, root: int, count: int, depth: int, size: int) -> Iterator[tuple[bytes, int]]:
    """The nodes of a tree, with how many records each has; a node above others has their addresses and numbers behind its records."""
    node = read(root, min(size, MOST))
    yield node, count
    most = (size - _FRONT - 4) // _RECORD
    pointer = 8 + (max(most, 1).bit_length() - 1) // 8 + 1
    first = _FRONT + _RECORD * count
    for at in range(first, min(len(node) - pointer, first + pointer * count) + 1, pointer) if depth else ():
        yield read(_number(node, at, 8), min(size, MOST)), _number(node, at + 8, pointer - 8)


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")
