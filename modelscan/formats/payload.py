"""The bytes of a stored tensor, in blocks of bounded size, for those who asked to read values.

A format whose payloads are no dense run of bytes brings its own `blocks` function (see `formats.Format.blocks`).
"""

from __future__ import annotations

from collections.abc import Iterator

from modelscan.errors import UnreadableFile
from modelscan.formats import Artifact
from modelscan.limits import Limits
from modelscan.model import StoredTensor
from modelscan.source import LocalFile, Source

BLOCK = 1 << 20
"""Large enough to make a system call cheap, small enough to stay in the processor's cache while it is looked at."""


def source_of(artifact: Artifact, tensor: StoredTensor) -> Source:
    """The source that `tensor.offset` counts in: the artifact's own file, or one beside it."""
    if tensor.file is not None:
        return artifact.folder.open(tensor.file)
    if artifact.source is None:
        raise UnreadableFile("unreadable-file", f"the file that holds {tensor.name} is not known")
    return artifact.source


def raw_blocks(artifact: Artifact, tensor: StoredTensor, limits: Limits) -> Iterator[memoryview]:
    """The payload of a tensor that is one dense run of bytes; nothing for an encoding that is not."""
    del limits  # the block size is the bound
    if tensor.encoding != "raw" or tensor.offset is None or not tensor.nbytes:
        return
    yield from window_blocks(source_of(artifact, tensor), tensor.offset, tensor.nbytes)


def window_blocks(source: Source, offset: int, nbytes: int) -> Iterator[memoryview]:
    """`nbytes` bytes of a source from `offset`; one buffer is used for all blocks of a local file."""
    if not isinstance(source, LocalFile):
        for start in range(offset, offset + nbytes, BLOCK):
            yield memoryview(source.read(start, min(BLOCK, offset + nbytes - start)))
        return
    if offset < 0 or offset + nbytes > source.size:
        raise UnreadableFile("truncated-file", f"{nbytes:,} bytes are needed and {max(0, source.size - offset):,} are left", offset=offset)
    buffer = memoryview(bytearray(min(BLOCK, nbytes)))
    end = offset + nbytes
    while offset < end:
        part = buffer[: min(BLOCK, end - offset)]
        filled = 0
        while filled < len(part):
            read = source.read_into(offset + filled, part[filled:])
            if not read:
                raise UnreadableFile("truncated-file", f"{source.name} became shorter while it was read", offset=offset + filled)
            filled += read
        yield part
        offset += len(part)
