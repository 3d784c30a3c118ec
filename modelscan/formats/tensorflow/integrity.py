"""Whether a checkpoint's entries fit its shards: their bounds, their sizes, each byte in one entry; whatever can be told without values."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from modelscan.formats.tensorflow.bundle import width_of
from modelscan.model import Observation, Severity, shape_text
from modelscan.program import Checkpoint, Entry, Shard

_SHOWN = 20
"""Entries that one kind of trouble names, one by one; the rest is counted."""
_ALIGNMENTS = (4096, 512, 64, 32, 16, 8, 4)
"""What a writer may align its entries to (`BundleWriter::Options::data_alignment`)."""


def check_entries(checkpoint: Checkpoint, whole: bool) -> list[Observation]:
    """What is wrong between the index and its shards; `whole` tells whether all entries are known."""
    seen: list[Observation] = []
    by_shard: dict[int, list[Entry]] = {}
    for entry in _stored(checkpoint):
        seen.extend(_size(entry))
        if 0 <= entry.shard < len(checkpoint.shards):
            by_shard.setdefault(entry.shard, []).append(entry)
        else:
            text = f"{entry.key} lies in shard {entry.shard} of {len(checkpoint.shards)}"
            seen.append(Observation("entry-out-of-bounds", text, tensor=entry.key, where=f"{checkpoint.prefix}.index"))
    for number, shard in enumerate(checkpoint.shards):
        seen.extend(_shard(shard, by_shard.get(number, []), whole))
    for entry in checkpoint.entries.values():
        seen.extend(_slices(entry))
    return _bounded(seen)


def _stored(checkpoint: Checkpoint) -> Iterator[Entry]:
    """Every entry that has bytes of its own."""
    for entry in checkpoint.entries.values():
        if entry.slices:
            yield from entry.slices
        else:
            yield entry


def _size(entry: Entry) -> Iterator[Observation]:
    """Bytes of an entry against its type and shape."""
    width = width_of(entry.dtype)
    if entry.dtype.startswith("type "):
        text = f"{entry.key} is of an element type that TensorFlow does not have, number {entry.dtype[5:]}"
        yield Observation("entry-size", text, tensor=entry.key)
        return
    if width is None:
        least = prod(entry.shape) + 4 if entry.dtype == "string" else 0  # a length each, and the checksum of the lengths
        if entry.nbytes < least:
            text = f"{entry.key} has {entry.nbytes:,} bytes; {prod(entry.shape):,} strings take {least:,} at least"
            yield Observation("entry-size", text, tensor=entry.key, offset=entry.offset)
        return
    needed = prod(entry.shape) * width
    if needed != entry.nbytes:
        text = f"{entry.key} has {entry.nbytes:,} bytes; {shape_text(entry.shape)} {entry.dtype} takes {needed:,}"
        yield Observation("entry-size", text, tensor=entry.key, offset=entry.offset)


def _shard(shard: Shard, entries: list[Entry], whole: bool) -> Iterator[Observation]:
    """One data file against the entries that lie in it."""
    end = max((one.offset + one.nbytes for one in entries), default=0)
    if shard.nbytes is None:
        if entries:
            text = f"{shard.file} is not there; it holds {len(entries):,} entries, {end:,} bytes"
            yield Observation("missing-checkpoint-shard", text, where=shard.file)
    elif end > shard.nbytes:
        past = [one for one in entries if one.offset + one.nbytes > shard.nbytes]
        for one in past:
            text = f"{one.key} ends at byte {one.offset + one.nbytes:,} of {shard.file}, which has {shard.nbytes:,}"
            yield Observation("entry-out-of-bounds", text, tensor=one.key, offset=one.offset, where=shard.file)
    elif shard.nbytes > end and whole:
        text = f"{shard.nbytes - end:,} bytes of {shard.file} from byte {end:,} on belong to no entry"
        yield Observation("unreferenced-bytes", text, offset=end, where=shard.file)
    last: Entry | None = None
    alignment = next((step for step in _ALIGNMENTS if all(one.offset % step == 0 for one in entries)), 1)
    for one in sorted(entries, key=lambda entry: (entry.offset, entry.nbytes, entry.key)):
        if one.offset < 0 or one.nbytes < 0:
            text = f"{one.key} lies at byte {one.offset:,} with a size of {one.nbytes:,}"
            yield Observation("entry-out-of-bounds", text, tensor=one.key, where=shard.file)
            continue
        begin = 0 if last is None else last.offset + last.nbytes
        if last is not None and one.offset < begin and one.nbytes:
            text = f"{one.key} begins at byte {one.offset:,} of {shard.file}, inside of {last.key}, which ends at {begin:,}"
            yield Observation("overlapping-entries", text, tensor=one.key, offset=one.offset, where=shard.file)
        elif one.offset - begin >= alignment and whole:
            text = f"{one.offset - begin:,} bytes of {shard.file} from byte {begin:,} on belong to no entry"
            yield Observation("unreferenced-bytes", text, offset=begin, where=shard.file)
        if last is None or one.offset + one.nbytes >= begin:
            last = one


def _slices(entry: Entry) -> Iterator[Observation]:
    """The parts of a partitioned variable: whether they have the shape they claim and cover the whole once."""
    if not entry.slices:
        return
    covered = 0
    for part in entry.slices:
        extent = part.extent
        if extent is None:
            continue
        sizes = tuple(size if length < 0 else length for size, length in zip(entry.shape, extent.lengths, strict=False))
        ends = (start + length for start, length in zip(extent.starts, sizes, strict=False))
        if len(extent.starts) != len(entry.shape) or any(end > size for end, size in zip(ends, entry.shape, strict=False)):
            text = f"a part of {entry.key} at {extent.starts} of {extent.lengths} does not lie in {shape_text(entry.shape)}"
            yield Observation("missing-slice", text, tensor=entry.key, offset=part.offset)
        elif sizes != part.shape or part.dtype != entry.dtype:
            text = f"a part of {entry.key} is {shape_text(part.shape)} {part.dtype}; {shape_text(sizes)} {entry.dtype} is asked for"
            yield Observation("missing-slice", text, tensor=entry.key, offset=part.offset)
        covered += prod(sizes)
    if covered != prod(entry.shape):
        text = f"the parts of {entry.key} hold {covered:,} elements, the whole has {prod(entry.shape):,}"
        yield Observation("missing-slice", text, tensor=entry.key)


def _bounded(seen: list[Observation]) -> list[Observation]:
    """The first of each kind one by one, and the number of the others."""
    kept: list[Observation] = []
    counts: dict[str, int] = {}
    for one in seen:
        counts[one.kind] = counts.get(one.kind, 0) + 1
        if counts[one.kind] <= _SHOWN:
            kept.append(one)
    for kind, count in counts.items():
        if count > _SHOWN:
            kept.append(Observation(kind, f"{count - _SHOWN:,} more entries are like this", severity=Severity.INFO))
    return kept
