"""The nodes of one graph or function: each there once, what they take there, too, as their operations ask for, none waiting in a circle.

Source: tensorflow/core/graph/graph_constructor.cc and tensorflow/core/framework/{node_def_util,function}.cc, which refuse all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from modelscan.formats.tensorflow.attributes import Attributes, Tail
from modelscan.formats.tensorflow.definitions import Definition, Parameter, definition, steering, total
from modelscan.model import Observation, Severity
from modelscan.program import Function, MetaGraph, Operation

_SHOWN = 20
_NEXT = frozenset({"NextIteration", "RefNextIteration"})
_MERGE = frozenset({"Merge", "RefMerge"})


@dataclass(slots=True)
class Notes:
    """What is remarkable: the first of each kind one by one, the others by their number."""

    seen: list[Observation] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, text: str, where: str | None, offset: int | None = None, severity: Severity | None = None) -> None:
        """Note one thing."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] <= _SHOWN:
            self.seen.append(Observation(kind, text, offset=offset, where=where, severity=severity))

    def finished(self) -> Iterator[Observation]:
        """All of it."""
        yield from self.seen
        for kind, number in self.counts.items():
            if number > _SHOWN:
                yield Observation(kind, f"{number - _SHOWN:,} more are like this", severity=Severity.INFO)


@dataclass(slots=True)
class Body:
    """A graph, or one of its functions."""

    graph: MetaGraph
    nodes: Mapping[str, Operation]
    listed: tuple[Operation, ...]
    """The nodes in the order of the file, two of one name included."""
    function: Function | None = None
    arguments: frozenset[str] = frozenset()

    def place(self, name: str) -> str:
        """A node of it, for a message."""
        return name if self.function is None else f"{self.function.name} > {name}"


def body_of(graph: MetaGraph, function: Function | None = None) -> Body:
    """The graph itself, or a function."""
    nodes = graph.nodes if function is None else function.nodes
    arguments = frozenset(one.name for one in function.inputs) if function is not None else frozenset()
    return Body(graph, {one.name: one for one in nodes}, nodes, function, arguments)


def look(node: Operation, *names: str) -> Mapping[str, object]:
    """Those attributes of a node, not kept."""
    given = node.attributes
    return given.some(names) if isinstance(given, Attributes) else given


Kind = tuple[str, int, Tail]
"""Operation, number of inputs and attributes of nodes that one definition is held against in the same way."""


