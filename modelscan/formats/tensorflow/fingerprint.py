"""The fingerprint of a SavedModel (`fingerprint.pb`, TensorFlow 2.10 and later): a hash of the checkpoint's index, computed again.

Sources: tensorflow/core/protobuf/fingerprint.proto; `Fingerprint64` of FarmHash (github.com/google/farmhash, `farmhashna::Hash64`),
whose values are guaranteed never to change. What the other fields hash differs from one version to the next.
"""

from __future__ import annotations

from modelscan.errors import LimitExceeded
from modelscan.limits import MIB, Limits
from modelscan.model import Observation
from modelscan.source import Source
from modelscan.wire import FIXED64, VARINT, Wire

FILE = "fingerprint.pb"
_CHECKPOINT_HASH = 5
_MASK = (1 << 64) - 1
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
_MOST = 16 * MIB
"""Files up to this size are hashed: at 10 MB a second; real ones have a few hundred KiB at most."""
_MASK = (1 << 64) - 1
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
_MOST = 16 * MIB
"""Files up to this size are hashed: at 10 MB a second; real ones have a few hundred KiB at most."""


class Fingerprint:
    """What `fingerprint.pb` states."""

    def __init__(self, source: Source, limits: Limits) -> None:
        """Reads the file; raises `UnreadableFile` when it is broken."""
        if source.size > limits.name_bytes:
            raise LimitExceeded("name_bytes", source.size, limits.name_bytes, where=(source.name,))
        self.name = source.name
        fields = Wire(source, limits).fields()
        self.hashes = {number: value for number, kind, value, _ in fields if kind in (VARINT, FIXED64)}

    def check_index(self, index: Source) -> list[Observation]:
        """Whether the index is the one that the fingerprint was made with."""
        stated = self.hashes.get(_CHECKPOINT_HASH)
        if not stated or index.size > _MOST or fingerprint64(index.read(0, index.size)) == stated:
            return []
        text = f"{index.name} has another fingerprint than {self.name} states: the files are not of one export"
        return [Observation("fingerprint-mismatch", text, where=index.name)]


def fingerprint64(data: bytes) -> int:
    """FarmHash's `Fingerprint64`."""
    size = len(data)
    if size <= 16:
        return _to_16(data)
    if size <= 32:
        return _to_32(data)
    if size <= 64:
        return _to_64(data)
    return _long(data)


