"""The graph as the file states it: nodes, attributes, bodies, functions, training graphs, with every tensor in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats.onnx import attributes, nodes, plain, tensors
from modelscan.formats.onnx.attributes import Attribute
from modelscan.formats.onnx.context import Extent, Reading, standard
from modelscan.formats.onnx.payload import Contents, elements, small
from modelscan.formats.onnx.proto import (
    ATTRIBUTE_G,
    ATTRIBUTE_GRAPHS,
    ATTRIBUTE_SPARSE,
    ATTRIBUTE_SPARSES,
    ATTRIBUTE_T,
    ATTRIBUTE_TENSORS,
    FUNCTION_ATTRIBUTE,
    FUNCTION_DEFAULT,
    FUNCTION_DOC,
    FUNCTION_DOMAIN,
    FUNCTION_INPUT,
    FUNCTION_METADATA,
    FUNCTION_NAME,
    FUNCTION_NODE,
    FUNCTION_OPSETS,
    FUNCTION_OUTPUT,
    FUNCTION_OVERLOAD,
    FUNCTION_VALUE_INFO,
    GRAPH_DOC,
    GRAPH_INITIALIZER,
    GRAPH_INPUT,
    GRAPH_METADATA,
    GRAPH_NAME,
    GRAPH_NODE,
    GRAPH_OUTPUT,
    GRAPH_SPARSE,
    GRAPH_VALUE_INFO,
)
from modelscan.formats.onnx.types import value_info
from modelscan.graph import Fill, Function, Graph, Node, SparseTensor
from modelscan.model import Kind, StoredTensor, TensorInfo
from modelscan.wire import LENGTH, Field

Result = TypeVar("Result")

_PATIENCE = 1024
"""Nodes and initializers that are read the thorough way before it is tried again whether they are plain, where nearly none is."""
_DECLARATIONS = {GRAPH_INPUT: "input", GRAPH_OUTPUT: "output", GRAPH_VALUE_INFO: "value_info"}


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

    def node(self, start: int, end: int) -> None:
        """Read one node."""
        index = len(self.nodes)
        self.reading.nodes += 1
        if self.reading.nodes > self.reading.limits.nodes:
            raise LimitExceeded("nodes", self.reading.nodes, self.reading.limits.nodes, offset=start)
        try:
            self.nodes.append(_node(self, start, end, index))
        except UnreadableFile as error:
            self.failed(error, f"{self.where}.node[{index}]")

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
            self.failed(error, f"{self.where}.{_DECLARATIONS[number]}[{count}]")
            return
        if number == GRAPH_INPUT:
            self.inputs.append(found)
        elif number == GRAPH_OUTPUT:
            self.outputs.append(found)
        else:
            self.declared[found.name] = found

    def values(self) -> dict[str, TensorInfo]:
        """Everything declared, by name."""
        return self.declared | {one.name: one for one in (*self.inputs, *self.outputs)}


def graph(reading: Reading, extents: list[Extent], path: str, where: str, depth: int) -> Graph:
    """One `GraphProto`, bodies included."""
    if depth > reading.limits.nesting:
        raise LimitExceeded("nesting", depth, reading.limits.nesting, offset=extents[0][0] if extents else None)
    scope = Scope(reading, path, where, depth)
    try:
        name, metadata = _walk(scope, extents)
    except UnreadableFile as error:  # what came before stays
        scope.failed(error, where)
        name, metadata = "", {}
    return _finish(scope, name, metadata, {})


def _walk(scope: Scope, extents: list[Extent]) -> tuple[str, dict[str, str]]:
    """Everything in a graph, into its scope; its name and its metadata."""
    name = ""
    metadata: list[Extent] = []
    notes: dict[str, str] = {}
    places: Counter[int] = Counter()
    for number, kind, value, length in chain.from_iterable([_fields(scope, start, end, places) for start, end in extents]):
        if kind != LENGTH:
            continue
        if number == GRAPH_NODE:
            scope.node(value, value + length)
        elif number == GRAPH_INITIALIZER:
            scope.initializer(value, value + length, places[number])
            places[number] += 1
        elif number == GRAPH_SPARSE:
            scope.sparse_initializer(value, value + length, places[number])
            places[number] += 1
        elif number in _DECLARATIONS and length:
            scope.declaration(number, value, value + length)
        elif number == GRAPH_NAME:
            name = scope.reading.wire.text(value, length)
        elif number == GRAPH_METADATA and length:
            metadata.append((value, value + length))
        elif number == GRAPH_DOC and length:
            notes = scope.reading.doc(value, length)
    return name, notes | scope.reading.metadata(metadata, scope.where)


def _fields(scope: Scope, start: int, end: int, places: Counter[int]) -> Iterator[Field]:
    """The fields of a graph's message but for plain nodes and initializers, which are read right away; `places` counts initializers."""
    reading, position, follows, patience = scope.reading, start, GRAPH_NODE, 1
    rest, tables = partial(_rest, scope), (scope.initializers, scope.small, scope.prefix)
    if not 0 <= start <= end <= reading.wire.size:
        yield from reading.wire.fields(start, end)  # tells what is wrong
    while position < end:
        before = position
        if follows == GRAPH_NODE:
            position = plain.nodes(reading, scope.nodes, position, end, rest)
        position, places[GRAPH_INITIALIZER] = plain.initializers(reading, tables, position, end, places[GRAPH_INITIALIZER])
        others = patience = 1 if position > before else min(2 * patience, _PATIENCE)
        for field in reading.wire.walk(position, end):
            yield field
            follows = field[0]
            if follows in (GRAPH_NODE, GRAPH_INITIALIZER) and field[1] == LENGTH:
                others -= 1
                position = field[2] + field[3]
                if not others:
                    break
        else:
            return


