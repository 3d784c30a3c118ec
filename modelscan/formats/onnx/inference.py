"""Runs of the onnx package's shape inference over the skeleton, and what they found.

A large graph is inferred in segments of nodes, each starting from what the ones before it found: memory stays bounded, and a failure
of the package costs one segment. Every failure leaves the results that there are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from itertools import chain

from modelscan.formats.onnx.agreement import Scoped
from modelscan.formats.onnx.context import Reading
from modelscan.formats.onnx.native import native
from modelscan.formats.onnx.proto import GRAPH_NODE, GRAPH_OUTPUT, GRAPH_VALUE_INFO, MODEL_GRAPH, NODE_ATTRIBUTE
from modelscan.formats.onnx.skeleton import Skeleton, symbols
from modelscan.formats.onnx.types import value_info
from modelscan.graph import Graph, Node
from modelscan.model import Shape, StoredTensor, TensorInfo
from modelscan.wire import LENGTH, Wire

Bind = Callable[[TensorInfo], TensorInfo]
_SEGMENT = 8_000
"""Nodes that are inferred at once; the package needs about 2 KB for each."""
_ROUNDS = 16
"""Runs until no more nodes can be shown; only files with operators that need care take more than one."""
_SHAPE_TYPES = frozenset({"int32", "int64", None})
_FOLLOWED = 5_000_000
"""Elements of vectors up to which computed shapes are followed, 0.2 s."""


class Inference:
    """The inference of one graph, runnable with and without the file's own declarations."""

    def __init__(self, reading: Reading, graph: Graph, ir_version: int, opsets: Mapping[str, int], bind: Bind) -> None:
        self.reading = reading
        self.graph = graph
        self.ir_version = min(ir_version, 8)  # later ones bring nothing that inference needs, and are refused by older packages
        self.opsets = opsets
        self.bind = bind
        self.own = symbols((*graph.inputs, *graph.outputs, *graph.declared.values()))

    def run(self, hints: Scoped | None) -> Scoped:
        """Types of all values. Where `hints`, an earlier result, lacks what the file declares, the declaration is believed."""
        if len(self.graph.nodes) <= 2 * _SEGMENT:
            return self._infer(self.graph, hints, {})
        found = Scoped()
        for start in range(0, len(self.graph.nodes), _SEGMENT):
            segment, raw = self._segment(start, found)
            inner = None if hints is None else hints.part(start, _SEGMENT)
            part = self._infer(segment, inner, raw)
            found.values.update(part.values)
            found.raw.update(part.raw)
            found.bodies.update({(index + start, key): body for (index, key), body in part.bodies.items()})
        return found

    def _segment(self, start: int, found: Scoped) -> tuple[Graph, Mapping[str, bytes]]:
        """The nodes from `start` as a graph of their own, with what they need as inputs and initializers."""
        graph = self.graph
        nodes = graph.nodes[start : start + _SEGMENT]
        made = set(chain.from_iterable([node.outputs for node in nodes]))
        initializers: dict[str, StoredTensor] = {}
        inputs: dict[str, TensorInfo] = {}
        given = {one.name: one for one in graph.inputs}
        for name in dict.fromkeys(_needed(nodes)):
            if name in made:
                continue
            stored = graph.initializers.get(name) or graph.constants.get(name)
            if name in given:
                inputs[name] = given[name]
            elif stored is not None:
                initializers[name] = stored
            elif name in found.values:
                inputs[name] = found.values[name]
        part = replace(
            graph,
            nodes=nodes,
            inputs=tuple(inputs.values()),
            outputs=tuple(one for one in graph.outputs if one.name in made),
            initializers=initializers,
            sparse={name: one for name, one in graph.sparse.items() if name in initializers},
            declared={name: one for name, one in graph.declared.items() if name in made},
        )
        return part, found.raw

    def _infer(self, graph: Graph, hints: Scoped | None, raw: Mapping[str, bytes]) -> Scoped:
        """One graph, and again with propagated values if shapes are computed in it; without bodies if these make it fail."""
        for bodies in (True, False):
            skeleton = Skeleton(self.reading, not graph.functions, self.bind, bodies, raw)
            found = self._known(skeleton, graph, hints)
            if found is not None:
                return found
        return Scoped()

    def _known(self, skeleton: Skeleton, graph: Graph, hints: Scoped | None) -> Scoped | None:
        """What a skeleton's runs find, with more of its nodes shown as long as types become known that these need."""
        found: Scoped | None = None
        for _ in range(_ROUNDS):
            skeleton.wanted.clear()
            data = skeleton.model(graph, self.ir_version, self.opsets, hints)
            found = self._run(data, graph, propagate=False)
            if found is None:
                return None
            if _worth_propagating(graph, found):
                found = self._run(data, graph, propagate=True) or found
            new = {name for name in skeleton.wanted if name in found.values and found.values[name].dtype is not None}
            if not new:
                break
            skeleton.typed |= new
        return found

    def _run(self, data: bytes, graph: Graph, *, propagate: bool) -> Scoped | None:
        """What the package infers, None when it fails as a whole."""
        shape_inference = native().shape_inference
        try:
            result = shape_inference.infer_shapes(data, False, False, propagate)
        except (shape_inference.InferenceError, RuntimeError, ValueError, TypeError, IndexError) as error:
            self.reading.inference_failures.append(str(error).split("\n", 1)[0])
            return None
        return Result(self.reading, result, self.own).parsed(graph)


