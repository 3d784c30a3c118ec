"""Folders taken apart entry by entry, and patterns over them. Links to folders are never followed here, only told."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from modelscan.records import record

_DEEP = "**"
NEVER = frozenset({".git", "__MACOSX"})
"""Folders that hold other programs' files; a pattern has to name them."""
Rest = tuple[str, ...]
"""The parts of a pattern that are still to be matched; none: the folder is searched."""


@record(frozen=True, slots=True)
class Listing:
    """The names in a folder, sorted."""

    folders: list[str]
    links: list[str]
    """Links to folders."""
    files: list[str]
    """Everything else."""


def listing(folder: str) -> Listing:
    """What stands in a folder; raises `OSError` where that cannot be told."""
    folders, links, files = [], [], []
    with os.scandir(folder or os.curdir) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif entry.is_symlink() and os.path.isdir(entry.path):
                links.append(entry.name)
            else:
                files.append(entry.name)
    return Listing(sorted(folders), sorted(links), sorted(files))


def real_path(path: str) -> str | None:
    """Where a path really leads; None where the system does not tell."""
    try:
        return os.path.realpath(path)
    except OSError:
        return None


@dataclass
class Links:
    """Links to folders that were left alone, against the folders that were visited under their own names."""

    _left: set[tuple[str, str | None, Rest]] = field(default_factory=set)
    _visited: set[tuple[str, Rest]] = field(default_factory=set)

    def visit(self, real: str, rest: Rest = ()) -> bool:
        """Note a folder; False when it was visited before, for the same."""
        if (real, rest) in self._visited:
            return False
        self._visited.add((real, rest))
        return True

    def leave(self, path: str, rest: Rest = ()) -> None:
        """Note a link to a folder that is not followed."""
        self._left.add((path, real_path(path), rest))

    def was_visited(self, real: str) -> bool:
        """Whether a folder was searched."""
        return (real, ()) in self._visited

    def missed(self, place: Callable[[str], str]) -> set[str]:
        """The places of the links that lead to what was not visited."""
        return {place(path) for path, real, rest in self._left if real is None or not {(real, rest), (real, ())} & self._visited}


@record(frozen=True, slots=True)
class Match:
    """What a pattern named."""

    path: str
    base: str
    """The folder from which the pattern's wildcards count."""
    hidden: bool = False
    """Whether a wildcard took a name that begins with a dot."""


def expand(pattern: str, links: Links) -> list[Match]:
    """The files and folders that a pattern names, sorted: `*`, `?` and `[…]` within a name, `**` any number of folders.

    A `**` at the end stands for the folder itself. A folder that cannot be listed is among them, so that this is told. Work is by the
    number of folders below the first wildcard and of parts of the pattern.
    """
    base, parts, only_folders = _taken_apart(pattern)
    found: dict[str, Match] = {}
    waiting = [(base, real_path(base or os.curdir) or os.path.abspath(base), parts)]
    while waiting:
        folder, real, rest = waiting.pop()
        if not links.visit(real, rest):
            continue
        if rest == (_DEEP,):
            found[folder] = Match(_plain(folder), base)
            continue
        try:
            inside = listing(folder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            found[folder] = Match(_plain(folder), base)
            continue
        if rest[0] == _DEEP:
            after: Rest = rest
            fits: Callable[[str], bool] = _entered
            waiting.append((folder, real, rest[1:]))
        else:
            after, fits = rest[1:], _fitting(rest[0])
        for name in filter(fits, inside.links):
            links.leave(os.path.join(folder, name), after)
        for name in filter(fits, inside.folders):
            path = os.path.join(folder, name)
            if after:
                waiting.append((path, os.path.join(real, name), after))
            else:
                found[path] = Match(path, base)
        for name in filter(fits, () if after or only_folders else inside.files):
            path = os.path.join(folder, name)
            found[path] = Match(path, base, name.startswith(".") and not rest[0].startswith("."))
    return [found[path] for path in sorted(found)]


def _taken_apart(pattern: str) -> tuple[str, Rest, bool]:
    """The folder before the first wildcard, the parts from there on, and whether only folders are meant."""
    parts = pattern.replace(os.sep, "/").split("/")
    first = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    rest = [part for part in parts[first:] if part not in ("", os.curdir)]
    once = [part for index, part in enumerate(rest) if index == 0 or (part, rest[index - 1]) != (_DEEP, _DEEP)]
    return "".join(f"{part}/" for part in parts[:first]), tuple(once), not parts[-1]


def _plain(folder: str) -> str:
    return folder.rstrip("/") or folder or os.curdir


def _entered(name: str) -> bool:
    return name not in NEVER


def _fitting(part: str) -> Callable[[str], bool]:
    """Whether a name fits one part of a pattern."""
    expression = re.compile(fnmatch.translate(part))
    never = NEVER if glob.has_magic(part) else frozenset()
    return lambda name: expression.match(name) is not None and name not in never
