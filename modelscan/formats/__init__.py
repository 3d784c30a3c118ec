"""One module or package per format: `(Artifact, Limits) → Model`. This one finds out which.

Formats are registered in `FORMATS`. Detection goes by content, never by suffix alone; a format's modules are imported
when a file of it is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import field, replace
from importlib import import_module
from typing import Any, cast

from modelscan.errors import UnreadableFile, UnusedOptionError
from modelscan.ledger import Plain
from modelscan.limits import Limits
from modelscan.model import Model, Shape, StoredTensor
from modelscan.records import record
from modelscan.source import Folder, LocalFile, Source, Tree, check_listable, parent_folder

HEAD_BYTES = 4096
_SHARD = re.compile(r"\.data-\d{5}-of-\d{5}$")


@record(frozen=True, slots=True)
class ReadOptions(Plain):
    """What the user adds to what the file says."""

    config: str | None = None
    """Path of an architecture JSON for a weights-only file."""
    dims: Mapping[str, int] = field(default_factory=dict)
    """Values for symbolic dimensions, by name."""
    inputs: Mapping[str, Shape] = field(default_factory=dict)
    """Whole input shapes, by input name."""
    inference: bool = True
    """Whether native libraries may derive shapes. Off for a second try after one of them has crashed on the file."""
    values: bool = False
    """Whether the weights themselves are to be read, too."""

    def given(self) -> Iterator[tuple[str, str]]:
        """Kind and name of everything that says something about one file."""
        yield from (("dim", name) for name in self.dims)
        yield from (("input", name) for name in self.inputs)
        if self.config is not None:
            yield "config", self.config

    def without(self, names: Container[tuple[str, str]]) -> ReadOptions:
        """The options less some of those."""
        return replace(
            self,
            config=None if ("config", self.config) in names else self.config,
            dims={name: size for name, size in self.dims.items() if ("dim", name) not in names},
            inputs={name: shape for name, shape in self.inputs.items() if ("input", name) not in names},
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ReadOptions:
        """The inverse of `to_dict`."""
        return cls(**{**data, "inputs": {name: tuple(shape) for name, shape in data["inputs"].items()}})


@record(frozen=True, slots=True)
class Artifact:
    """What a path on the command line stands for: one file, or one folder that is a model."""

    path: str
    """As given."""
    source: Source | None
    """None for a folder."""
    folder: Tree
    """The model's folder, or the one that the file lies in (external data, shards)."""
    head: bytes = b""
    """The first bytes of the file."""
    options: ReadOptions = ReadOptions()

    @property
    def name(self) -> str:
        """The last part of the path."""
        return os.path.basename(self.path.rstrip("/\\")) or self.path


def open_artifact(path: str, options: ReadOptions | None = None) -> Artifact:
    """The artifact at `path`; raises `UnreadableFile` for what is neither a regular file nor a folder."""
    options = options or ReadOptions()
    if os.path.isdir(path):
        check_listable(path)
        return Artifact(path, None, Folder(path), options=options)
    source = LocalFile(path)
    return Artifact(path, source, parent_folder(path), source.read(0, min(HEAD_BYTES, source.size)), options)


@record(frozen=True, slots=True)
class Format:
    """One line of the registry."""

    module: str
    """Below `modelscan.formats`; has `detect(Artifact) -> bool` and `read(Artifact, Limits) -> Model`."""
    suffixes: tuple[str, ...]
    """File name endings that people use for it: what a folder is searched by, and what decides between equals."""
    folder: bool = False
    """Whether a folder can be a model of this format."""
    takes: tuple[str, ...] = ()
    """What of `ReadOptions` it asks for, of that which says something about one file: `dim`, `input`, `config`."""

    def detect(self, artifact: Artifact) -> bool:
        """Whether the content is of this format."""
        return cast("Callable[[Artifact], bool]", import_module(f"modelscan.formats.{self.module}").detect)(artifact)

    def read(self, artifact: Artifact, limits: Limits) -> Model:
        """The model; raises `UnreadableFile` when nothing can be told, `ConfigError` when the options do not fit it."""
        untaken = frozenset(one for one in artifact.options.given() if one[0] not in self.takes)
        if untaken:
            raise UnusedOptionError(untaken, f"does nothing for {artifact.path}, {_NAMES[self.module]}")
        return cast("Callable[[Artifact, Limits], Model]", import_module(f"modelscan.formats.{self.module}").read)(artifact, limits)

    def blocks(self, artifact: Artifact, tensor: StoredTensor, limits: Limits) -> Iterator[memoryview]:
        """The tensor's payload as dense little-endian elements, in blocks of whole elements.

        A format's module may bring a `blocks` function of its own for what is no single run of bytes. Yields nothing where
        the values cannot be told (strings).
        """
        from modelscan.formats.payload import raw_blocks

        own = getattr(import_module(f"modelscan.formats.{self.module}"), "blocks", raw_blocks)
        return cast("Callable[[Artifact, StoredTensor, Limits], Iterator[memoryview]]", own)(artifact, tensor, limits)


FORMATS: tuple[Format, ...] = (
    Format("keras.archive", (".keras",)),
    Format("keras.hdf5", (".h5", ".hdf5", ".weights.h5", ".keras"), takes=("config",)),
    Format("onnx", (".onnx", ".ort"), takes=("dim", "input")),
    Format("tensorflow", (".pb", ".index", ".tar.gz", ".tgz", ".tar", ".zip"), folder=True),
)
"""Most specific detection first: ONNX has no magic number."""


_NAMES = {"keras.archive": "a .keras archive", "keras.hdf5": "an HDF5 file", "onnx": "an ONNX file", "tensorflow": "a TensorFlow model"}


def identify(artifact: Artifact) -> Format:
    """The format of an artifact; raises `UnreadableFile` naming what it is instead."""
    from modelscan.formats.foreign import name_text, refuse_foreign

    if artifact.source is not None:
        refuse_foreign(artifact)
    name = artifact.name.lower()
    # The one that the name promises is asked first: the others' modules need not be imported when it is right.
    for one in sorted(FORMATS, key=lambda candidate: not name.endswith(candidate.suffixes)):
        if (artifact.source is None) <= one.folder and one.detect(artifact):
            return one
    if artifact.source is None:
        raise UnreadableFile("unknown-format", "a folder that is no SavedModel")
    name_text(artifact)
    index = _SHARD.sub(".index", artifact.name)
    if index != artifact.name:
        raise UnreadableFile("unknown-format", f"a shard of a checkpoint, which is read by its index: {index}")
    raise UnreadableFile("unknown-format", "neither ONNX, Keras, HDF5, SavedModel, checkpoint nor GraphDef")
