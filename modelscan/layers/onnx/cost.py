"""What an execution costs besides its weights: bytes of activations with their peak, products of two activations."""

from __future__ import annotations

from typing import Any

from modelscan import dtypes
from modelscan.layers.onnx.catalogue.attention import scores
from modelscan.layers.onnx.catalogue.decomposed import products
from modelscan.layers.onnx.flow import NONE, SCOPE, Call
from modelscan.layers.onnx.site import Setting, Site, positions

IN_PLACE = frozenset(("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"))
"""Operators whose result shares the memory of their first input."""


def activations(setting: Setting) -> dict[str, Any]:
    """Bytes of all activations of one sample and of those alive at once at worst, nodes run in file order.

    `unknown` counts the values whose size nothing tells; they are not in the sums.
    """
    home, last = _homes(setting)
    sizes: dict[int, int] = {}
    ending: dict[int, list[int]] = {}
    unknown = total = alive = peak = 0
    at = ""
    made = [(-1, list(setting.flow.inputs))]
    made += [(call.index, list(call.outputs)) for call in setting.flow.calls]
    for index, values in made:
        for value in values:
            if value == NONE or value in setting.views or home[value] != value or value in sizes:
                continue
            size = _bytes(setting, value)
            unknown += size is None
            sizes[value] = size or 0
            total += size or 0 if index >= 0 else 0
            alive += size or 0
            ending.setdefault(last.get(value, index), []).append(value)
        if alive > peak:
            peak, at = alive, setting.flow.calls[index].node.title(index) if index >= 0 else ""
        alive -= sum(sizes[value] for value in ending.pop(index, ()))
    return {"bytes": total, "peak_bytes": peak, "peak_at": at or None, "unknown": unknown}


def _homes(setting: Setting) -> tuple[list[int], dict[int, int]]:
    """For every value the one whose memory it shares, and for these the last call that touches them."""
    flow = setting.flow
    home = list(range(len(flow.names)))
    last: dict[int, int] = {}
    for call in flow.calls:
        shared = call.op in IN_PLACE or call.node.domain == SCOPE
        if shared and call.outputs and call.inputs and NONE not in (call.inputs[0], call.outputs[0]):
            home[call.outputs[0]] = home[call.inputs[0]]
        for value in (*call.inputs, *call.outputs):
            if value != NONE:
                last[home[value]] = call.index
    for value in flow.outputs:
        if value != NONE:
            last[home[value]] = len(flow.calls)
    return home, last


def _bytes(setting: Setting, value: int) -> int | None:
    dtype = setting.shapes.dtypes[value] or "float32"
    count = positions(setting, setting.shapes.of(value))
    return None if count is None else dtypes.nbytes(dtype, count)


def without_weights(setting: Setting, call: Call) -> int | None:
    """Multiply-accumulates of an operator on activations alone; 0 where it multiplies no sums."""
    site = Site(setting, call)
    if call.op in ("MatMul", "MatMulInteger", "com.microsoft:FusedMatMul", "Einsum"):
        return products(setting, call)
    if call.op == "Gemm":
        inner = site.axis(0, 0 if call.integer("transA", 0) else 1).static
        places = site.positions(setting.shapes.of(site.output))
        return None if inner is None or places is None else inner * places
    if call.op in ("Conv", "ConvTranspose"):
        moving = setting.shapes.of(site.output) if call.op == "Conv" else site.axes(0)
        kernel = site.axes(1)
        places = None if moving is None else site.positions((moving[0], *moving[2:]))
        weights = positions(setting, kernel, batch_first=False)
        return None if places is None or weights is None else places * weights
    if call.op == "Attention" or call.op.endswith("MultiHeadAttention") or call.op.endswith("GroupQueryAttention"):
        axes = site.axes(0)
        return scores(site.positions(axes[:-1]) if axes is not None and len(axes) == 3 else None, site.axis(0, -1).static)
    return 0
