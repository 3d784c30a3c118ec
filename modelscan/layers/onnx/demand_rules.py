"""Backward rules of the operators: how statements about outputs become statements about inputs."""

from __future__ import annotations

from modelscan.layers.onnx.arity import words
from modelscan.layers.onnx.axes import FREE, OPAQUE
from modelscan.layers.onnx.demands import (
    RULES,
    Demands,
    backward,
    broadcasting,
    from_axis,
    next_input,
    same,
    through_reshape,
    title,
)
from modelscan.layers.onnx.evidence import DECLARED, NEIGHBOUR, Evidence
from modelscan.layers.onnx.flow import NONE, Call
from modelscan.layers.onnx.shape_rules import BROADCASTING, UNARY, reshape_target
from modelscan.layers.onnx.shapes import axis_of
from modelscan.layers.onnx.views import normalised, operand

PARTS = 64
"""Parts of a chain of concatenations whose widths are told apart."""
BESIDE = 4
"""Neighbours in a concatenation that are asked for the sizes that all its parts share."""

RULES.update(dict.fromkeys(UNARY, same))
RULES.update(dict.fromkeys(BROADCASTING, broadcasting))
RULES["·scope:alias"] = RULES["·scope:hold"] = same


@backward("·scope:join")
def _join(demands: Demands, call: Call) -> None:
    rank = demands.rank(call.outputs[0])
    for value in call.inputs:
        if demands.rank(value) == rank:
            for axis in range(rank or 0):
                demands.hand(call.outputs[0], axis, value, axis)


@backward("·scope:carry")
def _carry(demands: Demands, call: Call) -> None:
    """What a loop hands on is as large as what it began with."""
    value, state = call.inputs
    for axis, size in enumerate(demands.shapes.of(state) or ()):
        demands.want(value, axis, from_axis(size, "loop state", weight=NEIGHBOUR))


@backward("MatMul", "MatMulInteger")
def _matmul(demands: Demands, call: Call) -> None:
    matmul(demands, call, 0, 1)


def matmul(demands: Demands, call: Call, a: int, b: int) -> None:
    """The inner sizes of a product agree; the outer ones are the result's."""
    if max(a, b) >= len(call.inputs) or not call.outputs:
        return
    left, right, out = call.inputs[a], call.inputs[b], call.outputs[0]
    rank_left, rank_right = demands.rank(left), demands.rank(right)
    next_input(demands, call, a, -1, (b, -2 if (rank_right or 2) > 1 else -1))
    if rank_left is not None and rank_right is not None and rank_right > 1:
        next_input(demands, call, b, -2, (a, -1))
        demands.hand(out, -1, right, -1)
        if rank_left > 1:
            demands.hand(out, -2, left, -2)
        _batch_axes(demands, call, left, right)


def _batch_axes(demands: Demands, call: Call, left: int, right: int) -> None:
    """Axes before the last two (the heads of attention) are as long on both sides as in the result, save where one is 1."""
    sides = [(value, demands.shapes.of(value) or ()) for value in (left, right)]
    whole = demands.shapes.of(call.outputs[0]) or ()
    for (value, mine), (other, beside) in (sides, reversed(sides)):
        for back in range(3, len(mine) + 1):
            if mine[-back].size == 1 or back > len(whole):
                continue
            demands.hand(call.outputs[0], -back, value, -back)
            if back <= len(beside) and (beside[-back].static or 0) > 1 and demands.open(value, -back):
                demands.want(value, -back, from_axis(beside[-back], f"{call.node.op} with", demands.flow.names[other]))


@backward("Gemm", "com.microsoft:FusedGemm")
def _gemm(demands: Demands, call: Call) -> None:
    if len(call.inputs) < 2 or not call.outputs:
        return
    rows, inner = (1, 0) if call.integer("transA", 0) else (0, 1)
    next_input(demands, call, 0, inner, (1, 1 if call.integer("transB", 0) else 0))
    demands.hand(call.outputs[0], 0, call.inputs[0], rows)
    demands.hand(call.outputs[0], 1, call.inputs[1], 0 if call.integer("transB", 0) else 1)


@backward("Conv", "ConvInteger", "com.microsoft:FusedConv", "com.microsoft.nchwc:Conv")
def _conv(demands: Demands, call: Call) -> None:
    next_input(demands, call, 0, 1, (1, 1), max(call.integer("group", 1), 1))
    demands.hand(call.outputs[0], 0, call.inputs[0], 0)


