"""What the modules that read one ONNX file share: the walk, the bounds, the names given, the things noticed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats import Artifact
from modelscan.limits import Limits
from modelscan.model import Kind, Observation, Severity, Shape, StoredTensor
from modelscan.wire import LENGTH, VARINT, Field, Wire, signed, varint

Extent = tuple[int, int]
"""Where a message begins and ends in the file."""

TensorType = tuple[tuple[int, ...], str | None, int, int | None, Kind]
"""Dimensions, element type (None if it or they are impossible), elements, bytes when dense, and what it is for."""
Layout = tuple[Callable[[bytes, int], tuple[bytes, ...]], tuple[bytes, ...], int, int, int]
"""What takes such a node apart into the heads of its fields, tag and length, and what they hold, by turns; what these heads are; how many
of the fields are inputs, how many inputs and outputs; which one is the operator."""
PlainType = tuple[tuple[int, ...], str, int, Kind]
"""Dimensions, element type, bytes, and what it is for, of a tensor of which there is nothing to tell."""
Tables = tuple[dict[str, StoredTensor], dict[str, StoredTensor], str]
"""A graph's initializers and those of them whose elements are kept at hand, by name; what stands before the names of its tensors."""
NOTHING: Mapping[str, Any] = MappingProxyType({})
"""Shared by all nodes without attributes, bodies or metadata."""

MOST_OF_A_KIND = 100
"""Observations of one kind that are told one by one; a file with more of them is told once how many."""
_METADATA_BYTES = 4 << 20
"""Metadata values kept besides those that name modules: stack traces of every node would be most of the memory."""
_METADATA_ENTRIES = 10_000
_KEY, _VALUE = 1 << 3 | LENGTH, 2 << 3 | LENGTH
"""Tags of the fields of a `StringStringEntryProto`."""
_NAMING = ("namespace", "pkg.torch.onnx.class_hierarchy", "pkg.torch.onnx.name_scopes")


