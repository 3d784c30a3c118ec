"""What several catalogue functions need: the bias behind an operator, checks that quantities divide."""

from __future__ import annotations

from modelscan.layers.onnx.demands import title
from modelscan.layers.onnx.evidence import Quantity, extent
from modelscan.layers.onnx.flow import NONE, Call
from modelscan.layers.onnx.site import Draft, Found, Site
from modelscan.layers.onnx.views import View
from modelscan.model import Observation

CHAIN = 4
"""So many operators may stand between a product and the addition of its bias."""
TRANSPARENT = frozenset(("Cast", "Identity", "DequantizeLinear", "com.microsoft:DequantizeLinear"))


def contradiction(site: Site, message: str) -> Observation:
    """An observation that an operator's attributes cannot be right."""
    return Observation("operator-contradiction", f"{site.call.node.op} {title(site.call)}: {message}", where=title(site.call))


def vector_axis(view: View, rank: int | None) -> int | None:
    """The only axis of a broadcast vector that is longer than 1, counted from the end; None when there is not exactly one."""
    long = [back for back, size in enumerate(reversed(view.shape), start=1) if size != 1]
    if len(long) != 1 or (rank is not None and len(view.shape) > rank):
        return None
    return -long[0]


def following_bias(site: Site, units: Quantity, axis: int) -> tuple[Call, Draft] | None:
    """An addition of a stored vector along `axis` (from the end) of the call's output, as the bias of the same layer."""
    value = site.output
    between: list[Call] = []
    for _ in range(CHAIN):
        after = site.only_user(value) if value != NONE else None
        if after is None or not after.outputs:
            return None
        if after.op == "Add" and len(after.inputs) == 2:
            break
        scaled = after.op == "Mul" and any(_scalar(site, one) for one in after.inputs)
        if after.op not in TRANSPARENT and not (scaled and site.call.op in ("MatMulInteger", "ConvInteger")):
            return None
        between.append(after)
        value = after.outputs[0]
    else:
        return None
    other = after.inputs[1] if after.inputs[0] == value else after.inputs[0]
    view = site.setting.views.get(other)
    axes = site.setting.shapes.of(value)
    if view is None or vector_axis(view, None if axes is None else len(axes)) != axis:
        return None
    if axes is not None and axes[axis].static == 1:
        return None
    site.setting.taken.update(one.index for one in between)
    ones = tuple(extent(1) for _ in view.shape)
    extents = tuple(extent(units) if place == len(ones) + axis else one for place, one in enumerate(ones))
    return after, Draft("bias", other, extents)


def _scalar(site: Site, value: int) -> bool:
    axes = site.setting.shapes.of(value)
    view = site.setting.views.get(value)
    return (view is not None and view.elements == 1) or (axes is not None and all(axis.static == 1 for axis in axes))


def add_bias(site: Site, found: Found, units: Quantity, axis: int) -> None:
    """Takes a following addition into the layer, if there is one."""
    bias = following_bias(site, units, axis)
    if bias is not None:
        call, draft = bias
        found.fused.append(call)
        found.drafts.append(draft)
        found.output = call.outputs[0]


def direct_bias(site: Site, found: Found, position: int, units: Quantity, role: str = "bias") -> None:
    """The bias that the operator takes itself: a vector of one element per unit."""
    if site.value(position) == NONE:
        return
    site.stored(units, position, -1, f"{role} length")
    if site.view(position) is not None:
        found.drafts.append(Draft(role, site.value(position), (extent(units),)))
