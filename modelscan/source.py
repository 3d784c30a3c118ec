"""Random access to bytes: a local file, a window of one, bytes in memory; and the folder a model's parts lie in.

Parsers see `size` and `read(offset, n)` only, never a seekable file object, so that a member of an archive, a file and
(later) a URL are the same to them. `read` returns exactly `n` bytes or raises: a short read is never silent.
"""

from __future__ import annotations

import io
import os
import posixpath
import stat
from collections import OrderedDict
from functools import cached_property
from pathlib import PurePosixPath
from typing import Protocol

from modelscan.errors import UnreadableFile


class Source(Protocol):
    """Random access to `size` bytes called `name`."""

    name: str
    size: int

    def read(self, offset: int, n: int) -> bytes:
        """Exactly `n` bytes from `offset`; raises `UnreadableFile('truncated-file')` when they are not all there."""
        ...


def _bounds(source: Source, offset: int, n: int) -> None:
    if offset < 0 or n < 0 or offset + n > source.size:
        raise UnreadableFile(
            "truncated-file", f"{n:,} bytes are needed and {max(0, source.size - offset):,} are left of {source.name}", offset=offset
        )


class Bytes:
    """Bytes in memory."""

    def __init__(self, data: bytes, name: str = "<bytes>") -> None:
        self.name = name
        self.size = len(data)
        self._data = data

    def read(self, offset: int, n: int) -> bytes:
        """See `Source.read`."""
        _bounds(self, offset, n)
        return self._data[offset : offset + n]


