"""QuantizeLinear and DequantizeLinear: scales and zero points against the tensor and one another.

One scale for the whole tensor, a vector of one for each index along the axis, or (with `block_size`) a tensor of the same rank
with one for each block along it; the zero points have the form of the scales (onnx, operator DequantizeLinear).
"""

from __future__ import annotations

from modelscan.layers.onnx.axes import Axes, total
from modelscan.layers.onnx.flow import NONE, Call
from modelscan.layers.onnx.shapes import Shapes


def contradiction(shapes: Shapes, call: Call) -> str | None:
    """The first thing that cannot be."""
    x, scale, zero = (shapes.input(call, place) for place in range(3))
    if scale is None:
        return None
    if zero is not None and total(scale) not in (None, 1) and _unlike(scale, zero):
        return f"scales {_text(scale)}, zero points {_text(zero)}"
    if x is not None and total(scale) not in (None, 1):
        problem = _blocked(call, x, scale) if call.integer("block_size", 0) > 0 else _along(call, x, scale)
        if problem is not None:
            return problem
    return _types(shapes, call) if call.op == "com.microsoft:DequantizeLinear" else None


def depth(shapes: Shapes, call: Call) -> str | None:
    """A packed product states how wide its activation is; the bytes of its kernel come in blocks and need not tell."""
    x, stated = shapes.input(call, 0), call.attribute("K")
    width = x[-1].static if x else None
    return f"K {stated}, the activation is {width} wide" if width is not None and isinstance(stated, int) and stated != width else None


def _types(shapes: Shapes, call: Call) -> str | None:
    """Of the contrib operator, whose schema is not at hand: the zero point has the type of the quantised tensor."""
    types = [shapes.dtypes[call.inputs[place]] if len(call.inputs) > place and call.inputs[place] != NONE else None for place in (0, 2)]
    return f"the zero point is {types[1]}, the tensor {types[0]}" if None not in types and types[0] != types[1] else None


def _along(call: Call, x: Axes, scale: Axes) -> str | None:
    axis = call.integer("axis", 1)
    if len(scale) != 1:
        return f"scales {_text(scale)} without a block size"
    if not -len(x) <= axis < len(x):
        return f"axis {axis} of {len(x)}"
    size, count = x[axis].static, scale[0].static
    return f"{count} scales along an axis of {size}" if None not in (size, count) and size != count else None


def _blocked(call: Call, x: Axes, scale: Axes) -> str | None:
    axis, block = call.integer("axis", 1), call.integer("block_size", 0)
    if len(x) != len(scale):
        return f"scales {_text(scale)} for blocks of a tensor of {len(x)} axes"
    if not -len(x) <= axis < len(x):
        return f"axis {axis} of {len(x)}"
    for place, (one, other) in enumerate(zip(x, scale, strict=True)):
        size, count = one.static, other.static
        if size is None or count is None:
            continue
        wanted = -(-size // block) if place == axis % len(x) else size
        if wanted != count:
            return f"{count} scales along axis {place}, {wanted} are right"
    return None


def _unlike(a: Axes, b: Axes) -> bool:
    pairs = zip(a, b, strict=False)
    return len(a) != len(b) or any(None not in (one.static, other.static) and one.static != other.static for one, other in pairs)


def _text(axes: Axes) -> str:
    return f"({', '.join('?' if axis.static is None else str(axis.static) for axis in axes)}{',' if len(axes) == 1 else ''})"
