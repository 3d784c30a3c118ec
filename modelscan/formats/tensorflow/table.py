"""The index of a checkpoint: a table of sorted keys in blocks, as leveldb writes it.

Source: tensorflow/core/lib/io/{format,block,table_builder}.cc. The last 48 bytes are the footer: the handles of the meta-index
and of the index block (offset and size, two varints each), padding, and a magic number. A block is entries (bytes shared with
the key before, further bytes of the key, bytes of the value, then the latter two), the restart points as 32-bit numbers, and their
count; behind it, outside of its size, stand the compression and a masked CRC. The values of the index block are the
handles of the data blocks.
"""

from __future__ import annotations

from collections.abc import Iterator

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats.tensorflow.crc32c import crc32c, masked
from modelscan.formats.tensorflow.snappy import uncompressed
from modelscan.limits import Limits
from modelscan.model import Observation
from modelscan.records import record
from modelscan.source import Source
from modelscan.wire import varints

FOOTER = 48
MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_TRAILER = 5
_RAW, _SNAPPY = 0, 1
Handle = tuple[int, int]
"""Offset and size of a block."""


@record(frozen=True, slots=True)
class Item:
    """One key with its value, and where the value stands."""

    key: bytes
    value: bytes
    offset: int
    """Of the block in the file where it is compressed, else of the value itself."""


class Table:
    """An index file. What is wrong with a block is observed and the other blocks are read on."""

    def __init__(self, source: Source, limits: Limits, seen: list[Observation]) -> None:
        """Reads the footer.

        Raises:
            UnreadableFile: `index-footer`, the file is cut off or no table.
        """
        self.source = source
        self.limits = limits
        self.seen = seen
        self.damaged = False
        """Whether a block could not be read, so that entries may be missing."""
        self._budget = limits.index_bytes
        if source.size < FOOTER:
            raise UnreadableFile("index-footer", f"{source.name} has {source.size:,} bytes; a checkpoint index ends with a footer of 48")
        footer = source.read(source.size - FOOTER, FOOTER)
        if footer[-8:] != MAGIC:
            text = f"{source.name} does not end with the magic number of a checkpoint index; it is cut off or something else"
            raise UnreadableFile("index-footer", text, offset=source.size - 8)
        numbers = _numbers(footer[:-8], 4, source.size - FOOTER)
        self.meta: Handle = (numbers[0], numbers[1])
        self.index: Handle = (numbers[2], numbers[3])

    def items(self) -> Iterator[Item]:
        """All keys in the order of the file; a key that does not follow the one before it is observed."""
        for _ in self._entries(self.meta, "the meta-index block"):
            pass  # nothing is kept in it; that it is whole is checked
        last: bytes | None = None
        for place in self._entries(self.index, "the index block"):
            try:
                numbers = _numbers(place.value, 2, place.offset)
            except UnreadableFile as error:
                self._note("malformed-index", f"a handle in the index block: {error.reason}", place.offset)
                continue
            for item in self._entries((numbers[0], numbers[1]), "a block"):
                if last is not None and item.key <= last:
                    text = f"the key {_shown(item.key)} stands after {_shown(last)}; a lookup will not find it"
                    self._note("malformed-index", text, item.offset)
                last = item.key
                yield item

    def _note(self, kind: str, text: str, offset: int) -> None:
        self.seen.append(Observation(kind, text, offset=offset, where=self.source.name))

    def _entries(self, handle: Handle, what: str) -> Iterator[Item]:
        """The entries of a block, as far as they can be read."""
        try:
            data, raw = self._block(handle, what)
            yield from self._walk(data, handle[0], raw)
        except LimitExceeded:
            raise
        except UnreadableFile as error:
            self.damaged = True
            self._note(error.kind, error.reason, error.offset if error.offset is not None else handle[0])

    def _block(self, handle: Handle, what: str) -> tuple[bytes, bool]:
        """A block's content, and whether it stands in the file as it is."""
        offset, size = handle
        end = self.source.size - FOOTER
        if offset + size + _TRAILER > end:
            raise UnreadableFile("malformed-index", f"{what} of {size:,} bytes reaches past the end of the file", offset=offset)
        if size > self._budget:
            raise LimitExceeded("index_bytes", self.limits.index_bytes - self._budget + size, self.limits.index_bytes, offset=offset)
        stored = self.source.read(offset, size + _TRAILER)
        if masked(crc32c(stored[: size + 1])) != int.from_bytes(stored[size + 1 :], "little"):
            self._note("index-block-crc", f"the bytes of {what} at byte {offset:,} do not have the checksum that follows them", offset)
        if stored[size] == _RAW:
            data = stored[:size]
        elif stored[size] == _SNAPPY:
            data = uncompressed(stored[:size], self._budget)
        else:
            raise UnreadableFile("malformed-index", f"{what} is compressed by an unknown method, {stored[size]}", offset=offset + size)
        self._budget -= len(data)
        return data, stored[size] == _RAW

    def _walk(self, data: bytes, base: int, raw: bool) -> Iterator[Item]:
        if len(data) < 4:
            raise UnreadableFile("malformed-index", "a block without restart points", offset=base)
        restarts = int.from_bytes(data[-4:], "little")
        end = len(data) - 4 - 4 * restarts
        if end < 0:
            raise UnreadableFile("malformed-index", f"a block of {len(data):,} bytes with {restarts:,} restart points", offset=base)
        at, key = 0, b""
        while at < end:
            here = base + at if raw else base
            try:
                shared, at = _number(data, at)
                more, at = _number(data, at)
                length, at = _number(data, at)
            except IndexError:
                raise UnreadableFile("malformed-index", "an entry that ends within its lengths", offset=here) from None
            if shared > len(key) or at + more + length > end or shared + more > self.limits.name_bytes:
                raise UnreadableFile("malformed-index", "an entry whose lengths do not fit into its block", offset=here)
            key = key[:shared] + data[at : at + more]
            at += more
            yield Item(key, data[at : at + length], base + at if raw else base)
            at += length


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A varint of at most 32 bits, and where the next byte is."""
    value, shift = 0, 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 28:
            raise IndexError


def _numbers(data: bytes, wanted: int, offset: int) -> list[int]:
    """The first numbers of a handle or footer."""
    found: list[int] = []
    for value in varints(data, len(data), offset):
        found.append(value)
        if len(found) == wanted:
            return found
    raise UnreadableFile("malformed-index", "a handle that ends too early", offset=offset)


def _shown(key: bytes) -> str:
    return repr(key[:80].decode("utf-8", "backslashreplace"))
