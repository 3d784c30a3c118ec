"""Attributes of nodes against the ranks of what they are given: axes, permutations, windows, targets that cannot be right.

Only what every runtime refuses is told, and only where the rank is known: an axis beyond it, an order that is none, a window
with more strides than axes, a reshape to another number of elements.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from modelscan.layers.onnx import arguments_ml, arguments_quantised
from modelscan.layers.onnx.arity import words
from modelscan.layers.onnx.axes import Axis
from modelscan.layers.onnx.demands import title
from modelscan.layers.onnx.flow import NONE, Call
from modelscan.layers.onnx.shape_rules import reshape_target
from modelscan.layers.onnx.shapes import Shapes
from modelscan.layers.onnx.views import operand
from modelscan.model import Observation

Check = Callable[[Shapes, Call], "str | None"]
_REDUCTIONS = tuple("Reduce" + kind for kind in words("L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare"))
_ONE_AXIS = words("ArgMax ArgMin GatherElements ScatterElements TopK")
_ROW_AXIS = words("Flatten Hardmax LogSoftmax Softmax")
"""Operators whose axis may also be the rank itself, at least in older versions."""
_WINDOWS = words("AveragePool Conv ConvInteger ConvTranspose LpPool MaxPool QLinearConv")

QUANTISING = words("DequantizeLinear QuantizeLinear com.microsoft:DequantizeLinear com.microsoft:QuantizeLinear")


def contradictions(shapes: Shapes) -> list[Observation]:
    """What the nodes of all scopes state that cannot be, in graph order."""
    found = []
    for call in shapes.flow.calls:
        check = _CHECKS.get(call.op)
        text = check(shapes, call) if check is not None and call.inputs else None
        if text is not None:
            name = title(call)
            found.append(Observation("operator-contradiction", f"{call.node.op} {name}: {text}", where=name))
    return found


def _rank(shapes: Shapes, call: Call, position: int = 0) -> int | None:
    axes = shapes.input(call, position)
    return None if axes is None else len(axes)


def _axis(shapes: Shapes, call: Call) -> str | None:
    rank, axis = _rank(shapes, call), call.attribute("axis")
    if not rank or not isinstance(axis, int) or -rank <= axis < rank:
        return None
    return f"axis {axis} of {rank}"


def _parts(shapes: Shapes, call: Call) -> str | None:
    """Split: its axis, and that the stated sizes are as many as the results and make up the whole."""
    sizes, x = operand(shapes.flow, call, 1, "split"), shapes.input(call, 0)
    problem, axis = _axis(shapes, call), call.integer("axis", 0)
    if problem or sizes is None or not x or not -len(x) <= axis < len(x):
        return problem
    whole = x[axis].static
    if len(sizes) != len(call.outputs):
        return f"sizes {_listed(sizes)} for {len(call.outputs)} results"
    return f"sizes {_listed(sizes)} of {whole}" if whole is not None and sum(sizes) != whole else None


def _row_axis(shapes: Shapes, call: Call) -> str | None:
    rank, axis = _rank(shapes, call), call.attribute("axis")
    if not rank or not isinstance(axis, int) or -rank <= axis <= rank:
        return None
    return f"axis {axis} of {rank}"


def _axes(shapes: Shapes, call: Call) -> str | None:
    rank, axes = _rank(shapes, call), operand(shapes.flow, call, 1, "axes")
    if rank is None or axes is None:
        return None
    rank += len(axes) if call.op == "Unsqueeze" else 0
    beyond = [axis for axis in axes if not -rank <= axis < rank]
    return f"axis {beyond[0]} of {rank}" if beyond and rank else None


def _order(shapes: Shapes, call: Call) -> str | None:
    rank, order = _rank(shapes, call), call.integers("perm")
    if order is None or (sorted(order) == list(range(len(order))) and rank in (None, len(order))):
        return None
    return f"perm {_listed(order)} is no order of {len(order) if rank is None else rank} axes"


def _window(shapes: Shapes, call: Call) -> str | None:
    kernel, rank = call.integers("kernel_shape"), _rank(shapes, call)
    count = rank - 2 if rank is not None and rank > 2 else len(kernel) if kernel else None
    for name, least, times in (("kernel_shape", 1, 1), ("strides", 1, 1), ("dilations", 1, 1), ("pads", None, 2)):
        stated = call.integers(name)
        if stated is None:
            continue
        if count is not None and len(stated) != times * count:
            return f"{name} {_listed(stated)}, {times * count} numbers are right"
        if least is not None and min(stated, default=least) < least:
            return f"{name} {_listed(stated)}, none can be less than {least}"
    return None


def _target(shapes: Shapes, call: Call) -> str | None:
    target, before = reshape_target(shapes, call), shapes.input(call, 0)
    sizes = [axis.static for axis in target or ()]
    if target is None or any(size is None for size in sizes):
        return None
    known = [size for size in sizes if size is not None]
    shown = _listed(known)
    if known.count(-1) > 1 or any(size < -1 for size in known):
        return f"target {shown}: only one size can be left open"
    whole = [axis.static for axis in before or ()]
    if before is None or any(size is None for size in whole):
        return None
    if 0 in known and not call.integer("allowzero", 0):
        if any(size == 0 and place >= len(whole) for place, size in enumerate(known)):
            return f"target {shown}: it keeps the size of an axis that {_listed(whole)} has not"
        known = [whole[place] or 0 if size == 0 else size for place, size in enumerate(known)]
    elements, asked = prod(size or 0 for size in whole), prod(size for size in known if size != -1)
    fits = (asked and elements % asked == 0) if -1 in known else asked == elements
    return None if fits or (not elements and -1 in known) else f"{_listed(whole)} to {shown}: the number of elements differs"


def _pads(shapes: Shapes, call: Call) -> str | None:
    pads, rank = operand(shapes.flow, call, 1, "pads"), _rank(shapes, call)
    axes = operand(shapes.flow, call, 3, "axes")
    if axes is None and len(call.inputs) > 3 and call.inputs[3] != NONE:
        return None
    count = rank if axes is None else len(axes)
    return None if pads is None or count is None or len(pads) == 2 * count else f"{len(pads)} pads for {count} axes"


def _cut(shapes: Shapes, call: Call) -> str | None:
    rank, axes = _rank(shapes, call), operand(shapes.flow, call, 3, "axes")
    beyond = [axis for axis in axes or () if rank and not -rank <= axis < rank]
    return f"axis {beyond[0]} of {rank}" if beyond else None


def _indices(shapes: Shapes, call: Call) -> str | None:
    """Gather: its axis, and constant indices against the length of that axis; a branch may hold some for ranks that never come."""
    problem, x, axis = _axis(shapes, call), shapes.input(call, 0), call.integer("axis", 0)
    held = shapes.flow.contents.get(call.inputs[1]) if len(call.inputs) > 1 else None
    if problem or call.owner != NONE or not held or not x or not -len(x) <= axis < len(x):
        return problem
    length = x[axis].static
    beyond = [index for index in held if length is not None and not -length <= index < length]
    return f"index {beyond[0]} of {length}" if beyond else None


def _ranks(shapes: Shapes, call: Call) -> str | None:
    wanted = 2 if call.op == "Gemm" else 3
    for place in range(min(len(call.inputs), 2 if wanted == 2 else 3)):
        rank = _rank(shapes, call, place)
        if rank is not None and rank != wanted:
            return f"operand {place} has {rank} axes, {wanted} are right"
    return None


def _blocks(shapes: Shapes, call: Call) -> str | None:
    x, block = shapes.input(call, 0), call.integer("blocksize", 0)
    channels = x[1].static if x is not None and len(x) == 4 else None
    return f"blocks of {block} × {block} out of {channels} channels" if channels and (block < 1 or channels % (block * block)) else None


def _beside(shapes: Shapes, call: Call) -> str | None:
    """Operands that are computed at run time and must have sizes in common; a branch may hold some that never meet."""
    if call.owner != NONE or not shapes.views.keys().isdisjoint(call.inputs) or "broadcast" in call.node.attributes:
        return None
    known = [axes for axes in map(shapes.of, call.inputs) if axes is not None]
    pairs: list[tuple[Axis, Axis]] = []
    if call.op == "MatMul" and len(known) == 2 and all(known):
        pairs = [(known[0][-1], known[1][max(-2, -len(known[1]))])]
    elif call.op == "Concat" and len({len(axes) for axes in known}) == 1:
        axis = call.integer("axis", 0)
        pairs = [
            (a, b) for axes in known[1:] for n, (a, b) in enumerate(zip(known[0], axes, strict=True)) if n not in (axis, axis + len(axes))
        ]
    elif call.op == "Concat" and known:
        return f"operands of {' and '.join(str(rank) for rank in sorted({len(axes) for axes in known}))} axes"
    elif call.op != "Concat":
        pairs = [
            (a, b) for axes in known[1:] for a, b in zip(reversed(known[0]), reversed(axes), strict=False) if 1 not in (a.size, b.size)
        ]
    apart = [(a.static, b.static) for a, b in pairs if a.static is not None and b.static is not None and a.static != b.static]
    return f"operands of {apart[0][0]} and {apart[0][1]} elements along the same axis" if apart else None


def _labels(shapes: Shapes, call: Call) -> str | None:
    """A loss: scores (N, C, d…) and labels (N, d…)."""
    scores, labels = shapes.input(call, 0), shapes.input(call, 1)
    if scores is None or labels is None or len(scores) < 2:
        return None
    if len(labels) != len(scores) - 1:
        return f"labels of {len(labels)} axes for scores of {len(scores)}"
    apart = [(a.static, b.static) for a, b in zip((scores[0], *scores[2:]), labels, strict=True) if None not in (a.static, b.static)]
    return next((f"{b} labels along an axis of {a} scores" for a, b in apart if a != b), None)


def _scales(shapes: Shapes, call: Call) -> str | None:
    """Resize and Upsample: factors, the last or the third of the inputs."""
    place = 2 if call.op == "Resize" and len(call.inputs) > 2 else 1
    held = shapes.flow.contents.get(call.inputs[place]) if len(call.inputs) > place else None
    return f"scale {min(held)}, none can be 0 or less" if held and min(held) <= 0 else None


def _joined(shapes: Shapes, call: Call) -> str | None:
    return _axis(shapes, call) or _beside(shapes, call)


def _listed(numbers: list[int] | list[int | None] | tuple[int, ...]) -> str:
    shown = ", ".join("?" if number is None else str(number) for number in numbers[:8])
    return f"({shown}{', …' if len(numbers) > 8 else ''})"


_CHECKS: dict[str, Check] = {
    **dict.fromkeys(_ONE_AXIS, _axis),
    **dict.fromkeys(_ROW_AXIS, _row_axis),
    **dict.fromkeys((*_REDUCTIONS, "Squeeze", "Unsqueeze"), _axes),
    **dict.fromkeys((*_WINDOWS, "com.microsoft:FusedConv"), _window),
    **dict.fromkeys(words("Add Sub Mul Div Pow And Or Xor Equal Greater Less GreaterOrEqual LessOrEqual Where MatMul"), _beside),
    **dict.fromkeys(words("Gemm LSTM GRU RNN"), _ranks),
    "Concat": _joined,
    "DepthToSpace": _blocks,
    "Gather": _indices,
    "Pad": _pads,
    "Slice": _cut,
    "Split": _parts,
    "Transpose": _order,
    "Reshape": _target,
    **dict.fromkeys(("Resize", "Upsample"), _scales),
    "SoftmaxCrossEntropyLoss": _labels,
    "com.microsoft:MatMulNBits": arguments_quantised.depth,
    **dict.fromkeys(QUANTISING, arguments_quantised.contradiction),
    **dict.fromkeys(arguments_ml.OPERATORS, arguments_ml.contradiction),
}
