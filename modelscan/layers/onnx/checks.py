"""What the file declares of its values against what follows from the graph, where general inference could not tell."""

from __future__ import annotations

from collections.abc import Iterable

from modelscan.layers.onnx import kinds
from modelscan.layers.onnx.axes import Axes, to_shape
from modelscan.layers.onnx.flow import NONE, SCOPE, Flow
from modelscan.layers.onnx.shapes import Shapes
from modelscan.model import Observation, Shape, shape_text

KIND = "declared-shape"


def declared(shapes: Shapes, seen: Iterable[Observation]) -> list[Observation]:
    """Declarations that our own rules contradict, less those that the reader has reported."""
    known = {one.tensor for one in seen if one.kind == KIND}
    outputs = set(shapes.flow.outputs)
    found = []
    for value, axes in shapes.computed.items():
        stated = shapes.flow.declared_shape(value)
        if stated is None:
            continue
        name = shapes.flow.names[value]
        ours = value not in outputs and shapes.flow.calls[shapes.flow.producer[value]].node.domain == SCOPE
        if name in known or ours or not _contradict(axes, stated):
            continue
        made = shape_text(to_shape(axes) or ())
        message = f"{name} is declared {shape_text(stated)}, and {made} follows from {_maker(shapes.flow, value)}"
        found.append(Observation(KIND, message, tensor=name, where=name))
    for info, value in zip(shapes.flow.results, shapes.flow.outputs, strict=False):
        passed = shapes.of(value)
        straight = value != NONE and shapes.flow.producer[value] == NONE
        if straight and passed is not None and info.shape is not None and _contradict(passed, info.shape) and info.name not in known:
            origin = shape_text(to_shape(passed) or ())
            message = f"{info.name} is declared {shape_text(info.shape)} as an output and {origin} where it comes from"
            found.append(Observation(KIND, message, tensor=info.name, where=info.name))
    known.update(one.tensor for one in found)
    return [*found, *kinds.declared(shapes.flow, shapes.told, known), *kinds.contradictions(shapes.contrib, shapes.dtypes, shapes.told)]


def _contradict(axes: Axes, stated: Shape) -> bool:
    if len(axes) != len(stated):
        return True
    return any(isinstance(size, int) and axis.static is not None and axis.static != size for axis, size in zip(axes, stated, strict=True))


def _maker(flow: Flow, value: int) -> str:
    number = flow.producer[value]
    return "the graph" if number == NONE else flow.calls[number].node.title(number)
