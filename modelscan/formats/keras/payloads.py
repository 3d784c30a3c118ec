"""The values of a Keras file's weights: dense runs of bytes directly, chunked and compressed datasets through HDF5."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod

from modelscan.formats import Artifact
from modelscan.formats.keras.store import Store, open_store
from modelscan.formats.payload import BLOCK, raw_blocks
from modelscan.limits import Limits
from modelscan.model import Observation, StoredTensor
from modelscan.source import Source

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
        store: Store = open_store(source, start, None, seen)
        dataset = store.file.get(tensor.name)
        if dataset is None or dataset.dtype.kind in "OSUV" or dataset.external or dataset.is_virtual:
            continue
        plain = dataset.dtype.newbyteorder("<")
        if not dataset.shape:
            yield memoryview(dataset[()].astype(plain).tobytes())
            return
        row = max(1, prod(dataset.shape[1:]) * dataset.dtype.itemsize)
        if row > 64 * BLOCK:
            return  # a single row beyond any bound of memory: its values are not looked at
        rows = max(1, BLOCK // row)
        for first in range(0, dataset.shape[0], rows):
            yield memoryview(dataset[first : first + rows].astype(plain).tobytes())
        return
