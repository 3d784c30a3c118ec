"""The copies of one block, held against each other: names, connections, declarations, numbers that shapes depend on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from modelscan.graph import Graph, Node
from modelscan.model import StoredTensor
from modelscan.repeats.runs import Run

_READ = frozenset(("Resize", "Upsample", "Range"))
"""Operators whose result has a shape that depends on floating-point numbers."""

Column = Sequence[str]
"""One name of the block, by copy."""


class Copies:
    """The copies of a run as far as they are alike.

    The block's names stand in one order: for each node its own, its outputs, its metadata, the tensors in its attributes; then the stored
    tensors that each copy has for itself. Copies are many and blocks are small: everything is held against each other column by column.
    """

    def __init__(self, graph: Graph, run: Run) -> None:
        self.graph, self.run = graph, run
        self.columns: list[Column] = []
        self.made: list[int] = []
        """Places among the columns of values that nodes make."""
        self.stored: list[int] = []
        """Of stored tensors in attributes and in initializers."""
        self._results: list[int] = []
        """Of values that every copy gives the graph as an output."""
        self._read: list[int] = []
        """Of initializers whose elements, and not only their shapes, decide on shapes."""
        self._fixed: list[str] = []
        """Names that all copies take."""
        self._order: list[int] = []
        """For each input of a block, its place among the copy's names, those of the copy before, and the fixed ones."""
        self._alike = run.count
        """How many copies, from the first, are alike as far as that is known."""
        self._nodes = [graph.nodes[run.start + place : run.end : run.period] for place in range(run.period)]
        """By place in the block, the nodes of all copies."""
        self._name()
        self._connect()
        self._compare()
        self.run = replace(run, count=self._alike)
        if self._alike < run.count:
            self.columns = [column[: self._alike] for column in self.columns]

    def block(self, copy: int) -> Sequence[Node]:
        """The nodes of a copy."""
        start = self.run.start + copy * self.run.period
        return self.graph.nodes[start : start + self.run.period]

    def names(self, copy: int) -> tuple[str, ...]:
        """The names of a copy."""
        return tuple([column[copy] for column in self.columns])

    def taken(self, own: Sequence[str], before: Sequence[str]) -> list[str]:
        """What the nodes of a copy take, by the names of this copy and of the one before."""
        pool = (*own, *before, *self._fixed)
        return [pool[place] for place in self._order]

    def closed(self) -> bool:
        """Whether every value has one name, and nobody outside takes what the copies between the first and the last make or store."""
        columns = [self.columns[place] for place in (*self.made, *self.stored)]
        known = set(chain.from_iterable([column[1:-1] for column in columns]))
        if len(known) != len(columns) * (self._alike - 2) or not known.isdisjoint([column[end] for column in columns for end in (0, -1)]):
            return False
        nodes = chain(self.graph.nodes[: self.run.start], self.graph.nodes[self.run.end :])
        outside = chain.from_iterable((*node.inputs, *node.outputs) for node in nodes)
        if not known.isdisjoint(outside) or not known.isdisjoint([one.name for one in self.graph.inputs]):
            return False
        inner = known.difference(*[self.columns[place] for place in self._results])
        return inner.isdisjoint([one.name for one in self.graph.outputs]) and known.isdisjoint(self._fixed)

    def _name(self) -> None:
        """The columns of what nodes and values are called."""
        add = self.columns.append
        for place, nodes in enumerate(self._nodes):
            first, own = self.run.start + place, nodes[0]
            add([node.name or node.title(first + copy * self.run.period) for copy, node in enumerate(nodes)])
            for number in range(len(own.outputs)):
                if all(node.outputs[number] for node in nodes):
                    self.made.append(len(self.columns))
                elif any(node.outputs[number] for node in nodes):
                    self._alike = 0  # some copies leave it out
                add([node.outputs[number] for node in nodes])
            for key in own.metadata:
                add([node.metadata[key] for node in nodes])
            for key, value in own.attributes.items():
                if isinstance(value, StoredTensor):
                    if value.name not in own.outputs:
                        self.stored.append(len(self.columns))
                    add([node.attributes[key].name for node in nodes])

    def _connect(self) -> None:
        """Finds out from the second copy, between the first and the third, what each input of a block is; columns of own initializers."""
        before, here = ({self.columns[place][copy]: place for place in self.made} for copy in (0, 1))
        earlier: list[tuple[int, int]] = []
        fixed: list[int] = []
        for nodes in self._nodes:
            for position, name in enumerate(nodes[1].inputs):
                column = [node.inputs[position] for node in nodes]
                if name and name in here:
                    self._order.append(here[name])
                    self._agree(column, self.columns[here[name]])
                elif name and name in before:
                    earlier.append((len(self._order), before[name]))
                    self._order.append(-1)
                    self._agree(column[1:], self.columns[before[name]][:-1], 1)
                elif name == column[2]:
                    fixed.append(len(self._order))
                    self._order.append(-1)
                    self._fixed.append(name)
                    self._agree(column, [name] * len(column))
                elif name in self.graph.initializers:
                    here[name] = len(self.columns)
                    self._order.append(here[name])
                    self.stored.append(here[name])
                    if "float" not in self.graph.initializers[name].dtype or nodes[1].op in _READ:
                        self._read.append(here[name])
                    self.columns.append(column)
                else:
                    self._alike = 0
                    return
        total = len(self.columns)
        for number, place in earlier:
            self._order[number] = total + place
        for number, place in enumerate(fixed):
            self._order[place] = 2 * total + number

    def _compare(self) -> None:
        """What the file says of values and of the numbers in tensors has to be the same for all copies."""
        graph = self.graph
        if graph.declared:
            for place in self.made:
                infos = [graph.declared.get(name) for name in self.columns[place]]
                unclear = next((copy for copy, one in enumerate(infos) if one is not None and one.dtype is None), len(infos))
                self._alike = min(self._alike, unclear)
                self._agree_with_first([None if one is None else (one.dtype, one.shape) for one in infos])
        outputs = {one.name: (one.dtype, one.shape) for one in graph.outputs}
        if len(outputs) == len(graph.outputs):
            self._results = [place for place in self.made if self.columns[place][1] in outputs]
            self._same(outputs.get, self._results)
        if graph.kinds:
            self._same(graph.kinds.get, (*self.made, *self.stored))
        self._same(graph.contents.get, self._read)
        self._same(graph.contents.get, self._numbers())

    def _numbers(self) -> list[int]:
        """Places of constants whose elements decide on shapes, as `_read` has those of initializers."""
        constants = self.graph.constants
        if not constants:
            return []
        used = {name for nodes in self._nodes if nodes[1].op in _READ for name in nodes[1].inputs}
        made = [(place, self.columns[place][1]) for place in self.made]
        return [place for place, name in made if name in constants and ("float" not in constants[name].dtype or name in used)]

    def _same(self, of: Callable[[str], Any], places: Sequence[int]) -> None:
        for place in places:
            self._agree_with_first([of(name) for name in self.columns[place]])

    def _agree_with_first(self, said: list[Any]) -> None:
        self._agree(said, [said[0]] * len(said))

    def _agree(self, said: Sequence[Any], expected: Sequence[Any], first: int = 0) -> None:
        """Only as many copies are alike as say the same; `said` is that of the copy `first` and those behind it."""
        if said == expected:
            return
        differing: Iterator[int] = (copy for copy, (one, other) in enumerate(zip(said, expected, strict=True), first) if one != other)
        self._alike = min(self._alike, next(differing, self._alike))