def _finish(scope: Scope, name: str, metadata: dict[str, str], opsets: dict[str, int]) -> Graph:
    return Graph(
        name=name,
        nodes=tuple(scope.nodes),
        inputs=tuple(scope.inputs),
        outputs=tuple(scope.outputs),
        values=scope.values(),
        declared=scope.declared,
        initializers=scope.initializers,
        contents=Contents(scope.reading.wire, scope.small),
        constants=scope.constants,
        sparse=scope.sparse,
        kinds=scope.reading.kinds.pop(scope.path, {}),
        metadata=metadata,
        opsets=opsets,
    )


def _node(scope: Scope, start: int, end: int, index: int) -> Node:
    inputs, outputs, name, op, domain, overload, found, metadata, notes = nodes.parse(scope.reading, start, end)
    own, graphs, noted = _rest(scope, (found, metadata), (name, op, domain), outputs, index)
    notes = {**notes, **noted} if notes else noted
    return Node(name, op, domain, tuple(inputs), tuple(outputs), own, graphs, notes, overload, start, end - start)


def _rest(
    scope: Scope, extents: tuple[list[Extent], list[Extent]], named: tuple[str, str, str], outputs: list[str], index: int
) -> plain.Held:
    """What a node has beside names (`plain.Rest`)."""
    found, metadata = extents
    own, graphs = _attributes(scope, found, named, outputs, index) if found else (plain.NOTHING, plain.NOTHING)
    return own, graphs, scope.reading.metadata(metadata, scope.where) if metadata else plain.NOTHING


def _attributes(
    scope: Scope, found: list[Extent], named: tuple[str, str, str], outputs: list[str], index: int
) -> tuple[dict[str, Any], dict[str, Graph]]:
    """The attributes of a node, plain ones and bodies; `named` are its name, its operator and the operator's domain."""
    name, op, domain = named
    plain: dict[str, Any] = {}
    graphs: dict[str, Graph] = {}
    owner = Owner(scope, op, domain, name or f"{op}_{index}", outputs[0] if outputs else "", f"{scope.where}.node[{index}]")
    for place, extent in enumerate(found):
        owner.attribute(extent, place, plain, graphs)
    return plain, graphs


class Owner:
    """The node whose attributes are being read."""

    def __init__(self, scope: Scope, op: str, domain: str, title: str, output: str, where: str) -> None:
        self.scope = scope
        self.title = title
        self.output = output
        self.where = where
        self.constant = op == "Constant" and domain == ""
        self.fill = op == "ConstantOfShape" and domain == ""

    def attribute(self, extent: Extent, index: int, plain: dict[str, Any], graphs: dict[str, Graph]) -> None:
        """Read one attribute into the node's plain values or bodies."""
        where = f"{self.where}.attribute[{index}]"
        one = self.scope.guarded(partial(attributes.parse, self.scope.reading, extent, where), where)
        if one is None:
            return
        if one.name in plain or one.name in graphs:
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
            plain[one.name] = tuple(held) if one.repeated else next(iter(held), None)
        else:
            plain[one.name] = one.value
            if self.constant:
                self._numbers(one)

    def _body(self, key: str, pieces: list[Extent], where: str) -> Graph:
        path = f"{self.scope.prefix}{self.title}/{key}"
        return graph(self.scope.reading, pieces, path, f"{where}.g", self.scope.depth + 1)

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


def function(reading: Reading, extent: Extent, index: int) -> Function:
    """One `FunctionProto`; its tensors are stored once, however often it is called."""
    text = reading.wire.text
    parts: dict[int, list[Extent]] = {}
    for number, kind, value, length in reading.wire.fields(*extent):
        if kind == LENGTH:
            parts.setdefault(number, []).append((value, value + length))

    def texts(number: int) -> tuple[str, ...]:
        return tuple(text(start, end - start) for start, end in parts.get(number, ()))

    name, domain, overload = ((texts(number) or ("",))[-1] for number in (FUNCTION_NAME, FUNCTION_DOMAIN, FUNCTION_OVERLOAD))
    where = f"functions[{index}]"
    scope = Scope(reading, f"function {f'{domain}.' if domain else ''}{name}{f'.{overload}' if overload else ''}", where, 0)
    for start, end in parts.get(FUNCTION_NODE, ()):
        scope.node(start, end)
    for start, end in parts.get(FUNCTION_VALUE_INFO, ()):
        scope.declaration(GRAPH_VALUE_INFO, start, end)
    defaults: dict[str, Any] = {}
    owner = Owner(scope, "", domain, "defaults", "", where)
    for place, piece in enumerate(parts.get(FUNCTION_DEFAULT, ())):
        owner.attribute(piece, place, defaults, {})
    opsets = reading.opsets(parts.get(FUNCTION_OPSETS, []), where)
    notes = [reading.doc(start, end - start) for start, end in parts.get(FUNCTION_DOC, ())][-1:]
    body = _finish(scope, name, (notes[0] if notes else {}) | reading.metadata(parts.get(FUNCTION_METADATA, []), where), opsets)
    return Function(
        name, standard(domain), texts(FUNCTION_INPUT), texts(FUNCTION_OUTPUT), body, texts(FUNCTION_ATTRIBUTE), defaults, overload
    )
