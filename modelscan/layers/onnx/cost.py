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
    `copies` says; what is alive at once is the same in every copy.
    """
    home, last = _homes(setting)
    sizes: dict[int, int] = {}
    ending: dict[int, list[int]] = {}
    unknown = total = alive = peak = 0
    at = -1
    known: dict[tuple[str | None, Axes | None], int | None] = {}
    """Bytes by type and axes, of which a large model has a few dozen."""
    views, dtypes_of, axes_of, names = setting.views, setting.shapes.dtypes, setting.shapes.axes, setting.flow.names
    made: Iterator[tuple[int, Sequence[int]]] = ((call.index, call.outputs) for call in setting.flow.calls)
    for index, values in chain(((-1, setting.flow.inputs),), made):
        for value in values:
            if value == NONE or value in views or home[value] != value or value in sizes:
                continue
            key = (dtypes_of[value], axes_of[value])
            if key not in known:
                known[key] = _bytes(setting, value)
            size = known[key]
            times = copies.get(names[value], 1)
            unknown += times if size is None else 0
            sizes[value] = size or 0
            total += (size or 0) * times if index >= 0 else 0
            alive += size or 0
            ending.setdefault(last.get(value, index), []).append(value)
        if alive > peak:
            peak, at = alive, index
        if index in ending:
            alive -= sum([sizes[value] for value in ending.pop(index)])
    title = setting.flow.calls[at].node.title(at) if at >= 0 else None
    return {"bytes": total, "peak_bytes": peak, "peak_at": title, "unknown": unknown}


def _homes(setting: Setting) -> tuple[list[int], dict[int, int]]:
    """For every value the one whose memory it shares, and for these the last call that touches them."""
    flow = setting.flow
    home = list(range(len(flow.names)))
    last: dict[int, int] = {}
    for call in flow.calls:
        shared = call.op in IN_PLACE or call.node.domain == SCOPE
        if shared and call.outputs and call.inputs and NONE not in (call.inputs[0], call.outputs[0]):
            home[call.outputs[0]] = home[call.inputs[0]]
        for value in (*call.inputs, *call.outputs):
            if value != NONE:
                last[home[value]] = call.index
    for value in flow.outputs:
        if value != NONE:
            last[home[value]] = len(flow.calls)
    return home, last


def _bytes(setting: Setting, value: int) -> int | None:
    dtype = setting.shapes.dtypes[value] or "float32"
    count = positions(setting, setting.shapes.of(value))
    return None if count is None else dtypes.nbytes(dtype, count)