def _worth_propagating(graph: Graph, found: Scoped) -> bool:
    """Whether shapes are still unknown, and following computed ones is cheap.

    The package then makes a symbol of every element of every vector, as if it were a shape: a vector of a million samples costs it
    40 ms for each operator that it passes.
    """
    return _unknown(graph, found) and _computes_integers(graph, found) and _vector_elements(graph, found) <= _FOLLOWED


def _unknown(graph: Graph, found: Scoped) -> bool:
    whole = {name for name, one in found.values.items() if one.shape is not None and None not in one.shape}
    for index, node in enumerate(graph.nodes):
        for name in node.outputs:
            if name not in whole and name:
                return True
        for key, body in node.graphs.items() if node.graphs else ():
            if _unknown(body, found.bodies.get((index, key), Scoped())):
                return True
    return False


def _computes_integers(graph: Graph, found: Scoped) -> bool:
    """Whether any node makes integers, or what nobody knows: nothing else becomes a shape."""
    for index, node in enumerate(graph.nodes):
        for name in node.outputs:
            one = found.values.get(name)
            if name and (one is None or one.dtype in _SHAPE_TYPES):
                return True
        if any(_computes_integers(body, found.bodies.get((index, key), Scoped())) for key, body in node.graphs.items()):
            return True
    return False


def _vector_elements(graph: Graph, found: Scoped) -> int:
    """Elements of the vectors that nodes take, each as often as it is taken."""
    given: dict[str, Shape | None] = {one.name: one.shape for one in graph.inputs}
    given.update({name: tensor.shape for name, tensor in graph.initializers.items()})
    total = 0
    for index, node in enumerate(graph.nodes):
        for name in node.inputs:
            shape = found.values[name].shape if name in found.values else given.get(name)
            if shape is not None and len(shape) == 1 and isinstance(shape[0], int):
                total += shape[0]
        total += sum(_vector_elements(body, found.bodies.get((index, key), Scoped())) for key, body in node.graphs.items())
    return total


def _needed(nodes: tuple[Node, ...]) -> Iterator[str]:
    """Names that nodes use, in their bodies too."""
    yield from chain.from_iterable([node.inputs for node in nodes])
    for node in nodes:
        for body in node.graphs.values() if node.graphs else ():
            for _, scope in body.scopes():
                for inner in scope.nodes:
                    yield from inner.inputs
                yield from (one.name for one in scope.outputs)


class Result:
    """A serialised model with inferred types."""

    def __init__(self, reading: Reading, data: bytes, own: Collection[str]) -> None:
        self.inner = Reading(reading.artifact, Wire(data, reading.limits), reading.limits, texts=reading.texts)
        self.own = own
        self.known: dict[Shape | None, Shape | None] = {None: None}
        """Shapes that were read, without made-up names."""

    def parsed(self, graph: Graph) -> Scoped:
        """The types of a graph's values; `graph` is the one that went in."""
        for number, kind, value, length in self.inner.wire.fields():
            if number == MODEL_GRAPH and kind == LENGTH:
                return self._scope(value, value + length, graph)
        return Scoped()

    def _scope(self, start: int, end: int, graph: Graph) -> Scoped:
        found = Scoped()
        index = -1
        inner, known, values = self.inner, self.known, found.values
        for number, kind, value, length in inner.wire.fields(start, end):
            if kind != LENGTH:
                continue
            if number in (GRAPH_VALUE_INFO, GRAPH_OUTPUT):
                one = value_info(inner, value, value + length, "")
                name, shape = one.name, one.shape
                if shape in known:
                    named = known[shape]
                else:
                    named = known[shape] = self._named(shape)
                values[name] = one if named is shape else TensorInfo(name, one.dtype, named)
            elif number == GRAPH_NODE:
                index += 1
                if index < len(graph.nodes) and graph.nodes[index].graphs:
                    for key, at, stop in self._bodies(value, value + length):
                        if key in graph.nodes[index].graphs:
                            found.bodies[index, key] = self._scope(at, stop, graph.nodes[index].graphs[key])
        for (_, name), (at, stop) in inner.types.items():
            found.raw[name] = inner.wire.read(at, stop - at)
        return found

    def _bodies(self, start: int, end: int) -> Iterator[tuple[str, int, int]]:
        for number, kind, value, length in self.inner.wire.fields(start, end):
            if number != NODE_ATTRIBUTE or kind != LENGTH:
                continue
            name = ""
            for inner, inner_kind, at, size in self.inner.wire.fields(value, value + length):
                if inner == 1 and inner_kind == LENGTH:
                    name = self.inner.wire.text(at, size)
                elif inner == 6 and inner_kind == LENGTH:
                    yield name, at, at + size

    def _named(self, shape: Shape | None) -> Shape | None:
        """A shape without the names that inference made up for dimensions it does not know."""
        made_up = [isinstance(size, str) and size not in self.own and size.startswith("unk__") for size in shape or ()]
        sizes = tuple(None if is_made_up else size for size, is_made_up in zip(shape or (), made_up, strict=True))
        return sizes if any(made_up) else shape
