"""The wire walk against protobuf itself, and against every way in which a message can be broken."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscan import wire
from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.limits import Limits
from modelscan.source import Bytes
from modelscan.wire import Wire


def varint(value: int) -> bytes:
    out = b""
    value &= (1 << 64) - 1
    while value >= 128:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def tag(number: int, kind: int) -> bytes:
    return varint(number << 3 | kind)


def block(number: int, data: bytes) -> bytes:
    return tag(number, 2) + varint(len(data)) + data


class Counting(Bytes):
    """Counts what is read of it."""

    taken = 0

    def read(self, offset: int, n: int) -> bytes:
        self.taken += n
        return super().read(offset, n)


class Sparse:
    """A source whose middle exists only as a promise; reading it is an error."""

    name = "sparse"

    def __init__(self, head: bytes, hole: int, tail: bytes) -> None:
        self.head, self.hole, self.tail = head, hole, tail
        self.size = len(head) + hole + len(tail)

    def read(self, offset: int, n: int) -> bytes:
        assert n <= 1 << 20
        assert offset + n <= self.size
        parts = (self.head[offset : offset + n], b"", b"")
        rest = n - len(parts[0])
        start = max(0, offset - len(self.head) - self.hole)
        gap = min(rest, max(0, len(self.head) + self.hole - max(offset, len(self.head))))
        return parts[0] + bytes(gap) + self.tail[start : start + rest - gap]


def test_every_wire_type() -> None:
    data = tag(1, 0) + varint(300) + tag(2, 1) + struct.pack("<d", 1.5) + block(3, b"abc") + tag(4, 5) + struct.pack("<f", -2.0)
    data += tag(5, 3) + tag(9, 0) + b"\x01" + tag(5, 4) + tag(1 << 28, 0) + varint(-1)
    fields = list(Wire(data).fields())
    assert [(number, kind) for number, kind, _, _ in fields] == [(1, 0), (2, 1), (3, 2), (4, 5), (5, 3), (1 << 28, 0)]
    assert fields[0][2] == 300
    assert wire.float64(fields[1][2]) == 1.5
    assert Wire(data).read(*fields[2][2:]) == b"abc"
    assert wire.float32(fields[3][2]) == -2.0
    assert next(Wire(data).fields(fields[4][2], fields[4][2] + fields[4][3]))[:3] == (9, 0, 1)
    assert wire.signed(fields[5][2]) == -1


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=50))
def test_packed_and_unpacked_numbers_are_the_same(values: list[int]) -> None:
    packed = Wire(block(1, b"".join(map(varint, values))))
    single = Wire(b"".join(tag(1, 0) + varint(value) for value in values))

    def read(walk: Wire) -> list[int]:
        return [wire.signed(number) for field in walk.fields() for number in walk.numbers(field, 50)]

    assert read(packed) == read(single) == values
    _, _, offset, length = next(packed.fields())
    assert packed.count_varints(offset, length) == len(values)


def test_zigzag() -> None:
    assert [wire.zigzag(n) for n in range(5)] == [0, -1, 1, -2, 2]


def _messages() -> Iterator[tuple[bytes, int]]:
    for count in (1, 10, 5_000):
        yield b"".join(block(7, tag(1, 0) + varint(n) + block(2, b"x" * (n % 300))) for n in range(count)), count


@pytest.mark.parametrize(("data", "count"), list(_messages()), ids=["1", "10", "5000"])
def test_nested_messages_across_chunks(data: bytes, count: int) -> None:
    walk = Wire(data)
    seen = []
    for _, _, start, length in walk.fields():
        inner = list(walk.fields(start, start + length))
        seen.append((inner[0][2], walk.read(*inner[1][2:])))
    assert seen == [(n, b"x" * (n % 300)) for n in range(count)]


def test_payloads_are_never_read() -> None:
    source = Counting(b"".join(block(5, tag(2, 0) + b"\x01" + block(9, bytes(10_000_000)) + block(8, b"name")) for _ in range(5)))
    walk = Wire(source)
    names = [walk.read(value, length) for _, _, at, size in walk.fields() for n, _, value, length in walk.fields(at, at + size) if n == 8]
    assert names == [b"name"] * 5
    assert source.taken < 200_000


def test_a_field_larger_than_memory() -> None:
    hole = 1 << 40
    walk = Wire(Sparse(tag(9, 2) + varint(hole), hole, tag(1, 0) + b"\x05"))
    assert [(number, value) for number, _, value, _ in walk.fields()] == [(9, 7), (1, 5)]


@pytest.mark.parametrize(
    ("data", "kind", "offset"),
    [
        (block(1, b"abc")[:-1], "truncated-file", 0),
        (b"\x08", "truncated-file", 0),
        (b"\x08\x01\x08\xff", "truncated-file", 2),
        (tag(1, 5) + b"abc", "truncated-file", 0),
        (tag(1, 1) + b"abc", "truncated-file", 0),
        (tag(1, 3) + tag(2, 0) + b"\x01", "truncated-file", 1),
        (tag(1, 3) + tag(2, 4), "malformed-protobuf", 1),
        (tag(1, 4), "malformed-protobuf", 0),
        (tag(1, 6), "malformed-protobuf", 0),
        (b"\x00\x01", "malformed-protobuf", 0),
        (b"\x08" + b"\xff" * 10 + b"\x01", "malformed-protobuf", 11),
    ],
)
def test_broken_messages(data: bytes, kind: str, offset: int) -> None:
    with pytest.raises(UnreadableFile) as caught:
        list(Wire(data).fields())
    assert (caught.value.kind, caught.value.offset) == (kind, offset)


def test_a_message_longer_than_its_parent() -> None:
    data = block(1, tag(2, 2) + b"\x09" + b"abc") + block(3, b"more than enough")
    walk = Wire(data)
    (_, _, start, length), _ = walk.fields()
    with pytest.raises(UnreadableFile) as caught:
        list(walk.fields(start, start + length))
    assert caught.value.kind == "malformed-protobuf"
    with pytest.raises(UnreadableFile):
        list(walk.fields(0, len(data) + 1))


def test_what_is_left_of_a_truncated_file_can_be_read() -> None:
    data = block(1, block(2, b"first") + block(2, b"second"))[:-2]
    told: list[UnreadableFile] = []
    walk = Wire(data, overrun=told.append)
    [(_, _, start, length)] = walk.fields()
    assert [walk.read(*field[2:]) for field in walk.fields(start, start + length)] == [b"first", b"seco"]
    assert {error.kind for error in told} == {"truncated-file"}


def test_groups_are_bounded_in_depth() -> None:
    with pytest.raises(LimitExceeded):
        list(Wire(tag(1, 3) * 101 + tag(1, 4) * 101, Limits(nesting=100)).fields())
    assert len(list(Wire(tag(1, 3) * 100 + tag(1, 4) * 100, Limits(nesting=100)).fields())) == 1


def test_bounds_of_repeated_numbers_and_names() -> None:
    walk = Wire(block(1, b"\x01" * 20))
    field = next(walk.fields())
    with pytest.raises(LimitExceeded):
        walk.numbers(field, 19)
    with pytest.raises(UnreadableFile):
        list(wire.varints(b"\x01\x80", 5))
    with pytest.raises(LimitExceeded):
        walk.text(*field[2:], most=19)
    assert Wire(block(1, b"a\xff")).text(2, 2) == "a\\xff"


@given(st.binary(max_size=200))
def test_any_bytes_end_in_fields_or_in_an_error(data: bytes) -> None:
    with contextlib.suppress(UnreadableFile):
        fields = list(Wire(data).fields())
        assert all(value + length <= len(data) for _, kind, value, length in fields if kind == wire.LENGTH)


def test_an_int32_is_the_low_32_bits():
    assert [wire.signed32(one) for one in (5, 0xFFFFFFFF, (1 << 64) - 100, 0x75000000FFFFFF9C, 1 << 32)] == [5, -1, -100, -100, 0]
