"""Norms that a graph takes of its weights at run time: values without elements of their own, which know whose they were."""

from __future__ import annotations

from modelscan.layers.onnx.flow import Call, Flow
from modelscan.layers.onnx.steps import STEPS, same
from modelscan.layers.onnx.views import View, constant, normalised, operand


def _reduced(flow: Flow, call: Call, found: dict[int, View]) -> View | None:
    """A norm or sum over axes of something static (weight normalisation): it holds no element, but knows whose it was."""
    view = found[call.inputs[0]]
    axes = operand(flow, call, 1, "axes")
    front = tuple(range(len(view.shape))) if axes is None else normalised(axes, len(view.shape))
    if front is None or not view.pieces:
        return None
    kept = bool(call.integer("keepdims", 1))
    shape = tuple(1 if axis in front else size for axis, size in enumerate(view.shape) if kept or axis not in front)
    extras = (*view.extras, *(("factor", piece.value) for piece in view.pieces))
    return View(shape, (), extras, view.dequantised, None)


def _expand(flow: Flow, call: Call, found: dict[int, View]) -> View | None:
    """A norm (a value without elements of its own) laid beside what it was taken of; a widened weight is a matter of its operator."""
    view, target = found[call.inputs[0]], constant(flow, call.inputs[1])
    if target is None or any(size < 0 for size in target):
        return None
    rank = max(len(view.shape), len(target))
    pairs = zip(((1,) * rank + view.shape)[-rank:], ((1,) * rank + target)[-rank:], strict=True) if rank else ()
    shape = tuple(b if a == 1 else a for a, b in pairs)
    return view.then(call.op, shape, ()) if not view.pieces else same(flow, call, found) if shape == view.shape else None


def _product(_: Flow, call: Call, found: dict[int, View]) -> View | None:
    """A stored matrix or vector by a stored vector (the norm of spectral normalisation): it holds no element, but knows whose it was."""
    left, right = found[call.inputs[0]], found.get(call.inputs[1])
    if right is None or min(len(left.shape), len(right.shape)) != 1 or not (left.shape and right.shape):
        return None
    extras = (*left.extras, *right.extras, *(("factor", piece.value) for piece in (*left.pieces, *right.pieces)))
    shape = (*left.shape[:-1], *(right.shape[:-2] + right.shape[-1:] if len(right.shape) > 1 else ()))
    if not shape:  # u · W v: both vectors, and what of W lies beside it in another layout, only measure it
        extras = tuple([("norm" if name == "factor" else name, value) for name, value in extras])
    return View(shape, (), extras, left.dequantised, None)


STEPS.update(dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceSum", "ReduceSumSquare"), _reduced))
STEPS.update({"Expand": _expand, "MatMul": _product})
