"""What a program saves and restores: the list that its saver holds, and which variable node each name on it stands for.

In TF 1 the saver's nodes stand in the graph itself, in TF 2 in a function that the graph calls. Both end in `SaveV2`, whose inputs are
the file's prefix, the names, the slices, and then the values in the order of the names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from modelscan.errors import UnreadableFile
from modelscan.formats.tensorflow import proto
from modelscan.formats.tensorflow.constants import strings
from modelscan.program import FunctionRef, MetaGraph, Operation
from modelscan.wire import LENGTH, Wire

SAVE = "SaveV2"
CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
VARIABLES = frozenset({"VarHandleOp", "VariableV2", "Variable", "AutoReloadVariable", "MutableHashTableV2"})
_PASSED_THROUGH = frozenset({"Identity", "ReadVariableOp", "Read", "Cast", "IdentityN", "Snapshot"})
_FIRST_VALUE = 3
_STEPS = 32
"""Nodes between a value that is saved and its variable."""


@dataclass(slots=True)
class Saved:
    """What the savers of a graph hold."""

    lists: list[tuple[str, ...]] = field(default_factory=list)
    """The names of each `SaveV2`, in the order in which it writes."""
    keys: dict[str, str] = field(default_factory=dict)
    """Name by variable node of the graph."""
    types: dict[str, str] = field(default_factory=dict)
    """Element type by name, as `SaveV2` lists them."""


def saved(graph: MetaGraph, wire: Wire) -> Saved:
    """The lists of a program's savers, those in functions of its library included."""
    found = Saved()
    nodes = {one.name: one for one in graph.nodes}
    for one in graph.nodes:
        if one.op == SAVE:
            _take(found, wire, one, nodes, nodes, None)
        elif one.op in CALLS:
            called = one.attributes.get("f")
            if isinstance(called, FunctionRef) and called.name in graph.functions:
                function = graph.functions[called.name]
                inner = {node.name: node for node in function.nodes}
                given = dict(zip((argument.name for argument in function.inputs), one.inputs, strict=False))
                for node in function.nodes:
                    if node.op == SAVE:
                        _take(found, wire, node, inner, nodes, given)
    return found


def _take(
    found: Saved,
    wire: Wire,
    save: Operation,
    around: Mapping[str, Operation],
    nodes: Mapping[str, Operation],
    given: Mapping[str, str] | None,
) -> None:
    """One `SaveV2`: its names, and the variables behind its values."""
    inputs = save.inputs
    constant = around.get(_node(inputs[1])) if len(inputs) > 1 else None
    if constant is None:
        return
    names = tuple(_strings(wire, constant))
    found.lists.append(names)
    types = save.attributes.get("dtypes")
    if isinstance(types, tuple) and len(types) == len(names):
        found.types.update((name, dtype) for name, dtype in zip(names, types, strict=True) if isinstance(dtype, str))
    for name, value in zip(names, inputs[_FIRST_VALUE:], strict=False):
        variable = _variable(value, around, nodes, given)
        if variable is not None:
            found.keys.setdefault(variable, name)


def _variable(value: str, around: Mapping[str, Operation], nodes: Mapping[str, Operation], given: Mapping[str, str] | None) -> str | None:
    """The variable node that a value was read from, out of a function's argument into the graph around it."""
    for _ in range(_STEPS):
        name = _node(value)
        if given is not None and name in given:
            value, around, given = given[name], nodes, None
            continue
        node = around.get(name)
        if node is None:
            return None
        if node.op in VARIABLES:
            return node.name if given is None else None
        if node.op not in _PASSED_THROUGH or not node.inputs:
            return None
        value = node.inputs[0]
    return None


def _node(value: str) -> str:
    """The node's name in a value's: `a/b:0` and `a/b:output:0` are values of `a/b`."""
    return value.partition(":")[0]


def _strings(wire: Wire, constant: Operation) -> list[str]:
    """The elements of a Const of strings, however many."""
    try:
        for start, end in _tensors(wire, constant):
            return strings(wire, start, end, wire.limits.tensors)
    except UnreadableFile:  # broken attributes are told when the graph is checked
        return []
    return []


def _tensors(wire: Wire, node: Operation) -> Iterator[tuple[int, int]]:
    """Where the tensors among a node's attributes lie."""
    if node.offset is None:
        return
    for number, kind, value, length in wire.fields(node.offset, node.offset + node.nbytes):
        if (number, kind) != (proto.NODE_ATTRIBUTE, LENGTH):
            continue
        for inner, way, at, size in wire.fields(value, value + length):
            if (inner, way) != (2, LENGTH):
                continue
            for last, form, place, count in wire.fields(at, at + size):
                if (last, form) == (proto.VALUE_TENSOR, LENGTH):
                    yield place, place + count