@backward("QLinearConv")
def _qlinear_conv(demands: Demands, call: Call) -> None:
    next_input(demands, call, 0, 1, (3, 1), max(call.integer("group", 1), 1))


@backward("QLinearMatMul")
def _qlinear_matmul(demands: Demands, call: Call) -> None:
    matmul(demands, call, 0, 3)


@backward("ConvTranspose")
def _conv_transpose(demands: Demands, call: Call) -> None:
    next_input(demands, call, 0, 1, (1, 0))
    demands.hand(call.outputs[0], 0, call.inputs[0], 0)


@backward("BatchNormalization", "InstanceNormalization", "GroupNormalization")
def _channel_norm(demands: Demands, call: Call) -> None:
    for weight in range(1, len(call.inputs)):
        next_input(demands, call, 0, 1, (weight, 0))
    same(demands, call)


@backward("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
def _layer_norm(demands: Demands, call: Call) -> None:
    for weight in range(1, len(call.inputs)):
        for back in range(1, len(demands.shapes.input(call, weight) or ()) + 1):
            if axis_of(demands.shapes, call, weight, -back).static != 1:
                next_input(demands, call, 0, -back, (weight, -back))
    same(demands, call)


@backward("PRelu")
def _prelu(demands: Demands, call: Call) -> None:
    for back in range(1, len(demands.shapes.input(call, 1) or ()) + 1):
        if axis_of(demands.shapes, call, 1, -back).static != 1:
            next_input(demands, call, 0, -back, (1, -back))
    same(demands, call)


@backward("LSTM", "GRU", "RNN")
def _recurrent(demands: Demands, call: Call) -> None:
    next_input(demands, call, 0, 2, (1, 2))


@backward("MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "Resize", "Upsample")
def _pool(demands: Demands, call: Call) -> None:
    for axis in (0, 1):
        demands.hand(call.outputs[0], axis, call.inputs[0], axis)


@backward("Reshape")
def _reshape(demands: Demands, call: Call) -> None:
    target = reshape_target(demands.shapes, call) or ()
    text = ", ".join("?" if axis.size is None else str(axis.size) for axis in target)
    told = {
        place: Evidence(axis.static, f"{title(call)} to ({text})", axis.source, DECLARED)
        for place, axis in enumerate(target)
        if axis.static is not None and axis.static > 0
    }
    through_reshape(demands, call.inputs[0], call.outputs[0], told)


@backward("Flatten")
def _flatten(demands: Demands, call: Call) -> None:
    through_reshape(demands, call.inputs[0], call.outputs[0], {})


@backward("Unsqueeze", "Squeeze")
def _ones(demands: Demands, call: Call) -> None:
    wide = call.outputs[0] if call.op == "Unsqueeze" else call.inputs[0]
    axes, rank = operand(demands.shapes.flow, call, 1, "axes"), demands.rank(wide)
    front = normalised(axes, rank) if axes is not None and rank is not None else None
    if front is None or rank is None:
        return
    kept = [axis for axis in range(rank) if axis not in front]
    for place, axis in enumerate(kept):
        pair = (axis, place) if call.op == "Unsqueeze" else (place, axis)
        demands.hand(call.outputs[0], pair[0], call.inputs[0], pair[1])


@backward("Transpose")
def _transpose(demands: Demands, call: Call) -> None:
    rank = demands.rank(call.inputs[0]) or 0
    order = call.integers("perm") or tuple(reversed(range(rank)))
    if sorted(order) == list(range(rank)):
        for place, axis in enumerate(order):
            demands.hand(call.outputs[0], place, call.inputs[0], axis)


@backward("Concat")
def _concat(demands: Demands, call: Call) -> None:
    out = call.outputs[0]
    rank = demands.rank(out)
    axis = call.integer("axis", 0)
    if rank is None or not -rank <= axis < rank:
        return
    axis %= rank
    beside = {other: _beside(demands, call, other) for other in range(rank) if other != axis}
    for value in call.inputs:
        for other, told_beside in beside.items():
            demands.hand(out, other, value, other)
            if demands.open(value, other):
                for part, one in told_beside:
                    if part != value:
                        demands.want(value, other, one)
    if told := demands.of(out, axis):
        _parts(demands, call, axis, told)


def _parts(demands: Demands, call: Call, axis: int, told: tuple[Evidence, ...]) -> None:
    """What is said of the sum of the parts, less all other parts, is said of each part."""
    sizes = [axis_of(demands.shapes, call, position, axis).static for position in range(len(call.inputs))]
    total, unknown = sum(size or 0 for size in sizes), sizes.count(None)
    if unknown > 1 or len(sizes) > PARTS:
        return
    origins = [_origins(demands, value, axis) for value in call.inputs]
    for position, (value, size) in enumerate(zip(call.inputs, sizes, strict=True)):
        if unknown and size is not None:
            continue
        beside = frozenset[int]().union(*origins[:position], *origins[position + 1 :])
        for one in told:
            found, left = sorted(beside | one.origins), one.size - total + (size or 0)
            if left > 0 and OPAQUE not in found:
                demands.want(value, axis, Evidence(left, one.text, (found or [FREE])[0], NEIGHBOUR, one.subject, tuple(found[1:])))


def _beside(demands: Demands, call: Call, axis: int) -> list[tuple[int, Evidence | None]]:
    """The first parts, and what the size of each along an axis says of the others: parts that are put side by side have the same there."""
    told = []
    for value in call.inputs[:BESIDE]:
        size = (demands.shapes.of(value) or ())[axis : axis + 1]
        if size:
            told.append((value, from_axis(size[0], "Concat with", demands.flow.names[value])))
    return told


def _origins(demands: Demands, value: int, axis: int) -> frozenset[int]:
    """The stored values that a part's width was read off, those of a chain of concatenations told one by one."""
    found: set[int] = set()
    waiting, steps = [value], PARTS
    while waiting:
        value, steps = waiting.pop(), steps - 1
        axes = demands.shapes.of(value)
        source = axes[axis].source if axes is not None and axis < len(axes) else OPAQUE
        made = demands.flow.producer[value] if source == OPAQUE and value != NONE else NONE
        call = demands.flow.calls[made] if made != NONE else None
        if steps > 0 and call is not None and call.op == "Concat" and call.integer("axis", 0) in (axis, axis - len(axes or ())):
            waiting.extend(call.inputs)
        else:
            found.add(source)
    return frozenset(found) - {FREE}


@backward("Split")
def _split(demands: Demands, call: Call) -> None:
    source, sizes = call.inputs[0], operand(demands.shapes.flow, call, 1, "split")
    rank, axis = demands.rank(source), call.integer("axis", 0)
    if rank is None or not -rank <= axis < rank:
        return
    for value in call.outputs:
        for other in range(rank):
            if other != axis % rank and value != NONE:
                demands.hand(value, other, source, other)
    if sizes is not None:
        demands.want(source, axis, Evidence(sum(sizes), f"{title(call)} sizes", FREE, DECLARED))
        return
    for value in call.outputs[:1]:
        for one in demands.of(value, axis):
            demands.want(source, axis, one._replace(size=one.size * len(call.outputs), weight=NEIGHBOUR))


@backward("Slice", "Pad")
def _slice(demands: Demands, call: Call) -> None:
    before, after = demands.shapes.input(call, 0), demands.shapes.of(call.outputs[0])
    for axis, size in enumerate(before or ()):
        if after is not None and axis < len(after) and size == after[axis]:
            demands.hand(call.outputs[0], axis, call.inputs[0], axis)


@backward("Expand", "Tile")
def _widened(demands: Demands, call: Call) -> None:
    """Axes that stay as long as they were, counted from the last one."""
    before, after = demands.shapes.input(call, 0) or (), demands.shapes.of(call.outputs[0]) or ()
    for back in range(1, min(len(before), len(after)) + 1):
        if before[-back].static == after[-back].static != 1:
            demands.hand(call.outputs[0], len(after) - back, call.inputs[0], -back)


@backward("Gather")
def _gather(demands: Demands, call: Call) -> None:
    rank, wide = demands.rank(call.inputs[0]), demands.rank(call.outputs[0])
    axis = call.integer("axis", 0)
    if rank is None or wide is None or not -rank <= axis < rank:
        return
    axis %= rank
    for other in range(rank):
        if other != axis:
            demands.hand(call.outputs[0], other if other < axis else wide - rank + other, call.inputs[0], other)


@backward(*("Reduce" + kind for kind in words("L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare")))
def _reduce(demands: Demands, call: Call) -> None:
    rank = demands.rank(call.inputs[0])
    axes = operand(demands.shapes.flow, call, 1, "axes")
    front = normalised(axes, rank) if axes and rank is not None else None
    if front is None or rank is None:
        return
    keep = bool(call.integer("keepdims", 1))
    kept = [axis for axis in range(rank) if axis not in front]
    for place, axis in enumerate(kept):
        demands.hand(call.outputs[0], axis if keep else place, call.inputs[0], axis)
