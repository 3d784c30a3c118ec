"""Layers that exporters take apart: normalisations as arithmetic, activations as products, attention as two products."""

from __future__ import annotations

from dataclasses import dataclass, field

from modelscan.layers.onnx.catalogue.chains import LAYOUT, by_scalar, closed, filled, follower, producer, scalar, source, users
from modelscan.layers.onnx.flow import Call
from modelscan.layers.onnx.macs import products
from modelscan.layers.onnx.site import Found, Setting, Site, layer

FAR = 12
"""Operators that an activation's formula is made of, at most."""
MEANS = ("ReduceMean", "GlobalAveragePool")
_GATES = {"Sigmoid": "Swish", "HardSigmoid": "HardSwish", "Erf": "Gelu", "Tanh": "Gelu", "Softplus": "Mish", "Clip": "HardSwish"}
_INNER = frozenset((*_GATES, "Relu", "Pow", "Mul", "Add", "Sub", "Div", "Neg", "Exp", "Min", "Max"))


@dataclass(slots=True)
class Normal:
    """What a value is the normalised form of."""

    type: str
    x: int
    calls: list[Call] = field(default_factory=list)


def normal(setting: Setting, value: int) -> Normal | None:
    """The input that a value is the normalised form of: `(x - mean) / sqrt(variance + ε)` or `x / sqrt(mean(x²) + ε)`."""
    calls: list[Call] = []
    call = producer(setting, value, calls)
    if call is None or len(call.inputs) != 2 or call.op not in ("Div", "Mul"):
        return None
    calls.append(call)
    pairs = ((0, 1),) if call.op == "Div" else ((0, 1), (1, 0))
    for upper, lower in pairs:
        squared = root(setting, call.inputs[lower], calls, inverse=call.op == "Mul")
        if squared is None:
            continue
        above = source(setting, call.inputs[upper])
        if source(setting, squared) != above:
            continue
        minus = producer(setting, above, calls)
        if minus is not None and minus.op == "Sub" and _is_mean(setting, minus.inputs[1], minus.inputs[0], calls):
            calls.append(minus)
            return Normal("LayerNormalization", minus.inputs[0], calls)
        return Normal("RMSNormalization", above, calls)
    return None


def root(setting: Setting, value: int, calls: list[Call], *, inverse: bool) -> int | None:
    """The value whose mean square's root this is: back through (reciprocal,) square root, ε, mean and square."""
    seen: list[Call] = []
    call = producer(setting, value, seen)
    if inverse:
        if call is None:
            return None
        if call.op == "Reciprocal":
            seen.append(call)
            call = producer(setting, call.inputs[0], seen)
        elif call.op == "Div" and scalar(setting, call.inputs[0]):
            seen.append(call)
            call = producer(setting, call.inputs[1], seen)
        elif call.op != "Pow":
            return None
    if call is None or call.op not in ("Sqrt", "Pow"):
        return None
    seen.append(call)
    plus = producer(setting, call.inputs[0], seen)
    if plus is not None and plus.op in ("Add", "Max") and (inner := by_scalar(setting, plus)) is not None:
        seen.append(plus)
        plus = producer(setting, inner, seen)
    if plus is None or plus.op not in MEANS:
        return None
    seen.append(plus)
    square = producer(setting, plus.inputs[0], seen)
    if square is None or not _is_square(setting, square):
        return None
    seen.append(square)
    calls.extend(seen)
    return square.inputs[0]


def _is_square(setting: Setting, call: Call) -> bool:
    if call.op == "Mul":
        return len(call.inputs) == 2 and source(setting, call.inputs[0]) == source(setting, call.inputs[1])
    if call.op == "Pow" and len(call.inputs) == 2:
        exponent = setting.flow.contents.get(call.inputs[1])
        return exponent is None or exponent[:1] in ((2,), (2.0,))
    return False


def _is_mean(setting: Setting, value: int, of: int, calls: list[Call]) -> bool:
    call = producer(setting, value)
    if call is None or call.op not in MEANS or source(setting, call.inputs[0]) != source(setting, of):
        return False
    calls.append(call)
    return True


def grouped(setting: Setting, value: int) -> Normal | None:
    """GroupNorm as PyTorch writes it: Reshape, InstanceNormalization by ones and zeros, Reshape."""
    after = producer(setting, value)
    if after is None or after.op != "Reshape":
        return None
    inner = producer(setting, after.inputs[0])
    if inner is None or inner.op != "InstanceNormalization" or len(inner.inputs) < 3:
        return None
    ones, zeros = inner.inputs[1:3]
    before = producer(setting, inner.inputs[0])
    if not filled(setting, ones, 1) or not filled(setting, zeros, 0) or before is None or before.op != "Reshape":
        return None
    return Normal("GroupNormalization", before.inputs[0], [before, inner, after])


