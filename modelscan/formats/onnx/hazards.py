"""Nodes on which the onnx package's shape inference crashes or never ends; they are shown to it as unknown operators.

Found by running the inference function of every operator, in all versions, over random attributes, types and shapes (onnx 1.23).
What is not in this list is left to the worker process: its crash or time-out is a finding, and the file is read again without inference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from modelscan.graph import Graph, Node
from modelscan.model import TensorInfo

DOMAIN = "modelscan.hidden"
"""The domain that hidden nodes are put into; nothing is known of its operators."""
LARGEST_DIMENSION = 1 << 26
"""Larger sizes are shown as unknown: some functions make a loop of them."""
_INT32 = 1 << 31
_EQUATION = re.compile(r"(?:[A-Za-z\s,]|\.\.\.|->)*")
_NEED_TYPES = frozenset({"LabelEncoder", "DictVectorizer", "RegexFullMatch", "EyeLike"})
"""Read the type of an input without asking whether it has one."""


def hidden(graph: Graph, outer: frozenset[str]) -> tuple[frozenset[int], frozenset[str]]:
    """Indices of the nodes to hide, and all values whose type may stay unknown; `outer` are those of the graphs around it."""
    needy = any(node.op in _NEED_TYPES for node in graph.nodes)
    unsafe = {index for index, node in enumerate(graph.nodes) if node.attributes and _out_of_range(node)}
    if not needy:
        return frozenset(unsafe), outer
    typed = {one.name for one in graph.inputs if one.dtype} | set(graph.initializers)
    untyped = set(outer)
    for index, node in enumerate(graph.nodes):
        doubtful = node.domain not in ("", "ai.onnx.ml") or index in unsafe or bool(node.graphs)
        doubtful = doubtful or any(name in untyped or name not in typed for name in node.inputs if name)
        if node.op in _NEED_TYPES and (doubtful or not any(node.inputs[:1])):
            unsafe.add(index)
        (untyped if doubtful else typed).update(node.outputs)
    return frozenset(unsafe), frozenset(untyped)


def _out_of_range(node: Node) -> bool:
    """An attribute that a function casts to 32 bits, counts to, or reads without checking it."""
    attributes = node.attributes
    match node.op:
        case "Constant":
            return False
        case "Split" if attributes.get("num_outputs", len(node.outputs)) != len(node.outputs):
            return True
        case "GatherND" if attributes.get("batch_dims", 0) not in range(1 << 16):
            return True
        case "Einsum" if not _EQUATION.fullmatch(str(attributes.get("equation", ""))):
            return True
    return any(isinstance(value, int) and not -_INT32 < value < _INT32 for value in attributes.values())


def tamed(info: TensorInfo) -> TensorInfo:
    """A type without sizes beyond any real tensor."""
    if info.shape is None or not any(isinstance(size, int) and size > LARGEST_DIMENSION for size in info.shape):
        return info
    shape = tuple(None if isinstance(size, int) and size > LARGEST_DIMENSION else size for size in info.shape)
    return TensorInfo(info.name, info.dtype, shape)


def with_hidden_domain(opsets: Mapping[str, int]) -> dict[str, int]:
    """The opset imports with one for hidden nodes."""
    return {**opsets, DOMAIN: 1}
