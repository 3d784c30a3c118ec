"""Stored tensors that are cut, tiled or handed on at run time: causal masks, position tables, initial states."""

from __future__ import annotations

from modelscan.layers.onnx.catalogue.chains import FAR, LAYOUT
from modelscan.layers.onnx.catalogue.embedding import is_weight
from modelscan.layers.onnx.catalogue.recurrent import GATES
from modelscan.layers.onnx.evidence import Quantity, extent
from modelscan.layers.onnx.flow import NONE
from modelscan.layers.onnx.site import Draft, Found, Site, layer


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
    state = _is_initial_state(site)
    weight = not state and any(is_weight(site, place) for place in held)
    if not weight and all((view := site.view(place)) is not None and len(view.shape) < 2 for place in held):
        return None
    free = tuple(value for value in site.call.inputs if value != NONE and value not in site.setting.views)
    found = Found("Table" if weight else "Buffer", site.call, output=site.output, inputs=free, config={"operator": site.call.op})
    for number, place in enumerate(held):
        view = site.view(place)
        sizes = []
        for axis in range(len(view.shape) if view is not None else 0):
            size = site.stored(Quantity(f"size_{axis + 1}"), place, axis, "itself")
            after = site.setting.shapes.of(site.output) or ()
            if site.call.op == "Slice" and axis < len(after) and site.axis(place, axis) == after[axis]:
                site.wanted(size, site.output, axis)
            sizes.append(extent(size))
        role = ("table" if weight else "initial_state" if state else "buffer") + (f"_{number + 1}" if len(held) > 1 else "")
        found.drafts.append(Draft(role, site.value(place), tuple(sizes), counted=weight and is_weight(site, place)))
    return found


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
