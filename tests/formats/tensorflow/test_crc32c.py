"""CRC-32C against the vectors of RFC 3720 and of leveldb, and its two ways against each other."""

import random

import pytest

from modelscan.formats.tensorflow import crc32c as module
from modelscan.formats.tensorflow.crc32c import crc32c, crc32c_of, crc32c_of_strings, masked
from tests.hostile.tensorflow_bytes import crc32c as plain
from tests.hostile.tensorflow_bytes import words


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_the_vectors_of_rfc_3720(data, crc):
    assert crc32c(data) == crc


def test_masked_as_leveldb_does():
    assert masked(crc32c(b"foo")) != crc32c(b"foo")
    assert masked(0) == 0xA282EAD8


@pytest.mark.parametrize("size", [32_767, 32_768, 32_769, 65_536, 100_003, 1 << 20])
def test_lanes_agree_with_bytes(size):
    pytest.importorskip("numpy")
    data = random.Random(size).randbytes(size)
    assert crc32c(data) == plain(data)
    assert size < 32_768 or module._long(memoryview(data), 0) == plain(data)
    assert crc32c(data[size // 3 :], crc32c(data[: size // 3])) == plain(data)
    assert crc32c_of([memoryview(data)[:5], memoryview(data)[5:]]) == plain(data)


def test_it_is_googles():
    native = pytest.importorskip("google_crc32c")
    data = random.Random(7).randbytes(3_000_001)
    assert crc32c(data) == native.value(data)


def test_strings_count_with_lengths_of_four_bytes():
    entry = words(b"first", b"", b"x" * 300)
    assert masked(crc32c_of_strings(entry.data, 3)) == entry.crc
    for data, count in ((entry.data, 2), (entry.data, 4), (entry.data[:-1], 3), (b"\xff", 1), (b"", 1)):
        with pytest.raises(ValueError, match="lengths"):
            crc32c_of_strings(data, count)


def test_a_length_of_more_than_64_bits_is_no_length() -> None:
    with pytest.raises(ValueError, match="64 bits"):
        crc32c_of_strings(b"\xff" * 9 + b"\x7f" + bytes(4), 1)
