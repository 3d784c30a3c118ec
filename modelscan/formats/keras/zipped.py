"""A zip archive read in place: its directory, its members as windows, and everything that is odd about it.

Source: PKWARE APPNOTE 6.3.10 (local header: 4.3.7, central directory: 4.3.12, end record: 4.3.16).
"""

from __future__ import annotations

import bz2
import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from itertools import islice
from typing import Protocol

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats.foreign import is_pickle
from modelscan.formats.zipend import check_directory
from modelscan.limits import Limits
from modelscan.model import Observation, Severity
from modelscan.records import record
from modelscan.source import Bytes, Cached, Source, SourceFile, Window

_LOCAL = struct.Struct("<4sHHHHHLLLHH")
_STORED = 0
_ENCRYPTED, _PATCHED = 0x41, 0x20
"""Flags of a member (APPNOTE 4.4.4); `zipfile` refuses both."""
_UNICODE_PATH = 0x7075
"""Extra field (APPNOTE 4.6.9): version, checksum of the name that it replaces, the name. Python's `zipfile` follows it from 3.12 on."""
_SNIFFED = 1_000
"""Members whose first bytes are looked at."""
_PROGRAMS = (b"\x7fELF", b"MZ", b"#!", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe")
_CODE = (".py", ".pyc", ".so", ".dll", ".dylib", ".exe", ".sh", ".bat", ".ps1", ".js", ".jar")
PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".dill")
"""Suffixes of files that are pickles or archives of them."""


@record(frozen=True, slots=True)
class Member:
    """One entry: where its data begin, how many bytes they are stored in, and what they inflate to."""

    name: str
    method: int
    flags: int
    crc: int | None
    """None where nothing tells it."""
    stored: int
    size: int
    header: int
    mode: int = 0


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


_DAMAGED = (zlib.error, OSError, lzma.LZMAError, EOFError)
"""What the decompressors raise on bytes that are none of theirs."""


class _Lzma:
    """LZMA as zip archives hold it: a version, the length of the properties and the properties stand in front (APPNOTE 5.8.8)."""

    def __init__(self) -> None:
        self._head = b""
        self._machine: lzma.LZMADecompressor | None = None

    @property
    def eof(self) -> bool:
        return self._machine is not None and self._machine.eof

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        if self._machine is None:
            self._head += data
            if len(self._head) < 9:
                return b""
            head, data = self._head, self._head[9:]
            if head[2:4] != b"\x05\x00" or head[4] >= 9 * 5 * 5:
                raise lzma.LZMAError("unknown properties")
            rest, lc = divmod(head[4], 9)
            size = min(max(int.from_bytes(head[5:9], "little"), 1 << 12), 1 << 26)
            chain = {"id": lzma.FILTER_LZMA1, "dict_size": size, "lc": lc, "lp": rest % 5, "pb": rest // 5}
            self._machine = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chain])
        return self._machine.decompress(data, max_length)


def _decompressor(member: Member) -> _Decompressor | None:
    """What inflates a member; None for a method that there is nothing for."""
    match member.method:
        case zipfile.ZIP_DEFLATED:
            return zlib.decompressobj(-zlib.MAX_WBITS)
        case zipfile.ZIP_BZIP2:
            return bz2.BZ2Decompressor()
        case zipfile.ZIP_LZMA:
            return _Lzma()
    return None


def _plain(name: str) -> str:
    """A name as `zipfile` looks it up."""
    return name.partition("\0")[0]


def _least_end(info: zipfile.ZipInfo) -> int:
    """The byte before which a member does not end: what its own header has as an extra field comes on top."""
    return info.header_offset + _LOCAL.size + len(info.orig_filename) + info.compress_size


def _other_name(info: zipfile.ZipInfo) -> str | None:
    """What an extra field calls a member, where that is neither its name nor one that its name has no letters for."""
    extra, at = info.extra, 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == _UNICODE_PATH and length > 5:
            name = extra[at + 9 : at + 4 + length].decode("utf-8", "replace")
            return name if name.isascii() else None
        at += 4 + length
    return None


