"""Stored tensors that meet an activation element by element: slopes, scales, position tables, masks."""

from __future__ import annotations

from modelscan.layers.onnx.axes import Axes, around_each
from modelscan.layers.onnx.catalogue.affine import plain_norm, scaled
from modelscan.layers.onnx.catalogue.common import run_time_scale
from modelscan.layers.onnx.catalogue.decomposed import gated
from modelscan.layers.onnx.catalogue.embedding import is_parameter, is_weight
from modelscan.layers.onnx.catalogue.masks import is_mask, is_masked_bias
from modelscan.layers.onnx.catalogue.rotary import rotary
from modelscan.layers.onnx.evidence import Extent, Quantity, extent
from modelscan.layers.onnx.flow import NONE
from modelscan.layers.onnx.site import Draft, Found, Site, layer

UNIDIRECTIONAL = 7
"""Opset since which PRelu's slope broadcasts by the general rule; before, a vector is one element per channel."""


@layer("PRelu")
def prelu(site: Site) -> Found | None:
    """The slope broadcasts to the activation, never the other way round."""
    view = site.view(1)
    if view is None:
        return None
    found = Found("PRelu", site.call, output=site.output, inputs=(site.value(0),))
    names = ("channels",) if len(view.shape) == 1 else ()
    axes = site.axes(0)
    if len(view.shape) == 1 and view.elements > 1 and 0 < site.flow.opset < UNIDIRECTIONAL:
        channels = site.stored(Quantity("channels").activation(site.axis(0, 1), site.name(0)), 1, 0, "itself")
        found.drafts.append(Draft("slope", site.value(1), (extent(channels),)))
        return found
    extents = broadcast_extents(site, 1, site.value(0), axes, names)
    if axes is not None and len(view.shape) > len(axes):
        extents = extents[-len(axes) :]
    found.drafts.append(Draft("slope", site.value(1), extents))
    return found


@layer("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "Mean", "Where", "And", "Or", "Equal", "Greater", "Less", "Mod")
def elementwise(site: Site) -> Found | None:
    """Vectors and tables beside an activation; a single element is an exponent, an epsilon or a factor and no weight."""
    if site.call.op in ("Mul", "Div"):
        pattern = (rotary(site) or scaled(site) or gated(site) if site.call.op == "Mul" else None) or plain_norm(site)
        if pattern is not None:
            return pattern
    if run_time_scale(site, site.output) is not None:
        return Found(site.call.op, site.call)  # the product of integers that it scales will claim it
    views = ((place, site.view(place)) for place in range(len(site.call.inputs)))
    held = [place for place, view in views if view is not None and (view.elements > 1 or is_parameter(site, place))]
    free = tuple(value for value in site.call.inputs if value != NONE and value not in site.setting.views)
    if not held or not free:
        return None
    if all(value in site.setting.inert for value in free) and not is_masked_bias(site, held[0]):
        return None
    found = Found(site.call.node.op, site.call, output=site.output, inputs=free)
    given = [place for place, value in enumerate(site.call.inputs) if value != NONE]
    around = dict(zip(given, around_each([site.axes(place) for place in given]), strict=True))
    roles: set[str] = set()
    for place in held:
        weight = is_weight(site, place) and not is_mask(site, place) and (site.call.op, place) != ("Where", 0)
        role = {"Where": ("condition", "if_true", "if_false")[place % 3]}.get(site.call.op) or _role(site, weight)
        if role in roles:
            role = f"{role}_{place}"
        roles.add(role)
        beside = next((site.value(one) for one in given[:2] if one != place), NONE)
        found.drafts.append(Draft(role, site.value(place), broadcast_extents(site, place, beside, around[place]), counted=weight))
    if not any(draft.counted for draft in found.drafts):
        found.type = "Buffer"
        found.config = {"operator": site.call.node.op}
    return found


def _role(site: Site, weight: bool) -> str:
    if not weight:
        return "buffer"
    return {"Add": "shift", "Sub": "shift", "Mul": "scale", "Div": "scale"}.get(site.call.op, "operand")


def _legacy(site: Site, shape: tuple[int, ...]) -> Axes | None:
    """The axes of the first operand that a second one meets by the rule of old opsets."""
    first = site.axes(0)
    start = site.call.aligned(len(first), len(shape)) if first is not None else None
    return None if first is None or start is None else first[start : start + len(shape)]


def _name(shape: tuple[int, ...], back: int, around: Axes | None) -> str:
    """What an axis, counted from the end, is called by its place."""
    if back == 1:
        return "width"
    if around is not None and len(around) > 2 and back == len(around) - 1 and sum(size != 1 for size in shape) == 1:
        return "channels"
    return "length" if back == 2 and shape[-1] != 1 else f"size_{len(shape) - back + 1}"


def broadcast_extents(site: Site, position: int, beside: int, around: Axes | None, names: tuple[str, ...] = ()) -> tuple[Extent, ...]:
    """The axes of a stored operand; each is 1 or as long as that of the other operands.

    Args:
        site: the call.
        position: of the stored operand among its inputs.
        beside: the value after which the others are named.
        around: the shape that the others make together.
        names: what the stored operand's axes are called; by their place if empty.
    """
    view = site.view(position)
    shape = view.shape if view is not None else ()
    if position == 1 and "broadcast" in site.call.node.attributes:
        around = _legacy(site, shape) or around
    extents = []
    for back in range(len(shape), 0, -1):
        if shape[-back] == 1:
            extents.append(extent(1))
            continue
        size = Quantity(names[len(shape) - back] if names else _name(shape, back, around))
        if around is not None and back <= len(around) and around[-back].static != 1:
            size.activation(around[-back], site.flow.names[beside])
        site.stored(size, position, -back, "itself")
        site.wanted(size, site.output, -back)
        extents.append(extent(size))
    return tuple(extents)
