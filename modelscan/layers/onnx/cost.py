"""Bytes of activations: all of them, and those alive at once at worst."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any

from modelscan import dtypes
from modelscan.layers.onnx.axes import Axes
from modelscan.layers.onnx.flow import NONE, SCOPE
from modelscan.layers.onnx.site import Setting, positions

IN_PLACE = frozenset(("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"))
"""Operators whose result shares the memory of their first input."""
_NONE: Mapping[str, int] = MappingProxyType({})


def activations(setting: Setting, copies: Mapping[str, int] = _NONE) -> dict[str, Any]:
    """Bytes of all activations of one sample and of those alive at once at worst, nodes run in file order.

    `unknown` counts the values whose size nothing tells; they are not in the sums. In a folded graph, values stand for as many as
    `copies` says. What is alive at once is the same in every copy, but for what each of them leaves behind as an output.
    """
    home, last = _homes(setting)
    calls = setting.flow.calls
    held = bytearray(len(home))
    """For each value whether it has its memory."""
    freed = [0] * (len(calls) + 2)
    """Bytes that nobody needs any more after a call; in front those of inputs that nobody takes."""
    unknown = total = alive = peak = 0
    at = -1
    known: dict[tuple[str | None, Axes | None], int | None] = {}
    """Bytes by type and axes, of which a large model has a few dozen."""
    views, dtypes_of, axes_of, names = setting.views, setting.shapes.dtypes, setting.shapes.axes, setting.flow.names
    made: Iterator[tuple[int, Sequence[int]]] = ((call.index, call.outputs) for call in calls)
    for index, values in chain(((-1, setting.flow.inputs),), made):
        for value in values:
            if home[value] != value or held[value] or value in views:
                continue
            held[value] = 1
            key = (dtypes_of[value], axes_of[value])
            if key not in known:
                known[key] = _bytes(setting, value)
            size = known[key]
            times = copies.get(names[value], 1) if copies else 1
            if size is None:
                unknown += times
            else:
                total += size * times if index >= 0 else 0
                size *= times if last[value] == len(calls) else 1
                alive += size
                end = last[value]
                freed[(end if end > index else index) + 1] += size
        if alive > peak:
            peak, at = alive, index
        alive -= freed[index + 1]
    title = calls[at].node.title(at) if at >= 0 else None
    return {"bytes": total, "peak_bytes": peak, "peak_at": title, "unknown": unknown}


def _homes(setting: Setting) -> tuple[list[int], list[int]]:
    """For every value the one whose memory it shares, and for these the last call that touches them. `NONE` has the place at the end."""
    flow = setting.flow
    home = list(range(len(flow.names) + 1))
    last = [NONE] * len(home)
    for call in flow.calls:
        inputs, outputs, index = call.inputs, call.outputs, call.index
        if (call.op in IN_PLACE or call.node.domain == SCOPE) and outputs and inputs and NONE not in (inputs[0], outputs[0]):
            home[outputs[0]] = home[inputs[0]]
        for value in inputs:
            last[home[value]] = index
        for value in outputs:
            last[home[value]] = index
    for value in flow.outputs:
        last[home[value]] = len(flow.calls)
    return home, last


def _bytes(setting: Setting, value: int) -> int | None:
    dtype = setting.shapes.dtypes[value] or "float32"
    count = positions(setting, setting.shapes.of(value))
    return None if count is None else dtypes.nbytes(dtype, count)