class Archive:
    """The members of an archive. A truncated one is read by its local headers as far as these go."""

    def __init__(self, source: Source, limits: Limits, seen: list[Observation]) -> None:
        self.source = source
        self.limits = limits
        self.members: dict[str, Member] = {}
        self.duplicates: list[str] = []
        check_directory(source, limits)
        try:
            with zipfile.ZipFile(SourceFile(Cached(source))) as directory:
                infos = directory.infolist()
                end = self._end_of(directory)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OverflowError, EOFError) as error:
            self._salvage(str(error), seen)
            return
        for info in infos:
            name = _plain(info.orig_filename)
            if name in self.members:
                self.duplicates.append(name)
            other = _other_name(info) or name
            if other != info.orig_filename:
                text = f"the member {info.orig_filename!r} is {other!r} to readers that stop at a zero or follow its extra field"
                seen.append(Observation("damaged-archive", text, offset=info.header_offset, where=name))
            self.members[name] = Member(
                name,
                info.compress_type,
                info.flag_bits,
                info.CRC,
                info.compress_size,
                info.file_size,
                info.header_offset,
                info.external_attr >> 16,
            )
        self._note_overlap(infos, directory.start_dir, seen)
        first = min((info.header_offset for info in infos), default=0)
        if first:
            program = source.read(0, min(4, first)).startswith(_PROGRAMS)
            text = f"{first:,} bytes{' of a program' if program else ''} stand before the archive's first member"
            seen.append(Observation("trailing-bytes", text, offset=0, severity=Severity.HIGH if program else None))
        if end < source.size:
            seen.append(Observation("trailing-bytes", f"{source.size - end:,} bytes follow the end of the archive", offset=end))

    @staticmethod
    def _note_overlap(infos: Sequence[zipfile.ZipInfo], end: int, seen: list[Observation]) -> None:
        """An observation where members lie within each other, or run into the directory. An extra field is left out of account."""
        ordered = sorted(infos, key=lambda info: info.header_offset)
        ends = [*(info.header_offset for info in ordered[1:]), end]
        over = [one for one, next_one in zip(ordered, ends, strict=False) if _least_end(one) > next_one]
        if over:
            more = f", and {len(over) - 1:,} more such members" if len(over) > 1 else ""
            text = f"the {over[0].compress_size:,} bytes of the member {over[0].orig_filename!r} run into what lies behind it{more}"
            seen.append(Observation("damaged-archive", text, offset=over[0].header_offset, where=over[0].orig_filename))

    def _end_of(self, directory: zipfile.ZipFile) -> int:
        """The byte after the end record and its comment."""
        tail_start = max(0, self.source.size - (1 << 16) - 22)
        tail = self.source.read(tail_start, self.source.size - tail_start)
        return tail_start + tail.rfind(b"PK\x05\x06") + 22 + len(directory.comment)

    def _salvage(self, reason: str, seen: list[Observation]) -> None:
        """Members by their local headers, up to the cut."""
        at = 0
        while at + _LOCAL.size <= self.source.size and len(self.members) < self.limits.archive_members:
            fields = _LOCAL.unpack(self.source.read(at, _LOCAL.size))
            signature, _, flags, method, _, _, crc, stored, size, name_length, extra = fields
            if signature != b"PK\x03\x04" or at + _LOCAL.size + name_length > self.source.size:
                break
            name = self.source.read(at + _LOCAL.size, name_length).decode("utf-8", "replace")
            if flags & 8 and not stored:
                break  # the sizes follow the data; without the directory nothing tells where these end
            self.members[name] = Member(name, method, flags, None if flags & 8 else crc, stored, size, at)
            at += _LOCAL.size + name_length + extra + stored
        if not self.members:
            raise UnreadableFile("truncated-archive", f"no zip archive: {reason}")
        text = f"the archive's directory is missing or damaged ({reason}); {len(self.members)} members were found by their headers"
        seen.append(Observation("truncated-archive", text, offset=self.source.size))

    def note_members(self, seen: list[Observation]) -> None:
        """Observations on names, kinds, duplicates and headers."""
        for name in self.duplicates:
            text = f"the member {name} stands twice in the archive; Keras loads the last one, other readers the first"
            seen.append(Observation("duplicate-member", text, where=name))
        for member in self.members.values():
            name, parts = member.name, member.name.replace("\\", "/").split("/")
            if name.startswith(("/", "\\")) or ".." in parts or (len(name) > 1 and name[1] == ":"):
                text = f"the member {name!r} would be unpacked outside of the model's folder"
                seen.append(Observation("member-escape", text, where=name))
            if stat.S_ISLNK(member.mode):
                seen.append(Observation("member-link", f"the member {name!r} is a symbolic link", where=name))
            lowered = name.lower()
            if lowered.endswith(PICKLES):
                seen.append(Observation("pickle-member", f"the member {name!r} is a pickle", where=name))
            elif lowered.endswith(_CODE):
                seen.append(Observation("unexpected-member", f"the member {name!r} is code, which no model file needs", where=name))
            if member.flags & _ENCRYPTED:
                seen.append(Observation("encrypted-member", f"the member {name!r} is encrypted", where=name))
            problem = "its data are a patch, which nothing reads" if member.flags & _PATCHED else self._disagreement(member)
            if problem is not None:
                seen.append(Observation("damaged-archive", f"{name}: {problem}", offset=member.header, where=name))

    def note_contents(self, seen: list[Observation], known: set[str]) -> None:
        """Observations on members that are not `known`: whatever they are called, what do they begin with?"""
        others = (one for one in self.members.values() if one.name not in known and one.stored and not one.flags & _ENCRYPTED)
        for member in islice(others, _SNIFFED):
            if member.name.lower().endswith((*PICKLES, *_CODE)):
                continue  # told by its name
            try:
                head = self._begin(member, 4096)
            except (UnreadableFile, LimitExceeded):
                continue  # whoever needs it says so
            if is_pickle(head):
                seen.append(Observation("pickle-member", f"the member {member.name!r} is a pickle by its content", where=member.name))
            elif head.startswith((b"\x7fELF", b"\xcf\xfa\xed\xfe", b"#!/")) or (head.startswith(b"MZ") and b"\0" in head):
                text = f"the member {member.name!r} is a program by its content, which no model file needs"
                seen.append(Observation("unexpected-member", text, where=member.name))

    def _disagreement(self, member: Member) -> str | None:
        """What a member's own header says otherwise than the directory: readers that go by the other one see another file."""
        if member.header + _LOCAL.size > self.source.size:
            return None
        signature, _, flags, method, _, _, _, stored, size, _, _ = _LOCAL.unpack(self.source.read(member.header, _LOCAL.size))
        if signature != b"PK\x03\x04":
            return None
        if method != member.method:
            return f"compressed by method {member.method} as the directory says, by method {method} as its own header says"
        for word, here, there in (("stored", stored, member.stored), ("inflated", size, member.size)):
            if not flags & 8 and here not in (0, 0xFFFFFFFF, there):
                return f"{there:,} bytes {word} as the directory says, {here:,} as its own header says"
        return None

    def _begin(self, member: Member, n: int) -> bytes:
        """The first bytes of a member."""
        start = self.data_start(member)
        there = max(0, min(member.stored, self.source.size - start))
        if member.method == _STORED:
            return self.source.read(start, min(n, there))
        machine = _decompressor(member)
        try:
            return b"" if machine is None else machine.decompress(self.source.read(start, min(1 << 16, there)), n)
        except _DAMAGED:
            return b""

    def check_crc(self, name: str, source: Source) -> None:
        """Raises `UnreadableFile` when a member's bytes, all of them in `source`, do not have the checksum that the archive states."""
        member, crc = self.members[name], 0
        for at in range(0, source.size, 1 << 20):
            crc = zlib.crc32(source.read(at, min(1 << 20, source.size - at)), crc)
        if member.crc is not None and crc != member.crc:
            raise UnreadableFile("wrong-crc", f"the bytes of {name} do not have the checksum that the archive states", offset=member.header)

    def open(self, name: str) -> tuple[Source, int | None]:
        """A member's data and where they begin in the archive's file (None when they were inflated into memory).

        Raises:
            UnreadableFile: the member is encrypted, damaged, cut, or compressed by a method that Python's zipfile does not know.
            LimitExceeded: it inflates to more than the limits allow.
        """
        member = self.members[name]
        start = self.data_start(member)
        if member.flags & _ENCRYPTED:
            raise UnreadableFile("encrypted-member", f"{name} is encrypted", offset=member.header)
        there = min(member.stored, self.source.size - start)
        if member.method == _STORED:
            return Window(self.source, start, there, name), start
        if _decompressor(member) is None:
            raise UnreadableFile("damaged-archive", f"{name} is compressed by method {member.method}", offset=member.header)
        return Bytes(self._inflate(member, start, there), name), None

    def data_start(self, member: Member) -> int:
        """Where a member's data begin, after its local header."""
        head = self.source.read(member.header, _LOCAL.size)
        fields = _LOCAL.unpack(head)
        if fields[0] != b"PK\x03\x04":
            raise UnreadableFile("damaged-archive", f"no local header of {member.name}", offset=member.header)
        name = self.source.read(member.header + _LOCAL.size, fields[9])
        if member.name not in (_plain(name.decode("utf-8", "replace")), _plain(name.decode("cp437"))):
            text = f"the directory calls the member {member.name!r}, its local header {name.decode('utf-8', 'replace')!r}"
            raise UnreadableFile("damaged-archive", text, offset=member.header)
        return int(member.header + _LOCAL.size + fields[9] + fields[10])

    def _inflate(self, member: Member, start: int, there: int) -> bytes:
        allowed = min(self.limits.inflate_bytes, max(1, there) * self.limits.inflate_ratio)
        if member.size > allowed:
            raise LimitExceeded("inflate_bytes", member.size, allowed, offset=member.header, where=(member.name,))
        machine = _decompressor(member)
        parts, total, at = [], 0, start
        try:
            while machine is not None and at < start + there and not machine.eof:
                chunk = self.source.read(at, min(1 << 20, start + there - at))
                at += len(chunk)
                parts.append(machine.decompress(chunk, allowed + 1 - total))
                total += len(parts[-1])
                if total > allowed:
                    raise LimitExceeded("inflate_bytes", total, allowed, offset=member.header, where=(member.name,))
        except _DAMAGED as error:
            raise UnreadableFile("damaged-archive", f"{member.name} cannot be inflated: {error}", offset=start) from error
        return b"".join(parts)

    def read(self, name: str, limit: int) -> bytes:
        """A whole small member, its CRC checked.

        Raises:
            LimitExceeded: it is longer than `limit`.
            UnreadableFile: `wrong-crc`, or as `open`.
        """
        member = self.members[name]
        if member.size > limit:
            raise LimitExceeded("json_bytes", member.size, limit, where=(name,))
        source, _ = self.open(name)
        self.check_crc(name, source)
        return source.read(0, source.size)
