"""A SavedModel inside a zip or a tar, read in place: nothing is extracted.

Stored members are windows of the archive. Compressed ones, and all of a gzip-compressed tar, are inflated in passing: what is kept
are states of the decompressor at intervals, from which any place can be reached again. Sources: POSIX.1-1988 (ustar) and the GNU tar
manual for the header, RFC 1952 for gzip, PKWARE's APPNOTE for zip.
"""

from __future__ import annotations

import zlib
from typing import Any

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats import Artifact
from modelscan.formats.keras.zipped import PICKLES, Archive
from modelscan.formats.tensorflow.detection import CHUNKED_MODEL, SAVED_MODEL, TEXT_MODEL, VARIABLES
from modelscan.limits import DEFAULT, MIB, Limits
from modelscan.model import Observation
from modelscan.source import Bytes, Cached, Source, Window

_BLOCK = 512
_STEP = 256 * 1024
_STATES = 32 * MIB
"""How far apart the kept states of the decompressor are."""
_LONG_NAME, _EXTENDED, _GLOBAL = b"L", b"x", b"g"
_REGULAR = (b"0", b"\0", b"7")
_MODELS = (SAVED_MODEL, TEXT_MODEL, CHUNKED_MODEL, f"{VARIABLES}.index")


class Inflated:
    """What a compressed part of a source holds, as a source of its own; reading ahead is cheap, going back costs one interval."""

    def __init__(self, source: Source, start: int, end: int, size: int | None, window: int, name: str, limits: Limits) -> None:
        """A stream in `[start, end)` of `source`; `size` is that of the content, `window` the kind of stream as zlib counts it."""
        self.source = source
        self.name = name
        self._start, self._end, self._window = start, end, window
        # Zeros, such as an optimizer's state before the first step, shrink a thousandfold: that alone is no bomb.
        self._most = max((end - start) * limits.inflate_ratio, limits.inflate_bytes)
        self._states: list[tuple[int, int, Any, bytes]] = []
        self._machine: Any = zlib.decompressobj(window)
        self._at, self._in, self._out = 0, start, 0
        self._rest = b""
        self._data = b""
        self._base = 0
        self.cut = False
        """Whether the stream ended before its end was said; known when all of it was inflated for its size."""
        self.size = 0
        self.size = size if size is not None else self._whole()

    def _whole(self) -> int:
        """The size of the content, which only inflating it tells."""
        while self._advance():
            pass
        size = self._out
        self.cut = not self._machine.eof
        self._rewind(0)
        return size

    def _rewind(self, offset: int) -> None:
        """Go back to the last kept state before `offset`."""
        usable = [one for one in self._states if one[0] <= offset]
        if usable:
            self._out, self._in, machine, rest = usable[-1]
            self._machine = machine.copy()
            self._rest = rest
        else:
            self._machine, self._in, self._out, self._rest = zlib.decompressobj(self._window), self._start, 0, b""
        self._data, self._base = b"", self._out

    def _advance(self) -> bool:
        """Inflate the next piece; False at the end of the stream."""
        if not self._states or self._out >= self._states[-1][0] + _STATES:
            self._states.append((self._out, self._in, self._machine.copy(), self._rest))
        piece = self._rest
        if not piece:
            piece = self.source.read(self._in, min(_STEP, self._end - self._in))
            self._in += len(piece)
        if not piece or self._machine.eof:
            return False
        try:
            data = self._machine.decompress(piece, 4 * _STEP)
        except zlib.error as error:
            raise UnreadableFile("damaged-archive", f"{self.name} cannot be inflated: {error}", offset=self._in) from error
        self._rest = self._machine.unconsumed_tail
        self._data, self._base = data, self._out
        self._out += len(data)
        if self._out > self._most:
            raise LimitExceeded("inflate_ratio", self._out, self._most, where=(self.name,))
        return bool(data) or bool(self._rest) or self._in < self._end

    def read(self, offset: int, n: int) -> bytes:
        """See `Source.read`."""
        if offset < 0 or n < 0 or offset + n > self.size:
            raise UnreadableFile("truncated-file", f"{n:,} bytes are needed and {max(0, self.size - offset):,} are left", offset=offset)
        if offset < self._base:
            self._rewind(offset)
        parts = []
        while n:
            begin = offset - self._base
            part = self._data[begin : begin + n] if begin < len(self._data) else b""
            if part:
                parts.append(part)
                offset += len(part)
                n -= len(part)
            elif not self._advance():
                raise UnreadableFile("truncated-file", f"{self.name} ends {n:,} bytes too early", offset=offset)
        return b"".join(parts)


