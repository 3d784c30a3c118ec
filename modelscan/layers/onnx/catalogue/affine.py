"""Scale and shift as products and sums: decomposed normalisations with their weights, folded BatchNormalization."""

from __future__ import annotations

from modelscan.layers.onnx.catalogue.chains import closed, follower, producer, source
from modelscan.layers.onnx.catalogue.common import vector_axis
from modelscan.layers.onnx.catalogue.decomposed import MEANS, Normal, grouped, normal, root
from modelscan.layers.onnx.catalogue.embedding import is_weight
from modelscan.layers.onnx.evidence import Extent, Quantity, extent
from modelscan.layers.onnx.flow import NONE, Call
from modelscan.layers.onnx.site import Draft, Found, Setting, Site, stored
from modelscan.layers.onnx.views import View

FOLDED = "a scale and a shift per channel: a BatchNormalization whose running statistics were folded in"


def scaled(site: Site) -> Found | None:
    """A product with a stored vector: the scale of a normalisation taken apart, or of an affine layer with a shift."""
    held = [place for place in (0, 1) if site.view(place) is not None]
    if (
        site.call.op != "Mul"
        or "broadcast" in site.call.node.attributes
        or len(site.call.inputs) != 2
        or len(held) != 1
        or not is_weight(site, held[0])
    ):
        return None
    view, value = site.view(held[0]), site.value(1 - held[0])
    if view is None or view.elements < 2:
        return None
    setting = site.setting
    if (spread := _spread(site, held[0])) is not None:
        return spread
    pattern = normal(setting, value) or grouped(setting, value)
    shift = _shift(site, view)
    if pattern is None and shift is None:
        return None
    x = pattern.x if pattern is not None else value
    found = Found(_type(site, pattern, view), site.call, output=site.output, inputs=(x,))
    sizes = _sizes(site, view, held[0], x, shift)
    found.drafts.append(Draft("scale", site.value(held[0]), sizes))
    calls = list(pattern.calls) if pattern is not None else []
    if shift is not None:
        call, beta = shift
        calls.append(call)
        other = setting.views[beta]
        found.drafts.append(Draft("bias" if pattern is not None else "shift", beta, _as_shape(sizes, other)))
        found.output = call.outputs[0]
    kept = closed(setting, [*calls, site.call], (found.output,))
    found.fused = [call for call in kept if call is not site.call]
    if found.type == "BatchNormalization":
        found.note = FOLDED
    return found


def _spread(site: Site, place: int) -> Found | None:
    """TensorFlow's form: `x · (γ / σ) + (β - mean · (γ / σ))`."""
    setting, view = site.setting, site.view(place)
    calls: list[Call] = []
    squared = root(setting, site.value(1 - place), calls, inverse=True)
    if squared is None or view is None:
        return None
    minus = producer(setting, squared)
    centred = minus is not None and minus.op == "Sub"
    x = minus.inputs[0] if minus is not None and centred else source(setting, squared)
    if minus is not None and centred:
        calls += [minus, *_mean(setting, minus.inputs[1])]
    found = Found("LayerNormalization" if centred else "RMSNormalization", site.call, inputs=(x,), output=site.output)
    beta = NONE
    for user in setting.flow.users(site.output):
        if user.op != "Mul" or not user.outputs:
            return None
        calls.append(user)
        if any(source(setting, value) == x for value in user.inputs):
            found.output = user.outputs[0]
            continue
        for value in user.inputs:
            calls.extend(_mean(setting, value))
        after = Site(setting, user).only_user(user.outputs[0])
        if after is None or after.op not in ("Add", "Sub"):
            return None
        calls.append(after)
        beta = next((value for value in after.inputs if value in setting.views), NONE)
        last = Site(setting, after).only_user(after.outputs[0])
        if last is not None and last.op in ("Add", "Sub"):
            calls.append(last)
            found.output = last.outputs[0]
    shift = None if beta == NONE else (site.call, beta)
    if calls and calls[-1].op in ("Add", "Sub"):
        found.output = calls[-1].outputs[0]
    sizes = _sizes(site, view, place, x, shift)
    found.drafts.append(Draft("scale", site.value(place), sizes))
    if beta != NONE:
        found.drafts.append(Draft("bias", beta, _as_shape(sizes, setting.views[beta])))
    found.fused = [call for call in closed(setting, [*calls, site.call], (found.output,)) if call is not site.call]
    return found


def _mean(setting: Setting, value: int) -> list[Call]:
    """The calls that make a mean, or its negative."""
    made = producer(setting, value)
    if made is not None and made.op == "Neg":
        above = producer(setting, made.inputs[0])
        return [made, above] if above is not None and above.op in MEANS else []
    return [made] if made is not None and made.op in MEANS else []


def _shift(site: Site, view: View) -> tuple[Call, int] | None:
    """The addition of a stored vector of the same form right behind."""
    after, value = follower(site.setting, site.output, [])
    if after is None or after.op != "Add" or len(after.inputs) != 2 or not after.outputs:
        return None
    other = after.inputs[1] if after.inputs[0] == value else after.inputs[0]
    held = site.setting.views.get(other)
    if held is None or held.elements < 2:
        return None
    rank = len(site.setting.shapes.of(site.output) or ()) or None
    return (after, other) if vector_axis(held, rank) == vector_axis(view, rank) else None


def _type(site: Site, pattern: Normal | None, view: View) -> str:
    if pattern is not None:
        return pattern.type
    axes = site.setting.shapes.of(site.output)
    channel = vector_axis(view, None if axes is None else len(axes))
    return "BatchNormalization" if axes is not None and len(axes) > 2 and channel == 1 - len(axes) else "Affine"


def _sizes(site: Site, view: View, place: int, x: int, shift: tuple[Call, int] | None) -> tuple[Extent, ...]:
    axes = site.setting.shapes.of(x)
    name = "width" if view.shape[-1] == view.elements else "channels"
    extents = []
    for back in range(len(view.shape), 0, -1):
        if view.shape[-back] == 1:
            extents.append(extent(1))
            continue
        size = Quantity(name if view.elements == view.shape[-back] else f"size_{len(view.shape) - back + 1}")
        if axes is not None and back <= len(axes) and axes[-back].static != 1:
            size.activation(axes[-back], site.flow.names[x])
        site.stored(size, place, -back, "scale length")
        if shift is not None:
            stored(site.setting, size, shift[1], -back, "shift length")
        site.wanted(size, site.output, -back)
        extents.append(extent(size))
    return tuple(extents)


def _as_shape(sizes: tuple[Extent, ...], view: View) -> tuple[Extent, ...]:
    """The same sizes for a shift that may have more or fewer axes of 1."""
    padded = (*(extent(1) for _ in range(len(view.shape) - len(sizes))), *sizes[max(len(sizes) - len(view.shape), 0) :])
    return tuple(extent(1) if size == 1 else one for one, size in zip(padded, view.shape, strict=True))


def plain_norm(site: Site) -> Found | None:
    """A normalisation taken apart that has no weights: nothing stored scales its result."""
    pattern = normal(site.setting, site.output)
    if pattern is None or not pattern.calls or pattern.calls[0] is not site.call:
        return None
    after, _ = follower(site.setting, site.output, [])
    if after is not None and after.op == "Mul" and any(value in site.setting.views for value in after.inputs):
        return None
    kept = closed(site.setting, pattern.calls, (site.output,))
    fused = [call for call in kept if call is not site.call]
    return Found(pattern.type, site.call, fused=fused, inputs=(pattern.x,), output=site.output)
