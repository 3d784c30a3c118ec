"""Which files and folders of the given paths are models.

A folder is searched by suffix and by first bytes. What is no model is counted; a path that was named is always reported.
Links to folders are not followed, and a link to a file outside of the searched folder is left alone.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from modelscan.formats import FORMATS

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
TABLE_MAGIC = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
"""Ends a checkpoint index (little-endian 0xdb4775248b80fb57)."""
SAVED_MODEL = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")
_AMBIGUOUS = (".pb", ".index", ".zip", ".gz", ".tgz")
"""Suffixes that other programs use as well: content decides."""


@dataclass
class Discovery:
    """What was found, in a stable order."""

    targets: list[str]
    skipped: int = 0
    missing: tuple[str, ...] = ()
    """Named paths that do not exist and match nothing."""


def discover(paths: Iterable[str]) -> Discovery:
    """The models among files, folders and glob patterns, each once."""
    found: dict[str, None] = {}
    missing: list[str] = []
    skipped = 0
    for path in paths:
        if not os.path.lexists(path):
            matches = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []
            if not matches:
                missing.append(path)
            for match in matches:
                found[match] = None
        elif os.path.isdir(path) and not is_saved_model(path):
            for name, is_model in _walk(path):
                if is_model:
                    found[name] = None
                else:
                    skipped += 1
        else:
            found[path] = None
    return Discovery(list(found), skipped, tuple(missing))


def is_saved_model(folder: str) -> bool:
    """Whether the folder itself is a SavedModel."""
    return any(os.path.lexists(os.path.join(folder, name)) for name in SAVED_MODEL)


def _walk(root: str) -> Iterator[tuple[str, bool]]:
    """Every file below `root` with whether it is a model; a SavedModel's folder stands for all that is in it."""
    real = os.path.realpath(root)
    for base, folders, files in os.walk(root, followlinks=False):
        folders.sort()
        if base != root and is_saved_model(base):
            folders.clear()
            yield base, True
            continue
        folders[:] = [name for name in folders if name not in (".git", "__MACOSX")]
        for name in sorted(files):
            path = os.path.join(base, name)
            yield path, _is_model(path, name, real)


def _is_model(path: str, name: str, root: str) -> bool:
    lowered = name.lower()
    if os.path.islink(path) and os.path.commonpath([root, os.path.realpath(path)]) != root:
        return False
    known = [suffix for one in FORMATS for suffix in one.suffixes if lowered.endswith(suffix)]
    if any(suffix not in _AMBIGUOUS for suffix in known):
        return True
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            head = file.read(64)
            if head.startswith(HDF5_SIGNATURE):
                return True
            if lowered.endswith(".index"):
                file.seek(max(0, os.fstat(file.fileno()).st_size - 8))
                return file.read(8) == TABLE_MAGIC
    except OSError:
        return bool(known)  # reported as unreadable
    if lowered.endswith(".pb"):
        return head[:1] in (b"\x0a", b"\x08") or not head or head.startswith(b"version https://git-lfs")
    return head.startswith(b"PK\x03\x04") and _has_config(path)


def _has_config(path: str) -> bool:
    """Whether a zip archive is a Keras one by its members."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return "config.json" in archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False
