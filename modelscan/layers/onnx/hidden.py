"""Weights behind operators of which nothing is known that keeps their shape: a kernel made at run time out of stored tensors.

Nobody could say how large such a kernel ought to be, but it was learned. So that it is not taken for a constant, what it is made of is
listed with the operator that multiplies with it, unexplained.
"""

from __future__ import annotations

from modelscan.dtypes import is_float
from modelscan.layers.onnx.arity import words
from modelscan.layers.onnx.flow import NONE, Call
from modelscan.layers.onnx.site import Draft, Found, Setting
from modelscan.layers.onnx.views import FIXED

KERNELS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(words("MatMul Gemm MatMulInteger com.microsoft:FusedMatMul com.microsoft:FusedGemm"), (0, 1)),
    **dict.fromkeys(words("Conv ConvTranspose ConvInteger DeformConv com.microsoft:FusedConv"), (1,)),
    **dict.fromkeys(words("LSTM GRU RNN"), (1, 2)),
    "Einsum": (0, 1, 2),
}
"""Operands that are multiplied with and summed over, by operator."""
_MOST = 256
"""Values on the way to a kernel that are looked at."""


def hidden(setting: Setting, call: Call) -> list[int]:
    """Values of stored tensors that the kernels of a call are made of by ways that no view follows."""
    inert, views = setting.inert, setting.views
    held: list[int] = []
    for place in KERNELS[call.op]:
        value = call.inputs[place] if place < len(call.inputs) else NONE
        if value in inert and value not in views:
            held.extend(_made_of(setting, value))
    return [] if not held or inert.issuperset(call.outputs) else list(dict.fromkeys(held))


def unexplained(call: Call, found: Found | None, held: list[int], inert: set[int]) -> Found:
    """The layer of a call, listed with these stored tensors instead of explained."""
    layer = found or Found(call.node.op, call, output=call.outputs[0])
    own = {draft.value for draft in layer.drafts}
    layer.drafts += [Draft(f"input_{value}", value, ()) for value in held if value not in own]
    layer.inputs = layer.inputs or tuple([value for value in call.inputs if value != NONE and value not in inert])
    layer.known = False
    return layer


def of_static(setting: Setting, found: Found) -> list[int]:
    """Stored numbers that a layer takes as an activation: no input's elements flow into it, so they were learned like its weights."""
    if found.output not in setting.inert:
        return []
    own = {draft.value for draft in found.drafts}
    return [one for value in found.inputs if value not in own and value in setting.views for one in _made_of(setting, value)]


def _made_of(setting: Setting, value: int) -> list[int]:
    """Stored numbers that a value is made of: floating point, more than one, and no buffers by the exporter's word."""
    flow = setting.flow
    found: list[int] = []
    ways = [value]
    seen = {NONE, value}
    for one in ways:  # it grows while it is walked
        view = setting.views.get(one)
        if view is not None:
            tensors = [flow.tensors[piece.value] for piece in view.pieces if flow.kinds.get(piece.value) not in FIXED]
            if view.elements > 1 and any(tensor is not None and is_float(tensor.dtype) for tensor in tensors):
                found.append(one)
        elif flow.producer[one] != NONE and one in setting.inert and len(seen) < _MOST:
            maker = flow.calls[flow.producer[one]]
            further = [] if maker.op in ("Shape", "Size") else [taken for taken in dict.fromkeys(maker.inputs) if taken not in seen]
            seen.update(further)
            ways.extend(further)
    return found
