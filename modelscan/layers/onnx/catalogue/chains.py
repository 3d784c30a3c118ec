"""Walking back from a value through operators that exporters write a single layer with."""

from __future__ import annotations

from modelscan.layers.onnx.flow import NONE, Call
from modelscan.layers.onnx.site import Setting

PASSING = frozenset(("Cast", "Identity", "Dropout"))
LAYOUT = frozenset(
    ("Cast", "Identity", "Dropout", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Gather", "Expand", "Flatten", "·scope:alias")
)
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


def scalar(setting: Setting, value: int) -> bool:
    """Whether a value is a single stored number, or computed from shapes alone."""
    view = setting.views.get(value)
    if view is not None:
        return view.elements == 1
    axes = setting.shapes.of(value)
    return axes is not None and value in setting.inert and all(axis.static == 1 for axis in axes)


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
    """Of calls that a pattern gathered, those whose results nobody outside of it takes."""
    inside = {call.index for call in calls}
    flow = setting.flow
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
