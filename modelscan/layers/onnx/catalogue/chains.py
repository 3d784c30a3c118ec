"""Walking back from a value through operators that exporters write a single layer with."""

from __future__ import annotations

from modelscan.layers.onnx.arity import words
from modelscan.layers.onnx.flow import NONE, Call
from modelscan.layers.onnx.site import Setting
from modelscan.layers.onnx.steps import QUANTISED

PASSING = frozenset(
    words("Cast Identity Dropout QuantizeLinear DequantizeLinear com.microsoft:QuantizeLinear com.microsoft:DequantizeLinear")
)
"""Operators behind which a value is the same, but for its element type."""
LAYOUT = PASSING | frozenset(words("Reshape Squeeze Unsqueeze Transpose Slice Gather Expand Flatten ·scope:alias"))
"""Operators that only lay elements out anew; the first input is what they lay out."""
SCALED = frozenset(("Mul", "Div", "Add", "Sub", "Max", "Min", "Pow", "Clip"))
FAR = 10
"""Operators that one step of a pattern may lie apart."""


def producer(setting: Setting, value: int, calls: list[Call] | None = None) -> Call | None:
    """The call that makes a value, type conversions passed over (and noted)."""
    for _ in range(FAR):
        number = setting.flow.producer[value] if value != NONE else NONE
        if number == NONE:
            return None
        call = setting.flow.calls[number]
        if call.op not in PASSING:
            return call if call.inputs else None
        if calls is not None:
            calls.append(call)
        value = call.inputs[0]
    return None


def source(setting: Setting, value: int) -> int:
    """The value before type conversions."""
    for _ in range(FAR):
        number = setting.flow.producer[value] if value != NONE else NONE
        if number == NONE or setting.flow.calls[number].op not in PASSING:
            return value
        value = setting.flow.calls[number].inputs[0]
    return value


def follower(setting: Setting, value: int, passed: list[Call]) -> tuple[Call | None, int]:
    """The one call that takes a value, and the operand as it takes it; type conversions are passed over (and noted)."""
    for _ in range(FAR):
        found = setting.flow.users(value) if value != NONE and value not in setting.flow.escapes else []
        if len(found) != 1 or found[0].op not in PASSING or not found[0].outputs:
            return (found[0] if len(found) == 1 else None), value
        passed.append(found[0])
        value = found[0].outputs[0]
    return None, value


def scalar(setting: Setting, value: int) -> bool:
    """Whether a value is a single stored number, or computed from shapes alone."""
    view = setting.views.get(value)
    if view is not None:
        return view.elements == 1
    axes = setting.shapes.of(value)
    return axes is not None and value in setting.inert and all(axis.static == 1 for axis in axes)


def filled(setting: Setting, value: int, number: int) -> bool:
    """Whether a value is stored and holds nothing but this number, be it quantised."""
    flow = setting.flow
    for _ in range(FAR):
        held = flow.contents.get(value)
        if held is not None:
            return set(held) == {number}
        made = flow.producer[value] if value != NONE else NONE
        call = flow.calls[made] if made != NONE else None
        if call is None or call.op not in PASSING or not call.inputs:
            return False
        value = call.inputs[0]
        if call.op in QUANTISED and flow.tensors[value] is not None:
            return _dequantised(setting, call) == {number}
    return False


def _dequantised(setting: Setting, call: Call) -> set[float]:
    """What few numbers a stored operand stands for; empty where they are not known."""
    held, scale, *zero = (setting.flow.contents.get(value) if value != NONE else None for value in call.inputs)
    if held is None or scale is None or len(scale) != 1 or (zero and (zero[0] is None or len(zero[0]) != 1)):
        return set()
    offset = zero[0][0] if zero and zero[0] else 0
    return {round((one - offset) * scale[0], 6) for one in set(held)}


def by_scalar(setting: Setting, call: Call) -> int | None:
    """The operand that a call combines with nothing but single numbers; None when there is not exactly one."""
    if call.op not in SCALED:
        return None
    free = [value for value in call.inputs if value != NONE and not scalar(setting, value)]
    return free[0] if len(free) == 1 else None


def users(setting: Setting, value: int, passed: list[Call]) -> list[Call]:
    """The calls that take a value; those that only lay it out are passed over (and noted)."""
    found: list[Call] = []
    ways = [value]
    for way in ways:
        for call in setting.flow.users(way):
            if call.op in LAYOUT and call.outputs and call.inputs[0] == way and len(ways) < FAR:
                ways.append(call.outputs[0])
                passed.append(call)
            elif call.op not in ("Shape", "Size"):
                found.append(call)
    return found


def closed(setting: Setting, calls: list[Call], results: tuple[int, ...]) -> list[Call]:
    """Of calls that a pattern gathered, those whose results nobody outside of it takes; type conversions between them belong to it."""
    flow = setting.flow
    calls = _with_conversions(setting, calls)
    inside = {call.index for call in calls}
    while True:
        open_ones = {
            call.index
            for call in calls
            if call.index in inside
            and any(
                value in flow.escapes
                or any(user not in inside and flow.calls[user].op not in ("Shape", "Size") for user, _ in flow.uses[value])
                for value in call.outputs
                if value != NONE and value not in results
            )
        }
        if not open_ones:
            return [call for call in calls if call.index in inside]
        inside -= open_ones


def _with_conversions(setting: Setting, calls: list[Call]) -> list[Call]:
    """The calls with the type conversions from one of them to another."""
    flow = setting.flow
    known = {call.index: call for call in calls}
    for call in calls:
        for value in call.inputs:
            between: list[Call] = []
            number = flow.producer[value] if value != NONE else NONE
            while number != NONE and flow.calls[number].op in PASSING and len(between) < FAR:
                between.append(flow.calls[number])
                number = flow.producer[between[-1].inputs[0]] if between[-1].inputs and between[-1].inputs[0] != NONE else NONE
            if number in known:
                known.update((one.index, one) for one in between)
    return list(known.values())
