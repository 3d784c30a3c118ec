"""Attributes of plain HDF5 files: texts, of a fixed or of any length, and lists of them. See `plain`.

Layout: HDF5 File Format Specification 3.0: attribute messages IV.A.2.m, dataspaces IV.A.2.b, datatypes IV.A.2.d, global heaps III.E.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct

from modelscan.formats.keras.heaps import LARGEST

Texts = str | bytes | list[str] | list[bytes]
_HEAD = Struct("<BBHHH")
_REFERENCE = Struct("<IQI")
_HEAP = Struct("<4sI Q")
_OBJECT = Struct("<HH4xQ")
_ANY_LENGTH = tuple(b"\x19\x01" + bytes((charset, 0, 16, 0, 0, 0)) + b"\x10\0\0\0\x01\0\0\0\0\0\x08\0" for charset in (0, 1))
"""Texts of any length: sequences of bytes that end with a zero in memory, ASCII or UTF-8."""
_FLOAT64 = b"\x11\x20\x3f\0\x08\0\0\0\0\0\x40\0\x34\x0b\0\x34\xff\x03\0\0"
"""What h5py writes for a list without elements."""
_FIXED = 0x13


class NotPlainError(Exception):
    """The file is not one that is read without the library."""


def demand(plain: bool) -> None:
    """Goes on if that is so."""
    if not plain:
        raise NotPlainError


def simple_shape(body: bytes) -> tuple[tuple[int, ...], int]:
    """The shape that a dataspace message holds, which cannot grow, and the bytes of the message."""
    demand(len(body) >= 4 and body[0] in (1, 2) and body[2] <= 1)
    rank, begin = body[1], 8 if body[0] == 1 else 4
    demand(body[0] == 1 or body[3] == (1 if rank else 0))
    end = begin + 8 * rank * (2 if body[2] else 1)
    demand(rank <= 32 and end <= len(body))
    shape = tuple(int.from_bytes(body[at : at + 8], "little") for at in range(begin, begin + 8 * rank, 8))
    demand(not body[2] or body[begin : begin + 8 * rank] == body[begin + 8 * rank : end])
    return shape, end


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise NotPlainError from None


class Attributes:
    """What reads the attributes of one file."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        """`read` gives bytes of the file, which has `size`, by address and number; raises `NotPlainError` as everything here does."""
        self._read = read
        self._left = size
        """Bytes of texts that may yet be taken from heaps: in a sound file, each stands there for itself."""
        self._heaps: dict[int, dict[int, bytes]] = {}

    def of(self, messages: Iterable[bytes]) -> dict[str, Texts]:
        """The attributes of a group by name, sorted as the library does."""
        found = [self._one(body) for body in messages]
        demand(len({name for name, _ in found}) == len(found))
        return {_decoded(name): value for name, value in sorted(found, key=lambda one: one[0])}

    def _one(self, body: bytes) -> tuple[bytes, Texts]:
        demand(len(body) >= 9)
        version, flags, name_size, type_size, space_size = _HEAD.unpack_from(body)
        demand(version in (1, 3) and (version == 1 or (flags == 0 and body[8] <= 1)))
        at, step = (8, 7) if version == 1 else (9, 0)
        name = body[at : at + name_size]
        at += (name_size + step) & ~step
        kind = body[at : at + type_size]
        at += (type_size + step) & ~step
        shape, _ = simple_shape(body[at : at + space_size])
        at += (space_size + step) & ~step
        demand(at <= len(body) and 2 <= name_size == name.find(b"\0") + 1 and len(shape) <= 1)
        return name[:-1], self._value(kind, shape, body[at:])

    def _value(self, kind: bytes, shape: tuple[int, ...], data: bytes) -> Texts:
        count = shape[0] if shape else 1
        if kind in _ANY_LENGTH:
            demand(16 * count <= len(data))
            texts = [self._text(*_REFERENCE.unpack_from(data, 16 * index)) for index in range(count)]
            return texts if shape else texts[0]
        if not count and kind == _FLOAT64:
            return []
        demand(len(kind) == 8 and kind[0] == _FIXED and kind[1] & 0x0F <= 1 and kind[1] >> 4 <= 1 and kind[2:4] == b"\0\0")
        size = int.from_bytes(kind[4:8], "little")
        demand(size > 0 and size * count <= len(data))
        fixed = [data[size * index : size * index + size].rstrip(b"\0") for index in range(count)]
        demand(not any(b"\0" in one for one in fixed))
        return fixed if shape else fixed[0]

    def _text(self, length: int, address: int, index: int) -> str:
        """A text of any length; the heap's object is exactly as long."""
        if length == 0:
            demand(address == 0 and index == 0)
            return ""
        if address not in self._heaps:
            self._heaps[address] = self._heap(address)
        text = self._heaps[address].get(index, b"")
        self._left -= length
        demand(len(text) == length and self._left >= 0 and b"\0" not in text)
        return _decoded(text)

    def _heap(self, at: int) -> dict[int, bytes]:
        """The objects of a global heap by their index."""
        signature, version, size = _HEAP.unpack(self._read(at, _HEAP.size))
        demand(signature == b"GCOL" and version == 1 and _HEAP.size < size <= LARGEST)
        data = self._read(at, size)
        found: dict[int, bytes] = {}
        place = _HEAP.size
        while place + _OBJECT.size <= size:
            index, _, length = _OBJECT.unpack_from(data, place)
            if index == 0:  # what is free, to the end
                demand(length == size - place)
                return found
            begin = place + _OBJECT.size
            place = begin + ((length + 7) & ~7)
            demand(place <= size and index not in found)
            found[index] = data[begin : begin + length]
        return found
