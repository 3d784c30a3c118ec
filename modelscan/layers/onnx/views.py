"""Stored tensors on their way to the operators that use them: what static operators make of a weight's shape.

A `View` is a value that depends on stored tensors only. It knows which box of it comes from which stored tensor, so that
a kernel put together from several tensors (or several kernels cut from one) is checked piece by piece.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import NamedTuple

from modelscan.layers.onnx.flow import NONE, SCOPE, Call, Flow

Sizes = tuple[int, ...]
MAX_PIECES = 256
"""A view of more pieces than this is followed no further; the tensors then belong to the operator that joins them."""
MAX_EXTRAS = 512
"""As many other tensors may belong to one."""
QUANTISED = ("DequantizeLinear", "com.microsoft:DequantizeLinear")


class Piece(NamedTuple):
    """A box of a view that comes from one stored tensor."""

    value: int
    """The stored value."""
    start: Sizes
    extent: Sizes
    whole: bool = True
    """Whether it holds all elements of the stored tensor."""
    part: str = ""
    """Which elements it holds where it is not whole."""

    @property
    def elements(self) -> int:
        """Elements in the box."""
        return prod(self.extent)


class View(NamedTuple):
    """A static value."""

    shape: Sizes
    pieces: tuple[Piece, ...]
    extras: tuple[tuple[str, int], ...] = ()
    """Stored values that belong to it without being its elements: (`scale`, value), (`zero_point`, value)."""
    dequantised: bool = False
    """Whether it was made out of quantised numbers."""
    dtype: str | None = None
    """Element type of the stored tensor if nothing on the way changed it."""

    @property
    def elements(self) -> int:
        """Elements of the value."""
        return prod(self.shape)

    def then(self, op: str, shape: Sizes, pieces: tuple[Piece, ...]) -> View:
        """The view after one more operator."""
        return self._replace(shape=shape, pieces=pieces, dequantised=self.dequantised or "Dequantize" in op)


def stored_views(flow: Flow) -> dict[int, View]:
    """Views of the stored tensors themselves, by value number."""
    found: dict[int, View] = {}
    starts: dict[int, Sizes] = {}
    for value, tensor in enumerate(flow.tensors):
        if tensor is not None:
            sparse = flow.sparse.get(value)
            shape = tensor.shape if sparse is None else sparse.shape
            start = starts.setdefault(len(shape), (0,) * len(shape))
            found[value] = View(shape, (Piece(value, start, shape),), dtype=tensor.dtype)
    return found


def follow(flow: Flow, call: Call, found: dict[int, View]) -> None:
    """Notes the views of a call's outputs, if all that it takes is static. Calls come in graph order."""
    if not call.inputs or not call.outputs or call.inputs[0] not in found:
        return
    if call.op == "Split":
        for value, part in zip(call.outputs, _split(flow, call, found[call.inputs[0]]), strict=False):
            if value != NONE:
                found.setdefault(value, part)
        return
    step = STEPS.get(call.op)
    view: View | None = step(flow, call, found) if step is not None else None
    if view is not None and len(view.pieces) <= MAX_PIECES and len(view.extras) <= MAX_EXTRAS and call.outputs[0] != NONE:
        found.setdefault(call.outputs[0], view)


def constant(flow: Flow, value: int) -> tuple[int, ...] | None:
    """Contents of a small integer constant; None when they are not known."""
    held = flow.contents.get(value)
    if held is None or not all(isinstance(one, int) for one in held):
        return None
    return tuple(int(one) for one in held)


def operand(flow: Flow, call: Call, position: int, attribute: str) -> tuple[int, ...] | None:
    """Axes and the like: an attribute in older opsets, a constant input in newer ones."""
    stated = call.integers(attribute)
    if stated is not None or len(call.inputs) <= position or call.inputs[position] == NONE:
        return stated
    return constant(flow, call.inputs[position])


def normalised(axes: tuple[int, ...], rank: int) -> tuple[int, ...] | None:
    """Axes counted from the front; None when one is out of range or named twice."""
    front = tuple(axis + rank if axis < 0 else axis for axis in axes)
    return front if all(0 <= axis < rank for axis in front) and len(set(front)) == len(front) else None


def same(_: Flow, call: Call, found: dict[int, View]) -> View:
    """The elements stay where they are."""
    view = found[call.inputs[0]]
    after = view if call.node.domain == SCOPE else view.then(call.node.op, view.shape, view.pieces)
    return after._replace(dtype=None) if call.node.op.startswith("Cast") else after


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


def _split(flow: Flow, call: Call, view: View) -> list[View]:
    axis = call.integer("axis", 0)
    axis = axis + len(view.shape) if axis < 0 else axis
    if not 0 <= axis < len(view.shape):
        return []
    sizes = operand(flow, call, 1, "split")
    count = len(call.outputs)
    if sizes is None and (len(call.inputs) > 1 or count < 1):
        return []
    if sizes is None:
        chunk = -(-view.shape[axis] // count)
        sizes = tuple(min(chunk, max(view.shape[axis] - chunk * number, 0)) for number in range(count))
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


def settled(view: View, flow: Flow) -> View:
    """The view with pieces that hold all of their tensor marked so, gates cut apart and joined again in another order."""
    if len(view.pieces) == 1 and view.pieces[0].whole:
        return view
    pieces = []
    for one in view.pieces:
        tensor = flow.tensors[one.value]
        full = tensor is not None and one.elements == tensor.elements
        pieces.append(one._replace(whole=True, part="") if full and not one.whole else one)
    return view._replace(pieces=tuple(pieces))


def _combined(_: Flow, call: Call, found: dict[int, View]) -> View | None:
    """Static arithmetic: every stored operand of the result's own size holds each of its elements; the others are extras."""
    parts = [found.get(value) for value in call.inputs if value != NONE]
    known = [part for part in parts if part is not None]
    if len(known) != len(parts):
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
    return View(main.shape, tuple(pieces), tuple(one for one in extras if one[1] not in own), main.dequantised, None)


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
        ("Identity", "Cast", "CastLike", "Dropout", "Sqrt", "Neg", "Reciprocal", "Exp", "Abs", "Relu", "Tanh", "Sigmoid", "Clip"), same
    ),
    **dict.fromkeys((*QUANTISED, "QuantizeLinear", "com.microsoft:QuantizeLinear"), _quantised),
    "·scope:join": _join,
    "·scope:hold": same,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Flatten": _reshape,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Slice": _slice,
    "Concat": _concat,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "Where", "Max", "Min"), _combined),
}
