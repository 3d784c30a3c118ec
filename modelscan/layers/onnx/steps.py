"""What static operators make of views: the way of a stored tensor to the operator that uses it, step by step."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from modelscan.layers.onnx.arity import words
from modelscan.layers.onnx.flow import NONE, SCOPE, Call, Flow
from modelscan.layers.onnx.views import Piece, Sizes, View, constant, normalised, operand

MAX_PIECES = 256
"""A view of more pieces than this is followed no further; the tensors then belong to the operator that joins them."""
MAX_EXTRAS = 512
"""As many other tensors may belong to one."""
QUANTISED = ("DequantizeLinear", "com.microsoft:DequantizeLinear")


def follow(flow: Flow, call: Call, found: dict[int, View]) -> None:
    """Notes the views of a call's outputs, if all that it takes is static. Calls come in graph order.

    The first input of a call is known to have a view, but for those in `INDIRECT`.
    """
    if not call.inputs or not call.outputs:
        return
    if call.op == "Split":
        for value, part in zip(call.outputs, _split(flow, call, found[call.inputs[0]], len(call.outputs)), strict=False):
            if value != NONE:
                found.setdefault(value, part)
        return
    step = STEPS.get(call.op)
    view: View | None = step(flow, call, found) if step is not None else None
    if view is not None and len(view.pieces) <= MAX_PIECES and len(view.extras) <= MAX_EXTRAS and call.outputs[0] != NONE:
        found.setdefault(call.outputs[0], view)


def same(_: Flow, call: Call, found: dict[int, View]) -> View:
    """The elements stay where they are."""
    view = found[call.inputs[0]]
    after = view if call.node.domain == SCOPE else view.then(call.node.op, view.shape, view.pieces)
    return after._replace(dtype=None) if call.node.op.startswith("Cast") else after


def _told(flow: Flow, call: Call, found: dict[int, View]) -> View | None:
    """Which elements of numbers are missing, or are not: true or false for each; a stored mask is followed no further."""
    view = found[call.inputs[0]]
    tensors = [flow.tensors[piece.value] for piece in view.pieces]
    if any(tensor is None or tensor.dtype == "bool" for tensor in tensors):
        return None
    return view.then(call.op, view.shape, view.pieces)._replace(dtype=None)


def _quantised(flow: Flow, call: Call, found: dict[int, View]) -> View:
    view = same(flow, call, found)
    names = ("scale", "zero_point")
    extras = tuple(
        (name, piece.value) for name, value in zip(names, call.inputs[1:3], strict=False) if value in found for piece in found[value].pieces
    )
    return view._replace(extras=view.extras + extras, dtype=None)


def _transpose(_: Flow, call: Call, found: dict[int, View]) -> View | None:
    view = found[call.inputs[0]]
    rank = len(view.shape)
    order = call.integers("perm") or tuple(reversed(range(rank)))
    if sorted(order) != list(range(rank)):
        return None
    return view.then(
        "Transpose",
        _permuted(view.shape, order),
        tuple(one._replace(start=_permuted(one.start, order), extent=_permuted(one.extent, order)) for one in view.pieces),
    )


def _permuted(sizes: Sizes, order: Sizes) -> Sizes:
    return tuple(sizes[axis] for axis in order)


def _reshape(flow: Flow, call: Call, found: dict[int, View]) -> View | None:
    view = found[call.inputs[0]]
    if call.op == "Flatten":
        axis = call.integer("axis", 1)
        axis = axis + len(view.shape) if axis < 0 else axis
        target: Sizes | None = (prod(view.shape[:axis]), prod(view.shape[axis:]))
    else:
        target = operand(flow, call, 1, "shape")
    shape = resolved(view.shape, target, keep_zero=bool(call.integer("allowzero", 0))) if target is not None else None
    if shape is None:
        return None
    if len(view.pieces) == 1:
        only = view.pieces[0]
        return view.then(call.op, shape, (only._replace(start=(0,) * len(shape), extent=shape),))
    return _reboxed(view, shape)


def _reboxed(view: View, shape: Sizes) -> View | None:
    """Pieces joined along the first axis stay boxes as long as a reshape keeps whole rows of the new first axis."""
    if not view.shape or not shape or any(one.extent[1:] != view.shape[1:] for one in view.pieces):
        return None
    row = prod(shape[1:])
    pieces = []
    for one in view.pieces:
        first, size = one.start[0] * prod(view.shape[1:]), one.elements
        if not row or first % row or size % row:
            return None
        pieces.append(one._replace(start=(first // row, *(0,) * (len(shape) - 1)), extent=(size // row, *shape[1:])))
    return view.then("Reshape", shape, tuple(pieces))


def resolved(before: Sizes, target: Sizes, *, keep_zero: bool = False) -> Sizes | None:
    """The shape that Reshape yields: 0 copies, -1 is what is left; None when that is impossible."""
    shape = [before[axis] if size == 0 and not keep_zero and axis < len(before) else size for axis, size in enumerate(target)]
    total, known = prod(before), prod(size for size in shape if size != -1)
    if shape.count(-1) == 1 and known > 0 and total % known == 0:
        shape[shape.index(-1)] = total // known
    return tuple(shape) if prod(shape) == total and all(size >= 0 for size in shape) else None


def _unsqueeze(flow: Flow, call: Call, found: dict[int, View]) -> View | None:
    view = found[call.inputs[0]]
    axes = operand(flow, call, 1, "axes")
    rank = len(view.shape) + len(axes or ())
    front = normalised(axes, rank) if axes is not None else None
    if front is None:
        return None

    def widen(sizes: Sizes, fill: int) -> Sizes:
        left = iter(sizes)
        return tuple(fill if axis in front else next(left) for axis in range(rank))

    pieces = tuple(one._replace(start=widen(one.start, 0), extent=widen(one.extent, 1)) for one in view.pieces)
    return view.then("Unsqueeze", widen(view.shape, 1), pieces)


def _squeeze(flow: Flow, call: Call, found: dict[int, View]) -> View | None:
    view = found[call.inputs[0]]
    axes = operand(flow, call, 1, "axes")
    if axes is None and len(call.inputs) > 1 and call.inputs[1] != NONE:
        return None
    if axes is None:
        axes = tuple(axis for axis, size in enumerate(view.shape) if size == 1)
    front = normalised(axes, len(view.shape))
    if front is None or any(view.shape[axis] != 1 for axis in front):
        return None

    def narrow(sizes: Sizes) -> Sizes:
        return tuple(size for axis, size in enumerate(sizes) if axis not in front)

    pieces = tuple(one._replace(start=narrow(one.start), extent=narrow(one.extent)) for one in view.pieces)
    return view.then("Squeeze", narrow(view.shape), pieces)


def _slice(flow: Flow, call: Call, found: dict[int, View]) -> View | None:
    view = found[call.inputs[0]]
    starts, ends = operand(flow, call, 1, "starts"), operand(flow, call, 2, "ends")
    if starts is None or ends is None or len(starts) != len(ends):
        return None
    axes = operand(flow, call, 3, "axes")
    if axes is None:
        axes = tuple(range(len(starts)))
    steps = operand(flow, call, 4, "steps") or (1,) * len(starts)
    front = normalised(axes, len(view.shape))
    if front is None or len(front) != len(starts) or any(step != 1 for step in steps):
        return None
    low, high = [0] * len(view.shape), list(view.shape)
    for axis, start, end in zip(front, starts, ends, strict=True):
        size = view.shape[axis]
        low[axis] = min(max(start + size if start < 0 else start, 0), size)
        high[axis] = max(min(max(end + size if end < 0 else end, 0), size), low[axis])
    return _cut(view, "Slice", tuple(low), tuple(high))


def _cut(view: View, op: str, low: Sizes, high: Sizes) -> View:
    pieces = []
    for one in view.pieces:
        start = tuple(max(a, b) for a, b in zip(one.start, low, strict=True))
        stop = tuple(min(a + n, b) for a, n, b in zip(one.start, one.extent, high, strict=True))
        extent = tuple(b - a for a, b in zip(start, stop, strict=True))
        if all(size > 0 for size in extent):
            place = tuple(a - b for a, b in zip(start, low, strict=True))
            if extent == one.extent:
                pieces.append(one._replace(start=place))
            else:
                where = ", ".join(f"{a}:{b}" for a, b in zip(start, stop, strict=True))
                pieces.append(Piece(one.value, place, extent, whole=False, part=f"{one.part}[{where}]"))
    return view.then(op, tuple(b - a for a, b in zip(low, high, strict=True)), tuple(pieces))


def _split(flow: Flow, call: Call, view: View, count: int) -> list[View]:
    """The parts of Split, which has so many outputs, or of SplitToSequence, which is told of how many elements each is."""
    axis = call.integer("axis", 0)
    axis = axis + len(view.shape) if axis < 0 else axis
    if not 0 <= axis < len(view.shape):
        return []
    sizes = operand(flow, call, 1, "split")
    whole = view.shape[axis]
    if sizes is None and (len(call.inputs) > 1 or count < 1):
        return []
    if sizes is None or (call.op == "SplitToSequence" and len(sizes) == 1):
        chunk = -(-whole // count) if sizes is None else sizes[0]
        count = count if sizes is None else -(-whole // max(chunk, 1))
        sizes = tuple(min(chunk, max(whole - chunk * number, 0)) for number in range(min(count, MAX_PIECES)))
    cut, at = [], 0
    for size in sizes:
        low = tuple(at if one == axis else 0 for one in range(len(view.shape)))
        high = tuple(min(at + size, full) if one == axis else full for one, full in enumerate(view.shape))
        cut.append(_cut(view, "Split", low, high))
        at += size
    return cut


def _concat(_: Flow, call: Call, found: dict[int, View]) -> View | None:
    parts = [found[value] for value in call.inputs if value in found]
    rank = len(parts[0].shape)
    axis = call.integer("axis", 0)
    axis = axis + rank if axis < 0 else axis
    if len(parts) != len(call.inputs) or not 0 <= axis < rank or any(len(part.shape) != rank for part in parts):
        return None
    pieces, at = [], 0
    for part in parts:
        if part.shape[:axis] + part.shape[axis + 1 :] != parts[0].shape[:axis] + parts[0].shape[axis + 1 :]:
            return None
        for one in part.pieces:
            pieces.append(one._replace(start=tuple(a + at if n == axis else a for n, a in enumerate(one.start))))
        at += part.shape[axis]
    shape = tuple(at if n == axis else size for n, size in enumerate(parts[0].shape))
    extras = tuple(extra for part in parts for extra in part.extras)
    joined = View(shape, _merged(pieces, axis), extras, parts[0].dequantised, parts[0].dtype)
    return joined if all(part.dtype == joined.dtype for part in parts) else joined._replace(dtype=None)


def _merged(pieces: list[Piece], axis: int) -> tuple[Piece, ...]:
    """Parts of one tensor that lie side by side become one piece, a whole one when together they hold all of it."""
    merged: list[Piece] = []
    for one in pieces:
        last = merged[-1] if merged else None
        beside = last is not None and last.value == one.value and not last.whole and not one.whole
        if last is not None and beside and last.start[axis] + last.extent[axis] == one.start[axis]:
            extent = tuple(a + one.extent[axis] if n == axis else a for n, a in enumerate(last.extent))
            merged[-1] = last._replace(extent=extent, part=f"{last.part} + {one.part}")
        else:
            merged.append(one)
    return tuple(merged)


def _from_sequence(flow: Flow, call: Call, found: dict[int, View]) -> View | None:
    """One of the values that were put into a sequence, or of the parts that a tensor was cut into for one."""
    place = constant(flow, call.inputs[1]) if len(call.inputs) == 2 and call.inputs[1] != NONE else None
    number = flow.producer[call.inputs[0]] if call.inputs[0] != NONE else NONE
    if place is None or len(place) != 1 or number == NONE:
        return None
    maker = flow.calls[number]
    parts: list[View | None] = []
    if maker.op == "SequenceConstruct":
        parts = [found.get(value) for value in maker.inputs]
    elif maker.op == "SplitToSequence" and maker.inputs[0] in found and len(maker.inputs) > 1:
        parts = [*_split(flow, maker, found[maker.inputs[0]], 0)]
    return parts[place[0]] if -len(parts) <= place[0] < len(parts) else None


def _chosen(flow: Flow, call: Call, found: dict[int, View]) -> View | None:
    """Where, by a condition that is static itself: either value's elements are in the result."""
    if len(call.inputs) != 3 or call.inputs[0] == NONE:
        return None
    number = flow.producer[call.inputs[0]]
    compared = number != NONE and flow.calls[number].op in _COMPARISONS and all(one in found for one in flow.calls[number].inputs)
    return _together(call.inputs[1:], found) if compared or call.inputs[0] in found else None


