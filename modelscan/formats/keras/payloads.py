"""The values of a Keras file's weights: dense runs of bytes directly, chunked and compressed datasets through HDF5."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod

import h5py

from modelscan.errors import UnreadableFile
from modelscan.formats import Artifact
from modelscan.formats.keras.library import open_file
from modelscan.formats.keras.store import begin
from modelscan.formats.payload import BLOCK, raw_blocks
from modelscan.limits import Limits
from modelscan.model import Observation, StoredTensor
from modelscan.source import Source

_LARGEST = 64 * BLOCK
"""A single row or chunk beyond this is not looked at, whatever it may hold."""
_DEFLATED = 1032
"""What deflate saves at most (zlib's technical notes): a dataset that declares more has never been written, so that there is nothing
to look at. `hdf5-extent` tells of those that were made to exhaust a reader."""
Opener = Callable[[Artifact, Limits], list[tuple[Source, int]]]


def hdf5_blocks(artifact: Artifact, tensor: StoredTensor, limits: Limits, sources: Opener) -> Iterator[memoryview]:
    """A tensor's elements, little-endian and dense, in blocks along its first dimension.

    Args:
        artifact: the file.
        tensor: one of its tensors.
        limits: bounds, already kept by the reader of the structure.
        sources: gives the HDF5 files of the artifact; each is tried for the tensor's path.
    """
    if tensor.encoding != "hdf5":
        yield from raw_blocks(artifact, tensor, limits)
        return
    seen: list[Observation] = []
    for source, start in sources(artifact, limits):
        file = open_file(begin(source, start, None, seen))
        try:
            dataset = file.get(tensor.name)
            if isinstance(dataset, h5py.Dataset) and not (dataset.dtype.kind in "OSUV" or dataset.external or dataset.is_virtual):
                yield from _rows(dataset)
                return
        except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise UnreadableFile("malformed-hdf5", f"its values cannot be read: {reason}", where=(tensor.name,)) from error


def _rows(dataset: h5py.Dataset) -> Iterator[memoryview]:
    plain = dataset.dtype.newbyteorder("<")
    row = max(1, prod(dataset.shape[1:]) * dataset.dtype.itemsize)
    chunk = prod(dataset.chunks or ()) * dataset.dtype.itemsize
    if max(row, chunk) > _LARGEST or dataset.nbytes > max(_LARGEST, dataset.id.get_storage_size() * _DEFLATED):
        return
    if not dataset.shape:
        yield memoryview(dataset[()].astype(plain).tobytes())
        return
    rows = max(1, BLOCK // row)
    if dataset.chunks is not None:  # a chunk is inflated once for each block that touches it
        rows = min(max(rows, dataset.chunks[0]), max(1, _LARGEST // row))
    for first in range(0, dataset.shape[0], rows):
        yield memoryview(dataset[first : first + rows].astype(plain).tobytes())
