"""What several catalogue functions need: the bias behind an operator, checks that quantities divide."""

from __future__ import annotations

from typing import Any

from modelscan.layers.onnx.catalogue.chains import PASSING
from modelscan.layers.onnx.demands import title
from modelscan.layers.onnx.evidence import Quantity, extent
from modelscan.layers.onnx.flow import NONE, Call
from modelscan.layers.onnx.site import Draft, Found, Site
from modelscan.layers.onnx.views import View
from modelscan.model import Observation

CHAIN = 4
"""So many operators may stand between a product and the addition of its bias."""
TRANSPARENT = PASSING - {"Dropout"}


def contradiction(site: Site, message: str) -> Observation:
    """An observation that an operator's attributes cannot be right."""
    return Observation("operator-contradiction", f"{site.call.node.op} {title(site.call)}: {message}", where=title(site.call))


def stated(site: Site, *names: str) -> dict[str, Any]:
    """Those of an operator's attributes that the file gives."""
    given = site.call.node.attributes
    return {name: given[name] for name in names if given.get(name) is not None} if given else {}


def vector_axis(view: View, rank: int | None) -> int | None:
    """The only axis of a broadcast vector that is longer than 1, counted from the end; None when there is not exactly one."""
    shape = view.shape
    if len(shape) - shape.count(1) != 1 or (rank is not None and len(shape) > rank):
        return None
    axis = -1
    while shape[axis] == 1:
        axis -= 1
    return axis


def following_bias(site: Site, value: int, units: Quantity, axis: int) -> tuple[Call, Draft] | None:
    """An addition of a stored vector along `axis` (from the end) of a layer's result, as the bias of the same layer."""
    between: list[Call] = []
    for _ in range(CHAIN):
        after = site.only_user(value) if value != NONE else None
        if after is None or not after.outputs:
            return None
        if after.op == "Add" and len(after.inputs) == 2:
            if "broadcast" in after.node.attributes:
                return _legacy_bias(site, after, value, units, axis)
            break
        laid_out = after.op == "Reshape" and axis == -1 and after.inputs[0] == value
        if after.op not in TRANSPARENT and not laid_out:
            return None
        between.append(after)
        value = after.outputs[0]
    else:
        return None
    other = after.inputs[1] if after.inputs[0] == value else after.inputs[0]
    view = site.setting.views.get(other)
    reshaped = bool(between) and any(one.op == "Reshape" for one in between)
    draft = None if view is None else _as_bias(site, Draft("bias", other, ()), view, units, (value, axis, reshaped))
    if draft is None:
        return None
    site.setting.taken.update([one.index for one in between])
    return after, draft


def _legacy_bias(site: Site, after: Call, value: int, units: Quantity, axis: int) -> tuple[Call, Draft] | None:
    """An addition by the rule of old opsets: a vector along a given axis of the first operand."""
    view, axes = site.setting.views.get(after.inputs[1]), site.setting.shapes.of(value)
    if view is None or axes is None or len(view.shape) != 1 or after.inputs[0] != value:
        return None
    if after.aligned(len(axes), 1) != len(axes) + axis:
        return None
    return after, Draft("bias", after.inputs[1], (extent(units),))


def _as_bias(site: Site, draft: Draft, view: View, units: Quantity, place: tuple[int, int, bool]) -> Draft | None:
    """The draft of a bias if what is added fits one: a vector along the axis, or the units laid out as the value's last axes."""
    value, axis, reshaped = place
    axes = site.setting.shapes.of(value)
    whole = site.setting.shapes.of(site.output)
    if reshaped and (axes is None or not whole):
        return None
    single = view.elements == 1 and len(view.shape) >= -axis and axes is not None and axes[axis].static == units.settled() == 1
    if single and not reshaped and len(view.shape) <= len(axes or ()):
        draft.extents = tuple(extent(units) if number == len(view.shape) + axis else extent(1) for number in range(len(view.shape)))
        return draft
    if vector_axis(view, None if axes is None else len(axes)) == axis and not (axes is not None and axes[axis].static == 1):
        if reshaped and axes is not None and whole and axes[axis].static != whole[axis].static:
            return None
        after = (extent(1),) * (-1 - axis)
        draft.extents = (*[extent(1)] * (len(view.shape) - 1 - len(after)), extent(units), *after)
        return draft
    sizes = tuple(one.static for one in axes[len(axes) - len(view.shape) :]) if axes is not None and len(view.shape) <= len(axes) else ()
    if not reshaped or len(view.pieces) != 1 or view.elements < 2 or sizes != view.shape or not whole or whole[-1].static != view.elements:
        return None
    only = view.pieces[0]
    draft.view = View((view.elements,), (only._replace(start=(0,), extent=(view.elements,)),), view.extras, view.dequantised)
    draft.extents = (extent(units),)
    units.stored(view.elements, "bias length", only.value)
    return draft


def take_scale(site: Site, found: Found, units: Quantity) -> None:
    """Takes the product that turns an integer result into numbers again, and the kernel's stored scales, into the layer."""
    value = site.output
    passed: list[Call] = []
    after = site.only_user(value) if value != NONE else None
    while after is not None and after.op in TRANSPARENT and after.outputs and len(passed) < CHAIN:
        passed.append(after)
        value = after.outputs[0]
        after = site.only_user(value)
    if after is None or after.op != "Mul" or len(after.inputs) != 2 or not after.outputs:
        return
    other = after.inputs[1] if after.inputs[0] == value else after.inputs[0]
    scale = run_time_scale(site, other)
    stored_ones = [other] if other in site.setting.views else [one for one in scale.inputs if one in site.setting.views] if scale else []
    if not stored_ones and not _scalar(site, other):
        return
    for one in stored_ones:
        view = site.setting.views[one]
        if view.elements > 1:
            extents = tuple(extent(1) if size == 1 else extent(units) for size in view.shape)
            found.drafts.append(Draft("kernel_scale", one, extents, counted=False))
    found.fused += [*passed, after, *([scale] if scale is not None else [])]
    found.output = after.outputs[0]


def run_time_scale(site: Site, value: int) -> Call | None:
    """The product of a scale found at run time with the kernel's stored ones: how dynamic quantisation undoes itself."""
    number = site.flow.producer[value] if value != NONE else NONE
    call = site.flow.calls[number] if number != NONE else None
    if call is None or call.op != "Mul" or not any(one in site.setting.views for one in call.inputs):
        return None
    makers = [site.flow.producer[one] for one in call.inputs if one not in site.setting.views]
    return call if any(maker != NONE and site.flow.calls[maker].op == "DynamicQuantizeLinear" for maker in makers) else None


def _scalar(site: Site, value: int) -> bool:
    axes = site.setting.shapes.of(value)
    view = site.setting.views.get(value)
    return (view is not None and view.elements == 1) or (axes is not None and all(axis.static == 1 for axis in axes))


def add_bias(site: Site, found: Found, units: Quantity, axis: int) -> None:
    """Takes a following addition into the layer, if there is one."""
    bias = following_bias(site, found.output, units, axis)
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
