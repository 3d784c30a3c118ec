"""The datasets of an HDF5 file as stored tensors: metadata only, no link followed that leads elsewhere.

Facts from the HDF5 File Format Specification 3.0 (superblock: II.A).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from modelscan.errors import UnreadableFile
from modelscan.formats.keras.plain import read_plain
from modelscan.formats.keras.plainattr import NotPlainError
from modelscan.limits import Limits
from modelscan.model import Kind, Observation, StoredTensor
from modelscan.source import Cached, Source

SIGNATURE = b"\x89HDF\r\n\x1a\n"


class Padded:
    """A source with zeros behind its end, so that the whole parts of a truncated file can still be read."""

    def __init__(self, source: Source, size: int) -> None:
        self.source = source
        self.name = source.name
        self.size = size

    def read(self, offset: int, n: int) -> bytes:
        """See `Source.read`."""
        there = max(0, min(n, self.source.size - offset))
        return (self.source.read(offset, there) if there else b"") + bytes(n - there)


@dataclass
class Store:
    """What a weights file holds: datasets of an HDF5 file, or arrays of another container (`source` is then None)."""

    start: int
    """Where the HDF5 file begins in the outer file, a user block in front included: from there the library counts its offsets."""
    size: int
    """Bytes of the HDF5 file that are really there."""
    member: str | None
    """Its name in an archive, for messages."""
    beside: str | None = None
    """Its name when it is another file than the one that was named: the `StoredTensor.file` of its tensors."""
    tensors: dict[str, StoredTensor] = field(default_factory=dict)
    """By path without a leading slash, in the file's own order with numbers sorted as numbers."""
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    source: Source | None = None
    """The HDF5 file's bytes, zeros behind the end of one that is cut, and where its superblock lies in them."""
    base: int = 0


def superblock_end(source: Source) -> tuple[int, int] | None:
    """Where the superblock lies and how far from there the file reaches by its word, None when there is no superblock.

    The stored end counts from the file's beginning as its writer saw it: a block of other bytes in front (HDF5's user block) is part of it
    if the stored base address says so (`H5F__super_read` in `H5Fsuper.c`).
    """
    at = 0
    while at + 48 <= source.size:
        head = source.read(at, 48)
        if head.startswith(SIGNATURE):
            version = head[8]
            if version in (0, 1) and head[13] == 8:
                skip = 24 if version == 0 else 28
                block = source.read(at, min(64, source.size - at))
                return (at, _number(block, skip + 16) - _number(block, skip))
            if version in (2, 3) and head[9] == 8:
                return (at, _number(head, 28) - _number(head, 12))
            return (at, source.size - at)
        at = at * 2 if at else 512
    return None


def _number(block: bytes, at: int) -> int:
    return int.from_bytes(block[at : at + 8], "little")


def begin(source: Source, start: int, member: str | None, seen: list[Observation]) -> Store:
    """The HDF5 file in `source`, which begins at byte `start` of the outer file, with nothing listed yet.

    A file that is shorter than its superblock says is read as far as it goes, and that is noted.

    Raises:
        UnreadableFile: `malformed-hdf5` when there is no superblock.
    """
    ends = superblock_end(source)
    if ends is None:
        raise UnreadableFile("malformed-hdf5", "no HDF5 signature", where=(member,) if member else ())
    base, end = ends
    whole: Source = source
    if base + end > source.size and end < 1 << 62:
        text = f"the file ends at byte {source.size:,}, its superblock says {base + end:,}"
        seen.append(Observation("truncated-hdf5", text, offset=start + source.size, where=member))
        whole = Padded(source, base + end)
    elif base + end < source.size and member is None:
        text = f"{source.size - base - end:,} bytes follow the end of the HDF5 file at byte {base + end:,}"
        seen.append(Observation("trailing-bytes", text, offset=base + end))
    return Store(start, source.size, member, source=Cached(whole), base=base)


def read_store(source: Source, start: int, member: str | None, limits: Limits, seen: list[Observation], beside: str | None = None) -> Store:
    """The same with all datasets and the attributes of all groups; `beside` is the name of another file than the one that was named.

    Raises:
        UnreadableFile: `truncated-hdf5` or `malformed-hdf5` when nothing can make sense of it.
    """
    store = begin(source, start, member, seen)
    store.beside = beside
    try:
        _load_plain(store, limits)
    except NotPlainError:
        from modelscan.formats.keras.library import load

        load(store, limits, seen)
    return store


def _load_plain(store: Store, limits: Limits) -> None:
    if store.source is None or store.base or store.source.size > store.size:
        raise NotPlainError
    datasets, store.attributes = read_plain(store.source, limits)
    for path, one in datasets.items():
        kind = kind_of(path.replace("\\", "/"))
        place = store.start + one.address
        store.tensors[path] = StoredTensor(path, one.shape, one.dtype, one.nbytes, store.beside, place, kind)


def kind_of(path: str) -> Kind:
    """What a dataset is there for, by the places where Keras keeps each sort."""
    first = path.split("/", 1)[0]
    if first in _OF_OPTIMIZER:
        return Kind.OPTIMIZER
    if first in _OF_METRICS or "seed_generator" in path:
        return Kind.STATE
    if "optimizer" in path or "metrics" in path or "loss_tracker" in path:
        return _kind_within(path.split("/"))
    return Kind.WEIGHT


_OF_OPTIMIZER = ("optimizer", "optimizer_weights", "_optimizer")
_OF_METRICS = ("metrics", "_metrics", "compile_metrics", "loss_tracker", "_loss_tracker")
_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")


def _kind_within(parts: list[str]) -> Kind:
    """The same in an archive, where a model within a model that was compiled on its own keeps its optimizer with it.

    A container names its members after their classes: what lies there is a layer, whatever it is called.
    """
    for before, part, after in zip(parts, parts[1:], parts[2:], strict=False):
        if before not in _CONTAINERS and part in _OF_OPTIMIZER and after == "vars":
            return Kind.OPTIMIZER
        if before not in _CONTAINERS and part in _OF_METRICS and "vars" in parts:
            return Kind.STATE
    return Kind.WEIGHT
