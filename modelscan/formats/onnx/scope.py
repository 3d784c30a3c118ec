"""What one graph or function body gathers while it is read: nodes, declarations, initializers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats.onnx import plain, tensors
from modelscan.formats.onnx.context import Reading
from modelscan.formats.onnx.payload import small
from modelscan.formats.onnx.proto import GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_VALUE_INFO
from modelscan.formats.onnx.types import plain_infos, value_info
from modelscan.graph import Node, SparseTensor
from modelscan.model import StoredTensor, TensorInfo
from modelscan.wire import LENGTH

Result = TypeVar("Result")

DECLARATIONS = {GRAPH_INPUT: "input", GRAPH_OUTPUT: "output", GRAPH_VALUE_INFO: "value_info"}
_VALUE_INFO = GRAPH_VALUE_INFO << 3 | LENGTH
"""The tag before a declared inner value."""


class Scope:
    """What one graph or function body gathers while it is read."""

    def __init__(self, reading: Reading, path: str, where: str, depth: int) -> None:
        self.reading = reading
        self.path = path
        """Path for names, empty for the root."""
        self.where = where
        """Field path for messages."""
        self.depth = depth
        self.prefix = f"{path}/" if path else ""
        self.nodes: list[Node] = []
        self.inputs: list[TensorInfo] = []
        self.outputs: list[TensorInfo] = []
        self.declared: dict[str, TensorInfo] = {}
        self.initializers: dict[str, StoredTensor] = {}
        self.constants: dict[str, StoredTensor] = {}
        self.sparse: dict[str, SparseTensor] = {}
        self.small: dict[str, StoredTensor] = {}

    def guarded(self, read: Callable[[], Result], where: str) -> Result | None:
        """What `read` gives; an error that is only about this part is noted with its place, and None given."""
        try:
            return read()
        except UnreadableFile as error:
            self.failed(error, where)
            return None

    def failed(self, error: UnreadableFile, where: str) -> None:
        """Note an error that costs a part; raise one that ends the reading of the whole file."""
        if isinstance(error, LimitExceeded) and error.limit in ("nodes", "tensors"):
            raise error
        self.reading.note_error(error, where)

    def initializer(self, start: int, end: int, index: int) -> None:
        """Read one dense initializer."""
        if index >= self.reading.limits.tensors:
            raise LimitExceeded("tensors", index + 1, self.reading.limits.tensors, offset=start)
        found = plain.tensor(self.reading, start, end, self.prefix)
        if found is not None and found[0] and found[0] not in self.initializers:
            name, tensor = found
            self.initializers[name] = tensor
        else:
            named = self._noted(found, start, end, index, f"{self.where}.initializer[{index}]")
            if named is None:
                return
            name, tensor = named
        if small(tensor, self.reading.limits):
            self.small.setdefault(name, tensor)

    def _noted(
        self, found: tuple[str, StoredTensor] | None, start: int, end: int, index: int, where: str
    ) -> tuple[str, StoredTensor] | None:
        """An initializer of which something may have to be told; None where there is none."""
        reading = self.reading
        if start == end:
            reading.note("initializer-without-name", "an empty initializer", offset=start, where=where)
            return None
        try:
            name, tensor = found or tensors.stored(reading, [(start, end)], where, self.prefix)
        except UnreadableFile as error:
            self.failed(error, where)
            return None
        if not name:
            self.initializers.setdefault(name, tensor)
            reading.note("initializer-without-name", f"initializer {index} has no name", tensor=tensor.name, offset=start, where=where)
        elif name in self.initializers:
            text = f"{name} is stored twice; which one counts depends on the reader"
            reading.note("duplicate-initializer", text, tensor=tensor.name, offset=start, where=where)
        else:
            self.initializers[name] = tensor
        return name, tensor

    def sparse_initializer(self, start: int, end: int, index: int) -> None:
        """Read one sparse initializer."""
        where = f"{self.where}.sparse_initializer[{index}]"
        found = self.guarded(lambda: tensors.sparse(self.reading, [(start, end)], where, self.prefix), where)
        if found is not None:
            name, tensor = found
            if name in self.initializers:
                text = f"{name} is stored twice; which one counts depends on the reader"
                self.reading.note("duplicate-initializer", text, tensor=tensor.values.name, offset=start, where=where)
            self.initializers.setdefault(name, tensor.values)
            self.sparse[name] = tensor

    def declaration(self, number: int, start: int, end: int) -> None:
        """Read one declared input, output or inner value."""
        count = len(self.inputs) if number == GRAPH_INPUT else len(self.outputs) if number == GRAPH_OUTPUT else len(self.declared)
        if count >= self.reading.limits.tensors:
            raise LimitExceeded("tensors", count + 1, self.reading.limits.tensors, offset=start)
        try:
            found = value_info(self.reading, start, end, self.path)
        except UnreadableFile as error:
            self.failed(error, f"{self.where}.{DECLARATIONS[number]}[{count}]")
            return
        if number == GRAPH_INPUT:
            self.inputs.append(found)
        elif number == GRAPH_OUTPUT:
            self.outputs.append(found)
        else:
            self.declared[found.name] = found

    def inner_values(self, start: int, end: int) -> int:
        """Read the plain declarations of inner values that follow one another; returns where something else begins."""
        most = self.reading.limits.tensors - len(self.declared)
        found, position = plain_infos(self.reading, start, end, _VALUE_INFO, most)
        self.declared.update([(one.name, one) for one in found])
        return position

    def values(self) -> dict[str, TensorInfo]:
        """Everything declared, by name."""
        return self.declared | {one.name: one for one in (*self.inputs, *self.outputs)}