def _fetch(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def _rotate(value: int, by: int) -> int:
    return (value >> by | value << (64 - by)) & _MASK


def _mix(value: int) -> int:
    return value ^ value >> 47


def _hash16(low: int, high: int, mul: int) -> int:
    one = (low ^ high) * mul & _MASK
    one ^= one >> 47
    other = (high ^ one) * mul & _MASK
    other ^= other >> 47
    return other * mul & _MASK


def _to_16(data: bytes) -> int:
    size = len(data)
    if size >= 8:
        mul = _K2 + size * 2
        a = _fetch(data, 0) + _K2 & _MASK
        b = _fetch(data, size - 8)
        c = _rotate(b, 37) * mul + a & _MASK
        d = (_rotate(a, 25) + b) * mul & _MASK
        return _hash16(c, d, mul)
    if size >= 4:
        mul = _K2 + size * 2
        a = int.from_bytes(data[:4], "little")
        return _hash16(size + (a << 3), int.from_bytes(data[-4:], "little"), mul)
    if size:
        y = data[0] + (data[size >> 1] << 8)
        z = size + (data[-1] << 2)
        return _mix((y * _K2 ^ z * _K0) & _MASK) * _K2 & _MASK
    return _K2


def _to_32(data: bytes) -> int:
    size = len(data)
    mul = _K2 + size * 2
    a = _fetch(data, 0) * _K1 & _MASK
    b = _fetch(data, 8)
    c = _fetch(data, size - 8) * mul & _MASK
    d = _fetch(data, size - 16) * _K2 & _MASK
    return _hash16(_rotate(a + b & _MASK, 43) + _rotate(c, 30) + d & _MASK, a + _rotate(b + _K2 & _MASK, 18) + c & _MASK, mul)


def _to_64(data: bytes) -> int:
    size = len(data)
    mul = _K2 + size * 2
    a = _fetch(data, 0) * _K2 & _MASK
    b = _fetch(data, 8)
    c = _fetch(data, size - 8) * mul & _MASK
    d = _fetch(data, size - 16) * _K2 & _MASK
    y = _rotate(a + b & _MASK, 43) + _rotate(c, 30) + d & _MASK
    z = _hash16(y, a + _rotate(b + _K2 & _MASK, 18) + c & _MASK, mul)
    e = _fetch(data, 16) * mul & _MASK
    f = _fetch(data, 24)
    g = (y + _fetch(data, size - 32)) * mul & _MASK
    h = (z + _fetch(data, size - 24)) * mul & _MASK
    return _hash16(_rotate(e + f & _MASK, 43) + _rotate(g, 30) + h & _MASK, e + _rotate(f + a & _MASK, 18) + g & _MASK, mul)


def _weak(data: bytes, at: int, a: int, b: int) -> tuple[int, int]:
    """32 bytes and two seeds to 16 bytes (`WeakHashLen32WithSeeds`)."""
    w, x, y, z = (_fetch(data, at + step) for step in (0, 8, 16, 24))
    a = a + w & _MASK
    b = _rotate(b + a + z & _MASK, 21)
    c = a
    a = a + x + y & _MASK
    b = b + _rotate(a, 44) & _MASK
    return a + z & _MASK, b + c & _MASK


def _long(data: bytes) -> int:
    x = seed = 81
    y = (seed * _K1 + 113) & _MASK
    z = _mix(y * _K2 + 113 & _MASK) * _K2 & _MASK
    v, w = (0, 0), (0, 0)
    x = x * _K2 + _fetch(data, 0) & _MASK
    end = (len(data) - 1) // 64 * 64
    for at in range(0, end, 64):
        x = _rotate(x + y + v[0] + _fetch(data, at + 8) & _MASK, 37) * _K1 & _MASK
        y = _rotate(y + v[1] + _fetch(data, at + 48) & _MASK, 42) * _K1 & _MASK
        x ^= w[1]
        y = y + v[0] + _fetch(data, at + 40) & _MASK
        z = _rotate(z + w[0] & _MASK, 33) * _K1 & _MASK
        v = _weak(data, at, v[1] * _K1 & _MASK, x + w[0] & _MASK)
        w = _weak(data, at + 32, z + w[1] & _MASK, y + _fetch(data, at + 16) & _MASK)
        z, x = x, z
    mul = _K1 + ((z & 0xFF) << 1) & _MASK
    at = len(data) - 64
    w = (w[0] + (len(data) - 1 & 63) & _MASK, w[1])
    v = (v[0] + w[0] & _MASK, v[1])
    w = (w[0] + v[0] & _MASK, w[1])
    x = _rotate(x + y + v[0] + _fetch(data, at + 8) & _MASK, 37) * mul & _MASK
    y = _rotate(y + v[1] + _fetch(data, at + 48) & _MASK, 42) * mul & _MASK
    x ^= w[1] * 9 & _MASK
    y = y + v[0] * 9 + _fetch(data, at + 40) & _MASK
    z = _rotate(z + w[0] & _MASK, 33) * mul & _MASK
    v = _weak(data, at, v[1] * mul & _MASK, x + w[0] & _MASK)
    w = _weak(data, at + 32, z + w[1] & _MASK, y + _fetch(data, at + 16) & _MASK)
    z, x = x, z
    low = _hash16(v[0], w[0], mul) + _mix(y) * _K0 + z & _MASK
    return _hash16(low, _hash16(v[1], w[1], mul) + x & _MASK, mul)
