"""What the mutants descend from: fixtures, museum and, where it is there, the corpus; small files of every format."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.corpus import ROOT as CORPUS
from tests.hostile.museum import all_exhibits

FIXTURES = Path(__file__).parents[2] / "fixtures"
LARGEST = 160 << 10
"""Bytes of a seed: mutants of small files are many and cheap, and their structure is that of large ones."""
SUFFIXES = {
    ".onnx": "onnx",
    ".ort": "onnx",
    ".keras": "keras",
    ".h5": "keras-h5",
    ".hdf5": "keras-h5",
    ".index": "checkpoint",
    ".pb": "graphdef",
}


@dataclass(frozen=True)
class Seed:
    """A file, or a folder that is one model."""

    path: Path
    kind: str
    files: tuple[str, ...]
    """Relative to `path`; one empty name for a plain file."""

    def read(self) -> dict[str, bytes]:
        """The contents by name."""
        return {name: (self.path / name if name else self.path).read_bytes() for name in self.files}


def _of(path: Path) -> Iterator[Seed]:
    if path.is_dir() and (path / "saved_model.pb").is_file():
        files = [one for one in sorted(path.rglob("*")) if one.is_file() and not one.is_symlink()]
        if sum(one.stat().st_size for one in files) <= LARGEST:
            yield Seed(path, "savedmodel", tuple(str(one.relative_to(path)) for one in files))
    elif path.is_file() and not path.is_symlink() and 0 < path.stat().st_size <= LARGEST:
        kind = SUFFIXES.get(path.suffix.lower())
        if kind is not None:
            yield Seed(path, kind, ("",))


def _tree(root: Path) -> Iterator[Seed]:
    for base, folders, files in os.walk(root):
        folders.sort()
        if "saved_model.pb" in files:
            yield from _of(Path(base))
        for name in sorted(files):
            yield from _of(Path(base, name))


def gather(museum: Path) -> dict[str, list[Seed]]:
    """All seeds by kind; the museum's exhibits are built in the given folder."""
    found: dict[str, list[Seed]] = {}
    for index, exhibit in enumerate(all_exhibits()):
        folder = museum / f"{index:04}"
        folder.mkdir()
        for seed in _of(exhibit.build(folder)):
            found.setdefault(seed.kind, []).append(seed)
    for root in (FIXTURES, CORPUS):
        for seed in _tree(root):
            found.setdefault(seed.kind, []).append(seed)
    return found
