"""What nodes hold beside names: attributes, with the tensors and bodies in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from modelscan.errors import UnreadableFile
from modelscan.formats.onnx import attributes, plain, tensors
from modelscan.formats.onnx.attributes import Attribute
from modelscan.formats.onnx.context import NOTHING, Extent, Reading
from modelscan.formats.onnx.payload import elements, small
from modelscan.formats.onnx.proto import (
    ATTRIBUTE_G,
    ATTRIBUTE_GRAPHS,
    ATTRIBUTE_NAME,
    ATTRIBUTE_SPARSE,
    ATTRIBUTE_SPARSES,
    ATTRIBUTE_T,
    ATTRIBUTE_TENSORS,
    ATTRIBUTE_TYPE,
)
from modelscan.formats.onnx.scope import Scope
from modelscan.graph import Fill, Graph, SparseTensor
from modelscan.model import Kind, StoredTensor
from modelscan.wire import LENGTH, varint

Body = Callable[[Reading, list[Extent], str, str, int], Graph]
"""Reads a body: its pieces, its path, the field path for messages, how deep it is nested."""
_VALUE = "value"
_VALUE_THEN_TENSOR = bytes((ATTRIBUTE_NAME << 3 | LENGTH, len(_VALUE))) + _VALUE.encode() + bytes((ATTRIBUTE_T << 3 | LENGTH,))
_TENSOR_KIND = bytes((ATTRIBUTE_TYPE << 3 & 127 | 128, ATTRIBUTE_TYPE >> 4, 4))
"""Before and behind the tensor of a Constant, as protobuf writes them."""
_TENSOR_BYTES = 4096
"""Bytes of such a tensor that is read the short way."""
_SETTINGS = 4096
"""Different sets of attributes that are remembered."""
_SETTINGS_BYTES = 512
"""Bytes of such a set."""


class Owner:
    """The node whose attributes are being read."""

    def __init__(self, scope: Scope, body: Body, op: str, domain: str, title: str, output: str, where: str) -> None:
        self.scope = scope
        self._graph = body
        self.title = title
        self.output = output
        self.where = where
        self.constant = op == "Constant" and domain == ""
        self.fill = op == "ConstantOfShape" and domain == ""

    def attributes(self, extents: list[Extent]) -> tuple[Mapping[str, Any], Mapping[str, Graph]]:
        """All attributes, plain values and bodies. Settings are remembered: many nodes have the same."""
        if self.constant and len(extents) == 1:
            tensor = self._plain_tensor(*extents[0])
            if tensor is not None:
                return {_VALUE: tensor}, NOTHING
        reading = self.scope.reading
        pieces: tuple[bytes, ...] = ()
        if not self.constant and sum(end - start for start, end in extents) <= _SETTINGS_BYTES:
            pieces = tuple([reading.wire.read(start, end - start) for start, end in extents])
            known = reading.settings.get(pieces)
            if known is not None:
                return known, NOTHING
        values: dict[str, Any] = {}
        graphs: dict[str, Graph] = {}
        settings = True
        for place, extent in enumerate(extents):  # in no comprehension: bodies lie in one another, and each takes its place on the stack
            settings = self.attribute(extent, place, values, graphs) and settings
        if pieces and settings and len(reading.settings) < _SETTINGS:
            reading.settings[pieces] = values
        return values, graphs

    def _plain_tensor(self, start: int, end: int) -> StoredTensor | None:
        """The tensor of a Constant as exporters write it: name, tensor, type; None for any other."""
        reading, tail = self.scope.reading, end - len(_TENSOR_KIND)
        if not len(_VALUE_THEN_TENSOR) < tail - start <= _TENSOR_BYTES:
            return None
        data, base = reading.wire.chunk(start, end - start)
        at = start - base
        if not data.startswith(_VALUE_THEN_TENSOR, at) or not data.startswith(_TENSOR_KIND, tail - base):
            return None
        at += len(_VALUE_THEN_TENSOR)
        try:
            length, at = varint(data, at + 1, data[at])
        except UnreadableFile:  # the thorough way tells what is wrong
            return None
        if base + at + length != tail:
            return None
        found = plain.tensor(reading, base + at, tail, self.scope.prefix, self.output or f"{self.title}.{_VALUE}")
        if found is not None:
            self._define(found[1])
        return None if found is None else found[1]

    def attribute(self, extent: Extent, index: int, values: dict[str, Any], graphs: dict[str, Graph]) -> bool:
        """Reads one attribute into the node's plain values or bodies; whether it is numbers or texts of which nothing is to tell."""
        where = f"{self.where}.attribute[{index}]"
        one = self.scope.guarded(partial(attributes.parse, self.scope.reading, extent, where), where)
        if one is None:
            return False
        twice = one.name in values or one.name in graphs
        if twice:
            text = f"attribute {one.name} of {self.title} is given twice"
            self.scope.reading.note("duplicate-attribute", text, offset=extent[0], where=where)
        if one.kind in (ATTRIBUTE_G, ATTRIBUTE_GRAPHS):
            for place, pieces in enumerate(one.messages):
                key = f"{one.name}[{place}]" if one.repeated else one.name
                body = self.scope.guarded(partial(self._body, key, pieces, where), where)
                if body is not None:
                    graphs[key] = body
        elif one.kind in (ATTRIBUTE_T, ATTRIBUTE_TENSORS, ATTRIBUTE_SPARSE, ATTRIBUTE_SPARSES):
            read = self._tensor if one.kind in (ATTRIBUTE_T, ATTRIBUTE_TENSORS) else self._sparse
            held = [self.scope.guarded(partial(read, one, place, where), where) for place in range(len(one.messages))]
            values[one.name] = tuple(held) if one.repeated else next(iter(held), None)
        else:
            values[one.name] = one.value
            if self.constant:
                self._numbers(one)
            return one.sound and not twice
        return False

    def _body(self, key: str, pieces: list[Extent], where: str) -> Graph:
        path = f"{self.scope.prefix}{self.title}/{key}"
        return self._graph(self.scope.reading, pieces, path, f"{where}.g", self.scope.depth + 1)

    def _name(self, one: Attribute, place: int) -> str:
        """A constant goes by the value that it defines, another tensor by its node and attribute."""
        if self.constant and self.output:
            return self.output
        return f"{self.title}.{one.name}[{place}]" if one.repeated else f"{self.title}.{one.name}"

    def _tensor(self, one: Attribute, place: int, where: str) -> StoredTensor | Fill:
        reading = self.scope.reading
        held = len(reading.tensors)
        extents, name = one.messages[place], self._name(one, place)
        found = plain.tensor(reading, *extents[0], self.scope.prefix, name) if len(extents) == 1 else None
        _, tensor = found or tensors.stored(reading, extents, f"{where}.t", self.scope.prefix, name)
        if self.constant:
            self._define(tensor)
        elif self.fill and tensor.elements == 1:
            del reading.tensors[held:]
            numbers = elements(reading.wire, tensor) if small(tensor, reading.limits) else None
            return Fill(tensor.dtype, numbers[0] if numbers else None)
        return tensor

    def _sparse(self, one: Attribute, place: int, where: str) -> SparseTensor | None:
        found = tensors.sparse(self.scope.reading, one.messages[place], f"{where}.sparse_tensor", self.scope.prefix, self._name(one, place))
        if found is None:
            return None
        if self.constant:
            self.scope.sparse[self.output] = found[1]
            self.scope.constants[self.output] = found[1].values
        return found[1]

    def _numbers(self, one: Attribute) -> None:
        """A Constant whose numbers or strings stand in the attribute itself."""
        dtype, encoding = attributes.NUMBERS.get(one.kind, ("", ""))
        if not dtype:
            return
        reading = self.scope.reading
        shape = (len(one.value),) if one.repeated else ()
        name = reading.unique(self.scope.prefix + self._name(one, 0))
        kind = Kind.WEIGHT if dtype == "float32" else Kind.CONSTANT
        nbytes = one.end - one.start if dtype != "string" else sum(map(len, one.value if one.repeated else (one.value,)))
        self._define(reading.add(StoredTensor(name, shape, dtype, nbytes, None, one.start, kind, encoding)))

    def _define(self, tensor: StoredTensor) -> None:
        self.scope.constants[self.output] = tensor
        if small(tensor, self.scope.reading.limits):
            self.scope.small[self.output] = tensor
