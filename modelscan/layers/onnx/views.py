"""Stored tensors on their way to the operators that use them: what static operators made of a weight's shape.

A `View` is a value that depends on stored tensors only. It knows which box of it comes from which stored tensor, so that
a kernel put together from several tensors (or several kernels cut from one) is checked piece by piece.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from modelscan.layers.onnx.flow import NONE, Call, Flow

Sizes = tuple[int, ...]
AT_EXPORT = "FOLDED"
"""The kind of what the exporter computed without any parameter, and named itself."""
FIXED = frozenset(("BUFFER", "CONSTANT_TENSOR", AT_EXPORT))
"""Kinds that no training changes: two of `torch.export` (`InputKind`), and what was folded."""
PARAMETER = "PARAMETER"
"""The kind of what is learned, be it a single number."""


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
