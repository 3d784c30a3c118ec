"""Shape rules of normalisations: where the width of an activation is not known, the scale that it is multiplied with tells it."""

from __future__ import annotations

from modelscan.layers.onnx import shape_rules
from modelscan.layers.onnx.axes import Axes, Axis
from modelscan.layers.onnx.flow import Call
from modelscan.layers.onnx.shapes import Shapes, rule

__all__ = ["shape_rules"]  # its rule for operators that keep a shape is registered first, these take their place


@rule("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
def _last_axes(shapes: Shapes, call: Call) -> list[Axes | None]:
    x, scale = shapes.input(call, 0), shapes.input(call, 1)
    if x is None or scale is None or len(scale) > len(x):
        return [x]
    lead = len(x) - len(scale)
    return [(*x[:lead], *(_told(axis, by) for axis, by in zip(x[lead:], scale, strict=True)))]


@rule("BatchNormalization", "InstanceNormalization")
def _channels(shapes: Shapes, call: Call) -> list[Axes | None]:
    x, scale = shapes.input(call, 0), shapes.input(call, 1)
    if x is None or scale is None or len(x) < 2 or len(scale) != 1:
        return [x]
    return [(x[0], _told(x[1], scale[0]), *x[2:])]


def _told(axis: Axis, by: Axis) -> Axis:
    """The axis, or what the scale says of it; a scale of one element broadcasts and says nothing."""
    return by if axis.static is None and by.static is not None and by.static > 1 else axis
