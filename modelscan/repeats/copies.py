"""The copies of one block, held against each other: names, connections, declarations, numbers that shapes depend on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from modelscan.graph import Graph, Node
from modelscan.model import StoredTensor
from modelscan.repeats.runs import Run

_READ = frozenset(("Resize", "Upsample", "Range"))
"""Operators whose result has a shape that depends on floating-point numbers."""
_SAME, _OWN, _BEFORE = range(3)
"""What a node of a block takes: the same in every copy, something of its own copy, or of the copy before."""

Said = tuple[Any, ...]


class Copies:
    """The copies of a run as far as they are alike.

    A copy's names stand in one order: for each node its own, its outputs, its metadata, the tensors in its attributes; then the stored
    tensors that the copy has for itself.
    """

    def __init__(self, graph: Graph, run: Run) -> None:
        self.graph, self.run = graph, run
        self.names: list[tuple[str, ...]] = []
        """By copy."""
        self.made: list[int] = []
        """Places in a copy's names of values that nodes make."""
        self.stored: list[int] = []
        """Of stored tensors in attributes and in initializers."""
        self._owned: list[tuple[int, int]] = []
        """Where an initializer is first taken that each copy has for itself: node in the block, and input."""
        self._size = 0
        """Names of a copy before those of such initializers."""
        self._read: list[int] = []
        """Places in a copy's names of initializers whose elements, and not only their shapes, decide on shapes."""
        self._fixed: list[str] = []
        """Names that all copies take."""
        self._order: list[int] = []
        """For each input of a block, its place among the copy's names, those of the copy before, and the fixed ones."""
        self._inner: list[int] = []
        """Inputs that have nothing to do with the copy before."""
        if self._template():
            self._compare()
        self.run = replace(run, count=len(self.names))

    def block(self, copy: int) -> Sequence[Node]:
        """The nodes of a copy."""
        start = self.run.start + copy * self.run.period
        return self.graph.nodes[start : start + self.run.period]

    def taken(self, own: Sequence[str], before: Sequence[str]) -> list[str]:
        """What the nodes of a copy take, by the names of this copy and of the one before."""
        pool = (*own, *before, *self._fixed)
        return [pool[place] for place in self._order]

    def closed(self) -> bool:
        """Whether every value has one name, and nobody outside takes what the copies between the first and the last make or store."""
        places = (*self.made, *self.stored)
        inner = [names[place] for names in self.names[1:-1] for place in places]
        ends = [names[place] for names in (self.names[0], self.names[-1]) for place in places]
        known = set(inner)
        if len(known) != len(inner) or not known.isdisjoint(ends):
            return False
        nodes = chain(self.graph.nodes[: self.run.start], self.graph.nodes[self.run.end :])
        outside = chain.from_iterable((*node.inputs, *node.outputs) for node in nodes)
        around = (one.name for one in (*self.graph.inputs, *self.graph.outputs))
        return known.isdisjoint(outside) and known.isdisjoint(around) and known.isdisjoint(self._fixed)

    def _listed(self, copy: int) -> list[str]:
        """The names of a copy without those of its initializers."""
        found: list[str] = []
        start = self.run.start + copy * self.run.period
        for place, node in enumerate(self.block(copy)):
            found.append(node.name or node.title(start + place))
            found.extend(node.outputs)
            if node.metadata:
                found.extend(node.metadata.values())
            if node.attributes:
                found.extend([value.name for value in node.attributes.values() if isinstance(value, StoredTensor)])
        return found

    def _template(self) -> bool:
        """Finds out from the second copy, between the first and the third, what each input of a block is; False where one is none of it."""
        before, own = self._listed(0), self._listed(1)
        self._size = len(own)
        self._places()
        earlier = {before[place]: place for place in self.made}
        here = {own[place]: place for place in self.made}
        takers: list[tuple[int, int]] = []
        for node, (one, other) in enumerate(zip(self.block(1), self.block(2), strict=True)):
            for place, (name, later) in enumerate(zip(one.inputs, other.inputs, strict=True)):
                if name and name in here:
                    takers.append((_OWN, here[name]))
                elif name and name in earlier:
                    takers.append((_BEFORE, earlier[name]))
                elif name == later:
                    takers.append((_SAME, len(self._fixed)))
                    self._fixed.append(name)
                elif name in self.graph.initializers:
                    here[name] = self._size + len(self._owned)
                    takers.append((_OWN, here[name]))
                    self._owned.append((node, place))
                else:
                    return False
        for place, (node, position) in enumerate(self._owned, self._size):
            one = self.block(1)[node]
            if "float" not in self.graph.initializers[one.inputs[position]].dtype or one.op in _READ:
                self._read.append(place)
        total = self._size + len(self._owned)
        self.stored.extend(range(self._size, total))
        shift = {_OWN: 0, _BEFORE: total, _SAME: 2 * total}
        self._order = [shift[what] + place for what, place in takers]
        self._inner = [number for number, (what, _) in enumerate(takers) if what != _BEFORE]
        return True

    def _places(self) -> None:
        """Where the values that nodes make and the tensors in attributes stand in a copy's names."""
        at = 0
        for node in self.block(1):
            self.made.extend(at + 1 + place for place, name in enumerate(node.outputs) if name)
            at += 1 + len(node.outputs) + len(node.metadata)
            for value in node.attributes.values():
                if isinstance(value, StoredTensor):
                    if value.name not in node.outputs:
                        self.stored.append(at)
                    at += 1

    def _compare(self) -> None:
        """Cuts the run where a copy is connected, declared or filled in another way than the first one."""
        first: Said | None = None
        for copy in range(self.run.count):
            nodes = self.block(copy)
            names = (*self._listed(copy), *[nodes[node].inputs[place] for node, place in self._owned])
            taken = [name for node in nodes for name in node.inputs]
            said = self._said(names)
            first = first or said
            if said is None or said != first or not self._connected(taken, names):
                break
            self.names.append(names)

    def _connected(self, taken: list[str], names: tuple[str, ...]) -> bool:
        if self.names:
            return len(names) == len(self.names[0]) and taken == self.taken(names, self.names[-1])
        expected = self.taken(names, names)
        return all(taken[place] == expected[place] for place in self._inner)

    def _said(self, names: Sequence[str]) -> Said | None:
        """What the file says of a copy's values that the copies must agree in; None where it says what cannot be compared."""
        graph = self.graph
        said: list[Any] = [len(names)]
        if graph.declared:
            for one in [graph.declared.get(names[place]) for place in self.made]:
                if one is not None and one.dtype is None:
                    return None
                said.append(one and (one.dtype, one.shape))
        if graph.kinds:
            said.append([graph.kinds.get(names[place]) for place in (*self.made, *self.stored)])
        said.extend([graph.contents.get(names[place]) for place in self._read])
        for place in self.made if graph.constants else ():
            constant = graph.constants.get(names[place])
            if constant is not None:
                said.append(graph.contents.get(names[place]))
        return tuple(said)
