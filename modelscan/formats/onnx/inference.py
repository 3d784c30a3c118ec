"""Runs of the onnx package's shape inference over the skeleton, and what they found.

A large graph is inferred in segments of nodes, each starting from what the ones before it found: memory stays bounded, and a failure
of the package costs one segment. Every failure leaves the results that there are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain

from modelscan.formats.onnx.agreement import Scoped
from modelscan.formats.onnx.context import Reading
from modelscan.formats.onnx.native import native
from modelscan.formats.onnx.operators import STANDARD
from modelscan.formats.onnx.proto import GRAPH_NODE, GRAPH_OUTPUT, GRAPH_VALUE_INFO, MODEL_GRAPH, NODE_ATTRIBUTE
from modelscan.formats.onnx.refusals import Place, Refusal, distinct, refusals
from modelscan.formats.onnx.skeleton import Skeleton, symbols
from modelscan.formats.onnx.types import plain_infos, value_info
from modelscan.graph import Graph, Node
from modelscan.model import Shape, StoredTensor, TensorInfo
from modelscan.wire import LENGTH, Wire

Bind = Callable[[TensorInfo], TensorInfo]
_SEGMENT = 8_000
"""Nodes that are inferred at once; the package needs about 2 KB for each."""
_VALUE_INFO = GRAPH_VALUE_INFO << 3 | LENGTH
"""The tag before an inferred type."""
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
        self.foreign = (
            any(node.domain not in STANDARD for _, scope in graph.scopes() for node in scope.nodes) if opsets.keys() - STANDARD else False
        )
        """Whether operators of other domains are called: what inference refuses after one of them, it keeps to itself."""
        self.doubted: list[Callable[[], Iterator[Refusal]]] = []
        """Runs that ask, node by node, what is refused: of the parts of the graph where something is, or may be."""
        self.refusing = self.propagated = False
        """Whether the last runs refused anything, and whether they followed computed shapes."""

    def refused(self) -> Mapping[Place, str]:
        """What the last run would not take, by the node's place."""
        return {place: text for ask in self.doubted for place, text in ask()}

    def run(self, hints: Scoped | None) -> Scoped:
        """Types of all values. Where `hints`, an earlier result, lacks what the file declares, the declaration is believed."""
        self.doubted.clear()
        if len(self.graph.nodes) <= 2 * _SEGMENT:
            return self._infer(self.graph, hints, {}, 0)
        found = Scoped()
        for start in range(0, len(self.graph.nodes), _SEGMENT):
            segment = self._part(self.graph, self.graph.nodes[start : start + _SEGMENT], found)
            inner = None if hints is None else hints.part(start, _SEGMENT)
            part = self._infer(segment, inner, found.raw, start)
            found.values.update(part.values)
            found.raw.update(part.raw)
            found.bodies.update({(index + start, key): body for (index, key), body in part.bodies.items()})
        return found

    def _part(self, graph: Graph, nodes: tuple[Node, ...], found: Scoped) -> Graph:
        """Some nodes of a graph as one of their own, with what they need as inputs and initializers."""
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
        return replace(
            graph,
            nodes=nodes,
            inputs=tuple(inputs.values()),
            outputs=tuple(one for one in graph.outputs if one.name in made),
            initializers=initializers,
            sparse={name: one for name, one in graph.sparse.items() if name in initializers},
            declared={name: one for name, one in graph.declared.items() if name in made},
        )

    def _infer(self, graph: Graph, hints: Scoped | None, raw: Mapping[str, bytes], start: int) -> Scoped:
        """One graph, and again with propagated values if shapes are computed in it; without bodies if these make it fail."""
        for bodies in (True, False):
            skeleton = Skeleton(self.reading, not graph.functions, self.bind, bodies, raw)
            self.refusing = self.propagated = False
            found = self._known(skeleton, graph, hints)
            if found is None:
                continue
            if self.refusing:
                self.doubted.append(partial(self._ask, skeleton, graph, hints, start, self.propagated))
            elif self.foreign or skeleton.hides:
                self.doubted.append(partial(self._ask_for_each, skeleton, graph, found, start))
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
                self.propagated = True
            new = {name for name in skeleton.wanted if name in found.values and found.values[name].dtype is not None}
            if not new:
                break
            skeleton.typed |= new
        return found

    def _run(self, data: bytes, graph: Graph, *, propagate: bool) -> Scoped | None:
        """What the package infers, None when it fails as a whole."""
        infer = native().shape_inference.infer_shapes
        try:
            result = infer(data, False, not self.foreign, propagate)
        except _failures() as refusal:
            self.refusing = not self.foreign
            try:
                result = infer(data, False, False, propagate)
            except _failures():
                self.reading.inference_failures.append(str(refusal).split("\n", 1)[0])
                return None
        return Result(self.reading, result, self.own).parsed(graph)

    def _ask(self, skeleton: Skeleton, graph: Graph, hints: Scoped | None, start: int, propagate: bool) -> Iterator[Refusal]:
        """What is refused of the nodes of one graph that begins at a node of the whole."""
        data = skeleton.model(graph, self.ir_version, self.opsets, hints, "")
        try:
            native().shape_inference.infer_shapes(data, False, True, propagate)
        except _failures() as error:
            for (first, *inner), text in refusals(str(error)):
                yield (first + start, *inner), text

    def _ask_for_each(self, shown: Skeleton, graph: Graph, found: Scoped, start: int) -> Iterator[Refusal]:
        """The same, where inference passed all but may have said nothing of some: of every call that there is, one node on its own."""
        places = tuple(distinct(graph, found.values, self.reading.limits))
        if places:
            part = self._part(graph, tuple([graph.nodes[place] for place in places]), found)
            skeleton = Skeleton(self.reading, shown.copied, self.bind, shown.bodies, {**shown.raw, **found.raw})
            for (place, *inner), text in self._ask(skeleton, replace(part, outputs=(), declared={}), None, 0, False):
                yield (places[place] + start, *inner), text


