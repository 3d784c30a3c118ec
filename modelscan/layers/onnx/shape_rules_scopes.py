"""Shape rules of the borders between scopes: loops, branches, and which of the branches is taken."""

from __future__ import annotations

from modelscan.layers.onnx import amounts
from modelscan.layers.onnx.axes import UNKNOWN, Axes, Axis, origin
from modelscan.layers.onnx.flow import Call
from modelscan.layers.onnx.shape_rules import UNARY
from modelscan.layers.onnx.shapes import RULES, Shapes, rule, same
from modelscan.layers.onnx.views import operand

RULES["·scope:hold"] = same
_NEEDED = {"LSTM": 3, "GRU": 3, "RNN": 3, "Gemm": 2, "DepthToSpace": 4, "SpaceToDepth": 4}
_FAR = 24
"""Operators that are looked at for one that needs a certain rank."""


@rule("·scope:alias")
def _alias(shapes: Shapes, call: Call) -> list[Axes | None]:
    """The same value, save that a loop's state may have other sizes in later turns."""
    axes, varying = shapes.input(call, 0), shapes.varying.get(call.outputs[0], frozenset())
    if axes is None or varying is None:
        return [None]
    return [tuple(UNKNOWN if place in varying else axis for place, axis in enumerate(axes))]


@rule("·scope:join")
def _join(shapes: Shapes, call: Call) -> list[Axes | None]:
    """The branch that is taken where shapes decide it; otherwise what the branches agree on."""
    parts = [shapes.of(value) for value in call.inputs]
    taken = _taken(shapes, call)
    if taken is not None and taken < len(parts):
        return [parts[taken]]
    known = [part for part in parts if part is not None]
    ranks = {len(part) for part in known}
    if len(ranks) > 1:
        rank = needed_rank(shapes, call.outputs[0])
        known = [part for part in known if len(part) == rank]
    elif len(known) < len(parts):
        return [None]
    if not known:
        return [None]
    return [tuple(_agreed([part[place] for part in known]) for place in range(len(known[0])))]


def _taken(shapes: Shapes, call: Call) -> int | None:
    """The number of the branch that an If takes, where its condition depends on known shapes alone."""
    owner = shapes.flow.calls[call.integer("owner", 0)]
    condition = amounts.of(shapes, owner.inputs[0]) if owner.op == "If" and owner.inputs else None
    if condition is None or len(condition) != 1 or condition[0].static is None:
        return None
    names = tuple(owner.node.graphs)
    name = "then_branch" if condition[0].static else "else_branch"
    return names.index(name) if name in names else None


def _agreed(axes: list[Axis]) -> Axis:
    same_size = all(axis.size == axes[0].size for axis in axes)
    return Axis(axes[0].size, origin(axes)) if same_size else UNKNOWN


def needed_rank(shapes: Shapes, value: int) -> int | None:
    """The rank that a value must have for the nearest operator behind it that demands one; None when none is found."""
    ways = [(value, 0)]
    for way, more in ways:
        if len(ways) > _FAR:
            return None
        for call in shapes.flow.users(way):
            if not call.outputs or call.inputs[0] != way:
                continue
            rank = _demanded(shapes, call)
            if rank is not None:
                return rank - more
            axes = operand(shapes.flow, call, 1, "axes") if call.op in ("Unsqueeze", "Squeeze") else ()
            if axes is not None and (call.op in UNARY or call.op in ("Unsqueeze", "Squeeze")):
                ways.append((call.outputs[0], more + (len(axes) if call.op == "Unsqueeze" else -len(axes))))
    return None


def _demanded(shapes: Shapes, call: Call) -> int | None:
    rank = _NEEDED.get(call.op)
    if rank is None and call.op in ("Conv", "ConvTranspose"):
        kernel = shapes.input(call, 1)
        return None if kernel is None else len(kernel)
    if rank is None and call.op == "Transpose":
        return len(call.integers("perm") or ()) or None
    return rank


@rule("·scope:stack")
def _stack(shapes: Shapes, call: Call) -> list[Axes | None]:
    axes = shapes.input(call, 0)
    if axes is None:
        return [None]
    place = call.integer("axis", 0) % (len(axes) + 1)
    return [(*axes[:place], UNKNOWN, *axes[place:])]


@rule("·scope:unstack")
def _unstack(shapes: Shapes, call: Call) -> list[Axes | None]:
    axes = shapes.input(call, 0)
    if not axes:
        return [None]
    place = call.integer("axis", 0) % len(axes)
    return [(*axes[:place], *axes[place + 1 :])]
