"""The values of variables and constants, on demand; each entry's checksum is computed on the way."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from modelscan.errors import UnreadableFile
from modelscan.formats import Artifact
from modelscan.formats.payload import source_of, window_blocks
from modelscan.formats.tensorflow.bundle import read_bundle, width_of
from modelscan.formats.tensorflow.crc32c import crc32c, masked
from modelscan.formats.tensorflow.reader import locate
from modelscan.formats.tensorflow.sealed import check_strings, other_bytes
from modelscan.limits import MIB, Limits
from modelscan.model import StoredTensor
from modelscan.program import Checkpoint, Entry
from modelscan.source import Source, Tree

_MOST = 256 * MIB
"""Partitioned variables up to this size are put together in memory when their parts are no whole rows."""


def blocks(artifact: Artifact, tensor: StoredTensor, limits: Limits) -> Iterator[memoryview]:
    """See `formats.Format.blocks`.

    Raises:
        UnreadableFile: `entry-crc`, after the last block, when an entry's bytes do not have the checksum that the index states.
    """
    tree, checkpoint = _opened(artifact, limits)
    entry = checkpoint.entries.get(tensor.name) if checkpoint is not None else None
    if checkpoint is None or entry is None:
        if tensor.encoding == "raw" and tensor.offset is not None and tensor.nbytes:
            source = source_of(artifact, tensor) if tensor.file is None else tree.open(tensor.file)
            yield from window_blocks(source, tensor.offset, tensor.nbytes)
        return
    if width_of(entry.dtype) is None or tensor.encoding in ("unpacked", "big-endian"):
        for _ in _checked(tree, checkpoint, entry):  # the checksum all the same
            pass
    elif not entry.slices:
        yield from _checked(tree, checkpoint, entry)
    elif _is_rows(entry):
        for part in entry.slices:
            yield from _checked(tree, checkpoint, part)
    elif entry.nbytes <= _MOST:
        yield _joined(tree, checkpoint, entry)


_last: list[tuple[Artifact, Limits, Tree, Checkpoint | None]] = []
"""The artifact whose values are being read: its index is parsed once, not once for every variable."""


def _opened(artifact: Artifact, limits: Limits) -> tuple[Tree, Checkpoint | None]:
    found = next((one for one in _last if one[0] is artifact and one[1] == limits), None)
    if found is None:
        place = locate(artifact, limits, [])
        checkpoint = None
        if place.prefix is not None:
            try:
                checkpoint, _ = read_bundle(place.tree, place.prefix, limits, [])
            except UnreadableFile:  # the reader of the structure has told why
                checkpoint = None
        _last[:] = [found := (artifact, limits, place.tree, checkpoint)]
    return found[2], found[3]


def _checked(tree: Tree, checkpoint: Checkpoint, entry: Entry) -> Iterator[memoryview]:
    """The bytes of one entry; raises behind the last one when their checksum is another.

    Nothing where they are not all there: the reader of the structure has told of that.
    """
    if not 0 <= entry.shard < len(checkpoint.shards):
        return
    shard, size = checkpoint.shards[entry.shard].file, checkpoint.shards[entry.shard].nbytes
    if size is None or entry.offset < 0 or not 0 <= entry.nbytes <= size - entry.offset:
        return
    source: Source = tree.open(shard)
    if entry.dtype == "string":
        check_strings(source, entry)
        return
    crc = 0
    for block in window_blocks(source, entry.offset, entry.nbytes):
        crc = crc32c(block, crc)
        yield block
    if masked(crc) != entry.crc32c:
        raise other_bytes(source, entry)


def _is_rows(entry: Entry) -> bool:
    """Whether the parts, one after the other, are the whole: each is a run of rows, in order, with all columns."""
    row = 0
    for part in entry.slices:
        if part.extent is None or part.shape[1:] != entry.shape[1:] or not part.extent.starts or part.extent.starts[0] != row:
            return False
        row += part.shape[0]
    return True


def _joined(tree: Tree, checkpoint: Checkpoint, entry: Entry) -> memoryview:
    """The whole out of parts that lie in it in any way."""
    import numpy as np

    width = width_of(entry.dtype) or 1
    whole = np.zeros((*entry.shape, width), dtype=np.uint8)
    for part in entry.slices:
        data = b"".join(bytes(block) for block in _checked(tree, checkpoint, part))
        if not data:
            continue
        if part.extent is None or len(data) != prod(part.shape) * width:
            raise UnreadableFile("missing-slice", f"a part of {entry.key} has {len(data):,} bytes", offset=part.offset)
        place = tuple(slice(start, start + size) for start, size in zip(part.extent.starts, part.shape, strict=True))
        if whole[place].shape[:-1] != part.shape:
            raise UnreadableFile("missing-slice", f"a part of {entry.key} does not lie in it", offset=part.offset)
        whole[place] = np.frombuffer(data, dtype=np.uint8).reshape(*part.shape, width)
    return whole.reshape(-1).data
