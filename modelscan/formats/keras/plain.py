"""Plain HDF5 files, read without the HDF5 library: importing that takes longer than everything else that a small model needs.

Plain is what h5py writes unless it is told otherwise, and with it nearly every file of Keras: superblock 0, groups as symbol tables,
contiguous datasets of plain numbers, attributes that are texts. Whatever is not exactly so, damage above all, ends in `NotPlainError`:
the library reads the file then and says what is the matter with it. So nothing is judged here, and no check is weaker than the library's:
what it would complain of must not pass.

Layout: HDF5 File Format Specification 3.0: superblock II.A, B-trees III.A.1, symbol tables III.B and III.C, local heaps III.D, object
headers IV.A.1, messages IV.A.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from struct import Struct
from struct import error as struct_error
from typing import NamedTuple

from modelscan.formats.keras.heaps import LARGEST
from modelscan.formats.keras.naming import natural
from modelscan.formats.keras.plainattr import Attributes, NotPlainError, Texts, demand, simple_shape
from modelscan.limits import GIB, Limits
from modelscan.source import Source

_UNDEFINED = (1 << 64) - 1
_SUPERBLOCK = Struct("<8s8sHHIQQQQQQI4xQQ")
_PREFIX = b"\x00\x00\x00\x00\x00\x08\x08\x00"
"""Versions of the superblock and its parts, all 0; addresses and lengths of 8 bytes."""
_HEADER = Struct("<BxHII")
_MESSAGE = Struct("<HHB")
_TREE = Struct("<4sBBHQQ")
_HEAP = Struct("<4sB3xQQQ")
_TABLE = Struct("<4sBxH")
_ENTRY = Struct("<QQI4xQQ")
_PAIR = Struct("<QQ")
_NIL, _SPACE, _TYPE, _FILL, _LAYOUT, _ATTRIBUTE, _CONTINUATION, _TABLE_AT, _CHANGED = 0, 1, 3, 5, 8, 12, 16, 17, 18
_GROUP, _DATASET = frozenset({_ATTRIBUTE, _TABLE_AT}), frozenset({_SPACE, _TYPE, _FILL, _LAYOUT, _CHANGED, _ATTRIBUTE})
_FILLS = frozenset(bytes((2, when, how, 1, 0, 0, 0, 0)) for when in (1, 2, 3) for how in (0, 1, 2))
"""Version 2, no value of the author's own."""
_SINGLE = frozenset({_SPACE, _TYPE, _FILL, _LAYOUT})
_CHANGE = b"\1\0\0\0"
"""Version 1 of the time of the last change."""
_LONGEST = 1024
"""Bytes of a name, a bound on what many links to one long name cost."""
_USUAL_HEADER, _USUAL_HEAP = 16 + 256, _HEAP.size + 88
"""Bytes of a dataset's header, and of a heap of few names with them: one read instead of two."""
_FLAGS = (0, 1, 4, 5)
"""A message that does not change, one that may not be shared."""
_CONTIGUOUS = b"\x03\x01"
_END_OF_LIST = 1
"""Where the next free piece of a local heap would be."""


def _float(size: int, exponent: int, mantissa: int) -> bytes:
    bias = (1 << (exponent - 1)) - 1
    head = bytes((0x11, 0x20, 8 * size - 1, 0)) + size.to_bytes(4, "little") + bytes((0, 0, 8 * size, 0))
    return head + bytes((mantissa, exponent, 0, mantissa)) + bias.to_bytes(4, "little")


def _integer(size: int, signed: bool) -> bytes:
    return bytes((0x10, 8 * signed, 0, 0)) + size.to_bytes(4, "little") + bytes((0, 0, 8 * size, 0))


_FLOATS = {_float(2, 5, 10): ("float16", 2), _float(4, 8, 23): ("float32", 4), _float(8, 11, 52): ("float64", 8)}
_INTEGERS = {_integer(size, signed): (f"{'' if signed else 'u'}int{8 * size}", size) for size in (1, 2, 4, 8) for signed in (False, True)}
"""Datatype messages of the element types that are read here: their name and bytes."""


Table = tuple[int, int]
"""Where the tree of a group's links lies, and where the heap of their names."""
Link = tuple[bytes, int, Table | None]
"""Name and address of a member of a group, and its table, where the member is a group and that is noted with the link."""
Chain = dict[int, tuple[int, int]]
"""By level of a group's tree: the last node seen there, and the one that it says is to the right of it."""


