"""Which calls are layers with weights: every call that takes a stored tensor is asked, none is left out."""

from __future__ import annotations

from dataclasses import replace

from modelscan.layers.onnx.arity import PARAMETERS
from modelscan.layers.onnx.build import tell
from modelscan.layers.onnx.catalogue.embedding import is_weight
from modelscan.layers.onnx.catalogue.rotary import is_table
from modelscan.layers.onnx.flow import NONE, SCOPE, Call
from modelscan.layers.onnx.hidden import KERNELS, hidden, of_static, unexplained
from modelscan.layers.onnx.site import LAYERS, Draft, Found, Setting, Site

MACHINE_LEARNING = "ai.onnx.ml"
"""Domain whose models stand in attributes."""
COMPOSED = frozenset(("Mul", "Softmax", "Div"))
"""Operators at which a layer without weights may end that an exporter took apart."""


def recognise(setting: Setting) -> list[Found]:
    """All layers with stored tensors, in graph order. A call that a layer owns already is no layer of its own."""
    found: list[Found] = []
    taken, views, inert = setting.taken, setting.views, setting.inert
    for call in setting.flow.calls:
        if not inert.isdisjoint(call.outputs):
            _revive(setting, call)
        weighted = False
        for value in call.inputs:
            if value in views:
                weighted = _ends_here(setting, call)
                break
        behind = hidden(setting, call) if call.op in KERNELS else None
        if not (weighted or behind or call.op in COMPOSED or call.node.domain == MACHINE_LEARNING) or call.index in taken:
            continue
        site = Site(setting, call)
        function = LAYERS.get(call.op)
        one = function(site) if function is not None else None
        if one is None and weighted:
            one = _opaque(site)
        elif one is not None:
            behind = behind or of_static(setting, one)
        if behind:
            one = unexplained(call, one, behind, inert)
        if one is not None and is_table(setting, one):
            one.type, one.drafts = "Buffer", [replace(draft, counted=False) for draft in one.drafts]
        if one is not None and (one.drafts or one.observations or one.fused):
            taken.update([other.index for other in (one.call, *one.fused)])
            found.append(one)
            if one.output in inert and one.output not in views and any(draft.counted for draft in one.drafts):
                inert.discard(one.output)
            tell(setting, one)
    return found


def _revive(setting: Setting, call: Call) -> None:
    """What a layer made of stored tensors alone (positions through a small network) is an activation to whatever takes it."""
    inert = setting.inert
    for made in call.outputs:
        if made in inert and made not in setting.views:
            break
    else:
        return
    if call.op not in ("Shape", "Size") and any(value != NONE and value not in inert for value in call.inputs):
        inert.difference_update(value for value in call.outputs if value not in setting.views)


def _ends_here(setting: Setting, call: Call) -> bool:
    """Whether the stored tensor that a call takes ends its way here: the call's own result is not static any more."""
    return not (call.node.domain == SCOPE or call.op == "Loop" or (call.outputs and call.outputs[0] in setting.views))


def _opaque(site: Site) -> Found | None:
    """An operator without a formula: what it takes besides parameters is listed as its own."""
    if not site.call.node.domain and all(value in site.setting.inert for value in site.call.outputs):
        return None
    steering = PARAMETERS.get(site.call.op, ())
    drafts = []
    for place, value in enumerate(site.call.inputs):
        view = site.view(place)
        if value == NONE or place in steering or view is None or view.elements < 2 or not is_weight(site, place):
            continue
        drafts.append(Draft(f"input_{place}", value, ()))
    if not drafts:
        return None
    free = tuple(value for value in site.call.inputs if value != NONE and value not in site.setting.views)
    return Found(site.call.node.op, site.call, drafts, inputs=free, output=site.output, known=False)
