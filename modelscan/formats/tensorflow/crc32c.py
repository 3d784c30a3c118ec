"""CRC-32C (Castagnoli), the checksum of TensorFlow's files, and how they mask it.

Short runs go byte by byte. Long ones go through numpy: a CRC is linear, so a block is cut into equal lanes that are computed side
by side, two bytes at a time, and put together by shifting each lane's remainder over the bytes that follow it.
Source of the masking: tensorflow/core/lib/hash/crc32c.h (taken over from leveldb).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78
"""Castagnoli's, with the bits reversed."""
_LANES = 4096
_SHORT = 1 << 15
"""Below this, lanes cost more than they save."""
_LOADING = 1 << 20
"""Below this, loading numpy costs more than it saves: the index of a checkpoint is not worth it."""


def masked(crc: int) -> int:
    """The form in which a CRC is stored, so that the CRC of data that hold CRCs stays sound."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


def crc32c(data: bytes | memoryview, crc: int = 0) -> int:
    """The CRC of `data`, or of what has the CRC `crc` followed by `data`."""
    if len(data) >= (_SHORT if "numpy" in sys.modules else _LOADING):
        return _long(memoryview(data), crc)
    table = _table()
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def crc32c_of_strings(data: bytes, count: int) -> int:
    """The checksum of a string tensor's bytes: lengths, their own checksum, texts; a length counts as a number of four bytes, or eight.

    Source: `WriteStringTensor` in tensorflow/core/util/tensor_bundle/tensor_bundle.cc.

    Raises:
        ValueError: the bytes are no tensor of so many strings.
    """
    at = total = crc = 0
    for _ in range(count):
        length = shift = 0
        while True:
            if at >= len(data) or shift > 63:
                raise ValueError("lengths that end too early")
            byte = data[at]
            length |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                break
        if length >> 64:
            raise ValueError("a length of more than 64 bits")
        total += length
        crc = crc32c(length.to_bytes(4 if length < 1 << 32 else 8, "little"), crc)
    if at + 4 + total != len(data):
        raise ValueError(f"{len(data) - at - 4:,} bytes of text, the lengths ask for {total:,}")
    return crc32c(data[at:], crc)


def crc32c_of(blocks: Iterable[memoryview]) -> int:
    """The CRC of blocks that follow one another."""
    crc = 0
    for block in blocks:
        crc = crc32c(block, crc)
    return crc


def _long(data: memoryview, crc: int) -> int:
    import numpy as np

    step = 8 * _LANES
    whole = len(data) // step * step
    words = np.frombuffer(data[:whole], dtype="<u2").reshape(_LANES, -1, 4)
    tables = _wide()
    state = np.zeros(_LANES, dtype=np.uint32)
    state[0] = crc ^ 0xFFFFFFFF
    for column in range(words.shape[1]):
        part = words[:, column, :]
        low = (state & 0xFFFF) ^ part[:, 0]
        high = (state >> 16) ^ part[:, 1]
        state = tables[3][low] ^ tables[2][high] ^ tables[1][part[:, 2]] ^ tables[0][part[:, 3]]
    return crc32c(data[whole:], _joined(state, whole // _LANES) ^ 0xFFFFFFFF)


@cache
def _wide() -> NDArray[np.uint32]:
    """Four tables of the remainders of 16 bits that 0, 2, 4 or 6 bytes follow."""
    import numpy as np

    single = np.array(_table(), dtype=np.uint32)
    tables = np.zeros((4, 1 << 16), dtype=np.uint32)
    state = np.arange(1 << 16, dtype=np.uint32)
    for one in tables:
        for _ in range(2):
            state = state >> 8 ^ single[state & 255]
        one[:] = state
    return tables


def _joined(state: Any, length: int) -> int:
    """One remainder out of those of lanes of `length` bytes each, neighbours first."""
    shift = _shift(length)
    while len(state) > 1:
        left, right = state[0::2], state[1::2]
        moved = shift[0][left & 255] ^ shift[1][left >> 8 & 255] ^ shift[2][left >> 16 & 255] ^ shift[3][left >> 24]
        state = moved ^ right
        length *= 2
        shift = _shift(length)
    return int(state[0])


@cache
def _shift(length: int) -> NDArray[np.uint32]:
    """Four tables that move a remainder over `length` zero bytes, by its bytes. Source of the method: zlib's crc32_combine."""
    import numpy as np

    operator = _power(length)
    tables = np.zeros((4, 256), dtype=np.uint32)
    for place in range(4):
        for byte in range(256):
            tables[place, byte] = _times(operator, byte << 8 * place)
    return tables


def _times(matrix: tuple[int, ...], vector: int) -> int:
    total = 0
    for row in matrix:
        if not vector:
            break
        if vector & 1:
            total ^= row
        vector >>= 1
    return total


@cache
def _power(length: int) -> tuple[int, ...]:
    """The matrix over bits that `length` zero bytes are; the square of that for half as many where it is even."""
    if length == 1:
        table = _table()
        return tuple(table[1 << bit] if bit < 8 else 1 << bit - 8 for bit in range(32))
    half = _power(length // 2)
    square = tuple(_times(half, row) for row in half)
    return square if length % 2 == 0 else tuple(_times(_power(1), row) for row in square)
