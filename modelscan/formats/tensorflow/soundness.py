"""A program held against itself: references, definitions, shapes and constants of the graph and its functions, and what refers to them.

TensorFlow 2 builds every function of the library when it loads a model, TensorFlow 1 those that are called: only these are looked at then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from math import prod

from modelscan.formats.tensorflow.bindings import check_objects, check_signatures
from modelscan.formats.tensorflow.bundle import width_of
from modelscan.formats.tensorflow.definitions import VERSION
from modelscan.formats.tensorflow.graphdef import Library
from modelscan.formats.tensorflow.shapes import Shapes, Sizes, sizes_of
from modelscan.formats.tensorflow.wiring import Body, Kind, Notes, Wiring, body_of, look
from modelscan.model import Observation, shape_text
from modelscan.program import Constant, Function, FunctionRef, MetaGraph, Operation

_CALLS: Mapping[str, tuple[tuple[str, ...], int]] = {
    "PartitionedCall": (("f",), 0),
    "StatefulPartitionedCall": (("f",), 0),
    "While": (("cond", "body"), 0),
    "StatelessWhile": (("cond", "body"), 0),
    "If": (("then_branch", "else_branch"), 1),
    "StatelessIf": (("then_branch", "else_branch"), 1),
}
"""Attributes that name functions, and how many inputs come before those that are handed on."""
_LOOPS = frozenset({"While", "StatelessWhile"})
_VERSION = re.compile(r"(\d+)\.(\d+)")
_Given = list[Sizes | None]


class Soundness:
    """One pass over a program."""

    def __init__(self, graph: MetaGraph, calls: Mapping[str, Sequence[str]]) -> None:
        """`calls` has the functions that can be reached, and which each of them calls."""
        self.graph = graph
        self.calls = calls
        self.notes = Notes()
        found = _VERSION.match(graph.version)
        self.exact = found is not None and (int(found[1]), int(found[2])) <= VERSION
        self.alike: set[Kind] = set()
        self.given: dict[str, _Given] = {}
        """By function, the shapes of what it is called with, as far as all its callers agree."""
        self.bound: dict[str, _Given] = {}
        """By function, the shapes of the variables that the object graph binds to it; of its other arguments that says nothing."""

    def run(self) -> Iterator[Observation]:
        """Everything that does not hold."""
        graph = self.graph
        main = body_of(graph)
        wiring = Wiring(main, self.notes, self.exact, self.alike)
        self._body(main, wiring, {})
        check_signatures(graph, wiring, self.notes)
        check_objects(graph, self.notes)
        self._bound()
        for name in self._order():
            self._function(graph.functions[name])
        if graph.objects:
            library = graph.functions
            for name in library:
                if name not in self.calls:
                    self._function(library.once(name) if isinstance(library, Library) else library[name])
        yield from self.notes.finished()

    def _bound(self) -> None:
        """The variables that the object graph binds to functions."""
        objects = self.graph.objects
        for name, concrete in self.graph.concrete.items():
            if concrete.bound and name in self.graph.functions:
                bound = [objects[one].variable if 0 <= one < len(objects) else None for one in concrete.bound]
                given: _Given = [None] * (len(self.graph.functions[name].inputs) - len(bound))
                given += [None if one is None else sizes_of(one.shape) for one in bound]
                self.bound[name] = given

    def _order(self) -> list[str]:
        """The functions that are reached, callers before those whom they call, as far as none calls itself."""
        done: set[str] = set()
        order: list[str] = []
        for root in self.calls:
            stack: list[tuple[str, Iterator[str]]] = []
            if root not in done:
                done.add(root)
                stack.append((root, iter(self.calls[root])))
            while stack:
                following = next(stack[-1][1], None)
                if following is None:
                    order.append(stack.pop()[0])
                elif following not in done and following in self.calls:
                    done.add(following)
                    stack.append((following, iter(self.calls[following])))
        return order[::-1]

    def _function(self, function: Function) -> None:
        given: dict[str, Sizes | None] = {}
        called, bound = self.given.get(function.name), self.bound.get(function.name)
        for place, one in enumerate(function.inputs):
            told = called[place] if called is not None else None
            if bound is not None and one.dtype == "resource" and place < len(bound):
                told = bound[place] if called is None else _joined(told, bound[place])
            given[one.name] = _merged(sizes_of(one.shape), told)
        body = body_of(self.graph, function)
        self._body(body, Wiring(body, self.notes, self.exact, self.alike), given)

    def _body(self, body: Body, wiring: Wiring, given: Mapping[str, Sizes | None]) -> None:
        order = wiring.run()
        shapes = Shapes(body, given, bool(self.graph.version))
        shapes.run(order, self.notes)
        for node in body.listed:
            if node.op in _CALLS or node.op in self.graph.functions:
                self._call(node, shapes)
        for node, tensor, dtype in shapes.constants:
            self._constant(node, tensor, dtype, body.place(node.name))

    def _call(self, node: Operation, shapes: Shapes) -> None:
        """What the functions that a node calls are called with."""
        names, skipped = _CALLS.get(node.op, ((), 0))
        attributes = look(node, *names) if names else {}
        called = [attributes.get(name) for name in names] if names else [FunctionRef(node.op)]
        handed = [shapes.of(node, place) for place in range(skipped, len(node.inputs))]
        for one in called:
            if isinstance(one, FunctionRef) and one.name in self.graph.functions:
                self._hand_on(one.name, handed, loop=node.op in _LOOPS)

    def _hand_on(self, name: str, shapes: _Given, *, loop: bool) -> None:
        """A loop's values may change their shapes from round to round, but for its handles."""
        inputs = self.graph.functions[name].inputs
        if len(shapes) != len(inputs):
            return
        if loop:
            shapes = [shape if one.dtype == "resource" else None for shape, one in zip(shapes, inputs, strict=True)]
        before = self.given.get(name)
        self.given[name] = shapes if before is None else [_joined(a, b) for a, b in zip(before, shapes, strict=True)]

    def _constant(self, node: Operation, tensor: Constant, dtype: str | None, place: str) -> None:
        if dtype is not None and dtype != tensor.dtype:
            self.notes.add("constant-payload", f"{place} is declared {dtype}, its tensor is {tensor.dtype}", place, node.offset)
        width = width_of(tensor.dtype)
        if tensor.encoding == "raw" and tensor.nbytes and width is not None and tensor.nbytes != prod(tensor.shape) * width:
            needed = prod(tensor.shape) * width
            text = f"{place} has {tensor.nbytes:,} bytes; {shape_text(tensor.shape)} {tensor.dtype} takes {needed:,}"
            self.notes.add("constant-payload", text, place, tensor.offset)


def _joined(one: Sizes | None, other: Sizes | None) -> Sizes | None:
    """What holds for both of two calls."""
    if one is None or other is None or len(one) != len(other):
        return None
    return tuple(a if a == b else None for a, b in zip(one, other, strict=True))


def _merged(one: Sizes | None, other: Sizes | None) -> Sizes | None:
    """What is said of one value in two places; what they do not agree on is unknown."""
    if one is None or other is None:
        return other if one is None else one
    if len(one) != len(other):
        return None
    return tuple(b if a is None else a if b is None or a == b else None for a, b in zip(one, other, strict=True))
