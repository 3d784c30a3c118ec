"""Nodes on which the onnx package's shape inference crashes or never ends; they are shown to it as unknown operators.

Found by running the inference function of every operator, in all versions, over random attributes, types and shapes (onnx 1.23).
What is not in this list is left to the worker process: its crash or time-out is a finding, and the file is read again without inference.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from modelscan import dtypes
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


def hidden(graph: Graph, typed: Collection[str]) -> tuple[frozenset[int], frozenset[str]]:
    """Indices of the nodes to hide, and the names whose type would let some of them be shown.

    `typed` are values that an earlier run found a type for. Nothing else is relied upon but declared inputs and initializers: any
    operator may fail and leave its outputs without a type.
    """
    unsafe: set[int] = set()
    wanted: set[str] = set()
    for index, node in enumerate(graph.nodes):
        if node.attributes and _out_of_range(node):
            unsafe.add(index)
        elif node.op in _NEED_TYPES:
            name = node.inputs[0] if node.inputs else ""
            if name not in typed and not _given(graph, name):
                unsafe.add(index)
                wanted.add(name)
    return frozenset(unsafe), frozenset(wanted)


def _given(graph: Graph, name: str) -> bool:
    """Whether a name is an input or a stored tensor of a type that exists."""
    tensor = graph.initializers.get(name)
    if tensor is not None and tensor.encoding != "unreadable":
        return True
    return any(one.name == name and one.dtype in dtypes.BITS for one in graph.inputs)


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