class Dataset(NamedTuple):
    """Numbers that lie in one place of the file."""

    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    address: int


class _Reader:
    """One file: its groups and datasets, found by address."""

    def __init__(self, source: Source, limits: Limits) -> None:
        """Reads the superblock; raises `NotPlainError` as everything here does."""
        self.limits = limits
        demand(source.size >= _SUPERBLOCK.size)
        fields = _SUPERBLOCK.unpack(source.read(0, _SUPERBLOCK.size))
        signature, prefix, leaf, internal, flags, base, free, end, driver, _, root, cached, tree, heap = fields
        demand(signature == b"\x89HDF\r\n\x1a\n" and prefix == _PREFIX and leaf > 0 and internal > 0)
        demand((flags, base, free, driver) == (0, 0, _UNDEFINED, _UNDEFINED) and end <= source.size)
        self.source = source
        self.end: int = end
        self.budget: int = min(2 * end, 2 * GIB)
        """Bytes that may yet be read; in a sound file none is needed more than twice, and most are not metadata."""
        self.names_of_table: int = 2 * leaf
        self.children_of_tree: int = 2 * internal
        self.addresses: set[int] = set()
        self.objects = 0
        self.attributes = Attributes(self.read, min(end, GIB))
        self.root: int = root
        demand(cached <= 1)
        self.root_table = (tree, heap) if cached else None
        self.datasets: dict[str, Dataset] = {}
        self.groups: dict[str, dict[str, Texts]] = {}

    def read(self, at: int, size: int) -> bytes:
        """Bytes of the file."""
        self.budget -= size
        demand(0 <= size <= LARGEST and at + size <= self.end and self.budget >= 0)
        return self.source.read(at, size)

    def once(self, at: int) -> int:
        """An address that nothing else may have led to."""
        demand(at not in self.addresses)
        self.addresses.add(at)
        return at

    def messages(self, at: int) -> dict[int, list[bytes]]:
        """The bodies of an object's header messages by type, those without meaning left out."""
        ahead = self.read(self.once(at), min(_USUAL_HEADER, self.end - at))
        version, count, _, size = _HEADER.unpack_from(ahead)
        demand(version == 1)
        found: dict[int, list[bytes]] = {}
        blocks = [(at + 16, size)]
        for begin, size in blocks:
            block = ahead[16 : 16 + size] if begin == at + 16 and 16 + size <= len(ahead) else self.read(begin, size)
            place = 0
            while place + 8 <= size:
                kind, length, flags = _MESSAGE.unpack_from(block, place)
                place += 8
                demand(flags in _FLAGS and place + length <= size)
                count -= 1
                if kind == _CONTINUATION:
                    demand(length >= 16)
                    more, room = _PAIR.unpack_from(block, place)
                    blocks.append((self.once(more), room))
                elif kind != _NIL:
                    found.setdefault(kind, []).append(block[place : place + length])
                place += length
            demand(place == size)
        demand(count == 0)
        return found

    def group(self, found: dict[int, list[bytes]], path: str, table: Table | None, depth: int) -> None:
        """A group with everything below it."""
        demand(found.keys() <= _GROUP and len(found.get(_TABLE_AT, ())) == 1 and depth <= self.limits.hdf5_depth)
        tree, heap = _PAIR.unpack_from(found[_TABLE_AT][0])
        demand(table in (None, (tree, heap)))
        self.groups[path] = self.attributes.of(found.get(_ATTRIBUTE, ()))
        members = [(name.decode("utf-8", "surrogateescape"), address, table) for name, address, table in self.links(tree, heap)]
        for name, address, noted in sorted(members, key=lambda member: natural(member[0])):
            below = f"{path}/{name}" if path else name
            messages = self.messages(address)
            if _TABLE_AT in messages:
                self.group(messages, below, noted, depth + 1)
            else:
                demand(noted is None)
                self.datasets[below] = self.dataset(messages)

    def dataset(self, found: dict[int, list[bytes]]) -> Dataset:
        """A dataset by its header."""
        demand(found.keys() <= _DATASET and found.keys() >= _SINGLE and all(len(found[kind]) == 1 for kind in _SINGLE))
        shape, _ = simple_shape(found[_SPACE][0])
        kind, layout = found[_TYPE][0], found[_LAYOUT][0]
        named = _FLOATS.get(kind[:20]) or _INTEGERS.get(kind[:12])
        demand(named is not None and found[_FILL][0][:8] in _FILLS and all(one[:4] == _CHANGE for one in found.get(_CHANGED, ())))
        dtype, itemsize = named or ("", 0)
        address, size = _PAIR.unpack_from(layout, 2)
        demand(layout[:2] == _CONTIGUOUS and 0 < size == itemsize * prod(shape) and address > 0 and address + size <= self.end)
        return Dataset(shape, dtype, size, address)

    def links(self, tree: int, heap: int) -> list[Link]:
        """Name, address and (of some groups) symbol table of what lies in a group, by name."""
        names = self._heap(heap)
        chain: Chain = {}
        found = [link for table in self._tables(tree, names, b"", None, None, chain) for link in table]
        demand(all(right == _UNDEFINED for _, right in chain.values()))
        self.objects += len(found)
        demand(self.objects <= self.limits.hdf5_objects)
        return found

    def _heap(self, at: int) -> bytes:
        """The names of a group, its free pieces looked through as the library does."""
        ahead = self.read(self.once(at), min(_USUAL_HEAP, self.end - at))
        signature, version, size, free, address = _HEAP.unpack_from(ahead)
        demand(signature == b"HEAP" and version == 0)
        end = _HEAP.size + size
        data = ahead[_HEAP.size : end] if self.once(address) == at + _HEAP.size and end <= len(ahead) else self.read(address, size)
        pieces = 0
        while free != _END_OF_LIST:
            demand(pieces <= size // 16 and free + 16 <= size)
            following, length = _PAIR.unpack_from(data, free)
            demand(following != 0 and 16 <= length <= size - free)
            free, pieces = following, pieces + 1
        return data

    def _tables(self, at: int, names: bytes, low: bytes, high: bytes | None, level: int | None, chain: Chain) -> Iterator[list[Link]]:
        """The symbol tables below a node of a group's tree; all names are above `low` and not above `high`, as a look-up supposes."""
        size = 24 + 16 * self.children_of_tree + 8
        block = self.read(self.once(at), size)
        signature, kind, own, count, left, right = _TREE.unpack_from(block)
        demand(signature == b"TREE" and kind == 0 and count <= self.children_of_tree and own < 8 and level in (None, own))
        beside = chain.get(own, (_UNDEFINED, at))
        demand(beside == (left, at))
        chain[own] = (at, right)
        keys = [_name(names, int.from_bytes(block[place : place + 8], "little")) for place in range(24, 24 + 16 * count + 1, 16)]
        demand(not count or (keys[0] >= low and (high is None or keys[-1] <= high)))
        for index in range(count):
            place = 32 + 16 * index
            child = int.from_bytes(block[place : place + 8], "little")
            if own:
                yield from self._tables(child, names, keys[index], keys[index + 1], own - 1, chain)
            else:
                yield self._table(child, names, keys[index], keys[index + 1])

    def _table(self, at: int, names: bytes, low: bytes, high: bytes) -> list[Link]:
        block = self.read(self.once(at), _TABLE.size + _ENTRY.size * self.names_of_table)
        signature, version, count = _TABLE.unpack_from(block)
        demand(signature == b"SNOD" and version == 1 and 0 < count <= self.names_of_table)
        found: list[Link] = []
        for index in range(count):
            at_name, address, cached, tree, heap = _ENTRY.unpack_from(block, _TABLE.size + _ENTRY.size * index)
            name = _name(names, at_name)
            demand(low < name <= high and cached <= 1 and b"/" not in name and name != b".")
            found.append((name, address, (tree, heap) if cached else None))
            low = name
        return found


def _name(names: bytes, at: int) -> bytes:
    end = names.find(b"\0", at, at + _LONGEST)
    demand(0 <= at <= end)
    return names[at:end]


def read_plain(source: Source, limits: Limits) -> tuple[dict[str, Dataset], dict[str, dict[str, Texts]]]:
    """The datasets and the attributes of all groups by path, in the order in which the library's reader lists them.

    Args:
        source: the file, which begins with its superblock.
        limits: bounds on depth and number of objects.

    Raises:
        NotPlainError: the library has to read this file.
    """
    try:
        reader = _Reader(source, limits)
        reader.group(reader.messages(reader.root), "", reader.root_table, 0)
    except struct_error:
        raise NotPlainError from None
    return reader.datasets, reader.groups
