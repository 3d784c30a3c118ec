"""Recurrent cells that an exporter wrote out into the body of a Loop or Scan: two products, one of them with the loop's state."""

from __future__ import annotations

from modelscan.layers.onnx.catalogue.chains import LAYOUT, producer
from modelscan.layers.onnx.catalogue.common import vector_axis
from modelscan.layers.onnx.evidence import Quantity, extent
from modelscan.layers.onnx.flow import NONE, Call
from modelscan.layers.onnx.site import Draft, Found, Setting, Site, stored

GATES = {1: "RNN", 3: "GRU", 4: "LSTM"}
FAR = 8
"""Operators between a product and the sum in which it meets the other."""
_BETWEEN = frozenset(("Split", "Slice", "Add", "Mul", "Sigmoid", "Identity", "Cast", "Gather", "Squeeze", "Unsqueeze", "Reshape"))


def cell(site: Site) -> Found | None:
    """The layer of which this product is a half, if it is one of a recurrent cell's."""
    setting, call = site.setting, site.call
    if call.owner == NONE or site.view(1) is None or setting.flow.owners[call.owner].node.op not in ("Loop", "Scan"):
        return None
    mine = _of_state(setting, site.value(0))
    other = _partner(setting, call, not mine)
    if other is None:
        return None
    recurrent, kernel = (call, other) if mine else (other, call)
    shapes = [setting.views[one.inputs[1]].shape for one in (recurrent, kernel)]
    gates = shapes[0][1] // shapes[0][0] if len(shapes[0]) == 2 and shapes[0][0] else 0
    if gates not in GATES or len(shapes[1]) != 2 or shapes[1][1] != shapes[0][1]:
        return None
    return _layer(setting, recurrent, kernel, gates)


def _of_state(setting: Setting, value: int) -> bool:
    """Whether a value is what the loop carries from turn to turn, through operators that only lay it out."""
    for _ in range(FAR):
        if any(setting.flow.calls[call].op == "·scope:carry" and position == 1 for call, position in setting.flow.uses[value]):
            return True
        made = producer(setting, value)
        if made is None or made.op not in LAYOUT:
            return False
        value = made.inputs[0]
    return False


def _partner(setting: Setting, call: Call, state: bool) -> Call | None:
    """The other product whose result meets this one's in a sum; `state` tells which of the two is sought."""
    for candidate in _sums(setting, call.outputs[0], FAR):
        for value in candidate.inputs:
            ways = [value]
            for _ in range(FAR):
                if not ways:
                    break
                made = producer(setting, ways.pop(0))
                if made is None or made is call:
                    continue
                if made.op == "MatMul" and made.owner == call.owner and setting.views.get(made.inputs[1]) is not None:
                    if made.inputs[0] not in setting.views and _of_state(setting, made.inputs[0]) is state:
                        return made
                elif made.op in _BETWEEN:
                    ways.extend(one for one in made.inputs if one != NONE and one not in setting.views)
    return None


def _sums(setting: Setting, value: int, steps: int) -> list[Call]:
    """Additions of two computed values that a value reaches, the nearest first."""
    found: list[Call] = []
    ways = [value]
    while ways and steps:
        steps -= 1
        for call in setting.flow.users(ways.pop(0)):
            if call.op == "Add" and all(one not in setting.views for one in call.inputs):
                found.append(call)
            elif call.op in _BETWEEN:
                ways.extend(one for one in call.outputs if one != NONE)
    return found


def _layer(setting: Setting, recurrent: Call, kernel: Call, gates: int) -> Found:
    units, inputs = Quantity("units"), Quantity("inputs")
    one, two = Site(setting, kernel), Site(setting, recurrent)
    units.activation(two.axis(0, -1), two.name(0))
    two.stored(units, 1, 0, "recurrent_kernel")
    two.stored(units, 1, 1, "recurrent_kernel", gates)
    one.stored(units, 1, 1, "kernel", gates)
    inputs.activation(one.axis(0, -1), one.name(0))
    one.stored(inputs, 1, 0, "kernel")
    first, last = sorted((kernel, recurrent), key=lambda call: call.index)
    found = Found(GATES[gates], first, fused=[last], inputs=(one.value(0),), output=last.outputs[0])
    outer = extent(gates, units) if gates > 1 else extent(units)
    found.drafts.append(Draft("kernel", one.value(1), (extent(inputs), outer), multiplied=True))
    found.drafts.append(Draft("recurrent_kernel", two.value(1), (extent(units), outer), multiplied=True))
    for site, role in ((one, "bias"), (two, "recurrent_bias")):
        after = site.only_user(site.output)
        if after is None or after.op != "Add":
            continue
        other = after.inputs[1] if after.inputs[0] == site.output else after.inputs[0]
        view = setting.views.get(other)
        if view is not None and vector_axis(view, None) == -1:
            stored(setting, units, other, -1, f"{role} length", gates)
            found.drafts.append(Draft(role, other, (*(extent(1) for _ in view.shape[:-1]), outer)))
            found.fused.append(after)
    found.positions = _turns(setting, kernel)
    found.config = {"units": units.settled(), "gates": gates}
    found.note = f"written out into the body of a {setting.flow.owners[kernel.owner].node.op}"
    return found


def _turns(setting: Setting, call: Call) -> int | None:
    """How often the body runs, where a constant tells."""
    owner = setting.flow.owners[call.owner]
    loop = setting.flow.calls[owner.number]
    if loop.op == "Loop" and loop.inputs and loop.inputs[0] != NONE:
        held = setting.flow.contents.get(loop.inputs[0])
        return int(held[0]) if held is not None and len(held) == 1 and 0 <= held[0] < 2**31 else None
    return None