def _combined(_: Flow, call: Call, found: dict[int, View]) -> View | None:
    """Static arithmetic."""
    return _together(call.inputs, found)


def _together(values: tuple[int, ...], found: dict[int, View]) -> View | None:
    """Every stored operand of the result's own size holds each of its elements; the others are extras."""
    parts = [found.get(value) for value in values if value != NONE]
    known = [part for part in parts if part is not None]
    if len(known) != len(parts) or not known:
        return None
    main = max(known, key=lambda part: part.elements)
    if any(part.elements not in (1, main.elements) and len(part.shape) > len(main.shape) for part in known):
        return None
    pieces, extras = list(main.pieces), list(main.extras)
    for part in known:
        if part is main:
            continue
        if part.shape == main.shape:
            pieces.extend(part.pieces)
        else:
            extras.extend(("factor", piece.value) for piece in part.pieces)
        extras.extend(part.extras)
    own = {piece.value for piece in pieces}
    return View(main.shape, tuple(dict.fromkeys(pieces)), tuple(one for one in extras if one[1] not in own), main.dequantised, None)


def _join(_: Flow, call: Call, found: dict[int, View]) -> View | None:
    """One of several static values of one shape: each is stored."""
    parts = [found.get(value) for value in call.inputs]
    known = [part for part in parts if part is not None]
    if len(known) != len(parts) or any(part.shape != known[0].shape for part in known):
        return None
    pieces = dict.fromkeys(piece for part in known for piece in part.pieces)
    extras = dict.fromkeys(extra for part in known for extra in part.extras)
    return View(known[0].shape, tuple(pieces), tuple(extras), known[0].dequantised, known[0].dtype)


