"""Snappy's block format by hand: literals, copies of all widths, overlaps; and what must be refused."""

import pytest

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats.tensorflow.snappy import uncompressed


@pytest.mark.parametrize(
    ("data", "plain"),
    [
        (b"\x00", b""),
        (b"\x03\x08abc", b"abc"),
        (b"\x0a\x04ab\x15\x02" + b"", None),
        (b"\x08\x0cabcd\x01\x04", b"abcdabcd"),
        (b"\x0a\x00a\x22\x01\x00", b"a" + b"a" * 9),
        (b"\x09\x04ab\x1a\x02\x00", b"ababababa"),
        (b"\x09\x04ab\x1b\x02\x00\x00\x00", b"ababababa"),
        (b"\x3d\xf0\x3c" + bytes(range(61)), bytes(range(61))),
        (b"\x80\x08\xf4\xff\x03" + bytes(1024), bytes(1024)),
    ],
)
def test_blocks(data, plain):
    if plain is None:
        with pytest.raises(UnreadableFile):
            uncompressed(data, 100)
    else:
        assert uncompressed(data, 4096) == plain


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xff\xff\xff\xff\xff",
        b"\x05\x08abc",
        b"\x03\x08ab",
        b"\x03\x0cabcd",
        b"\x08\x0cabcd\x01\x05",
        b"\x04\x01\x01",
        b"\x08\x0cabcd\x01",
    ],
)
def test_what_is_broken_is_refused(data):
    with pytest.raises(UnreadableFile) as error:
        uncompressed(data, 1 << 20)
    assert error.value.kind == "malformed-index"


def test_a_bomb_is_refused_before_it_goes_off():
    with pytest.raises(LimitExceeded):
        uncompressed(b"\x80\x80\x80\x80\x04\x00a", 1 << 20)
