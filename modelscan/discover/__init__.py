"""Which files and folders of the given paths are models.

A folder is searched by suffix and by first bytes. What is no model is counted; a path that was named is always reported, and so is
a folder that cannot be listed. Links to folders are followed where they are named themselves; one in a searched folder, and a link to a
file outside of it, are left alone and counted.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, field

from modelscan import mlflow
from modelscan.discover.content import SAVED_MODEL, SHARD_INDEX, is_model
from modelscan.discover.walk import NEVER, Links, Match, expand, listing, real_path
from modelscan.errors import UnreadableFile
from modelscan.limits import DEFAULT, Limits

VARIABLES_INDEX = "variables/variables.index"
_SHARD = re.compile(r"_\d{5}(?=\.weights\.h5$)")
_DATA = re.compile(r"\.data-\d{5}-of-\d{5}$")
_PARTS = frozenset({"variables", "assets", "assets.extra"})
"""Folders of a SavedModel that are read with it."""


@dataclass
class Discovery:
    """What was found, in a stable order."""

    targets: list[str] = field(default_factory=list)
    """Models, and what has to be reported because it cannot be read."""
    skipped: int = 0
    """Files of searched folders that are no models."""
    outside: int = 0
    """Links that lead out of a searched folder."""
    excluded: int = 0
    """Files and folders that the settings leave out of the search."""
    missing: tuple[str, ...] = ()
    """Named paths that do not exist and match nothing."""
    barren: list[str] = field(default_factory=list)
    """Named folders and patterns in which there is nothing to scan."""
    unclear: list[str] = field(default_factory=list)
    """`MLmodel` files that could not be followed, or not all the way, each with the reason."""


def discover(paths: Iterable[str], limits: Limits = DEFAULT, excluded: Callable[[str], bool] | None = None) -> Discovery:
    """The models among files, folders and glob patterns, each once; what is `excluded` only where it is named itself."""
    search = _Search(limits, excluded)
    result = search.result
    found: dict[str, str] = {}
    missing: list[str] = []
    for path in paths:
        named = search.named(path)
        if named is None:
            missing.append(path)
            continue
        count = 0
        for count, target in enumerate(named, start=1):  # noqa: B007 - how many there were
            found.setdefault(search.identity(target), target)
        if not count:
            result.barren.append(path)
    result.targets = list(found.values())
    result.missing = tuple(missing)
    search.count(found.keys())
    return result


def is_saved_model(folder: str) -> bool:
    """Whether the folder itself is a SavedModel, or what is left of one: its variables."""
    return any(os.path.lexists(os.path.join(folder, name)) for name in (*SAVED_MODEL, VARIABLES_INDEX))


class _Search:
    """What is known while the paths are gone through."""

    def __init__(self, limits: Limits, excluded: Callable[[str], bool] | None = None) -> None:
        self.limits = limits
        self.excluded = excluded
        self.result = Discovery()
        self.links = Links()
        self._folders: dict[str, str] = {}
        # Places, not numbers: a folder that is named twice, or lies in another one that is named, is gone through twice.
        self._skipped: set[str] = set()
        self._outside: set[str] = set()
        self._excluded: set[str] = set()

    def count(self, found: Set[str]) -> None:
        """What was left alone, each once; what another of the named paths led to was not."""
        result = self.result
        result.skipped = len(self._skipped - found)
        result.outside = len((self._outside | self.links.missed(self.place)) - found)
        result.excluded = sum(one not in found and not self.links.was_visited(one) for one in self._excluded)
        result.unclear = list(dict.fromkeys(result.unclear))

    def identity(self, target: str) -> str:
        """What two paths of one file or folder have in common; links to folders are followed."""
        return real_path(target) or os.path.abspath(target) if os.path.isdir(target) else self.place(target)

    def place(self, path: str) -> str:
        """Where the folder of a path really lies, and its name there."""
        folder, name = os.path.split(path)
        if folder not in self._folders:
            self._folders[folder] = real_path(folder or os.curdir) or os.path.abspath(folder)
        return os.path.join(self._folders[folder], name)

    def named(self, path: str) -> Iterable[str] | None:
        """The targets of one path of the command line; None where there is no such file, folder or match."""
        if is_there(path):
            return self._below(path) if os.path.isdir(path) else (path,)
        matches = expand(path, self.links) if glob.has_magic(path) else []
        return self._matched(matches) if matches else None

    def _matched(self, matches: Iterable[Match]) -> Iterator[str]:
        """The targets of a pattern's matches. A hidden file is not meant as surely as another: what it holds decides."""
        for one in matches:
            if any(self._passes_over(path) for path in _down_to(one.path, one.base)):
                continue
            if os.path.isdir(one.path):
                yield from self._below(one.path)
            elif self._leads_out(one.path, real_path(one.base or os.curdir)):
                self._outside.add(self.place(one.path))
            elif not one.hidden or is_model(one.path, os.path.basename(one.path), self.limits):
                yield one.path
            else:
                self._skipped.add(self.place(one.path))

    def _below(self, root: str) -> Iterator[str]:
        """Every model below `root`; what belongs to one is passed over, what is none is counted."""
        real_root = real_path(root)
        waiting = [(root, real_root or os.path.abspath(root))]
        while waiting:
            base, real = waiting.pop()
            try:
                inside = listing(base)
            except OSError:
                yield base  # reported as unreadable, with the reason
                continue
            self.links.visit(real)
            folders = [name for name in inside.folders if name not in NEVER and not (name == "blobs" and "snapshots" in inside.folders)]
            links, names = inside.links, inside.files
            if is_saved_model(base):
                yield base
                folders, links = ([name for name in one if name not in _PARTS] for one in (folders, links))
                names = [name for name in names if not name.endswith((".pb", ".pbtxt", ".cpb"))]
            folders, links, names = (
                [name for name in one if not self._passes_over(os.path.join(base, name))] for one in (folders, links, names)
            )
            for name in links:
                self.links.leave(os.path.join(base, name))
            if mlflow.NAME in names:
                yield from self._flavours(base, real_root)
            yield from self._files(base, names, real_root)
            waiting.extend((os.path.join(base, name), os.path.join(real, name)) for name in reversed(folders))

    def _files(self, base: str, names: list[str], real_root: str | None) -> Iterator[str]:
        """The models among the files of one folder."""
        indexed = {name.removesuffix(SHARD_INDEX) for name in names if name.endswith(SHARD_INDEX)}
        present = frozenset(names)
        for name in names:
            path = os.path.join(base, name)
            if _SHARD.search(name) and _SHARD.sub("", name).removesuffix(".weights.h5") in indexed:
                continue  # a shard of weights: read with its index
            if _is_checkpoint_part(name, present):
                continue
            if self._leads_out(path, real_root):
                self._outside.add(self.place(path))
            elif is_model(path, name, self.limits):
                yield path
            else:
                self._skipped.add(self.place(path))

    def _flavours(self, base: str, real_root: str | None) -> Iterator[str]:
        """The models that an `MLmodel` names; what it does not tell is noted."""
        place = os.path.join(base, mlflow.NAME)
        try:
            described = mlflow.read(base, self.limits)
        except UnreadableFile as error:
            self.result.unclear.append(f"{place}: {error}")
            return
        paths, leading_out = mlflow.flavour_paths(base, described)
        for path in paths:
            real = real_path(path)
            if real is None or real_root is None or not _inside(real, real_root):
                leading_out.append(os.path.relpath(path, base))
            elif not self._passes_over(path):
                yield path
        if leading_out:
            self.result.unclear.append(f"{place}: {leading_out[0]!r} leads out of the folder; what is there was not read")

    def _passes_over(self, path: str) -> bool:
        """Whether the settings leave it out; it is counted."""
        if self.excluded is None or not self.excluded(path):
            return False
        self._excluded.add(self.place(path))
        return True

    @staticmethod
    def _leads_out(path: str, real_root: str | None) -> bool:
        """Whether a path is a link to a place outside of the folder, or to one that cannot be told."""
        if not os.path.islink(path):
            return False
        real = real_path(path)
        return real is None or real_root is None or not _inside(real, real_root)


def absent(path: str) -> str:
    """What to say of a path that does not exist. TensorFlow names a checkpoint by the beginning of its files' names; we by its index."""
    if path == "-":
        return "-: standard input is not read, as a model is read in many places; save it to a file"
    if "://" in path:
        return f"{path}: no such file or folder; addresses are not followed, fetch it first"
    told = f"{path}: no such file or folder"
    return f"{told}; did you mean {path}.index?" if os.path.isfile(f"{path}.index") else told


def _down_to(path: str, base: str) -> Iterator[str]:
    """The folders below the base on the way to a path, from the outermost on, and the path itself."""
    for end in range(len(base) + 1, len(path)):
        if path[end] == "/":
            yield path[:end]
    yield path


def is_there(path: str) -> bool:
    """Whether a path exists, as a link that leads nowhere does; one that may not be asked for is taken to, so that this is told."""
    try:
        os.lstat(path)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def _is_checkpoint_part(name: str, names: frozenset[str]) -> bool:
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
