"""Tables that are added to attention scores: masks, which are one for all heads, and learned biases, which have heads."""

from __future__ import annotations

from modelscan.layers.onnx.catalogue.chains import FAR, LAYOUT, PASSING
from modelscan.layers.onnx.flow import Call
from modelscan.layers.onnx.site import Site


def is_mask(site: Site, place: int) -> bool:
    """Whether attention scores are masked: one table for all heads, added right before the softmax. A learned bias has heads."""
    view = site.view(place)
    if site.call.op != "Add" or len(site.call.inputs) != 2 or view is None or len(view.shape) < 2:
        return False
    if any(size != 1 for size in view.shape[:-2]) and not _is_for_all_heads(site, place, view.shape):
        return False
    after = _next(site, site.output)
    return after is not None and after.op == "Softmax"


def is_masked_bias(site: Site, place: int) -> bool:
    """Whether a table with heads is added to a mask by position, and both to attention scores: it is learned, as it is without a mask."""
    view = site.view(place)
    if site.call.op != "Add" or view is None or len(view.shape) < 3 or view.shape[-3] == 1:
        return False
    scores = _next(site, site.output)
    if scores is None or scores.op != "Add" or site.setting.inert.issuperset(scores.inputs):
        return False
    after = _next(site, scores.outputs[0])
    return after is not None and after.op == "Softmax"


def _next(site: Site, value: int) -> Call | None:
    """The only call that a value goes to, past those that hand it on as it is."""
    after = site.only_user(value)
    while after is not None and after.op in PASSING and after.outputs:
        after = site.only_user(after.outputs[0])
    return after


def _is_for_all_heads(site: Site, place: int, shape: tuple[int, ...]) -> bool:
    """Whether a table differs by what comes before the heads, as the masks of a batch do, and is one for all of several heads."""
    scores = site.axes(1 - place)
    return len(shape) > 3 and shape[-3] == 1 and scores is not None and len(scores) >= len(shape) and (scores[-3].static or 1) > 1


def is_laid_out_mask(site: Site) -> bool:
    """Whether what an operator makes of a table (widened to the batch, cut to the length) is a mask of attention scores.

    It may be laid out anew, and be added to the bias of each head first, before both are added to the scores right before the softmax.
    """
    value, after = site.output, site.only_user(site.output)
    for _ in range(FAR):
        if after is None or after.op not in LAYOUT or not after.outputs or after.inputs[0] != value:
            break
        value = after.outputs[0]
        after = site.only_user(value)
    mask = site.setting.shapes.of(value)
    if after is None or after.op != "Add" or len(after.inputs) != 2 or mask is None or len(mask) < 3 or mask[-3].static != 1:
        return False
    beside = site.setting.shapes.of(after.inputs[1] if after.inputs[0] == value else after.inputs[0])
    if beside is None or len(beside) < 3 or (beside[-3].static or 1) == 1:
        return False
    last = _next(site, after.outputs[0])
    if last is not None and last.op == "Add" and site.setting.inert.issuperset(after.inputs):
        last = _next(site, last.outputs[0])
    return last is not None and last.op == "Softmax"
