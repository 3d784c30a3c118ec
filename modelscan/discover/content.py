"""Whether a file found in a folder is a model: by its suffix, else by its first bytes, or those that its kind has at its end.

All of this happens in the process that scans, before any child process with limits: each look costs a bounded number of bytes.
"""

from __future__ import annotations

import os
import stat

from modelscan.errors import UnreadableFile
from modelscan.formats import FORMATS
from modelscan.limits import Limits

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
TABLE_MAGIC = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
"""Ends a checkpoint index (little-endian 0xdb4775248b80fb57)."""
SAVED_MODEL = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")
SHARD_INDEX = ".weights.json"
_AMBIGUOUS = (".pb", ".index", ".zip", ".gz", ".tgz", ".tar", ".tar.gz", ".json", ".pbtxt")
"""Suffixes that other programs use as well: content decides."""


def is_model(path: str, name: str, limits: Limits) -> bool:
    """Whether the file is to be read as a model; one that has a model's suffix and cannot be read is, so that this is told."""
    lowered = name.lower()
    known = [suffix for one in FORMATS for suffix in one.suffixes if lowered.endswith(suffix)]
    if lowered.endswith(SHARD_INDEX) or any(suffix not in _AMBIGUOUS for suffix in known):
        return True
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        return _looks_like_model(path, lowered, limits)
    except OSError:
        return bool(known)  # reported as unreadable


def _looks_like_model(path: str, lowered: str, limits: Limits) -> bool:
    """By its first bytes, and the last ones of a checkpoint's index."""
    with open(path, "rb") as file:
        head = file.read(64)
        if head.startswith(HDF5_SIGNATURE):
            return True
        if lowered.endswith(".index"):
            file.seek(max(0, os.fstat(file.fileno()).st_size - 8))
            return file.read(8) == TABLE_MAGIC
    if lowered.endswith(".pb"):
        return not head or head.startswith(b"version https://git-lfs") or _is_protobuf_model(path)
    if head.startswith(b"PK\x03\x04"):
        return _zip_may_hold_model(path, limits)
    return lowered.endswith((".tar.gz", ".tgz", ".tar")) and _tar_holds_model(path, limits)


def _is_protobuf_model(path: str) -> bool:
    """Whether a message is that of a model, and not any other one: tensors of test data, labels, metadata."""
    from modelscan.formats import identify, open_artifact

    try:
        identify(open_artifact(path))
    except UnreadableFile:
        return False
    return True


def _zip_may_hold_model(path: str, limits: Limits) -> bool:
    """Whether a zip archive is a Keras one or holds a SavedModel, by the names in its directory.

    A directory beyond the limits is not looked through to its end: such an archive may hold one, and its reader says why it was refused.
    """
    from modelscan.formats.zipend import directory_of, entry_names
    from modelscan.source import LocalFile

    try:
        source = LocalFile(path)
        found = directory_of(source)
        if found is None:
            return False
        if found.size > limits.archive_directory_bytes:
            return True
        for count, name in enumerate(entry_names(source, found), start=1):
            if count > limits.archive_members:
                return True
            if name == b"config.json" or name.rpartition(b"/")[2].decode("utf-8", "replace") in SAVED_MODEL:
                return True
    except UnreadableFile:
        return False
    return False


def _tar_holds_model(path: str, limits: Limits) -> bool:
    """Whether a tar archive holds a SavedModel, as far as its beginning tells."""
    from modelscan.formats.tensorflow.archive import begins_with_model

    with open(path, "rb") as file:
        try:
            return begins_with_model(file.read(limits.peeked_bytes))
        except UnreadableFile:
            return False
