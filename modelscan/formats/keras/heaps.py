"""Keeps from the HDF5 library what it cannot bear: global heaps whose objects do not lead to the heap's end.

The library walks a heap from object to object by their sizes and does not notice that one leads nowhere or back (`H5HGcache.c`,
`H5HG__cache_heap_deserialize`, HDF5 1.14): it never returns. Layout: HDF5 File Format Specification 3.0, III.E.
"""

from __future__ import annotations

import io

from modelscan.source import Source

_SIGNATURE = b"GCOL"
LARGEST = 1 << 26
"""A heap holds the names in an attribute; none of this size has been seen."""


class GuardedFile:
    """A source as the file object that h5py reads from, in which a heap without end has lost its signature: the library refuses it.

    It has no `readinto`: h5py makes a memory view of each of thousands of small reads when there is one. A read always gives what was asked
    for, zeros behind the end: h5py copies that many bytes without looking.
    """

    def __init__(self, source: Source, lengths: int) -> None:
        """`lengths`: bytes of a length, as the superblock says."""
        self.source = source
        self.size = source.size
        self._lengths = lengths
        self._sound: dict[int, bool] = {}
        self._position = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.IOBase.seek`."""
        self._position = offset if whence == io.SEEK_SET else offset + (self._position if whence == io.SEEK_CUR else self.size)
        return self._position

    def tell(self) -> int:
        """See `io.IOBase.tell`."""
        return self._position

    def read(self, n: int) -> bytes:
        """The `n` bytes from the position on."""
        offset = self._position
        self._position += n
        if offset + n > self.size:
            there = max(0, min(n, self.size - offset))
            return (self.source.read(offset, there) if there else b"") + bytes(n - there)
        data = self.source.read(offset, n)
        if data.startswith(_SIGNATURE) and not self._ends(offset):
            return bytes(len(_SIGNATURE)) + data[len(_SIGNATURE) :]
        return data

    def _ends(self, offset: int) -> bool:
        if offset not in self._sound:
            self._sound[offset] = self._walk(offset)
        return self._sound[offset]

    def _walk(self, offset: int) -> bool:
        head, wide = _aligned(8 + self._lengths), self._lengths
        if self.size - offset < head:
            return False
        size = int.from_bytes(self.source.read(offset + 8, wide), "little")
        if not head <= size <= min(LARGEST, self.size - offset):
            return False
        data = self.source.read(offset, size)
        at = head
        while at + head <= size:  # an object's header is as long as the heap's
            length = int.from_bytes(data[at + 8 : at + 8 + wide], "little")
            step = head + _aligned(length) if data[at] or data[at + 1] else length
            if not 0 < step <= size:
                return False
            at += step
        return True


def _aligned(size: int) -> int:
    return (size + 7) & ~7
