"""What the rest of the file says of a value's axes, backward through the flat graph.

The width of a layer's output is attested by what takes it: a bias of that length, the next layer's kernel, a reshape's
target, a declared output. Each statement keeps the stored tensor that it was read off.
"""

from __future__ import annotations

from collections.abc import Callable

from modelscan.layers.onnx.axes import FREE, OPAQUE, Axes, Axis, origin
from modelscan.layers.onnx.evidence import DECLARED, NEIGHBOUR, STORED, Evidence
from modelscan.layers.onnx.flow import NONE, Call, Flow
from modelscan.layers.onnx.shapes import Shapes, axis_of

KEPT = 4
"""Statements kept for one axis."""
Wanted = dict[int, tuple[Evidence, ...]]
"""By axis, counted from the front."""
Rule = Callable[["Demands", Call], None]
RULES: dict[str, Rule] = {}
"""Backward rules by operator, filled by the `backward` decorator."""


def backward(*operators: str) -> Callable[[Rule], Rule]:
    """Registers a backward rule for operators."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(operators, function))
        return function

    return register


class Demands:
    """Statements about the axes of all values that operators make."""

    def __init__(self, flow: Flow, shapes: Shapes) -> None:
        self.flow, self.shapes = flow, shapes
        self.wanted: dict[int, Wanted] = {}
        outputs = set(flow.outputs)
        for value, info in enumerate(flow.declared):
            if info is not None and info.shape is not None and flow.producer[value] != NONE:
                kind = "declared output" if value in outputs else "declared"
                for axis, size in enumerate(info.shape):
                    if isinstance(size, int):
                        self.want(value, axis, Evidence(size, kind, FREE, DECLARED, info.name), rank=len(info.shape))

    def collect(self) -> None:
        """One pass from the last call to the first."""
        for call in reversed(self.flow.calls):
            function = RULES.get(call.op)
            if function is not None:
                function(self, call)

    def want(self, value: int, axis: int, evidence: Evidence | None, rank: int | None = None) -> None:
        """Notes a statement about one axis of a value (negative: from the end)."""
        if evidence is None or evidence.source == OPAQUE or value == NONE:
            return
        axes = self.shapes.axes[value]
        count = rank if axes is None else len(axes)
        if count is None or not -count <= axis < count:
            return
        axis %= count
        by_axis = self.wanted.get(value)
        if by_axis is None:
            self.wanted[value] = {axis: (evidence,)}
            return
        held = by_axis.get(axis, ())
        if len(held) < KEPT and evidence not in held:
            by_axis[axis] = (*held, evidence)

    def open(self, value: int, axis: int) -> bool:
        """Whether statements about an axis can serve: not about one whose size came from no stored tensor."""
        axes = self.shapes.axes[value] if value != NONE else None
        return axes is not None and -len(axes) <= axis < len(axes) and axes[axis].source != FREE

    def of(self, value: int, axis: int) -> tuple[Evidence, ...]:
        """What is said of one axis of a value (negative: from the end)."""
        by_axis = self.wanted.get(value)
        if by_axis is None:
            return ()
        if axis < 0:
            axes = self.shapes.axes[value]
            if axes is None:
                return ()
            axis += len(axes)
        return by_axis.get(axis, ())

    def hand(self, source: int, source_axis: int, target: int, target_axis: int) -> None:
        """Passes what is said of one axis on to an axis of another value."""
        by_axis = self.wanted.get(source)
        if by_axis is None:
            return
        told = self.of(source, source_axis) if source_axis < 0 else by_axis.get(source_axis)
        if told and self.open(target, target_axis):
            for one in told:
                self.want(target, target_axis, one)

    def rank(self, value: int) -> int | None:
        """The number of axes of a value."""
        axes = self.shapes.of(value)
        return None if axes is None else len(axes)


def same(demands: Demands, call: Call) -> None:
    """Whatever is said of the first output holds for the first input."""
    if not call.outputs or not call.inputs or call.inputs[0] == NONE:
        return
    source, target = call.outputs[0], call.inputs[0]
    told, axes = demands.wanted.get(source), demands.shapes.axes[target]
    if told is None or axes is None:
        return
    if target in demands.wanted:
        for axis in told:
            demands.hand(source, axis, target, axis)
        return
    handed = {axis: said for axis, said in told.items() if axis < len(axes) and axes[axis].source != FREE}
    if handed:
        demands.wanted[target] = handed


def from_axis(axis: Axis, text: str, subject: str = "", factor: int = 1, weight: int = STORED) -> Evidence | None:
    """A statement out of a known axis."""
    return Evidence(axis.size * factor, text, axis.source, weight, subject) if isinstance(axis.size, int) else None


def title(call: Call) -> str:
    """What a call is named in a witness."""
    return call.node.title(call.index)


def broadcasting(demands: Demands, call: Call) -> None:
    """Operands of an elementwise operation have the same sizes, save where one of them is 1."""
    if not call.outputs:
        return
    out, shapes = call.outputs[0], demands.shapes
    whole = shapes.of(out)
    if whole is None:
        return
    if "broadcast" in call.node.attributes:
        _aligned(demands, call)
        return
    full = len(whole)
    sides = [(value, axes) for value in call.inputs if (axes := shapes.of(value)) is not None]
    said: dict[int, list[tuple[int, Evidence]]] = {}
    for value, axes in sides:
        for back, (size, source) in enumerate(reversed(axes), start=1):
            if source == FREE or (size == 1 and not (back <= full and whole[-back].size == 1)):
                continue
            demands.hand(out, full - back, value, -back)
            if len(sides) == 2:  # as nearly always
                other, beside = sides[value == sides[0][0]]
                if other != value and len(beside) >= back and (beside[-back].static or 0) > 1:
                    demands.want(value, -back, from_axis(beside[-back], f"{call.node.op} with", demands.flow.names[other]))
                continue
            if back not in said:
                said[back] = _said(demands, call, sides, back)
            for other, statement in said[back]:
                if other != value:
                    demands.want(value, -back, statement)


def _said(demands: Demands, call: Call, sides: list[tuple[int, Axes]], back: int) -> list[tuple[int, Evidence]]:
    """What the operands say of an axis, counted from the end, each by its number; of a thousand operands only as much as can be kept."""
    text, names = f"{call.node.op} with", demands.flow.names
    found: dict[Evidence, int] = {}
    for value, axes in sides:
        statement = from_axis(axes[-back], text, names[value]) if len(axes) >= back and (axes[-back].static or 0) > 1 else None
        if statement is not None and statement.source != OPAQUE:
            found.setdefault(statement, value)
            if len(found) > 2 * KEPT:  # one is the operand's own, and as many as are kept may have been said of it before
                break
    return [(value, statement) for statement, value in found.items()]


def _aligned(demands: Demands, call: Call) -> None:
    """The rule of old opsets: the second operand lies along given axes of the first."""
    same(demands, call)
    first, second = demands.shapes.input(call, 0), demands.shapes.input(call, 1)
    start = call.aligned(len(first), len(second)) if first is not None and second is not None else None
    for place, size in enumerate(second or ()):
        if start is not None and (size.static or 0) > 1:
            demands.want(call.inputs[0], start + place, from_axis(size, f"{call.node.op} with", demands.flow.names[call.inputs[1]]))


def product_of(axes: Axes) -> int | None:
    """The product of static sizes, None if one is unknown."""
    size = 1
    for axis in axes:
        if axis.static is None:
            return None
        size *= axis.static
    return size


def aligned(before: Axes, after: Axes) -> list[tuple[range, range]]:
    """Groups of neighbouring axes that a reshape maps onto each other, from both ends inward."""
    front = _walk(before, after)
    low_a, low_b = (front[-1][0].stop, front[-1][1].stop) if front else (0, 0)
    back = _walk(tuple(reversed(before[low_a:])), tuple(reversed(after[low_b:])))
    mirrored = [(range(len(before) - a.stop, len(before) - a.start), range(len(after) - b.stop, len(after) - b.start)) for a, b in back]
    return front + mirrored


def _walk(before: Axes, after: Axes) -> list[tuple[range, range]]:
    groups: list[tuple[range, range]] = []
    a = b = 0
    while a < len(before) and b < len(after):
        if before[a].size is not None and before[a].size == after[b].size:
            groups.append((range(a, a + 1), range(b, b + 1)))
            a, b = a + 1, b + 1
            continue
        end_a, end_b = a + 1, b + 1
        size_a, size_b = before[a].static, after[b].static
        while size_a is not None and size_b is not None and size_a != size_b:
            if size_a < size_b and end_a < len(before):
                step = before[end_a].static
                size_a, end_a = (None if step is None else size_a * step), end_a + 1
            elif size_b < size_a and end_b < len(after):
                step = after[end_b].static
                size_b, end_b = (None if step is None else size_b * step), end_b + 1
            else:
                size_a = None
        if size_a is None or size_b is None:
            break
        groups.append((range(a, end_a), range(b, end_b)))
        a, b = end_a, end_b
    return groups


def through_reshape(demands: Demands, source: int, target: int, told: dict[int, Evidence]) -> None:
    """Statements about a reshaped value, brought back: `told` holds those that the operator itself makes, by output axis."""
    before, after = demands.shapes.of(source), demands.shapes.of(target)
    if before is None or after is None:
        return
    for ins, outs in aligned(before, after):
        if len(ins) == len(outs) == 1:
            demands.hand(target, outs[0], source, ins[0])
        statements = [told.get(axis) or next(iter(demands.of(target, axis)), None) for axis in outs]
        if not statements or any(one is None for one in statements):
            continue
        size = 1
        sources: set[int] = set()
        for one in statements:
            size *= one.size if one is not None else 1
            sources |= one.origins if one is not None else set()
        text = " × ".join(dict.fromkeys(one.words for one in statements if one is not None))
        for axis in ins:
            others = tuple(before[other] for other in ins if other != axis)
            rest = product_of(others)
            found = sources | ({origin(others)} - {FREE})
            if rest and size % rest == 0 and len(found) < 2:
                demands.want(source, axis, Evidence(size // rest, text, found.pop() if found else FREE, NEIGHBOUR))


def next_input(demands: Demands, call: Call, position: int, axis: int, weight: tuple[int, int], factor: int = 1) -> None:
    """An axis of an input is as long as an axis of the operator's weight (position, axis)."""
    if position < len(call.inputs) and demands.open(call.inputs[position], axis):
        told = from_axis(axis_of(demands.shapes, call, *weight), "input of", title(call), factor)
        demands.want(call.inputs[position], axis, told)
