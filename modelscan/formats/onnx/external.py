"""Tensor payloads in other files: located and measured, never read, and never looked for outside of the model's folder."""

from __future__ import annotations

from collections.abc import Callable

from modelscan import dtypes
from modelscan.errors import UnreadableFile
from modelscan.formats.onnx.context import Reading
from modelscan.model import Severity
from modelscan.source import hard_links, is_file

_KEYS = frozenset({"location", "offset", "length", "checksum", "basepath"})
"""Keys of the specification (docs/ExternalData.md), and `basepath`, which the onnx package itself used to write."""
Note = Callable[..., None]
Place = tuple[str | None, int | None, int | None]
_GAP = 1 << 20
"""Bytes between two tensors that are more than any alignment (writers align to 4 KiB or 64 KiB)."""


def locate(reading: Reading, entries: list[tuple[str, str]], full: str, dtype: str, elements: int, where: str, start: int) -> Place:
    """File, offset and bytes of an external payload; everything that is wrong with it is noted."""
    where = f"{where}.external_data"
    found = dict(entries)

    def note(kind: str, text: str, severity: Severity | None = None) -> None:
        reading.note(kind, f"{full}: {text}", tensor=full, offset=start, where=where, severity=severity)

    _check_keys(entries, found, note)
    location = found.get("location", "")
    if not location:
        note("external-data-missing", "no location is given")
        return None, None, None
    try:
        offset = _number(found, "offset") or 0
        length = _number(found, "length")
    except ValueError as error:
        note("external-data-range", str(error))
        return location, None, None
    needed = dtypes.nbytes(dtype, elements)
    size = _size(reading, location, note)
    taken = needed if length is None else length
    if needed is None:
        note("payload-field", "strings cannot lie in an external file")
        return location, offset, taken
    if length is not None and length != needed:
        note("external-data-length", f"length is {length:,}, {needed:,} needed for {elements:,} × {dtype}")
    if size is not None and taken is not None:
        if offset + taken > size:
            note("external-data-range", f"bytes {offset:,} to {offset + taken:,} of {location}, which has {size:,}")
        elif taken:
            reading.external.setdefault(location, []).append((offset, taken, full))
        if length is None and size - offset > taken:
            text = f"no length is given; {size - offset:,} bytes follow, {taken:,} needed"
            note("external-data-length", text, Severity.MEDIUM)  # ONNX Runtime takes what it needs, the onnx package all that follows
    return location, offset, taken


def _check_keys(entries: list[tuple[str, str]], found: dict[str, str], note: Note) -> None:
    for key in sorted(found.keys() - _KEYS):
        if not key.startswith("prepacked"):  # ONNX Runtime's own, for weights saved in its kernels' layout
            note("external-data-key", f"unknown key {key[:80]!r}", Severity.HIGH if key.startswith("_") else None)
    if len(found) < len(entries):
        note("external-data-key", "a key is given twice")


def _number(found: dict[str, str], key: str) -> int | None:
    """A number of bytes, None if it is not given."""
    text = found.get(key)
    if text is None:
        return None
    if len(text) > 20 or not text.isascii() or not text.isdigit():
        raise ValueError(f"{key} is {text[:40]!r}, not a number of bytes")
    return int(text)


def _size(reading: Reading, location: str, note: Note) -> int | None:
    """Size of the file, None when it is missing or lies outside; asked of the system once for each file."""
    if location in reading.external_sizes:
        return reading.external_sizes[location]
    size: int | None = None
    try:
        size = reading.artifact.folder.size(location)
    except UnreadableFile as error:
        note(error.kind, error.reason)
    except ValueError as error:  # a name that the operating system cannot have
        note("external-data-missing", f"{location!r}: {error}")
    else:
        if size is None:
            note("external-data-missing", f"{location} is not there")
        elif is_file(reading.artifact.folder, location, reading.artifact.path):
            note("external-data-overlap", f"{location} is the model file itself")
        elif (names := hard_links(reading.artifact.folder, location)) > 1:
            note("external-data-hard-link", f"{location} has {names} names on its disk; others may lie outside of the model's folder")
    reading.external_sizes[location] = size
    return size


def check_layout(reading: Reading) -> None:
    """Overlaps and large gaps between the tensors of each external file."""
    for location, ranges in reading.external.items():
        ranges.sort()
        end, owner = 0, ""
        gaps = 0
        before = (-1, -1)
        for offset, length, name in ranges:
            if (offset, length) == before:  # one weight under two names
                continue
            before = (offset, length)
            if offset < end:
                text = f"{name} begins at byte {offset:,} of {location}, inside {owner}"
                reading.note("external-data-overlap", text, tensor=name, offset=offset, where=location)
            elif offset - end > _GAP:
                gaps += offset - end
            if offset + length > end:
                end, owner = offset + length, name
        size = reading.external_sizes.get(location) or 0
        gaps += size - end if size - end > _GAP else 0
        if gaps:
            reading.note("external-data-gap", f"{gaps:,} bytes of {location} ({size:,}) belong to no tensor", where=location)
