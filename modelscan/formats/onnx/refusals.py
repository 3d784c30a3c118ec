"""What the onnx package's inference refuses in its strict mode, node by node: operands that cannot be right for their operator.

ONNX Runtime carries the same functions and refuses the same nodes when it loads a model. What follows from an operand of which not
even the type is known is left out: it is what comes of another node's failure, or of an operator that inference does not know.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from typing import Any

from modelscan.formats.onnx.context import Reading
from modelscan.formats.onnx.operators import STANDARD
from modelscan.graph import Graph, Node
from modelscan.limits import Limits
from modelscan.model import TensorInfo, shape_text

KIND = "operator-contradiction"
Place = tuple[int, ...]
"""A node's index; in a body, the place of the node that it belongs to, which of its bodies, and the index in there."""
Refusal = tuple[Place, str]

_REFUSAL = re.compile(r"\(op_type:[^\n]*?, node name: ([0-9.]+)\): \[(?:Shape|Type)InferenceError\] ([^\n]*)")
_IN_NODE = re.compile(r" in node \S+ \([0-9.]*\)")
_EXTERNAL = re.compile(r"Cannot parse data from external tensors\.(?: Please load external data into raw data for tensor:(?: (\S+))?)?")
_OUTER = "Inference error(s): "
"""What a node says whose body is refused; the node in the body follows."""
_CONSEQUENCE = re.compile(
    r"\bnull\b|[Tt]ype info is expected|expected to have type|output \d+ was 0$"
    r"|^Inferred shape |^indices must be in |^Invalid rank for "
)
"""What inference says where it does not know the type of a value; where a declaration differs, which is looked at elsewhere; and what it
says of computed shapes that no runtime follows."""


def refusals(text: str) -> Iterator[Refusal]:
    """The nodes that the text of an error names, with the reason of each."""
    for place, reason in _REFUSAL.findall(text.replace(_OUTER, _OUTER + "\n")):
        if reason and not reason.startswith(_OUTER) and not _CONSEQUENCE.search(reason):
            yield tuple(map(int, place.split("."))), _EXTERNAL.sub(_outside, _IN_NODE.sub("", reason).strip())


def _outside(found: re.Match[str]) -> str:
    """What it means that inference cannot parse an external tensor: runtimes do not load such a model, whether the data is there or not."""
    tensor = found[1] or "a tensor"
    return f"{tensor} steers the shape of the result and lies in another file, where runtimes do not look for it ({found[0].split('.')[0]})"


def distinct(graph: Graph, types: Mapping[str, TensorInfo], limits: Limits) -> Iterator[int]:
    """Nodes of the standard's operators whose operands have known types: of those that differ in names alone, the first one."""
    seen: set[tuple[Any, ...]] = set()
    given = {one.name: one for one in graph.inputs}
    stored = {**graph.constants, **graph.initializers}
    for index, node in enumerate(graph.nodes):
        if node.domain not in STANDARD:
            continue
        key: list[Any] = [node.op, id(node.attributes), len(node.outputs)]
        for name in node.inputs:
            tensor = stored.get(name)
            if tensor is not None:  # of a small one, the elements matter
                key.append(name if (tensor.nbytes or 0) <= limits.kept_payload else (tensor.dtype, tensor.shape))
                continue
            one = types.get(name) or given.get(name)
            if name and (one is None or one.dtype is None):
                break
            key.append(None if one is None else (one.dtype, one.shape))
        else:
            whole = tuple(key)
            if node.graphs or whole not in seen:
                seen.add(whole)
                yield index


def settle(reading: Reading) -> None:
    """Takes back what was told of nodes that are no possible calls at all: why inference refuses these is known then."""
    told = {one.offset for one in reading.seen if one.kind in ("operator-signature", "type-mismatch")}
    kept = [one for one in reading.seen if one.kind != KIND or one.offset not in told]
    if len(kept) < len(reading.seen):
        reading.counts[KIND] -= len(reading.seen) - len(kept)
        reading.seen[:] = kept


def note(reading: Reading, graph: Graph, refused: Mapping[Place, str]) -> None:
    """Tells of the nodes that are refused although everything that they take is known."""
    for place, reason in refused.items():
        found = _node(graph, place)
        if found is None:
            continue
        node, types = found
        taken = [types.get(name) for name in node.inputs if name]
        if all(one is not None and one.dtype is not None for one in taken):
            title = node.title(place[-1])
            shown = ", ".join("?" if one is None or one.shape is None else shape_text(one.shape) for one in taken)
            text = f"{node.op} {title}: {reason.rstrip('. ')}" + (f"; it takes {shown}" if shown else "")
            reading.note(KIND, text, offset=node.offset, where=title)


def _node(graph: Graph, place: Place) -> tuple[Node, ChainMap[str, TensorInfo]] | None:
    """The node at a place, and what is known of the values that it can take."""
    types: ChainMap[str, TensorInfo] = ChainMap(_known(graph))
    scope = graph
    for at, body in zip(place[:-1:2], place[1::2], strict=True):
        bodies = list(scope.nodes[at].graphs.values()) if at < len(scope.nodes) else []
        if body >= len(bodies):
            return None
        scope = bodies[body]
        types = types.new_child(_known(scope))
    return (scope.nodes[place[-1]], types) if place[-1] < len(scope.nodes) else None


def _known(graph: Graph) -> dict[str, TensorInfo]:
    stored = {name: TensorInfo(name, one.dtype, one.shape) for name, one in (*graph.initializers.items(), *graph.constants.items())}
    return {**graph.values, **stored}