@dataclass(slots=True)
class Reading:
    """One file while it is read."""

    artifact: Artifact
    wire: Wire
    limits: Limits
    tensors: list[StoredTensor] = field(default_factory=list)
    nodes: int = 0
    counted: int = 0
    """Bytes of varints read to count them."""
    seen: list[Observation] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    types: dict[tuple[str, str], Extent] = field(default_factory=dict)
    """Extents of declared types that are no tensors (sequences, maps), by scope path and value name."""
    kinds: dict[str, dict[str, str]] = field(default_factory=dict)
    """What the exporter says that values are (`PARAMETER`, `BUFFER`), by scope path and name."""
    folded: dict[str, dict[str, str]] = field(default_factory=dict)
    """What it says that values were computed from at export, by scope path and name."""
    known_types: dict[bytes, tuple[str | None, Shape | None]] = field(default_factory=dict)
    tensor_types: dict[tuple[tuple[int, ...], int], TensorType] = field(default_factory=dict)
    heads: dict[bytes, tuple[PlainType, bytes]] = field(default_factory=dict)
    """What the bytes of plain tensors before their name tell (dimensions, element type, bytes, what it is for), and the bytes that come
    between name and payload then."""
    layouts: dict[int, list[Layout]] = field(default_factory=dict)
    """How the fields of plain nodes lie, by the bytes of their messages."""
    settings: dict[tuple[bytes, ...], Mapping[str, Any]] = field(default_factory=dict)
    """What attributes that are numbers and texts say, by the bytes of all attributes of a node."""
    external: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)
    """Ranges of external data by file: offset, length, tensor."""
    inference_failures: list[str] = field(default_factory=list)
    """What the onnx package said when inference failed as a whole; nothing is wrong with the file for that."""
    external_sizes: dict[str, int | None] = field(default_factory=dict)
    texts: dict[bytes, str] = field(default_factory=dict)
    """Names of values as they were first read: each stands in the file where it is made and again wherever it is taken."""
    _names: dict[str, int] = field(default_factory=dict)
    _metadata_left: int = _METADATA_BYTES

    def note(
        self,
        kind: str,
        message: str,
        *,
        layer: str | None = None,
        tensor: str | None = None,
        offset: int | None = None,
        where: str | None = None,
        severity: Severity | None = None,
    ) -> None:
        """Remember an observation; beyond a number of the same kind they are only counted."""
        self.counts[kind] += 1
        if self.counts[kind] <= MOST_OF_A_KIND:
            self.seen.append(Observation(kind, message, layer, tensor, offset, where, severity))

    def note_error(self, error: UnreadableFile, where: str) -> None:
        """An error that costs only a part of the file becomes an observation."""
        place = " > ".join((where, *error.where)) if where else " > ".join(error.where)
        self.note(error.kind, error.reason, offset=error.offset, where=place or None)

    def observations(self) -> tuple[Observation, ...]:
        """All that was noticed, with one line for each kind that was cut off."""
        more = [
            Observation(kind, f"{count - MOST_OF_A_KIND:,} more of the same kind are not listed")
            for kind, count in self.counts.items()
            if count > MOST_OF_A_KIND
        ]
        return (*self.seen, *more)

    def text(self, data: bytes) -> str:
        """A name of a value; bytes that are no UTF-8 become escapes."""
        known = self.texts.get(data)
        if known is None:
            known = self.texts[data] = decoded(data)
        return known

    def unique(self, name: str) -> str:
        """The name, numbered if it was given before."""
        while name in self._names:
            self._names[name] += 1
            name = f"{name}#{self._names[name]}"
        self._names[name] = 1
        return name

    def add(self, tensor: StoredTensor) -> StoredTensor:
        """Take a stored tensor into the model's list."""
        if len(self.tensors) >= self.limits.tensors:
            raise LimitExceeded("tensors", len(self.tensors) + 1, self.limits.tensors, offset=tensor.offset)
        self.tensors.append(tensor)
        return tensor

    def messages(self, extents: list[Extent]) -> Iterator[Field]:
        """The fields of a message that may have been written in several pieces, which protobuf merges."""
        for start, end in extents:
            yield from self.wire.fields(start, end)

    def entry(self, start: int, length: int) -> tuple[str, str]:
        """A key and its value (`StringStringEntryProto`)."""
        short = self._entry(self.wire.read(start, length)) if length <= self.limits.name_bytes else None
        if short is not None:
            return short
        key = value = ""
        for number, kind, at, size in self.wire.fields(start, start + length):
            if kind == LENGTH and number == 1:
                key = self.wire.text(at, size)
            elif kind == LENGTH and number == 2:
                value = self.wire.text(at, min(size, self.limits.name_bytes))
        return key, value

    def _entry(self, data: bytes) -> tuple[str, str] | None:
        """The same of an entry as exporters write it; None for any other."""
        try:
            middle = 2 + data[1]
            if data[0] != _KEY or data[1] > 127 or data[middle] != _VALUE:
                return None
            size, begin = varint(data, middle + 2, data[middle + 1])
        except (IndexError, UnreadableFile):
            return None
        return (self.text(data[2:middle]), data[begin:].decode("utf-8", "backslashreplace")) if begin + size == len(data) else None

    def metadata(self, entries: list[Extent], where: str) -> dict[str, str]:
        """Metadata of a graph or node; what names no module is kept up to a total size."""
        found: dict[str, str] = {}
        try:
            for start, end in entries[:_METADATA_ENTRIES]:
                key, value = self.entry(start, end - start)
                if key not in _NAMING:
                    self._metadata_left -= len(value)
                    if self._metadata_left < 0:
                        continue
                found[key] = value
        except UnreadableFile as error:
            self.note_error(error, f"{where}.metadata_props")
        return found

    def doc(self, start: int, length: int) -> dict[str, str]:
        """A doc string as one more entry of the metadata, kept up to the same total size."""
        length = min(length, self.limits.name_bytes)
        self._metadata_left -= length
        return {"doc_string": self.wire.text(start, length)} if self._metadata_left >= 0 else {}

    def opsets(self, entries: list[Extent], where: str) -> dict[str, int]:
        """Version by domain."""
        found: dict[str, int] = {}
        try:
            for start, end in entries:
                domain, version = self._opset(start, end)
                found[domain] = version
        except UnreadableFile as error:
            self.note_error(error, f"{where}.opset_import")
        return found

    def _opset(self, start: int, end: int) -> tuple[str, int]:
        """Domain and version (`OperatorSetIdProto`)."""
        domain, version = "", 0
        for number, kind, at, size in self.wire.fields(start, end):
            if number == 1 and kind == LENGTH:
                domain = standard(self.wire.text(at, size))
            elif number == 2 and kind == VARINT:
                version = signed(at)
        return domain, version


def decoded(data: bytes) -> str:
    """A text of the file; bytes that are no UTF-8 become escapes."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("utf-8", "backslashreplace")


def standard(domain: str) -> str:
    """The domain with the standard one's two spellings made one."""
    return "" if domain == "ai.onnx" else domain