class Wiring:
    """The checks of one body."""

    def __init__(self, body: Body, notes: Notes, exact: bool, alike: set[Kind] | None = None) -> None:
        """`exact` tells whether the file's TensorFlow was no newer than the definitions; `alike` has the nodes that fit theirs."""
        self.body = body
        self.alike = set() if alike is None else alike
        self.notes = notes
        self.exact = exact
        self._sound: set[str] = set()
        self._sizes: dict[tuple[str, str], int | None] = {}
        """How many tensors the outputs of a node are, all of them or one."""
        self._outputs: dict[str, frozenset[str]] = {}
        """By function."""

    def run(self) -> list[Operation]:
        """Check everything; the nodes so that each comes after those that it takes values from, as far as there is such an order."""
        names: set[str] = set(self.body.arguments)
        for node in self.body.listed:
            place = self.body.place(node.name)
            if node.name in names:
                self.notes.add("duplicate-node", f"a second node is called {node.name!r}, at {place}", place, node.offset)
            names.add(node.name)
            self._operands(node, place)
            self._definition(node, place)
        if self.body.function is not None:
            self._returns(self.body.function)
        order, circle = ordered(self.body)
        if circle:
            text = " > ".join([*circle[-_SHOWN:], circle[-_SHOWN:][0]])
            self.notes.add("node-cycle", f"nodes wait for one another: {text}", self.body.place(circle[0]))
        return order

    def _operands(self, node: Operation, place: str) -> None:
        for reference in node.inputs:
            if reference not in self._sound:
                fault = self.fault(reference)
                if fault is None:
                    self._sound.add(reference)
                else:
                    self.notes.add("undefined-value", f"{place} takes {reference!r}, {fault}", place, node.offset)
        for reference in node.controls:
            if reference not in self._sound:
                name = reference[1:]
                if name in self.body.nodes or name in self.body.arguments:
                    self._sound.add(reference)
                else:
                    self.notes.add("undefined-value", f"{place} waits for {name!r}, which is not there", place, node.offset)

    def fault(self, reference: str) -> str | None:
        """What is wrong with a reference to a value, as the end of a sentence; None when nothing is."""
        name, _, rest = reference.partition(":")
        if name in self.body.arguments:
            return None
        node = self.body.nodes.get(name)
        if node is None:
            return "which is not there"
        if self.body.function is None:
            made = self._made(node)
            place = int(rest) if rest.isdecimal() and len(rest) < 10 else 0 if not rest else None
            if place is None or (made is not None and place >= made):
                return f"and {node.op} has {'no output' if not made else 'one output' if made == 1 else f'{made:,} outputs'}"
            return None
        return self._inner_fault(node, rest) if rest else None

    def _made(self, node: Operation) -> int | None:
        """How many outputs a node has."""
        if node.op in self.body.graph.functions:
            return len(self.body.graph.functions[node.op].outputs)
        known = definition(node.op)
        if known is None or known.gives is not None:
            return None if known is None else known.gives
        return self._size(node, "", known.outputs, known)

    def _size(self, node: Operation, name: str, outputs: tuple[Parameter, ...], known: Definition) -> int | None:
        if (node.name, name) not in self._sizes:
            self._sizes[node.name, name] = total(outputs, known, look(node, *steering(outputs)))
        return self._sizes[node.name, name]

    def _inner_fault(self, node: Operation, rest: str) -> str | None:
        """In a function a value is `node:output:number`."""
        output, _, number = rest.partition(":")
        if node.op in self.body.graph.functions:
            if node.op not in self._outputs:
                self._outputs[node.op] = frozenset(one.name for one in self.body.graph.functions[node.op].outputs)
            return None if output in self._outputs[node.op] else f"and {node.op!r} has no output {output!r}"
        if _is_one_tensor(node.op, output, number):
            return None
        known = definition(node.op)
        if known is None:
            return None
        found = next((one for one in known.outputs if one.name == output), None)
        if found is None:
            return f"and {node.op} has no output {output!r}"
        size = self._size(node, output, (found,), known) if found.number or found.types else 1
        if number and (not number.isdecimal() or (size is not None and int(number[:10]) >= size)):
            return f"and the output {output!r} of {node.op} is {size if size is not None else 'a number of'} tensors"
        return None

    def _definition(self, node: Operation, place: str) -> None:
        """Number of inputs and attributes against the operation's definition; nodes that are alike in both are looked at once."""
        tail = node.attributes.tail if isinstance(node.attributes, Attributes) else None
        kind = None if tail is None else (node.op, len(node.inputs), tail)
        if kind is not None and kind in self.alike:
            return
        if self._defined(node, place) and kind is not None:
            self.alike.add(kind)

    def _defined(self, node: Operation, place: str) -> bool:
        faults: list[str] = []
        if node.op in self.body.graph.functions:
            wanted: int | None = len(self.body.graph.functions[node.op].inputs)
        else:
            known = definition(node.op)
            if known is None:
                return True
            given = node.attributes
            names = given.names() if isinstance(given, Attributes) else set(given)
            missing = [one for one in known.required if one not in names]
            if missing:
                faults.append(f"lacks the attribute {', '.join(missing)}, which every {node.op} has")
            if self.exact and not names <= known.attributes:
                more = sorted(one for one in names - known.attributes if not one.startswith("_"))
                if more:
                    faults.append(f"has the attribute {', '.join(more[:_SHOWN])}, which no {node.op} has")
            wanted = known.takes if known.takes is not None or missing else total(known.inputs, known, look(node, *steering(known.inputs)))
        if wanted is not None and wanted != len(node.inputs):
            faults.append(f"takes {len(node.inputs):,} values, {node.op} takes {wanted:,}")
        for fault in faults:
            self.notes.add("node-definition", f"{place} {fault}", place, node.offset)
        return not faults

    def _returns(self, function: Function) -> None:
        """What a function gives back."""
        for one in function.outputs:
            reference = function.returns.get(one.name)
            fault = "of which nothing is said" if reference is None else self.fault(reference)
            if fault is not None:
                text = f"{function.name} gives back {reference or one.name!r}, {fault}"
                self.notes.add("undefined-value", text, function.name, function.offset)
        for name in function.controls.values():
            if name not in self.body.nodes:
                text = f"{function.name} waits for {name!r} before it returns, which is not there"
                self.notes.add("undefined-value", text, function.name, function.offset)


@lru_cache(maxsize=4096)
def _is_one_tensor(op: str, output: str, number: str) -> bool:
    """Whether a reference to an output of an operation is right by its definition alone, whatever the node's attributes."""
    known = definition(op)
    return known is not None and number in ("", "0") and any(one.name == output and not (one.number or one.types) for one in known.outputs)


def _before(node: Operation, nodes: Mapping[str, Operation]) -> Iterator[str]:
    """The nodes that have to have run before one; a loop's way back into its Merge does not count."""
    merges = node.op in _MERGE
    for reference in node.inputs:
        name = reference.partition(":")[0]
        one = nodes.get(name)
        if one is not None and not (merges and one.op in _NEXT):
            yield name
    for reference in node.controls:
        if reference[1:] in nodes:
            yield reference[1:]


def ordered(body: Body) -> tuple[list[Operation], list[str]]:
    """The nodes of a body, each after those that it waits for, and the names of nodes in a circle, if there is one."""
    nodes = body.nodes
    done: set[str] = set()
    for node in body.listed:
        if any(name not in done for name in _before(node, nodes)):
            break
        done.add(node.name)
    else:
        return list(body.listed), []
    after: dict[str, list[str]] = {}
    waiting: dict[str, int] = {}
    for name, node in nodes.items():
        waiting[name] = 0
        for one in _before(node, nodes):
            after.setdefault(one, []).append(name)
            waiting[name] += 1
    ready = [name for name, number in waiting.items() if not number]
    order: list[Operation] = []
    while ready:
        name = ready.pop()
        order.append(nodes[name])
        for one in after.get(name, ()):
            waiting[one] -= 1
            if not waiting[one]:
                ready.append(one)
    if len(order) == len(nodes):
        return order, []
    return order, _circle(nodes, waiting)


def _circle(nodes: Mapping[str, Operation], waiting: Mapping[str, int]) -> list[str]:
    """One circle among the nodes that still wait: from each of them to one that it waits for, until one comes again."""
    name = next(name for name, number in waiting.items() if number)
    path: dict[str, int] = {}
    while name not in path:
        path[name] = len(path)
        name = next(one for one in _before(nodes[name], nodes) if waiting[one])
    return [one for one, place in path.items() if place >= path[name]][::-1]
