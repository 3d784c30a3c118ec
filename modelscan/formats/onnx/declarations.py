"""Declarations of stored tensors: what inputs and inner values are said to be, against the initializers that give them."""

from __future__ import annotations

from modelscan.formats.onnx.agreement import contradiction
from modelscan.formats.onnx.context import Reading
from modelscan.graph import Graph
from modelscan.model import TensorInfo


def check(reading: Reading, graph: Graph) -> None:
    """Tells of inputs and inner values, in all scopes, that are declared otherwise than they are stored."""
    for path, scope in graph.scopes():
        stored = scope.initializers
        if not stored:
            continue
        both = [scope.declared[name] for name in scope.declared.keys() & stored.keys()]
        both += [one for one in scope.inputs if one.name in stored]
        for said in sorted(both, key=lambda one: one.name):
            tensor = stored[said.name]
            problem = contradiction(said, as_stored(scope, said.name), "{} is stored")
            if problem is not None:
                text = f"{said.name} is declared {problem}"
                reading.note("declared-shape", text, tensor=tensor.name, offset=tensor.offset, where=path or "graph")


def as_stored(graph: Graph, name: str) -> TensorInfo:
    """The type of an initializer; a sparse one is a dense value to those who take it. What cannot be read says nothing."""
    tensor, sparse = graph.initializers[name], graph.sparse.get(name)
    if tensor.encoding == "unreadable":
        return TensorInfo(name, None, None)
    return TensorInfo(name, tensor.dtype, tensor.shape if sparse is None else sparse.shape)
