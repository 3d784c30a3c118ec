"""The protobuf wire format, walked in place: fields with their offsets, payloads passed over, every bound checked first.

A message is an extent of a `Source`. `Wire.fields` yields one tuple per field, `(number, wire type, value, length)`:

- `VARINT`, `FIXED64`, `FIXED32`: `value` is the unsigned integer, `length` the offset of the byte after it;
- `LENGTH`: `value` is the offset of the payload in the source and `length` its size; nothing of it has been read;
- `GROUP`: likewise, the extent of the group's fields without the closing tag.

Offsets are absolute in the source, so that a nested message is walked by handing them back: `wire.fields(value, value + length)`.
Errors are `UnreadableFile` with the offset; whoever knows the field's name adds it on the way up with `error.inside("graph")`.
Source of the encoding: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.limits import DEFAULT, Limits
from modelscan.source import Bytes, Source

VARINT, FIXED64, LENGTH, GROUP, END_GROUP, FIXED32 = range(6)

Field = tuple[int, int, int, int]
"""Number, wire type, value (or offset), length (or offset of the next byte)."""

_HEADER = 20
"""Longest tag and length: two varints of at most ten bytes."""
_CHUNK = 4 * 1024
_LARGEST_CHUNK = 256 * 1024
_WHOLE = 64 * 1024
"""A message up to this size is read at once."""
_TAGS = 1 << 32
_MASK = (1 << 64) - 1
_CONTINUED = bytes(range(128, 256))


class Wire:
    """A source read as protobuf messages, through one chunk of it that grows while reading goes on in sequence.

    `overrun`, if given, is told of a field that reaches past the end of its message, and the field is cut off there; without it that
    is an error.
    """

    def __init__(self, source: Source | bytes, limits: Limits = DEFAULT, overrun: Callable[[UnreadableFile], None] | None = None) -> None:
        self.source: Source = Bytes(source) if isinstance(source, bytes) else source
        self.size = self.source.size
        self.limits = limits
        self.overrun = overrun
        self.known: dict[bytes, Any] = {}
        """What small messages mean, by their bytes, for those who meet the same again and again."""
        self._data = b""
        self._base = 0
        self._grown = _CHUNK

    def chunk(self, offset: int, wanted: int) -> tuple[bytes, int]:
        """Bytes that hold `wanted` ones from `offset` (fewer at the end of the source), and where they begin."""
        base, data = self._base, self._data
        if base <= offset and offset + wanted <= base + len(data):
            return data, base
        follows = base <= offset <= base + len(data) + 256
        self._grown = min(2 * self._grown, _LARGEST_CHUNK) if follows else _CHUNK
        size = min(max(wanted, self._grown), max(0, self.size - offset))
        self._data, self._base = self.source.read(offset, size), offset
        return self._data, offset

    def ahead(self, position: int, wanted: int, end: int) -> tuple[bytes, int, int]:
        """Bytes, where `position` lies in them, and how far they belong to the message that ends at `end`; `wanted` or more of it."""
        data, base = self.chunk(position, min(wanted, end - position))
        return data, position - base, min(len(data), end - base)

    def fields(self, start: int = 0, end: int | None = None) -> Iterator[Field]:
        """The fields of the message in `[start, end)`, in file order."""
        end = self.size if end is None else end
        if not 0 <= start <= end <= self.size:
            raise UnreadableFile("truncated-file", f"a message ends at byte {end:,} of a file of {self.size:,}", offset=start)
        if end - start <= _WHOLE:
            data, base = self.chunk(start, end - start)
            whole = _scan(data, start - base, end - base, base)
            if whole is not None:
                return iter(whole)
        return self.walk(start, end)

    def walk(self, start: int, end: int) -> Iterator[Field]:
        """The fields of a message of any size or in any state, one by one: nothing is read ahead."""
        data, base = self.chunk(start, end - start if end - start <= _WHOLE else _HEADER)
        position, safe = start, base + len(data) - _HEADER
        last = base + len(data) >= end
        while position < end:
            if position > safe and not last:
                data, base = self.chunk(position, min(_HEADER, end - position))
                safe, last = base + len(data) - _HEADER, base + len(data) >= end
            at = position - base
            try:
                tag = data[at]
                at += 1
                if tag >= 128:
                    tag, at = varint(data, at, tag)
                if not 8 <= tag < _TAGS:
                    raise _malformed(f"field number {tag >> 3}", position)
                wire = tag & 7
                if wire == LENGTH:
                    length = data[at]
                    at += 1
                    if length >= 128:
                        length, at = varint(data, at, length)
                    value = base + at
                    if length > end - value:
                        length = self._cut(length, value, end, position)
                    position = value + length
                    yield tag >> 3, LENGTH, value, length
                    continue
                if wire == VARINT:
                    value = data[at]
                    at += 1
                    if value >= 128:
                        value, at = varint(data, at, value)
                else:
                    field, position = self._rare(tag, base + at, end, position)
                    yield field
                    continue
                if base + at > end:
                    raise IndexError
            except IndexError:
                self._tell(self._overrun(position, end, "a field"))
                return
            position = base + at
            yield tag >> 3, VARINT, value, position

    def _rare(self, tag: int, position: int, end: int, begin: int) -> tuple[Field, int]:
        """A field of one of the other wire types, and where the next one begins."""
        match tag & 7:
            case 1 | 5 as wire:
                width = 4 if wire == FIXED32 else 8
                if position + width > end:
                    raise IndexError
                value = int.from_bytes(self.read(position, width), "little")
                return (tag >> 3, wire, value, position + width), position + width
            case 3:
                inner, after = self._group(tag >> 3, position, end)
                return (tag >> 3, GROUP, position, inner - position), after
            case other:
                raise _malformed(f"wire type {other}", begin)

    def _overrun(self, position: int, end: int, what: str) -> UnreadableFile:
        """Why something does not fit: the file is cut off, or the lengths contradict each other."""
        if end >= self.size:
            return UnreadableFile("truncated-file", f"{what} reaches past the end of the file", offset=position)
        return _malformed(f"{what} that reaches past the end of its message", position)

    def _tell(self, error: UnreadableFile) -> None:
        if self.overrun is None:
            raise error
        self.overrun(error)

    def _cut(self, length: int, value: int, end: int, position: int) -> int:
        """What is left of a field that declares more bytes than its message has."""
        self._tell(self._overrun(position, end, f"a field of {length:,} bytes, where {max(0, end - value):,} are left,"))
        return max(0, end - value)

    def _next_varint(self, position: int, end: int) -> tuple[int, int]:
        data, base = self.chunk(position, min(_HEADER, end - position))
        try:
            value, at = varint(data, position - base + 1, data[position - base])
        except IndexError:
            raise self._overrun(position, end, "a number") from None
        return value, base + at

    def _group(self, number: int, position: int, end: int) -> tuple[int, int]:
        """Where the content of the group that begins at `position` ends, and where the next field begins."""
        open_groups = [number]
        while True:
            begin = position
            tag, position = self._next_varint(position, end)
            match tag & 7:
                case 4:
                    if tag >> 3 != open_groups.pop():
                        raise _malformed("a group closed by another's tag", begin)
                    if not open_groups:
                        return begin, position
                case 3:
                    if len(open_groups) >= self.limits.nesting:
                        raise LimitExceeded("nesting", len(open_groups) + 1, self.limits.nesting, offset=begin)
                    open_groups.append(tag >> 3)
                case 0:
                    _, position = self._next_varint(position, end)
                case 2:
                    length, position = self._next_varint(position, end)
                    position += length
                case 1:
                    position += 8
                case 5:
                    position += 4
                case other:
                    raise _malformed(f"wire type {other}", begin)
            if position >= end:
                raise self._overrun(begin, end, "a group")

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of a field, through the chunk when they lie in it."""
        at = offset - self._base
        if at >= 0 and at + length <= len(self._data):
            return self._data[at : at + length]
        if length <= _WHOLE and offset + length <= self.size:
            data, base = self.chunk(offset, length)
            return data[offset - base : offset - base + length]
        return self.source.read(offset, length)

    def text(self, offset: int, length: int, most: int | None = None) -> str:
        """A string field of at most `most` bytes (a name's limit); bytes that are no UTF-8 become escapes, so that no name is lost."""
        at = offset - self._base
        if at >= 0 and length < 128 and most is None and at + length <= len(self._data):
            return self._data[at : at + length].decode("utf-8", "backslashreplace")
        if length > (most or self.limits.name_bytes):
            raise LimitExceeded("name_bytes", length, most or self.limits.name_bytes, offset=offset)
        return self.read(offset, length).decode("utf-8", "backslashreplace")

    def numbers(self, field: Field, most: int) -> list[int]:
        """The unsigned integers of one occurrence of a repeated varint field, packed or not; at most `most` of them."""
        _, wire, value, length = field
        if wire == VARINT:
            return [value]
        if wire != LENGTH:
            raise _malformed("a number stored with another wire type", value)
        if length > 10 * most:
            raise LimitExceeded("numbers in a field", length // 10, most, offset=value)
        return list(varints(self.read(value, length), most, value))

    def count_varints(self, offset: int, length: int) -> int:
        """How many varints a packed field holds: the bytes without a continuation bit; read in pieces, nothing is kept."""
        total = 0
        for begin in range(offset, offset + length, _LARGEST_CHUNK):
            piece = self.source.read(begin, min(_LARGEST_CHUNK, offset + length - begin))
            total += len(piece.translate(None, _CONTINUED))
        return total


def _scan(data: bytes, at: int, stop: int, base: int) -> list[Field] | None:
    """The fields of a message that lies in `data`; None if there is anything but numbers and lengths, or anything wrong."""
    found: list[Field] = []
    append = found.append
    try:
        while at < stop:
            tag = data[at]
            at += 1
            if tag >= 128:
                tag, at = varint(data, at, tag)
            if not 8 <= tag < _TAGS:
                return None
            value = data[at]
            at += 1
            if value >= 128:
                value, at = varint(data, at, value)
            if tag & 7 == LENGTH:
                append((tag >> 3, LENGTH, base + at, value))
                at += value
            elif tag & 7 == VARINT:
                append((tag >> 3, VARINT, value, base + at))
            else:
                return None
    except (IndexError, UnreadableFile):
        return None
    return found if at == stop else None


def varints(data: bytes, most: int, offset: int = 0) -> Iterator[int]:
    """The unsigned integers of a packed field; raises when there are more than `most` or the last one is cut off."""
    at, end = 0, len(data)
    for _ in range(most):
        if at == end:
            return
        value = data[at]
        at += 1
        if value >= 128:
            try:
                value, at = varint(data, at, value)
            except IndexError:
                raise _malformed("a number that reaches past the end of its field", offset + at) from None
        yield value
    if at < end:
        raise LimitExceeded("numbers in a field", most + 1, most, offset=offset)


def signed(value: int) -> int:
    """A varint or fixed value as the two's complement integer of 64 bits that `int32` and `int64` fields mean."""
    return value - (1 << 64) if value >= 1 << 63 else value


def signed32(value: int) -> int:
    """A varint as the integer that an `int32` or enum field means: its low 32 bits, as protobuf reads them."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value


def zigzag(value: int) -> int:
    """A varint as the integer that `sint32` and `sint64` fields mean."""
    return (value >> 1) ^ -(value & 1)


def float32(value: int) -> float:
    """A `FIXED32` value as the number that a `float` field means."""
    return float(struct.unpack("<f", value.to_bytes(4, "little"))[0])


def float64(value: int) -> float:
    """A `FIXED64` value as the number that a `double` field means."""
    return float(struct.unpack("<d", value.to_bytes(8, "little"))[0])


def _malformed(what: str, offset: int) -> UnreadableFile:
    return UnreadableFile("malformed-protobuf", f"the protobuf structure is broken: {what}", offset=offset)


def varint(data: bytes, at: int, first: int) -> tuple[int, int]:
    """The number whose first byte has been read, cut to 64 bits, and where the next byte is; `IndexError` where data ends."""
    value, shift = first & 127, 7
    if first < 128:
        return value, at
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & _MASK, at
        shift += 7
        if shift > 63:
            raise _malformed("a number of more than ten bytes", at)