def gated(site: Site) -> Found | None:
    """`x · g(x)`: Swish, Gelu, HardSwish, Mish, told by what g is made of."""
    setting = site.setting
    if len(site.call.inputs) != 2 or any(value in setting.views for value in site.call.inputs):
        return None
    sides = [_inside(setting, value) for value in site.call.inputs]
    roots = [side[0] for side in sides]
    shared = [root for root in roots[0] if root in roots[1]]
    if not shared:
        return None
    x = shared[0]
    calls = [call for side in sides for call in side[1]]
    kinds = {call.op for call in calls}
    names = [name for op, name in _GATES.items() if op in kinds]
    if not names:
        return None
    kind = "Mish" if "Softplus" in kinds else names[0]
    kept = closed(setting, [*calls, site.call], site.call.outputs)
    if not any(call.op in _GATES for call in kept):
        return None
    found = Found(kind, site.call, inputs=(x,), output=site.output)
    passed: list[Call] = []
    after, value = follower(setting, site.output, passed)
    if after is not None and by_scalar(setting, after) == value and after.op in ("Mul", "Div"):
        kept += [*passed, after]
        found.output = after.outputs[0]
    found.fused = [call for call in kept if call is not site.call]
    return found


def _inside(setting: Setting, value: int) -> tuple[list[int], list[Call]]:
    """Values that a factor of an activation may be a function of alone, nearest first, and the calls down to them."""
    roots, ways = [source(setting, value)], [value]
    calls: list[Call] = []
    while ways and len(calls) < FAR:
        call = producer(setting, ways.pop(0))
        if call is None or call.op not in _INNER:
            continue
        free = [one for one in call.inputs if one >= 0 and not scalar(setting, one)]
        if not free or any(one in setting.views for one in free):
            continue
        calls.append(call)
        for one in free:
            roots.append(source(setting, one))
            ways.append(one)
    return roots, calls


@layer("Softmax")
def attention(site: Site) -> Found | None:
    """Softmax between two products of activations: scaled dot-product attention, without weights of its own."""
    setting = site.setting
    calls: list[Call] = []
    value = site.value(0)
    first: Call | None = None
    for _ in range(FAR):
        call = producer(setting, value, calls)
        if call is None:
            return None
        calls.append(call)
        if call.op in ("MatMul", "com.microsoft:FusedMatMul", "Einsum"):
            first = call
            break
        inner = call.inputs[0] if call.op in LAYOUT else by_scalar(setting, call)
        if inner is None and call.op in ("Add", "Where", "Mul", "Sub"):
            inner = _scores(setting, call)
        if inner is None:
            return None
        value = inner
    after = _weighing(setting, site.output, calls)
    if first is None or len(after) != 1 or after[0].op not in ("MatMul", "com.microsoft:FusedMatMul", "Einsum"):
        return None
    last = after[0]
    if any(one in setting.views for one in (*first.inputs, *last.inputs)):
        return None
    kept = closed(setting, [*calls, site.call, last], last.outputs)
    found = Found("Attention", site.call, fused=[call for call in kept if call is not site.call], output=last.outputs[0])
    inside = {value for call in (site.call, *calls) for value in call.outputs}
    found.inputs = (*first.inputs[:2], *(one for one in last.inputs if source(setting, one) not in inside))
    found.extra_macs = _sum(products(setting, first), products(setting, last))
    return found


def _weighing(setting: Setting, value: int, calls: list[Call]) -> list[Call]:
    """What takes the weights of attention; PyTorch makes those of a row without a place to look at, which are NaN, zeros before."""
    found = users(setting, value, calls)
    guards = {call.op: call for call in found}
    if len(found) == 2 and guards.keys() == {"IsNaN", "Where"} and setting.flow.users(guards["IsNaN"].outputs[0]) == [guards["Where"]]:
        calls.extend(found)
        return users(setting, guards["Where"].outputs[0], calls)
    return found


def _scores(setting: Setting, call: Call) -> int | None:
    """The operand that goes back to a product, where the other is a mask."""
    for value in call.inputs[1:] if call.op == "Where" else call.inputs:
        above: Call | None = producer(setting, value)
        for _ in range(FAR):
            if above is None or above.op in ("MatMul", "com.microsoft:FusedMatMul"):
                break
            inner = above.inputs[0] if above.op in LAYOUT else by_scalar(setting, above)
            above = producer(setting, inner) if inner is not None else None
        if above is not None:
            return value
    return None


def _sum(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b
