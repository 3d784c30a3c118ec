"""What stands around a graph and refers to it: signatures to its tensors, the object graph to its objects and functions."""

from __future__ import annotations

from modelscan.formats.tensorflow.wiring import Notes, Wiring, look
from modelscan.model import Severity, Shape, TensorInfo, shape_text
from modelscan.program import MetaGraph, Operation

_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})


def check_signatures(graph: MetaGraph, wiring: Wiring, notes: Notes) -> None:
    """Whether what a signature names is there, and a placeholder what the signature says of it."""
    for signature in graph.signatures.values():
        for side, infos in (("input", signature.inputs), ("output", signature.outputs)):
            for name, info in infos.items():
                if not info.name:  # a sparse or composite one has its tensors elsewhere
                    continue
                place = f"the {side} {name!r} of the signature {signature.name}"
                fault = wiring.fault(info.name)
                if fault is not None:
                    notes.add("signature-tensor", f"{place} is {info.name!r}, {fault}", signature.name)
                    continue
                node = wiring.body.nodes[info.name.partition(":")[0]]
                if side == "input" and node.op in _PLACEHOLDERS:
                    _placeholder(place, info, node, notes, signature.name)


def _placeholder(place: str, info: TensorInfo, node: Operation, notes: Notes, where: str) -> None:
    attributes = look(node, "dtype", "shape")
    dtype, shape = attributes.get("dtype"), attributes.get("shape")
    if isinstance(dtype, str) and info.dtype is not None and info.dtype not in (dtype, "type 0"):
        text = f"{place} is {info.dtype}, the graph's {node.name} is {dtype}"  # TensorFlow takes no notice until it is called
        notes.add("signature-tensor", text, where, node.offset, Severity.INFO)
    if isinstance(shape, tuple) and shape and info.shape and not _fits(shape, info.shape):
        text = f"{place} is {shape_text(info.shape)}, the graph's {node.name} is {shape_text(shape)}"
        notes.add("signature-tensor", text, where, node.offset)


def _fits(one: Shape, other: Shape) -> bool:
    return len(one) == len(other) and all(a == b or a is None or b is None for a, b in zip(one, other, strict=True))


def check_objects(graph: MetaGraph, notes: Notes) -> None:
    """Whether the objects, functions and captures that the object graph names are there."""
    count = len(graph.objects)
    for number, one in enumerate(graph.objects):
        pairs = [(f"its child {name!r}", child) for name, child in one.children.items()]
        pairs += [(f"its slot {slot.name!r}", which) for slot in one.slots for which in (slot.original, slot.variable)]
        for title, which in pairs:
            if not 0 <= which < count:
                text = f"object {number} of the object graph has as {title} object {_signed(which)}, and there are {count:,}"
                notes.add("undefined-object", text, "object_graph_def")
        for name in one.functions:
            if name not in graph.functions:
                notes.add("undefined-function", f"object {number} of the object graph is the function {name!r}, which is not there", name)
    for name, concrete in graph.concrete.items():
        for which in concrete.bound:
            if not 0 <= which < count:
                text = f"the function {name!r} is bound to object {_signed(which)}, and there are {count:,}"
                notes.add("undefined-object", text, name)
        if name in graph.functions and concrete.arguments is not None:
            inputs, bound = len(graph.functions[name].inputs), len(concrete.bound)
            if concrete.arguments + bound != inputs:
                text = (
                    f"the function {name!r} has {inputs:,} inputs; {concrete.arguments:,} are a caller's, {bound:,} objects are bound to it"
                )
                notes.add("undefined-object", text, name)


def _signed(number: int) -> str:
    return f"{number - (1 << 64):,}" if number >= 1 << 63 else f"{number:,}"
