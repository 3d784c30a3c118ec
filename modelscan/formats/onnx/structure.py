"""The graph as the file states it: nodes, attributes, bodies, functions, training graphs, with every tensor in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats.onnx import nodes, plain, provenance
from modelscan.formats.onnx.context import NOTHING, Extent, Reading, standard
from modelscan.formats.onnx.owner import Owner
from modelscan.formats.onnx.payload import Contents
from modelscan.formats.onnx.proto import (
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
    GRAPH_METADATA,
    GRAPH_NAME,
    GRAPH_NODE,
    GRAPH_SPARSE,
    GRAPH_VALUE_INFO,
)
from modelscan.formats.onnx.scope import DECLARATIONS, Scope
from modelscan.graph import Function, Graph, Node
from modelscan.wire import LENGTH, Field

_MANY = frozenset((GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_VALUE_INFO))
"""Fields of which a graph may have thousands."""
_PATIENCE = 1024
"""Such fields that are read the thorough way before it is tried again whether they are plain, where nearly none is."""


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
            _node(scope, value, value + length)
        elif number == GRAPH_INITIALIZER:
            scope.initializer(value, value + length, places[number])
            places[number] += 1
        elif number == GRAPH_SPARSE:
            scope.sparse_initializer(value, value + length, places[number])
            places[number] += 1
        elif number in DECLARATIONS and length:
            scope.declaration(number, value, value + length)
        elif number == GRAPH_NAME:
            name = scope.reading.wire.text(value, length)
        elif number == GRAPH_METADATA and length:
            metadata.append((value, value + length))
        elif number == GRAPH_DOC and length:
            notes = scope.reading.doc(value, length)
    if scope.path in scope.reading.folded:
        told = provenance.constants(scope.reading, metadata, scope.reading.folded.pop(scope.path))
        scope.reading.kinds.setdefault(scope.path, {}).update(told)
    return name, notes | scope.reading.metadata(metadata, scope.where)


def _fields(scope: Scope, start: int, end: int, places: Counter[int]) -> Iterator[Field]:
    """The fields of a graph's message but for plain ones of the many, which are read right away; `places` counts initializers."""
    reading, position, follows, patience = scope.reading, start, GRAPH_NODE, 1
    rest, tables = partial(_rest, scope), (scope.initializers, scope.small, scope.prefix)
    if not 0 <= start <= end <= reading.wire.size:
        yield from reading.wire.fields(start, end)  # tells what is wrong
    while position < end:
        before = position
        if follows == GRAPH_NODE:
            position = plain.nodes(reading, scope.nodes, position, end, rest)
        elif follows == GRAPH_VALUE_INFO:
            position = scope.inner_values(position, end)
        position, places[GRAPH_INITIALIZER] = plain.initializers(reading, tables, position, end, places[GRAPH_INITIALIZER])
        others = patience = 1 if position > before else min(2 * patience, _PATIENCE)
        for field in reading.wire.walk(position, end):
            yield field
            follows = field[0]
            if follows in _MANY and field[1] == LENGTH:
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


def _node(scope: Scope, start: int, end: int) -> None:
    """Reads one node."""
    reading, index = scope.reading, len(scope.nodes)
    reading.nodes += 1
    if reading.nodes > reading.limits.nodes:
        raise LimitExceeded("nodes", reading.nodes, reading.limits.nodes, offset=start)
    try:
        inputs, outputs, name, op, domain, overload, found, metadata, notes = nodes.parse(reading, start, end)
        own, graphs, noted = _rest(scope, (found, metadata), (name, op, domain), outputs, index)
    except UnreadableFile as error:
        scope.failed(error, f"{scope.where}.node[{index}]")
        return
    notes = {**notes, **noted} if notes else noted
    scope.nodes.append(Node(name, op, domain, tuple(inputs), tuple(outputs), own, graphs, notes, overload, start, end - start))


def _rest(
    scope: Scope, extents: tuple[list[Extent], list[Extent]], named: tuple[str, str, str], outputs: list[str], index: int
) -> plain.Held:
    """What a node has beside names (`plain.Rest`)."""
    found, metadata = extents
    own, graphs = _owner(scope, named, outputs, index).attributes(found) if found else (NOTHING, NOTHING)
    return own, graphs, scope.reading.metadata(metadata, scope.where) if metadata else NOTHING


def _owner(scope: Scope, named: tuple[str, str, str], outputs: list[str], index: int) -> Owner:
    name, op, domain = named
    return Owner(scope, graph, op, domain, name or f"{op}_{index}", outputs[0] if outputs else "", f"{scope.where}.node[{index}]")


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
        _node(scope, start, end)
    for start, end in parts.get(FUNCTION_VALUE_INFO, ()):
        scope.declaration(GRAPH_VALUE_INFO, start, end)
    defaults: dict[str, Any] = {}
    owner = Owner(scope, graph, "", domain, "defaults", "", where)
    for place, piece in enumerate(parts.get(FUNCTION_DEFAULT, ())):
        owner.attribute(piece, place, defaults, {})
    opsets = reading.opsets(parts.get(FUNCTION_OPSETS, []), where)
    notes = [reading.doc(start, end - start) for start, end in parts.get(FUNCTION_DOC, ())][-1:]
    body = _finish(scope, name, (notes[0] if notes else {}) | reading.metadata(parts.get(FUNCTION_METADATA, []), where), opsets)
    return Function(
        name, standard(domain), texts(FUNCTION_INPUT), texts(FUNCTION_OUTPUT), body, texts(FUNCTION_ATTRIBUTE), defaults, overload
    )
