"""Shapes by the onnx package's inference over the skeleton, held against what the file declares, merged into the graph.

Inference starts from the inputs alone. What it cannot derive (operators that it does not know) but the file declares is given to a
second run, so that what follows from it is derived, too. Every failure of the package leaves the results that there are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial

from modelscan.formats import ReadOptions
from modelscan.formats.onnx.agreement import Scoped, combined, completes, contradiction
from modelscan.formats.onnx.context import Reading
from modelscan.formats.onnx.proto import GRAPH_NODE, GRAPH_OUTPUT, GRAPH_VALUE_INFO, MODEL_GRAPH, NODE_ATTRIBUTE
from modelscan.formats.onnx.skeleton import Skeleton, symbols
from modelscan.formats.onnx.types import value_info
from modelscan.graph import Graph, Node
from modelscan.model import Shape, TensorInfo
from modelscan.wire import LENGTH, Wire


def infer(reading: Reading, graph: Graph, ir_version: int | None) -> Graph:
    """The graph with `values` completed; contradictions between declared and inferred shapes are noted."""
    if not graph.nodes:
        return graph
    options = reading.artifact.options
    opsets = _opsets(graph)
    run = partial(_run, reading, graph, ir_version or 8, opsets, copied=not graph.functions, bind=partial(_bind, options))
    found = run(None)
    if found.values and _lacking(graph, found):
        again = run(found)
        found = again if again.values else found
    return _merged(reading, graph, found, "graph", partial(_bind, options), not (options.dims or options.inputs))


def _lacking(graph: Graph, found: Scoped) -> bool:
    """Whether declarations, in bodies too, say more than inference found."""
    if any(completes(one, found.values.get(one.name)) for one in (*graph.declared.values(), *graph.outputs)):
        return True
    for index, node in enumerate(graph.nodes):
        for key, body in node.graphs.items():
            if _lacking(body, found.bodies.get((index, key), Scoped())):
                return True
    return False


def _bind(options: ReadOptions, info: TensorInfo) -> TensorInfo:
    """A declared value with the user's sizes for symbolic dimensions, or the user's whole shape."""
    if info.name in options.inputs:
        return replace(info, shape=options.inputs[info.name])
    if info.shape is None or not options.dims:
        return info
    return replace(info, shape=tuple(options.dims.get(size, size) if isinstance(size, str) else size for size in info.shape))


def _opsets(graph: Graph) -> dict[str, int]:
    """Versions for every domain that the nodes use; a version that the package does not know yet is read as its newest."""
    from onnx import defs

    newest = {"": defs.onnx_opset_version()}
    found = dict(graph.opsets)
    for _, scope in graph.scopes():
        for node in scope.nodes:
            found.setdefault(node.domain, newest.get(node.domain, 1))
    return {domain: max(1, min(version, newest.get(domain, version))) for domain, version in found.items()}


def _run(
    reading: Reading,
    graph: Graph,
    ir_version: int,
    opsets: Mapping[str, int],
    found: Scoped | None,
    *,
    copied: bool,
    bind: Callable[[TensorInfo], TensorInfo],
) -> Scoped:
    """One inference; when it fails as a whole, again without propagated values, then without the bodies of control flow."""
    from onnx.onnx_cpp2py_export import shape_inference

    for bodies, propagate in ((True, True), (True, False), (False, False)):
        data = Skeleton(reading, copied, bind, bodies).model(graph, min(ir_version, 8), opsets, found)
        try:
            result = shape_inference.infer_shapes(data, False, False, propagate)
        except (shape_inference.InferenceError, RuntimeError, ValueError, TypeError, IndexError) as error:
            reading.inference_failures.append(str(error).split("\n", 1)[0])
            continue
        del data
        return _parsed(reading, result, symbols((*graph.inputs, *graph.outputs, *graph.declared.values())))
    return Scoped()


def _parsed(reading: Reading, result: bytes, own: Collection[str]) -> Scoped:
    inner = Reading(reading.artifact, Wire(result, reading.limits), reading.limits)
    for number, kind, value, length in inner.wire.fields():
        if number == MODEL_GRAPH and kind == LENGTH:
            return _scoped(inner, value, value + length, own, 0)
    return Scoped()


def _scoped(inner: Reading, start: int, end: int, own: Collection[str], depth: int) -> Scoped:
    """Types in a serialised graph, its bodies included."""
    found = Scoped()
    index = -1
    for number, kind, value, length in inner.wire.fields(start, end):
        if kind != LENGTH:
            continue
        if number in (GRAPH_VALUE_INFO, GRAPH_OUTPUT):
            one = value_info(inner, value, value + length)
            found.values[one.name] = replace(one, shape=_named(one.shape, own))
        elif number == GRAPH_NODE:
            index += 1
            for key, at, stop in _bodies(inner.wire, value, value + length):
                if depth < inner.limits.nesting:
                    found.bodies[index, key] = _scoped(inner, at, stop, own, depth + 1)
    return found


def _bodies(wire: Wire, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    for number, kind, value, length in wire.fields(start, end):
        if number != NODE_ATTRIBUTE or kind != LENGTH:
            continue
        name = ""
        for inner, inner_kind, at, size in wire.fields(value, value + length):
            if inner == 1 and inner_kind == LENGTH:
                name = wire.text(at, size)
            elif inner == 6 and inner_kind == LENGTH:
                yield name, at, at + size


def _named(shape: Shape | None, own: Collection[str]) -> Shape | None:
    """A shape without the names that inference made up for dimensions it does not know."""
    if shape is None:
        return shape
    return tuple(None if isinstance(size, str) and size not in own and size.startswith("unk__") else size for size in shape)


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
                reading.note("declared-type-contradiction", f"{name} is declared {problem}", tensor=name, where=where)
    nodes = graph.nodes
    if found.bodies:
        nodes = tuple(_with_bodies(reading, node, index, found, where, bind, compare) for index, node in enumerate(graph.nodes))
    return replace(graph, nodes=nodes, values=values)


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
