"""Stored tensors that are cut, tiled or handed on at run time: causal masks, position tables, initial states."""

from __future__ import annotations

from modelscan.layers.onnx.arity import PARAMETERS
from modelscan.layers.onnx.catalogue.chains import FAR, LAYOUT
from modelscan.layers.onnx.catalogue.embedding import is_weight
from modelscan.layers.onnx.catalogue.masks import is_laid_out_mask
from modelscan.layers.onnx.catalogue.recurrent import GATES
from modelscan.layers.onnx.evidence import Quantity, extent
from modelscan.layers.onnx.flow import NONE
from modelscan.layers.onnx.site import Draft, Found, Site, layer

WHOLE = frozenset(("Slice", "Expand", "Tile", "Pad", "Concat"))
"""Operators of which each axis of the result belongs to the same axis of the data, counted from the last one."""


@layer(
    "Slice",
    "Expand",
    "Tile",
    "Resize",
    "Pad",
    "Concat",
    "Gather",
    "GatherND",
    "GatherElements",
    "ScatterND",
    "ScatterElements",
    "Scan",
    "Trilu",
    "ai.onnx.ml:ArrayFeatureExtractor",
)
def table(site: Site) -> Found | None:
    """What a structural operator takes as its data; numbers that were learned make a table, others a buffer."""
    if site.call.op == "Gather":
        from modelscan.layers.onnx.catalogue.embedding import gather

        learned = gather(site)
        if learned is not None:
            return learned
    places = range(len(site.call.inputs)) if site.call.op in ("Concat", "Scan") else (0,)
    held = [place for place in places if (view := site.view(place)) is not None and view.elements > 1]
    if not held:
        return None
    if _is_initial_state(site):
        return None
    weight = any(is_weight(site, place) for place in held) and not is_laid_out_mask(site)
    if not weight and all((view := site.view(place)) is not None and len(view.shape) < 2 for place in held):
        return None
    steering = PARAMETERS.get(site.call.op, ())
    free = tuple(
        one for place, one in enumerate(site.call.inputs) if one != NONE and place not in steering and one not in site.setting.views
    )
    found = Found("Table" if weight else "Buffer", site.call, output=site.output, inputs=free, config={"operator": site.call.op})
    for number, place in enumerate(held):
        view = site.view(place)
        sizes = []
        for axis in range(len(view.shape) if view is not None else 0):
            size = site.stored(Quantity(f"size_{axis + 1}"), place, axis, "itself")
            _kept(site, size, place, axis)
            sizes.append(extent(1 if view is not None and view.shape[axis] == 1 else size))
        role = ("table" if weight else "buffer") + (f"_{number + 1}" if len(held) > 1 else "")
        found.drafts.append(Draft(role, site.value(place), tuple(sizes), counted=weight and is_weight(site, place)))
    return found


def _kept(site: Site, size: Quantity, place: int, axis: int) -> None:
    """What is said of an axis of the result, where it is the table's own one: not cut, widened, padded or joined with others."""
    before, after = site.axes(place) or (), site.setting.shapes.of(site.output) or ()
    back = axis - len(before)
    if site.call.op not in WHOLE or len(after) < len(before) or before[axis].static in (None, 1):
        return
    joined = site.call.op == "Concat" and site.call.integer("axis", 0) in (axis, back)
    if not joined and before[axis].static == after[back].static:
        size.activation(after[back], site.flow.names[site.output])
        site.wanted(size, site.output, back)


def _is_initial_state(site: Site) -> bool:
    """Whether the result goes nowhere but to where recurrent operators begin, laid out anew on the way: no parameter to anybody."""
    waiting, steps = [site.output], FAR
    reached = False
    while waiting and steps:
        steps -= 1
        value = waiting.pop()
        users = site.users(value) if value != NONE else []
        if not users or value in site.flow.escapes:
            return False
        for call in users:
            if call.op in GATES:
                if value in call.inputs[:5]:
                    return False
                reached = True
            elif call.op in LAYOUT and call.outputs:
                waiting.append(call.outputs[0])
            else:
                return False
    return reached and not waiting
