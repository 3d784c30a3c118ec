"""Which files and folders of the given paths are models.

A folder is searched by suffix and by first bytes. What is no model is counted; a path that was named is always reported.
Links to folders are not followed, and a link to a file outside of the searched folder is left alone and counted.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from modelscan import mlflow
from modelscan.errors import UnreadableFile
from modelscan.formats import FORMATS

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
TABLE_MAGIC = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
"""Ends a checkpoint index (little-endian 0xdb4775248b80fb57)."""
SAVED_MODEL = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")
SHARD_INDEX = ".weights.json"
VARIABLES_INDEX = "variables/variables.index"
_AMBIGUOUS = (".pb", ".index", ".zip", ".gz", ".tgz", ".tar", ".tar.gz", ".json", ".pbtxt")
"""Suffixes that other programs use as well: content decides."""
_SHARD = re.compile(r"_\d{5}(?=\.weights\.h5$)")
_DATA = re.compile(r"\.data-\d{5}-of-\d{5}$")
_PEEKED = 16 << 20
"""Bytes of an archive that are looked through to find a SavedModel in it."""
_PARTS = frozenset({"variables", "assets", "assets.extra"})
"""Folders of a SavedModel that are read with it."""
_NEVER = frozenset({".git", "__MACOSX"})


@dataclass
class Discovery:
    """What was found, in a stable order."""

    targets: list[str] = field(default_factory=list)
    skipped: int = 0
    """Files of searched folders that are no models."""
    outside: int = 0
    """Links that lead out of a searched folder."""
    missing: tuple[str, ...] = ()
    """Named paths that do not exist and match nothing."""


def discover(paths: Iterable[str]) -> Discovery:
    """The models among files, folders and glob patterns, each once."""
    result = Discovery()
    found: dict[str, str] = {}
    missing: list[str] = []
    for path in paths:
        if os.path.lexists(path):
            named = [path]
        else:
            named = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []
            if not named:
                missing.append(path)
        for one in named:
            for target in _search(one, result) if os.path.isdir(one) else (one,):
                found.setdefault(os.path.abspath(target), target)
    result.targets = list(found.values())
    result.missing = tuple(missing)
    return result


def is_saved_model(folder: str) -> bool:
    """Whether the folder itself is a SavedModel, or what is left of one: its variables."""
    return any(os.path.lexists(os.path.join(folder, name)) for name in (*SAVED_MODEL, VARIABLES_INDEX))


def _search(root: str, result: Discovery) -> Iterator[str]:
    """Every model below `root`; what belongs to one is passed over, what is none is counted."""
    real = os.path.realpath(root)
    for base, folders, files in os.walk(root, followlinks=False):
        folders.sort()
        folders[:] = [name for name in folders if name not in _NEVER and not (name == "blobs" and "snapshots" in folders)]
        names = sorted(files)
        if is_saved_model(base):
            yield base
            folders[:] = [name for name in folders if name not in _PARTS]
            names = [name for name in names if not name.endswith((".pb", ".pbtxt", ".cpb"))]
        if mlflow.NAME in names:
            yield from mlflow.flavour_paths(base, mlflow.read(base) or {"flavors": {}})
        indexed = {name.removesuffix(SHARD_INDEX) for name in names if name.endswith(SHARD_INDEX)}
        for name in names:
            path = os.path.join(base, name)
            if _SHARD.search(name) and _SHARD.sub("", name).removesuffix(".weights.h5") in indexed:
                continue  # a shard of weights: read with its index
            if _is_checkpoint_part(name, names):
                continue
            if os.path.islink(path) and not _inside(os.path.realpath(path), real):
                result.outside += 1
            elif _is_model(path, name):
                yield path
            else:
                result.skipped += 1


def _is_checkpoint_part(name: str, names: list[str]) -> bool:
    """Whether a file is read with the checkpoint index beside it: a shard, the graph that TF 1 saves with it, the list of checkpoints."""
    if name == "checkpoint":
        return any(one.endswith(".index") for one in names)
    prefix = name.removesuffix(".meta") if name.endswith(".meta") else _DATA.sub("", name)
    return prefix != name and f"{prefix}.index" in names


def _inside(target: str, root: str) -> bool:
    """Whether a link's target is below the root, or in the store that a Hugging Face cache keeps beside its snapshots."""
    if os.path.commonpath([root, target]) == root:
        return True
    before, snapshots, _ = f"{root}/".rpartition("/snapshots/")
    return bool(snapshots) and os.path.dirname(target) == f"{before}/blobs"


def _is_model(path: str, name: str) -> bool:
    lowered = name.lower()
    known = [suffix for one in FORMATS for suffix in one.suffixes if lowered.endswith(suffix)]
    if lowered.endswith(SHARD_INDEX) or any(suffix not in _AMBIGUOUS for suffix in known):
        return True
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        return _looks_like_model(path, lowered)
    except OSError:
        return bool(known)  # reported as unreadable


def _looks_like_model(path: str, lowered: str) -> bool:
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
        return _zip_holds_model(path)
    return lowered.endswith((".tar.gz", ".tgz", ".tar")) and _tar_holds_model(path)


def _is_protobuf_model(path: str) -> bool:
    """Whether a message is that of a model, and not any other one: tensors of test data, labels, metadata."""
    from modelscan.formats import identify, open_artifact

    try:
        identify(open_artifact(path))
    except UnreadableFile:
        return False
    return True


def _zip_holds_model(path: str) -> bool:
    """Whether a zip archive is a Keras one or holds a SavedModel, by its members."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False
    return "config.json" in names or any(name.rpartition("/")[2] in SAVED_MODEL for name in names)


def _tar_holds_model(path: str) -> bool:
    """Whether a tar archive holds a SavedModel, as far as its beginning tells."""
    from modelscan.formats.tensorflow.archive import begins_with_model

    with open(path, "rb") as file:
        try:
            return begins_with_model(file.read(_PEEKED))
        except UnreadableFile:
            return False
