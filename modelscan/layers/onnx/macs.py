"""Multiply-accumulates that involve no stored weight: products of activations, attention scores."""

from __future__ import annotations

from modelscan.layers.onnx.flow import Call
from modelscan.layers.onnx.site import Setting, Site, positions


def scores(length: int | None, width: int | None) -> int | None:
    """Multiply-accumulates of scores and of their sum over the values: two products of `length × length × width`."""
    return None if length is None or not width else 2 * length * length * width


def products(setting: Setting, call: Call) -> int | None:
    """Multiply-accumulates of a product of two activations, for one sample."""
    site = Site(setting, call)
    inner = site.axis(0, -1).static
    if call.op.endswith("FusedMatMul") and call.attribute("transA"):
        inner = site.axis(0, 0 if call.attribute("transBatchA") else -2).static
    places = site.positions(setting.shapes.of(call.outputs[0])) if call.outputs else None
    return None if inner is None or places is None or call.op == "Einsum" else inner * places


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
        places = None if not moving else site.positions((moving[0], *moving[2:]))
        weights = positions(setting, kernel, batch_first=False)
        return None if places is None or weights is None else places * weights
    if call.op == "Attention" or call.op.endswith("MultiHeadAttention") or call.op.endswith("GroupQueryAttention"):
        axes = site.axes(0)
        return scores(site.positions(axes[:-1]) if axes is not None and len(axes) == 3 else None, site.axis(0, -1).static)
    return 0
