"""Shape arithmetic: integer vectors that exporters compute from shapes at run time, followed as sizes with their origin.

`Shape → Gather → Mul → Concat → Reshape` is how a reshape's target looks in most exported files; without it, the width of
what follows would be unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

from modelscan.graph import Fill
from modelscan.layers.onnx.axes import FREE, Axis, origin, product
from modelscan.layers.onnx.flow import NONE, Call

if TYPE_CHECKING:  # the rules of shapes call this module and the other way round
    from modelscan.layers.onnx.shapes import Shapes

Amounts = tuple[Axis, ...]
MOST = 64
"""Elements of an integer vector that are followed: no shape has more."""
_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Max": max,
    "Min": min,
    "Equal": lambda a, b: int(a == b),
    "Mod": lambda a, b: a % b if b else 0,
}
_NEUTRAL = {"Add": 0, "Sub": 0, "Mul": 1, "Div": 1}
_PASSING = frozenset(("Identity", "Cast", "Unsqueeze", "Squeeze", "Reshape", "·scope:hold", "Floor", "Ceil"))


def of(shapes: Shapes, value: int) -> Amounts | None:
    """The elements of a small integer value as sizes, None where they are not followed."""
    if value == NONE:
        return None
    known = shapes.amounts.get(value)
    if known is None:
        tensor = shapes.flow.tensors[value]
        if tensor is not None and "float" in tensor.dtype:  # never sizes, whatever the numbers are
            return (Axis(None, FREE),) * tensor.elements if tensor.elements <= MOST else None
        held = shapes.flow.contents.get(value)
        if held is not None and len(held) <= MOST:
            known = tuple(Axis(one, FREE) if isinstance(one, int) else Axis(None, FREE) for one in held)
            shapes.amounts[value] = known
    return known


def follow(shapes: Shapes, call: Call) -> None:
    """Notes the amounts that a call computes, and their numbers where all are known."""
    if call.op not in FOLLOWED or len(call.outputs) != 1 or call.outputs[0] == NONE:
        return
    value = call.outputs[0]
    made = _computed(shapes, call)
    if made is None or len(made) > MOST or shapes.flow.contents.get(value) is not None:
        return
    shapes.amounts[value] = made
    sizes = [one.static for one in made]
    if all(size is not None for size in sizes):
        shapes.flow.contents.note(value, tuple(size for size in sizes if size is not None))
        shapes.noted.append(value)


def _computed(shapes: Shapes, call: Call) -> Amounts | None:
    if call.op in ("Shape", "Size"):
        axes = shapes.input(call, 0)
        if axes is None:
            return None
        end = call.attribute("end")
        return axes[call.integer("start", 0) : end if isinstance(end, int) else None] if call.op == "Shape" else (product(axes),)
    if not call.inputs:
        return None
    first = of(shapes, call.inputs[0])
    if first is None:
        return None
    if call.op in _PASSING:
        return first
    if call.op == "ConstantOfShape":
        return _filled(call, first)
    if call.op == "Not":
        return tuple(Axis(None if one.static is None else int(not one.static), one.source) for one in first)
    function = _COMPUTED.get(call.op)
    return function(shapes, call, first) if function is not None else None


def _filled(call: Call, first: Amounts) -> Amounts | None:
    """A vector of one number: what exporters compare a target with, to find the -1 in it."""
    fill = call.attribute("value")
    number = fill.number if isinstance(fill, Fill) else 0
    count = first[0].static if len(first) == 1 else None
    if count is None or not 0 <= count <= MOST or not isinstance(number, int):
        return None
    return (Axis(number, FREE),) * count


def _gather(shapes: Shapes, call: Call, first: Amounts) -> Amounts | None:
    index = of(shapes, call.inputs[1])
    axes = shapes.input(call, 0)
    if index is None or (axes is not None and len(axes) != 1):
        return None
    places = [one.static for one in index]
    if any(place is None or not -len(first) <= place < len(first) for place in places):
        return None
    return tuple(first[place] for place in places if place is not None)


def _slice(shapes: Shapes, call: Call, first: Amounts) -> Amounts | None:
    bounds = []
    for position, name in ((1, "starts"), (2, "ends"), (4, "steps")):
        stated = call.integers(name)
        held = of(shapes, call.inputs[position]) if len(call.inputs) > position else None
        numbers = (
            stated if stated is not None else tuple(one.static for one in held) if held is not None else (1,) if name == "steps" else ()
        )
        if len(numbers) != 1 or numbers[0] is None:
            return None
        bounds.append(numbers[0])
    start, end, step = bounds
    return first[start:end:step] if step else None


def _concat(shapes: Shapes, call: Call, _: Amounts) -> Amounts | None:
    parts = [of(shapes, value) for value in call.inputs]
    if any(part is None for part in parts):
        parts = [part if part is not None else _unknown(shapes, value) for part, value in zip(parts, call.inputs, strict=True)]
    return None if any(part is None for part in parts) else tuple(one for part in parts if part is not None for one in part)


def _unknown(shapes: Shapes, value: int) -> Amounts | None:
    """As many unknown sizes as a vector of known length has."""
    axes = shapes.of(value)
    if axes is None or len(axes) != 1 or axes[0].static is None or axes[0].static > MOST:
        return None
    return (Axis(None, FREE),) * axes[0].static


def _arithmetic(shapes: Shapes, call: Call, first: Amounts) -> Amounts | None:
    second = of(shapes, call.inputs[1]) if len(call.inputs) == 2 else None
    if second is None or (len(first) != len(second) and 1 not in (len(first), len(second))):
        return None
    if not first or not second:
        return ()
    count = max(len(first), len(second))
    left, right = (part * count if len(part) == 1 else part for part in (first, second))
    return tuple(_pair(call.op, a, b) for a, b in zip(left, right, strict=True))


def _pair(op: str, a: Axis, b: Axis) -> Axis:
    if b.static is not None and b.static == _NEUTRAL.get(op):
        return a
    if op in ("Add", "Mul") and a.static is not None and a.static == _NEUTRAL[op]:
        return b
    source = origin((a, b))
    if op in ("Max", "Min") and a.size is not None and a.size == b.size:
        return a
    if op == "Equal" and -1 in (a.static, b.static) and (a.static is None or b.static is None):
        return Axis(0, source)
    if a.static is None or b.static is None:
        return Axis(None, source)
    if op == "Div":
        return (
            Axis(None, source)
            if b.static == 0
            else Axis(int(a.static / b.static) if abs(a.static) < 2**53 else a.static // b.static, source)
        )
    return Axis(_ARITHMETIC[op](a.static, b.static), source)


def _reduce(_: Shapes, call: Call, first: Amounts) -> Amounts | None:
    sizes = [one.static for one in first]
    whole = prod(size for size in sizes if size is not None) if all(size is not None for size in sizes) else None
    return (Axis(whole, origin(first)),)


def _where(shapes: Shapes, call: Call, condition: Amounts) -> Amounts | None:
    chosen = [of(shapes, value) for value in call.inputs[1:3]]
    if len(chosen) != 2 or chosen[0] is None or chosen[1] is None:
        return None
    count = max(len(condition), len(chosen[0]), len(chosen[1]))
    parts = [part * count if len(part) == 1 else part for part in (condition, chosen[0], chosen[1])]
    if any(len(part) != count for part in parts):
        return None
    return tuple(Axis(None, FREE) if one.static is None else a if one.static else b for one, a, b in zip(*parts, strict=True))


def _range(shapes: Shapes, call: Call, first: Amounts) -> Amounts | None:
    """Numbers from one to another: the axes that exporters add behind a channel."""
    bounds = [first, *(of(shapes, value) for value in call.inputs[1:])]
    if len(bounds) != 3 or any(one is None or len(one) != 1 or one[0].static is None for one in bounds):
        return None
    start, limit, step = (one[0].static or 0 for one in bounds if one is not None)
    count = max(0, -((start - limit) // step)) if step else MOST + 1
    return tuple([Axis(start + number * step, FREE) for number in range(count)]) if count <= MOST else None


_COMPUTED: dict[str, Callable[[Shapes, Call, Amounts], Amounts | None]] = {
    "Gather": _gather,
    "Slice": _slice,
    "Concat": _concat,
    "Range": _range,
    "ReduceProd": _reduce,
    "Where": _where,
    "Div": _arithmetic,
    **dict.fromkeys(_ARITHMETIC, _arithmetic),
}
FOLLOWED = frozenset(("Shape", "Size", "ConstantOfShape", "Not", *_PASSING, *_COMPUTED))
"""Operators that are more than passed over."""
