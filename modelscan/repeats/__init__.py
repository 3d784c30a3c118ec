"""A graph that repeats a block of nodes many times over, folded to six copies of it: what holds for these holds for all.

Deep networks are the same block again and again, under other names and with other weights. Between two copies that agree in every
operator, attribute, type and connection, whatever is worked out of the graph differs by names alone. So it is worked out for the first
copy, the last, and four in between, of which two are held against each other. These four have marks in their names (`marks`); a mark
that shows up in a result is a place for the number of another copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from modelscan.graph import Graph, Node
from modelscan.model import StoredTensor
from modelscan.records import record
from modelscan.repeats.copies import Column, Copies
from modelscan.repeats.marks import FIRST, LAST, MARK, SAMPLE, TWIN, Marked, copy_of, free_of_marks, marked
from modelscan.repeats.runs import longest

__all__ = ["FIRST", "KEPT", "LAST", "MARK", "SAMPLE", "TWIN", "Fold", "Recalled", "copy_of", "fold"]

KEPT = LAST + 2
"""Copies that stay: the first, those with marks, the last."""
LEAST = 500
"""Nodes that folding must save."""


class Recalled(Mapping[str, tuple[int | float, ...]]):
    """Contents of tensors under their marked names; remembers which were asked for, since the answer may depend on these."""

    def __init__(self, contents: Mapping[str, tuple[int | float, ...]], names: Mapping[str, str]) -> None:
        self._contents, self._names = contents, names
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> tuple[int | float, ...]:
        real = self._names.get(name)
        if real is None:
            return self._contents[name]
        self.asked.add(name)
        return self._contents[real]

    def real(self, name: str) -> tuple[int | float, ...] | None:
        """The elements under the file's own name."""
        return self._contents.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._contents)

    def __len__(self) -> int:
        return len(self._contents)


@record(frozen=True, slots=True)
class Fold:
    """A folded graph and what the copies are called."""

    graph: Graph
    columns: tuple[Column, ...]
    """Names of the block's nodes, values, tensors and modules, each by copy."""
    marked: Marked
    made: tuple[int, ...]
    """Places among the columns of the values that nodes make."""
    contents: Recalled

    @property
    def left_out(self) -> int:
        """Copies that the folded graph lacks."""
        return len(self.columns[0]) - KEPT

    def sample(self) -> list[str]:
        """The values that the nodes of the sample make, each of which stands for that of all copies left out and its own."""
        return [self.marked.names[SAMPLE][place] for place in self.made]

    def steady(self, of: Callable[[str], Any]) -> bool:
        """Whether something is the same for the values of the two copies that are held against each other."""
        twin = self.marked.names[TWIN]
        return all(of(name) == of(twin[place]) for name, place in zip(self.sample(), self.made, strict=True))

    def same_contents(self) -> bool:
        """Whether the tensors whose elements were asked for have the same ones in all copies."""
        asked, real = self.contents.asked, self.contents.real
        places = {place for names in self.marked.names for place, name in enumerate(names) if name in asked}
        return all(real(name) == real(self.columns[place][1]) for place in places for name in self.columns[place][1:-1])


def fold(graph: Graph) -> Fold | None:
    """The graph folded at its longest run of copies; None where that would save little or the copies are not alike enough."""
    if len(graph.nodes) < LEAST or graph.functions or graph.sparse or any(node.graphs for node in graph.nodes):
        return None
    if any(tensor.name != name for table in (graph.initializers, graph.constants) for name, tensor in table.items()):
        return None  # a name was given twice
    runs = [run for run in longest(graph) if run.saves(KEPT) >= LEAST]
    if not runs or not free_of_marks(_texts(graph)):
        return None
    for run in runs:
        copies = Copies(graph, run)
        if copies.run.saves(KEPT) < LEAST or not copies.closed():
            continue
        names = marked(copies.columns)
        if names is not None:
            return _folded(copies, names)
    return None


def _texts(graph: Graph) -> list[str]:
    """Whatever the file says that can show up in a result: names, operators, attributes, symbolic dimensions."""
    nodes = graph.nodes
    told: set[str] = {graph.name, *graph.initializers, *graph.kinds.values()}
    told.update(*[node.inputs for node in nodes], *[node.outputs for node in nodes])
    told.update([node.name for node in nodes], [node.op for node in nodes], [node.domain for node in nodes])
    texts = list(told)
    for info in (*graph.inputs, *graph.outputs, *graph.declared.values()):
        texts.append(info.name)
        texts.extend(size for size in info.shape or () if isinstance(size, str))
    for node in nodes:
        if node.metadata or node.attributes:
            texts.extend((*node.metadata.values(), *node.attributes))
            firsts = [(value, value[0] if isinstance(value, tuple) and value else value) for value in node.attributes.values()]
            texts.extend(repr(value) for value, first in firsts if not isinstance(first, int | float))
    return texts


def _folded(copies: Copies, marks: Marked) -> Fold:
    graph, run, names = copies.graph, copies.run, marks.names
    places = (*copies.made, *copies.stored)
    dropped = set(chain.from_iterable([copies.columns[place][LAST + 1 : -1] for place in places]))
    renamed = {copies.columns[place][copy]: names[copy][place] for copy in range(FIRST, LAST + 1) for place in places}
    nodes = list(_titled(graph, 0, run.start + run.period))
    for copy in range(FIRST, LAST + 1):
        nodes.extend(_marked(copies, copy, names[copy], names[copy - 1] or copies.names(0)))
    taken = iter(copies.taken(copies.names(-1), names[LAST]))
    for node in _titled(graph, run.end - run.period, run.end):
        nodes.append(replace(node, inputs=tuple([next(taken) for _ in node.inputs]), offset=None))
    nodes.extend(_titled(graph, run.end, len(graph.nodes)))

    def kept(table: Mapping[str, Any]) -> dict[str, Any]:
        return {
            renamed.get(name, name): replace(one, name=renamed[name]) if name in renamed and not isinstance(one, str) else one
            for name, one in table.items()
            if name not in dropped
        }

    contents = Recalled(graph.contents, {new: old for old, new in renamed.items()})
    small = replace(
        graph,
        nodes=tuple(nodes),
        outputs=tuple([replace(one, name=renamed.get(one.name, one.name)) for one in graph.outputs if one.name not in dropped]),
        values=kept(graph.values),
        declared=kept(graph.declared),
        initializers=kept(graph.initializers),
        constants=kept(graph.constants),
        contents=contents,
        kinds=kept(graph.kinds),
        training={},
    )
    return Fold(small, tuple(copies.columns), marks, tuple(copies.made), contents)


def _titled(graph: Graph, start: int, end: int) -> Iterator[Node]:
    """Nodes as they are; one without a name gets the title that it has by its place in the whole graph."""
    for place in range(start, end):
        node = graph.nodes[place]
        yield node if node.name else replace(node, name=node.title(place))


def _marked(copies: Copies, copy: int, names: Sequence[str], before: Sequence[str]) -> Iterator[Node]:
    """The nodes of a copy under marked names; `before` are the names of the copy before it."""
    own, taken = iter(names), iter(copies.taken(names, before))
    for node in copies.block(copy):
        name = next(own)
        outputs = tuple([next(own) for _ in node.outputs])
        metadata = {key: next(own) for key in node.metadata}
        attributes = {
            key: replace(value, name=next(own)) if isinstance(value, StoredTensor) else value for key, value in node.attributes.items()
        }
        inputs = tuple([next(taken) for _ in node.inputs])
        yield replace(node, name=name, inputs=inputs, outputs=outputs, attributes=attributes, metadata=metadata, offset=None)