class Members:
    """The files of an archive as a folder."""

    def __init__(self, name: str, places: dict[str, tuple[int, int]], source: Source) -> None:
        """`places` are the offset and size of each file in `source`."""
        self.name = name
        self._places = places
        self._source = source

    def names(self) -> list[str]:
        """See `Tree.names`."""
        return sorted(self._places)

    def size(self, relative: str) -> int | None:
        """See `Tree.size`."""
        place = self._places.get(relative)
        return None if place is None else place[1]

    def open(self, relative: str) -> Source:
        """See `Tree.open`."""
        if relative not in self._places:
            raise UnreadableFile("unreadable-file", f"{relative} is not in the archive")
        offset, size = self._places[relative]
        return Window(self._source, offset, min(size, self._source.size - offset), relative)


class ZipMembers:
    """The files of a zip archive as a folder."""

    def __init__(self, name: str, source: Source, limits: Limits, seen: list[Observation]) -> None:
        self.name = name
        self._limits = limits
        self._archive = Archive(source, limits, seen)
        self._archive.note_members(seen)

    def names(self) -> list[str]:
        """See `Tree.names`."""
        return sorted(name for name in self._archive.members if not name.endswith("/"))

    def size(self, relative: str) -> int | None:
        """See `Tree.size`."""
        member = self._archive.members.get(relative)
        return None if member is None else member.size

    def open(self, relative: str) -> Source:
        """See `Tree.open`."""
        member = self._archive.members.get(relative)
        if member is None:
            raise UnreadableFile("unreadable-file", f"{relative} is not in the archive")
        start = self._archive.data_start(member)
        end = min(start + member.stored, self._archive.source.size)
        if member.flags & 1 or member.method not in (0, 8):
            return self._archive.open(relative)[0]  # says why not
        if member.method == 0:
            return Window(self._archive.source, start, end - start, relative)
        return Inflated(self._archive.source, start, end, member.size, -zlib.MAX_WBITS, relative, self._limits)


Tree = Members | ZipMembers


def open_tree(artifact: Artifact, limits: Limits, seen: list[Observation]) -> Tree:
    """The inside of an archive; what is odd about it goes to `seen`.

    Raises:
        UnreadableFile: it is damaged.
        LimitExceeded: it has too many members, or inflates to too much.
    """
    opened = next((one for one in _opened if one[0] is artifact and one[1] == limits), None)
    if opened is None:
        found: list[Observation] = []
        _opened[:] = [opened := (artifact, limits, _tree(artifact, limits, found), found)]
    seen.extend(opened[3])
    return opened[2]


_opened: list[tuple[Artifact, Limits, Tree, list[Observation]]] = []
"""The archive that was opened last: to find out what is in a compressed one takes inflating all of it, which is done once."""


def _tree(artifact: Artifact, limits: Limits, seen: list[Observation]) -> Tree:
    source = artifact.source
    if source is None:
        raise UnreadableFile("not-a-regular-file", "a folder is no archive")
    if artifact.head.startswith(b"PK"):
        return ZipMembers(artifact.name, source, limits, seen)
    if artifact.head.startswith(b"\x1f\x8b"):
        source = Inflated(source, 0, source.size, None, 16 + zlib.MAX_WBITS, artifact.name, limits)
        if source.cut:
            text = f"{artifact.name} is cut off: its compressed stream has no end"
            seen.append(Observation("truncated-archive", text, offset=source.source.size))
    return Members(artifact.name, _tar_members(Cached(source), limits, seen), source)


