"""Shapes by the onnx package's inference over the skeleton, held against what the file declares, merged into the graph.

Inference starts from the inputs alone. What it cannot derive (operators that it does not know) but the file declares is given to a
second run, so that what follows from it is derived, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain

from modelscan.errors import ConfigError, UnusedOptionError
from modelscan.formats import ReadOptions
from modelscan.formats.onnx import refusals
from modelscan.formats.onnx.agreement import Scoped, combined, completes, contradiction
from modelscan.formats.onnx.context import Reading
from modelscan.formats.onnx.inference import Inference
from modelscan.formats.onnx.native import newest_opset
from modelscan.graph import Graph, Node
from modelscan.model import TensorInfo, shape_text
from modelscan.repeats import Fold

_TOLD = 20
"""Symbolic dimensions that a message names."""


def infer(reading: Reading, graph: Graph, ir_version: int | None) -> Graph:
    """The graph with `values` completed; contradictions between declared and inferred shapes are noted."""
    options = reading.artifact.options
    if not graph.nodes or not options.inference:
        return graph
    opsets = _opsets(graph)
    inference = Inference(reading, graph, ir_version or 8, opsets, partial(_bind, options))
    found = inference.run(None)
    if found.values and _lacking(graph, found):
        again = inference.run(found)
        found = again if again.values else found
    compare = not (options.dims or options.inputs)
    merged = _merged(reading, graph, found, "graph", partial(_bind, options), compare)
    if compare and inference.doubted:
        refusals.note(reading, merged, inference.refused())
    return merged


def infer_folded(reading: Reading, graph: Graph, fold: Fold, ir_version: int | None) -> Graph | None:
    """The graph with the values that its fold has; None where these are not the same for all copies, or something is to be told of them."""
    counts, seen, failures = reading.counts.copy(), len(reading.seen), len(reading.inference_failures)
    small = infer(reading, fold.graph, ir_version)
    types = {name: (one.dtype, one.shape) for name, one in small.values.items()}
    if len(reading.seen) > seen or len(reading.inference_failures) > failures or not fold.steady(types.get):
        reading.counts = counts
        del reading.seen[seen:], reading.inference_failures[failures:]
        return None
    return replace(graph, values=_Unfolded(graph.values, small.values, fold), folded=replace(fold, graph=small))


class _Unfolded(Mapping[str, TensorInfo]):
    """The values of the whole graph, told by those of the folded one; nearly nobody asks for them, so they are written out for who does."""

    __slots__ = ("_found", "_given")

    def __init__(self, whole: Mapping[str, TensorInfo], small: Mapping[str, TensorInfo], fold: Fold) -> None:
        self._given = whole, small, fold
        self._found: dict[str, TensorInfo] | None = None

    def _all(self) -> dict[str, TensorInfo]:
        if self._found is None:
            whole, small, fold = self._given
            marked = set(chain.from_iterable(fold.marked.names))
            self._found = {**whole, **{name: one for name, one in small.items() if name not in marked}}
            for name, place in zip(fold.sample(), fold.made, strict=True):
                one = small.get(name)
                if one is not None:
                    self._found.update([(inner, TensorInfo(inner, one.dtype, one.shape)) for inner in fold.columns[place][1:-1]])
        return self._found

    def __getitem__(self, name: str) -> TensorInfo:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def _lacking(graph: Graph, found: Scoped) -> bool:
    """Whether declarations, in bodies too, say more than inference found."""
    given = graph.initializers
    if any(completes(one, found.values.get(one.name)) for one in (*graph.declared.values(), *graph.outputs) if one.name not in given):
        return True
    for index, node in enumerate(graph.nodes):
        for key, body in node.graphs.items():
            if _lacking(body, found.bodies.get((index, key), Scoped())):
                return True
    return False


def check_options(options: ReadOptions, graph: Graph) -> None:
    """Raises `ConfigError` for sizes of a dimension, or shapes of an input, that the graph (calls of functions inlined) does not have."""
    inputs = {one.name: one for one in graph.inputs}
    for name, shape in options.inputs.items():
        said = inputs[name].shape if name in inputs else None
        if shape is not None and said is not None and len(said) != len(shape):
            raise ConfigError(f"--input {name}: {len(shape)} dimensions; the model's input has {len(said)}: {shape_text(said)}")
    unknown = {("input", name) for name in options.inputs if name not in inputs}
    symbols: set[str] = set()
    if options.dims:
        for _, scope in graph.scopes():
            for one in chain(scope.inputs, scope.outputs, scope.declared.values()):
                symbols.update(size for size in one.shape or () if isinstance(size, str))
        unknown |= {("dim", name) for name in options.dims if name not in symbols}
    if unknown:
        there = [f"the model's inputs are {', '.join(inputs) or 'none'}"] if any(kind == "input" for kind, _ in unknown) else []
        if any(kind == "dim" for kind, _ in unknown):
            there.append(f"its symbolic dimensions are {', '.join(sorted(symbols)[:_TOLD]) or 'none'}")
        raise UnusedOptionError(frozenset(unknown), f"there is no such thing; {' and '.join(there)}")


def _bind(options: ReadOptions, info: TensorInfo) -> TensorInfo:
    """A declared value with the user's sizes for symbolic dimensions, or the user's whole shape."""
    if info.name in options.inputs:
        return replace(info, shape=options.inputs[info.name])
    if info.shape is None or not options.dims:
        return info
    return replace(info, shape=tuple(options.dims.get(size, size) if isinstance(size, str) else size for size in info.shape))


def _opsets(graph: Graph) -> dict[str, int]:
    """Versions for every domain that the nodes use; a version that the package does not know yet is read as its newest."""
    newest = {"": newest_opset()}
    found = dict(graph.opsets)
    for _, scope in graph.scopes():
        for domain in dict.fromkeys([node.domain for node in scope.nodes]):
            found.setdefault(domain, newest.get(domain, 1))
    return {domain: max(1, min(version, newest.get(domain, version))) for domain, version in found.items()}


def _merged(reading: Reading, graph: Graph, found: Scoped, where: str, bind: Callable[[TensorInfo], TensorInfo], compare: bool) -> Graph:
    """The graph and its bodies with types completed."""
    stated = {one.name: bind(one) for one in (*graph.declared.values(), *graph.inputs, *graph.outputs)}
    inputs = {one.name for one in graph.inputs}
    values = dict(stated)
    for name, one in found.values.items():
        said = stated.get(name)
        if said is None:
            values[name] = one
        elif name not in inputs:
            values[name] = combined(said, one)
            if compare and (problem := contradiction(said, one)):
                reading.note("declared-shape", f"{name} is declared {problem}", tensor=name, where=where)
    nodes = graph.nodes
    if found.bodies:
        nodes = tuple(_with_bodies(reading, node, index, found, where, bind, compare) for index, node in enumerate(graph.nodes))
    return replace(graph if compare else _bound(graph, found, bind), nodes=nodes, values=values)


def _bound(graph: Graph, found: Scoped, bind: Callable[[TensorInfo], TensorInfo]) -> Graph:
    """The graph's statements under the user's sizes; a shape that was declared for other sizes says nothing any more."""

    def still(said: TensorInfo) -> TensorInfo:
        one = found.values.get(said.name)
        return replace(said, shape=None) if one is not None and contradiction(said, one) else said

    return replace(
        graph,
        inputs=tuple(bind(one) for one in graph.inputs),
        outputs=tuple(still(bind(one)) for one in graph.outputs),
        declared={name: still(bind(one)) for name, one in graph.declared.items()},
    )


def _with_bodies(
    reading: Reading,
    node: Node,
    index: int,
    found: Scoped,
    where: str,
    bind: Callable[[TensorInfo], TensorInfo],
    compare: bool,
) -> Node:
    if not node.graphs:
        return node
    graphs = {
        key: _merged(reading, body, found.bodies.get((index, key), Scoped()), f"{where}.node[{index}].{key}", bind, compare)
        for key, body in node.graphs.items()
    }
    return replace(node, graphs=graphs)
