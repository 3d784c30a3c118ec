"""How large the directory of a zip archive is, and which names are in it, told before anything is built of it.

Source: PKWARE APPNOTE 6.3.10 (central directory: 4.3.12, end record: 4.3.16, zip64: 4.3.14 and 4.3.15). The directory is looked for where
Python's `zipfile` looks, which goes by its size alone: a number of entries that the end record states is not what a reader meets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from modelscan.errors import LimitExceeded
from modelscan.limits import Limits
from modelscan.records import record
from modelscan.source import Source

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_COMMENT = (1 << 16) - 1
_BLOCK = 1 << 20


@record(frozen=True, slots=True)
class Directory:
    """Where an archive's directory lies."""

    offset: int
    size: int


def directory_of(source: Source) -> Directory | None:
    """The directory as the end record states it; None without an end record, or where it cannot lie in the file."""
    start = max(0, source.size - _COMMENT - _END.size)
    tail = source.read(start, source.size - start)
    at = len(tail) - _END.size
    if at < 0:
        return None
    if not (tail.startswith(b"PK\x05\x06", at) and tail.endswith(b"\0\0")):
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or at + _END.size > len(tail):
            return None
    size = _END.unpack_from(tail, at)[5]
    end = start + at
    before = end - _LOCATOR.size - _END64.size
    if before >= 0 and source.read(end - _LOCATOR.size, 4) == b"PK\x06\x07":
        wide = _END64.unpack(source.read(before, _END64.size))
        if wide[0] == b"PK\x06\x06":
            size, end = wide[8], before
    return Directory(end - size, size) if size <= end else None


def entry_names(source: Source, found: Directory) -> Iterator[bytes]:
    """The names of the entries as bytes, each to its first zero, as `zipfile` has them; ends at what is no entry; reads block by block."""
    at, end = found.offset, found.offset + found.size
    block, start = b"", at
    while at + _ENTRY.size <= end:
        if at + _ENTRY.size + _COMMENT > start + len(block):
            start, block = at, source.read(at, min(_BLOCK, end - at))
        fields = _ENTRY.unpack_from(block, at - start)
        if fields[0] != b"PK\x01\x02":
            return
        name = at - start + _ENTRY.size
        yield block[name : name + fields[10]].partition(b"\0")[0]
        at += _ENTRY.size + fields[10] + fields[11] + fields[12]


def check_directory(source: Source, limits: Limits) -> None:
    """Raises `LimitExceeded` for a directory that is too large to build, or has too many entries. Its cost is that of the limits."""
    found = directory_of(source)
    if found is None:
        return
    if found.size > limits.archive_directory_bytes:
        raise LimitExceeded("archive_directory_bytes", found.size, limits.archive_directory_bytes, offset=found.offset)
    if found.size <= limits.archive_members * _ENTRY.size:
        return
    for count, _ in enumerate(entry_names(source, found), start=1):
        if count > limits.archive_members:
            raise LimitExceeded("archive_members", count, limits.archive_members, offset=found.offset)