def holds_model(artifact: Artifact) -> bool:
    """Whether there is a SavedModel in an archive."""
    try:
        return bool(models_in(open_tree(artifact, DEFAULT, [])))
    except LimitExceeded:
        raise
    except UnreadableFile:
        return False


def models_in(tree: Tree) -> list[str]:
    """The folders of an archive that are SavedModels, the outermost first."""
    found = {name[: -len(last)] for name in tree.names() for last in _MODELS if name == last or name.endswith(f"/{last}")}
    return sorted(found, key=lambda folder: (folder.count("/"), folder))


def begins_with_model(data: bytes) -> bool:
    """Whether the first bytes of a tar, compressed or not, have a SavedModel among their members."""
    if data.startswith(b"\x1f\x8b"):
        try:
            data = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, len(data) + 16 * MIB)
        except zlib.error:
            return False
    source = Bytes(data)
    return bool(models_in(Members("", _tar_members(source, DEFAULT, []), source)))


def _tar_members(source: Source, limits: Limits, seen: list[Observation]) -> dict[str, tuple[int, int]]:
    """Offset and size of every regular file; what escapes or links is observed."""
    found: dict[str, tuple[int, int]] = {}
    at, long_name, count = 0, "", 0
    while at + _BLOCK <= source.size:
        header = source.read(at, _BLOCK)
        if not header.strip(b"\0"):
            break
        size = _octal(header[124:136], at)
        kind, data = header[156:157], at + _BLOCK
        at = data + (size + _BLOCK - 1) // _BLOCK * _BLOCK
        count += 1
        if count > limits.archive_members:
            raise LimitExceeded("archive_members", count, limits.archive_members, offset=data)
        if kind in (_LONG_NAME, _EXTENDED):
            if size > limits.name_bytes:
                raise LimitExceeded("name_bytes", size, limits.name_bytes, offset=data)
            text = source.read(data, min(size, source.size - data))
            long_name = text.rstrip(b"\0").decode("utf-8", "backslashreplace") if kind == _LONG_NAME else _path(text) or long_name
            continue
        name = long_name or _plain_name(header)
        long_name = "" if kind != _GLOBAL else long_name
        name = name.removeprefix("./")
        parts = name.split("/")
        if name.startswith("/") or ".." in parts:
            text_ = f"the member {name!r} would be unpacked outside of the model's folder"
            seen.append(Observation("member-escape", text_, offset=data - _BLOCK, where=name))
        elif kind in (b"1", b"2"):
            seen.append(Observation("member-link", f"the member {name!r} is a link", offset=data - _BLOCK, where=name))
        elif kind in _REGULAR and not name.endswith("/"):
            if data + size > source.size:
                there = max(0, source.size - data)
                text_ = f"the archive ends {size - there:,} bytes before the end of its member {name}"
                seen.append(Observation("truncated-archive", text_, offset=data, where=name))
                size = there
            if name.lower().endswith(PICKLES):
                seen.append(Observation("pickle-member", f"the member {name!r} is a pickle", offset=data - _BLOCK, where=name))
            found[name] = (data, size)
    return found


def _plain_name(header: bytes) -> str:
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0] if header[257:263] == b"ustar\0" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "backslashreplace")


def _octal(field: bytes, at: int) -> int:
    """A number of the header: octal digits, or binary with the top bit set for what is larger."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.strip(b"\0 ") or b"0", 8)
    except ValueError:
        raise UnreadableFile("damaged-archive", "no tar archive: a size that is no number", offset=at) from None


def _path(records: bytes) -> str:
    """The `path` of an extended header: records of length, blank, keyword, `=`, value and newline."""
    for record in records.split(b"\n"):
        head, _, value = record.partition(b"=")
        if head.endswith(b" path"):
            return value.decode("utf-8", "backslashreplace")
    return ""