STEPS: dict[str, Callable[[Flow, Call, dict[int, View]], View | None]] = {
    **dict.fromkeys(
        words(
            "Abs Cast CastLike Ceil Celu Clip CumSum Dropout Elu Erf Exp Floor Gelu HardSigmoid HardSwish Hardmax Identity LeakyRelu Log "
            "LogSoftmax LpNormalization Mish Neg Reciprocal Relu Round Selu Shrink Sigmoid Sign Softmax Softplus Softsign Sqrt Swish Tanh "
            "ThresholdedRelu"
        ),
        same,
    ),
    **dict.fromkeys((*QUANTISED, "QuantizeLinear", "com.microsoft:QuantizeLinear"), _quantised),
    **dict.fromkeys(("IsNaN", "IsInf", "Not"), _told),
    "·scope:join": _join,
    "·scope:hold": same,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Flatten": _reshape,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Slice": _slice,
    "Concat": _concat,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min"), _combined),
    "Where": _chosen,
    "SequenceAt": _from_sequence,
}
"""What becomes of a view, by operator. Cosines and sines are not among them: what is made of these are positions, no weights."""
INDIRECT = frozenset(("Where", "SequenceAt"))
"""Operators whose first input is no view though the result may be one."""
_COMPARISONS = frozenset(("Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual"))
