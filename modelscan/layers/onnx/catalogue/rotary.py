"""Rotary position embeddings that an exporter wrote out: `x · cos + turned(x) · sin`, where `turned` swaps halves and negates one.

It is the form that tells: a sum of the same value taken straight and with its parts swapped, one of them negated, is a rotation, and
what it is multiplied with are the cosines and sines of positions, which no training changes.
"""

from __future__ import annotations

from typing import NamedTuple

from modelscan.layers.onnx.catalogue.chains import FAR, LAYOUT, by_scalar, closed, follower, producer, source
from modelscan.layers.onnx.evidence import Extent, Quantity, extent
from modelscan.layers.onnx.flow import NONE, Call
from modelscan.layers.onnx.site import Draft, Found, Setting, Site

SHORT = 1024
"""Frequencies that a table computed at run time may be made of; each head has half as many as it is wide."""
_MOST = 4096
"""Uses of a table that are looked at: two for each layer, and what lies between."""
_CARRIED = LAYOUT | {"Concat", "Cos", "Sin"}

_FIRST = _CARRIED | {"Mul", "Div"}
_MAKERS = frozenset(("Gather", "GatherND", "MatMul", "Mul"))


class _Turn(NamedTuple):
    """What makes one rotation."""

    x: int
    cos: int
    sin: int
    straight: Call
    turned: Call
    total: Call
    calls: list[Call]


def rotary(site: Site) -> Found | None:
    """The rotation whose first product this call is."""
    setting = site.setting
    turn = _turn(setting, site.call)
    if turn is None:
        return None
    result = turn.total.outputs[0]
    kept = closed(setting, [*turn.calls, turn.straight, turn.turned, turn.total], (result,))
    tables = [(role, value) for role, value in (("cos", turn.cos), ("sin", turn.sin)) if value in setting.views]
    free = tuple(value for value in (turn.cos, turn.sin) if value not in setting.views)
    found = Found("RotaryEmbedding", site.call, inputs=(turn.x, *free), output=result)
    found.fused = [call for call in kept if call is not site.call]
    for role, value in tables:
        found.drafts.append(Draft(role, value, _extents(site, turn, value, role), counted=False))
    return found


def _extents(site: Site, turn: _Turn, value: int, role: str) -> tuple[Extent, ...]:
    shape, axes = site.setting.views[value].shape, site.setting.shapes.of(turn.x)
    sizes = []
    for back in range(len(shape), 0, -1):
        if shape[-back] == 1:
            sizes.append(extent(1))
            continue
        size = Quantity({1: "head_size", 2: "positions"}.get(back, f"size_{len(shape) - back + 1}"))
        if axes is not None and back <= len(axes) and axes[-back].static != 1:
            size.activation(axes[-back], site.flow.names[turn.x])
        for piece in site.setting.views[value].pieces:
            size.stored(shape[-back], f"{role} shape", piece.value)
        sizes.append(extent(size))
    return tuple(sizes)


def _turn(setting: Setting, call: Call) -> _Turn | None:
    if call.op != "Mul" or len(call.inputs) != 2 or not call.outputs:
        return None
    after, _ = follower(setting, call.outputs[0], [])
    if after is None or after.op != "Add" or len(after.inputs) != 2 or not after.outputs:
        return None
    beside = [one for one in (producer(setting, value) for value in after.inputs) if one is not None and one is not call]
    if len(beside) != 1 or beside[0].op != "Mul" or len(beside[0].inputs) != 2:
        return None
    for straight, turned in ((call, beside[0]), (beside[0], call)):
        for x, cos in (straight.inputs, straight.inputs[::-1]):
            for other, sin in (turned.inputs, turned.inputs[::-1]):
                calls = _halves(setting, other, source(setting, x))
                if calls is not None:
                    return _Turn(x, cos, sin, straight, turned, after, calls)
    return None


def _halves(setting: Setting, value: int, x: int) -> list[Call] | None:
    """The calls that put two parts of `x` together again, one of them negated; None where that is not what makes a value."""
    calls: dict[int, Call] = {}
    ways, ends, counts = [value], 0, {"Neg": 0, "Concat": 0}
    while ways:
        seen: list[Call] = []
        one = ways.pop()
        if source(setting, one) == x:
            ends += 1
            continue
        call = producer(setting, one, seen)
        if call is None or len(calls) > FAR or not (call.op in counts or call.op in LAYOUT or call.op == "Split"):
            return None
        if call.op in counts:
            counts[call.op] += 1
        calls.update((made.index, made) for made in (*seen, call))
        ways.extend(call.inputs if call.op == "Concat" else call.inputs[:1])
    return list(calls.values()) if ends == 2 and counts == {"Neg": 1, "Concat": 1} else None


def is_table(setting: Setting, found: Found) -> bool:
    """Whether a lookup or a small product makes nothing but the cosines and sines of rotations."""
    if found.call.op not in _MAKERS or found.output == NONE or not found.drafts:
        return False
    uses = setting.flow.uses[found.output]
    if not uses or setting.flow.calls[uses[0][0]].op not in _FIRST:
        return False
    sizes = [view.elements if (view := setting.views.get(one.value)) is not None else SHORT + 1 for one in found.drafts]
    if not found.call.op.startswith("Gather") and max(sizes) > SHORT:
        return False
    ways, reached = [found.output], 0
    for value in ways:
        if value in setting.flow.escapes:
            return False
        for call in setting.flow.users(value):
            if len(ways) > _MOST or not call.outputs:
                return False
            if call.op in _CARRIED or (by_scalar(setting, call) == value and call.op in ("Mul", "Div")):
                if call.op in LAYOUT and call.inputs[0] != value:
                    return False
                if call.outputs[0] not in ways[-FAR:]:
                    ways.append(call.outputs[0])
                continue
            turn = _turn(setting, call)
            if turn is None or value not in (turn.cos, turn.sin):
                return False
            reached += 1
    return reached > 0
