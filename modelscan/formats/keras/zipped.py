"""A zip archive read in place: its directory, its members as windows, and everything that is odd about it.

Source: PKWARE APPNOTE 6.3.10 (local header: 4.3.7, central directory: 4.3.12, end record: 4.3.16).
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.limits import Limits
from modelscan.model import Observation, Severity
from modelscan.records import record
from modelscan.source import Bytes, Cached, Source, SourceFile, Window

_LOCAL = struct.Struct("<4sHHHHHLLLHH")
_STORED, _DEFLATED = 0, 8
_PROGRAMS = (b"\x7fELF", b"MZ", b"#!", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe")
_CODE = (".py", ".pyc", ".so", ".dll", ".dylib", ".exe", ".sh", ".bat", ".ps1", ".js", ".jar")
_PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".dill")


@record(frozen=True, slots=True)
class Member:
    """One entry: where its data begin, how many bytes they are stored in, and what they inflate to."""

    name: str
    method: int
    flags: int
    crc: int
    stored: int
    size: int
    header: int
    mode: int = 0


class Archive:
    """The members of an archive. A truncated one is read by its local headers as far as these go."""

    def __init__(self, source: Source, limits: Limits, seen: list[Observation]) -> None:
        self.source = source
        self.limits = limits
        self.members: dict[str, Member] = {}
        self.duplicates: list[str] = []
        try:
            with zipfile.ZipFile(SourceFile(Cached(source))) as directory:
                infos = directory.infolist()
                end = self._end_of(directory)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OverflowError, EOFError) as error:
            self._salvage(str(error), seen)
            return
        if len(infos) > limits.archive_members:
            raise LimitExceeded("archive_members", len(infos), limits.archive_members)
        for info in infos:
            name = info.orig_filename
            if name in self.members:
                self.duplicates.append(name)
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
        first = min((info.header_offset for info in infos), default=0)
        if first:
            program = source.read(0, min(4, first)).startswith(_PROGRAMS)
            text = f"{first:,} bytes{' of a program' if program else ''} stand before the archive's first member"
            seen.append(Observation("trailing-bytes", text, offset=0, severity=Severity.HIGH if program else None))
        if end < source.size:
            seen.append(Observation("trailing-bytes", f"{source.size - end:,} bytes follow the end of the archive", offset=end))

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
            self.members[name] = Member(name, method, flags, crc, stored, size, at)
            at += _LOCAL.size + name_length + extra + stored
        if not self.members:
            raise UnreadableFile("truncated-archive", f"no zip archive: {reason}")
        text = f"the archive's directory is missing or damaged ({reason}); {len(self.members)} members were found by their headers"
        seen.append(Observation("truncated-archive", text, offset=self.source.size))

    def note_members(self, seen: list[Observation], known: set[str], folders: Iterable[str]) -> None:
        """Observations on names, kinds and duplicates; `known` members and those in `folders` are expected."""
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
            if lowered.endswith(_PICKLES):
                seen.append(Observation("pickle-member", f"the member {name!r} is a pickle", where=name))
            elif lowered.endswith(_CODE):
                seen.append(Observation("unexpected-member", f"the member {name!r} is code, which no model file needs", where=name))
            if member.flags & 1:
                seen.append(Observation("encrypted-member", f"the member {name!r} is encrypted", where=name))
        del known, folders

    def open(self, name: str) -> tuple[Source, int | None]:
        """A member's data and where they begin in the archive's file (None when they were inflated into memory).

        Raises:
            UnreadableFile: the member is encrypted, damaged, cut, or compressed by a method that Keras does not use.
            LimitExceeded: it inflates to more than the limits allow.
        """
        member = self.members[name]
        start = self.data_start(member)
        if member.flags & 1:
            raise UnreadableFile("encrypted-member", f"{name} is encrypted", offset=member.header)
        there = min(member.stored, self.source.size - start)
        if member.method == _STORED:
            return Window(self.source, start, there, name), start
        if member.method != _DEFLATED:
            raise UnreadableFile("damaged-archive", f"{name} is compressed by method {member.method}", offset=member.header)
        return Bytes(self._inflate(member, start, there), name), None

    def data_start(self, member: Member) -> int:
        """Where a member's data begin, after its local header."""
        head = self.source.read(member.header, _LOCAL.size)
        fields = _LOCAL.unpack(head)
        if fields[0] != b"PK\x03\x04":
            raise UnreadableFile("damaged-archive", f"no local header of {member.name}", offset=member.header)
        name = self.source.read(member.header + _LOCAL.size, fields[9])
        if name.decode("utf-8", "replace") != member.name and name.decode("cp437") != member.name:
            text = f"the directory calls the member {member.name!r}, its local header {name.decode('utf-8', 'replace')!r}"
            raise UnreadableFile("damaged-archive", text, offset=member.header)
        return int(member.header + _LOCAL.size + fields[9] + fields[10])

    def _inflate(self, member: Member, start: int, there: int) -> bytes:
        allowed = min(self.limits.inflate_bytes, max(1, there) * self.limits.inflate_ratio)
        if member.size > allowed:
            raise LimitExceeded("inflate_bytes", member.size, allowed, offset=member.header, where=(member.name,))
        machine = zlib.decompressobj(-zlib.MAX_WBITS)
        parts, total, at = [], 0, start
        try:
            while at < start + there and not machine.eof:
                chunk = self.source.read(at, min(1 << 20, start + there - at))
                at += len(chunk)
                parts.append(machine.decompress(chunk, allowed + 1 - total))
                total += len(parts[-1])
                if total > allowed:
                    raise LimitExceeded("inflate_bytes", total, allowed, offset=member.header, where=(member.name,))
        except zlib.error as error:
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
        data = source.read(0, source.size)
        if zlib.crc32(data) != member.crc and not member.flags & 8:
            raise UnreadableFile("wrong-crc", f"the bytes of {name} do not have the checksum that the archive states", offset=member.header)
        return data