def _failures() -> tuple[type[Exception], ...]:
    return (native().shape_inference.InferenceError, RuntimeError, ValueError, TypeError, IndexError)


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
        index, position, inner = -1, start, self.inner
        while position < end:
            plain, position = plain_infos(inner, position, end, _VALUE_INFO, end)
            self._take(plain, found)
            for number, kind, value, length in inner.wire.walk(position, end):
                if kind != LENGTH:
                    continue
                if number in (GRAPH_VALUE_INFO, GRAPH_OUTPUT):
                    self._take([value_info(inner, value, value + length, "")], found)
                    if number == GRAPH_VALUE_INFO:
                        position = value + length
                        break
                elif number == GRAPH_NODE:
                    index += 1
                    if index < len(graph.nodes) and graph.nodes[index].graphs:
                        for key, at, stop in self._bodies(value, value + length):
                            if key in graph.nodes[index].graphs:
                                found.bodies[index, key] = self._scope(at, stop, graph.nodes[index].graphs[key])
            else:
                break
        for (_, name), (at, stop) in inner.types.items():
            found.raw[name] = inner.wire.read(at, stop - at)
        return found

    def _take(self, infos: list[TensorInfo], found: Scoped) -> None:
        """Values, without the names that inference made up."""
        known, values = self.known, found.values
        for one in infos:
            shape = one.shape
            if shape in known:
                named = known[shape]
            else:
                named = known[shape] = self._named(shape)
            values[one.name] = one if named is shape else TensorInfo(one.name, one.dtype, named)

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
        """A shape without the names that inference made up for dimensions it does not know, and without sizes below 0."""
        no_size = [size < 0 if isinstance(size, int) else size is not None and self._made_up(size) for size in shape or ()]
        sizes = tuple(None if left_out else size for size, left_out in zip(shape or (), no_size, strict=True))
        return sizes if any(no_size) else shape

    def _made_up(self, size: str) -> bool:
        return size not in self.own and size.startswith("unk__")
