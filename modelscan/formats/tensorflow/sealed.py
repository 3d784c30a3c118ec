"""Whether the bytes of a string tensor are those whose checksum the index of their checkpoint states."""

from __future__ import annotations

from math import prod

from modelscan.errors import UnreadableFile
from modelscan.formats.tensorflow.crc32c import crc32c_of_strings, masked
from modelscan.limits import MIB
from modelscan.program import Entry
from modelscan.source import Source

_LONGEST = 16 * MIB
"""String tensors up to this size are checked: they are read at once."""


def check_strings(source: Source, entry: Entry) -> None:
    """Raise when the bytes of a string tensor, which lie in the shard, are not those that the index states; a very long one passes."""
    if entry.nbytes > _LONGEST:
        return
    try:
        crc = crc32c_of_strings(source.read(entry.offset, entry.nbytes), prod(entry.shape))
    except ValueError as error:
        raise other_bytes(source, entry, f": {error}") from None
    if masked(crc) != entry.crc32c:
        raise other_bytes(source, entry)


def other_bytes(source: Source, entry: Entry, why: str = "") -> UnreadableFile:
    """What is said of an entry whose bytes have another checksum."""
    text = f"the {entry.nbytes:,} bytes from byte {entry.offset:,} of {source.name} do not have the checksum that the index states{why}"
    return UnreadableFile("entry-crc", text, offset=entry.offset)
