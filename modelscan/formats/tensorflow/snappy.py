"""Snappy's block format, decoded within bounds: some checkpoint indexes are compressed with it.

Source: https://github.com/google/snappy/blob/main/format_description.txt
"""

from __future__ import annotations

from modelscan.errors import LimitExceeded, UnreadableFile


def uncompressed(data: bytes, most: int) -> bytes:
    """What `data` holds.

    Raises:
        LimitExceeded: it declares more than `most` bytes.
        UnreadableFile: `malformed-index`, it is no snappy data.
    """
    size, at = _length(data)
    if size > most:
        raise LimitExceeded("index_bytes", size, most)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            length, at = _literal(data, tag >> 2, at)
            if at + length > len(data) or len(out) + length > size:
                raise _broken("a literal")
            out += data[at : at + length]
            at += length
            continue
        width = (0, 1, 2, 4)[tag & 3]
        if at + width > len(data):
            raise _broken("a copy")
        offset = int.from_bytes(data[at : at + width], "little")
        at += width
        length = (tag >> 2) + 1
        if width == 1:
            offset |= tag >> 5 << 8
            length = (tag >> 2 & 7) + 4
        if not 0 < offset <= len(out) or len(out) + length > size:
            raise _broken("a copy")
        begin = len(out) - offset
        if offset >= length:
            out += out[begin : begin + length]
        else:  # it overlaps what it writes: a pattern repeated
            pattern = bytes(out[begin:])
            out += (pattern * (length // offset + 1))[:length]
    if len(out) != size:
        raise _broken("the end")
    return bytes(out)


def _length(data: bytes) -> tuple[int, int]:
    value = 0
    for at, byte in enumerate(data[:5]):
        value |= (byte & 127) << 7 * at
        if byte < 128:
            return value, at + 1
    raise _broken("the length")


def _literal(data: bytes, code: int, at: int) -> tuple[int, int]:
    """Length of a literal and where its bytes begin."""
    if code < 60:
        return code + 1, at
    width = code - 59
    return int.from_bytes(data[at : at + width], "little") + 1, at + width


def _broken(what: str) -> UnreadableFile:
    return UnreadableFile("malformed-index", f"a compressed block of the index is broken in {what}")
