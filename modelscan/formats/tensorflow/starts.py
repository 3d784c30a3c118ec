"""Constants that loops of a frozen graph start from: the zeros of a recurrent layer's first state, which no variable was frozen into.

They have the type and shape of a weight. What tells them apart: all their elements are equal, and all that takes them is a loop
that replaces them in every step. A weight that is handed through a loop comes back as it went in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from modelscan.program import Constant, Function, FunctionRef, MetaGraph, Operation

_WHILE = frozenset({"While", "StatelessWhile"})
_ENTER = frozenset({"Enter", "RefEnter"})
_MERGE = frozenset({"Merge", "RefMerge"})
_NEXT = frozenset({"NextIteration", "RefNextIteration"})
_SAME = frozenset({"Identity", "Switch", "RefSwitch", "RefIdentity"})
_FAR = 16


def starting(graph: MetaGraph) -> frozenset[str]:
    """Names of the constants of the graph itself that are nothing but the beginning of a loop's state."""
    loops = [one for one in graph.nodes if one.op in _WHILE or one.op in _ENTER]
    if not loops:
        return frozenset()
    nodes = {one.name: one for one in graph.nodes}
    found: Counter[str] = Counter()
    for reference in _replaced(graph, loops, nodes):
        name = _name(reference)
        node = nodes.get(name)
        if node is not None and node.op == "Const" and (name in found or _is_uniform(node.attributes.get("value"))):
            found[name] += 1
    uses = Counter(name for one in graph.nodes for name in map(_name, one.inputs) if name in found) if found else found
    return frozenset(name for name, count in found.items() if uses[name] == count)


def _replaced(graph: MetaGraph, loops: list[Operation], nodes: Mapping[str, Operation]) -> Iterator[str]:
    """The inputs of loops in whose place the next step has another value."""
    entered = {one.name: one for one in loops if one.op in _ENTER and one.inputs}
    for merge in nodes.values() if entered else ():
        first, again = merge.inputs[:2] if merge.op in _MERGE and len(merge.inputs) == 2 else ("", "")
        enter, step = entered.get(_name(first)), nodes.get(_name(again))
        if enter is not None and step is not None and step.op in _NEXT and step.inputs and _source(step.inputs[0], nodes) != merge.name:
            yield enter.inputs[0]
    for node in loops:
        body = node.attributes.get("body") if node.op in _WHILE else None
        if isinstance(body, FunctionRef) and body.name in graph.functions:
            yield from _changed(node, graph.functions[body.name])


def _changed(node: Operation, body: Function) -> Iterator[str]:
    inner = {one.name: one for one in body.nodes}
    for reference, argument, result in zip(node.inputs, body.inputs, body.outputs, strict=False):
        returned = body.returns.get(result.name)
        if returned is not None and _source(returned, inner) != argument.name:
            yield reference


def _source(reference: str, nodes: Mapping[str, Operation]) -> str:
    """The name of what a value is handed on from."""
    name = _name(reference)
    for _ in range(_FAR):
        node = nodes.get(name)
        if node is None or node.op not in _SAME or not node.inputs:
            break
        name = _name(node.inputs[0])
    return name


def _name(reference: str) -> str:
    return reference.partition(":")[0]


def _is_uniform(tensor: object) -> bool:
    if not isinstance(tensor, Constant):
        return False
    return len(set(tensor.values)) == 1 if tensor.values is not None else tensor.encoding == "splat" and tensor.nbytes <= 8