class LocalFile:
    """A regular file, read with `pread`: mapped pages would count as memory of the process.

    Anything that is not a regular file is refused without opening it for reading: a FIFO would block for ever.
    """

    def __init__(self, path: str | os.PathLike[str], name: str | None = None) -> None:
        self.path = os.fspath(path)
        self.name = name if name is not None else self.path
        self._descriptor = _open_regular(self.path)
        self.size = os.fstat(self._descriptor).st_size

    def read(self, offset: int, n: int) -> bytes:
        """See `Source.read`."""
        _bounds(self, offset, n)
        parts = []
        while n:
            part = os.pread(self._descriptor, min(n, 1 << 30), offset)
            if not part:
                raise UnreadableFile("truncated-file", f"{self.name} became shorter while it was read", offset=offset)
            parts.append(part)
            offset += len(part)
            n -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset` without an intermediate copy; the number of bytes read."""
        return os.preadv(self._descriptor, [buffer], offset)

    def close(self) -> None:
        """Give the descriptor back; also happens when the object is collected."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            self.close()


def _open_regular(path: str) -> int:
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise UnreadableFile("not-a-regular-file", f"{path} is {_kind(mode)}, not a regular file; it was not opened")
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise UnreadableFile("unreadable-file", f"{path}: {error.strerror or error}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # swapped between the two calls
        os.close(descriptor)
        raise UnreadableFile("not-a-regular-file", f"{path} is no regular file any more")
    return descriptor


def _kind(mode: int) -> str:
    for test, text in (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a character device"),
        (stat.S_ISBLK, "a block device"),
    ):
        if test(mode):
            return text
    return "a special file"


class Window:
    """A part of another source, such as a stored member of an archive."""

    def __init__(self, source: Source, offset: int, size: int, name: str | None = None) -> None:
        _bounds(source, offset, size)
        self.source = source
        self.start = offset
        self.size = size
        self.name = name if name is not None else source.name

    def read(self, offset: int, n: int) -> bytes:
        """See `Source.read`."""
        _bounds(self, offset, n)
        return self.source.read(self.start + offset, n)


class Cached:
    """Another source behind a small cache of aligned blocks.

    HDF5 metadata is thousands of reads of a few bytes; a block of 64 KiB serves most of them with one system call.
    """

    def __init__(self, source: Source, block: int = 64 * 1024, blocks: int = 64) -> None:
        self.source = source
        self.name = source.name
        self.size = source.size
        self._block = block
        self._limit = blocks
        self._cache: OrderedDict[int, bytes] = OrderedDict()

    def _load(self, index: int) -> bytes:
        data = self._cache.get(index)
        if data is None:
            start = index * self._block
            data = self.source.read(start, min(self._block, self.size - start))
            self._cache[index] = data
            if len(self._cache) > self._limit:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(index)
        return data

    def read(self, offset: int, n: int) -> bytes:
        """See `Source.read`; a read longer than four blocks goes past the cache."""
        first, start = divmod(offset, self._block)
        data = self._cache.get(first)
        if data is not None and 0 <= n <= len(data) - start:  # nearly always, thousands of times in a row
            self._cache.move_to_end(first)
            return data[start : start + n]
        _bounds(self, offset, n)
        if n > 4 * self._block:
            return self.source.read(offset, n)
        if start + n <= self._block:
            return self._load(first)[start : start + n]
        last = (offset + n - 1) // self._block
        data = b"".join(self._load(index) for index in range(first, last + 1))
        return data[start : start + n]


class SourceFile(io.RawIOBase):
    """A source as a read-only, seekable file object, for the libraries that accept nothing else (h5py, zipfile)."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """See `io.IOBase.seek`."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """See `io.IOBase.tell`."""
        return self._position

    def readinto(self, buffer: object, /) -> int:
        """Fill `buffer` as far as the source reaches."""
        view = memoryview(buffer)  # type: ignore[arg-type]  # typeshed knows no Buffer protocol for 3.11
        n = min(len(view), max(0, self._source.size - self._position))
        view[:n] = self._source.read(self._position, n)
        self._position += n
        return n


class Tree(Protocol):
    """The files below one folder, by relative path with `/`; a real folder or the inside of an archive, read in place."""

    name: str

    def names(self) -> list[str]:
        """Relative paths of all regular files, sorted."""
        ...

    def size(self, relative: str) -> int | None:
        """Size of a file in bytes, None if it is not there."""
        ...

    def open(self, relative: str) -> Source:
        """The file; raises `UnreadableFile` if it is missing, leaves the folder or is no regular file."""
        ...


class Folder:
    """A folder on disk. Nothing is opened that resolves to a place outside of it.

    `store`, if given, is a second folder that links may resolve to: a cache keeps a model's files in one place and links them into
    the folder that people see (Hugging Face's `snapshots` and `blobs`).
    """

    def __init__(self, path: str | os.PathLike[str], store: str | None = None) -> None:
        self.path = os.fspath(path) or "."
        self.name = self.path
        self._store = store

    @cached_property
    def _real(self) -> str:
        """Where it really lies; most models have no files beside them that anybody asks for."""
        return os.path.realpath(self.path)

    def names(self) -> list[str]:
        """See `Tree.names`; links to folders are not followed."""
        found: list[str] = []
        for base, folders, files in os.walk(self.path, followlinks=False):
            folders.sort()
            inside = os.path.relpath(base, self.path).replace(os.sep, "/")
            found.extend(name if inside == "." else f"{inside}/{name}" for name in files)
        return sorted(found)

    def resolve(self, relative: str) -> str:
        """The file's path; raises `UnreadableFile('path-escape')` when it leaves this folder, also through a link."""
        pure = PurePosixPath(posixpath.normpath(relative))  # `a/../b` stays inside
        escaping = pure.is_absolute() or ".." in pure.parts or "\\" in relative or "\0" in relative or relative[1:2] == ":"
        path = os.path.join(self.path, relative) if not escaping else ""
        if escaping or not self._holds(os.path.realpath(path)):
            raise UnreadableFile("path-escape", f"{relative!r} leads out of the model's folder; it was not opened")
        return path

    def _holds(self, real: str) -> bool:
        return os.path.commonpath([self._real, real]) == self._real or (self._store is not None and os.path.dirname(real) == self._store)

    def size(self, relative: str) -> int | None:
        """See `Tree.size`."""
        try:
            info = os.stat(self.resolve(relative))
        except OSError:
            return None
        return info.st_size if stat.S_ISREG(info.st_mode) else None

    def open(self, relative: str) -> LocalFile:
        """See `Tree.open`."""
        return LocalFile(self.resolve(relative), relative)


def check_listable(path: str) -> None:
    """Raises `UnreadableFile` for a folder whose files the system does not tell."""
    try:
        os.scandir(path).close()
    except OSError as error:
        raise UnreadableFile("unreadable-file", f"{path}: {error.strerror or error}") from error


def hard_links(tree: Tree, relative: str) -> int:
    """How many names a file has on its disk; 1 where that cannot be told."""
    if not isinstance(tree, Folder):
        return 1
    try:
        return os.stat(tree.resolve(relative)).st_nlink
    except OSError:
        return 1


def is_file(tree: Tree, relative: str, path: str) -> bool:
    """Whether a file of a folder on disk is the one at `path`, by whatever name."""
    if not isinstance(tree, Folder):
        return False
    try:
        return os.path.samefile(tree.resolve(relative), path)
    except OSError:
        return False


def parent_folder(path: str | os.PathLike[str]) -> Folder:
    """The folder that a file lies in, where its external data or its shards are looked for.

    When the file is a link, its parts may be links into the folder that the file itself really lies in.
    """
    return Folder(os.path.dirname(path), os.path.dirname(os.path.realpath(path)) if os.path.islink(path) else None)
