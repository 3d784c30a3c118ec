"""Attention of com.microsoft with its merged projections: `(inputs + 1) × (q + k + v)`."""

from __future__ import annotations

from modelscan.layers.onnx.catalogue.common import contradiction
from modelscan.layers.onnx.catalogue.quantised import side_tensors
from modelscan.layers.onnx.evidence import Extent, Quantity, extent
from modelscan.layers.onnx.macs import scores
from modelscan.layers.onnx.site import Draft, Found, Site, layer


@layer("com.microsoft:Attention", "com.microsoft:QAttention", "com.microsoft:PackedAttention", "com.microsoft:DecoderMaskedSelfAttention")
def merged(site: Site) -> Found | None:
    """Weights `[I, Q+K+V]`, bias `[Q+K+V]`: three equal parts unless `qkv_hidden_sizes` says otherwise."""
    if site.view(1) is None and site.view(2) is None:
        return None
    inputs = Quantity("inputs").activation(site.axis(0, -1), site.name(0))
    site.stored(inputs, 1, 0, "weights shape")
    sizes = site.call.integers("qkv_hidden_sizes")
    found = Found(site.call.node.op, site.call, output=site.output, inputs=(site.value(0),))
    if sizes is not None and len(sizes) == 3 and len(set(sizes)) > 1:
        columns = Quantity("q + k + v").attribute("qkv_hidden_sizes", sum(sizes))
        site.stored(columns, 1, 1, "weights shape")
        site.stored(columns, 2, 0, "bias length")
        outer: Extent = extent(columns)
        width = sizes[2]
    else:
        hidden = Quantity("hidden")
        if sizes:
            hidden.attribute("qkv_hidden_sizes", sizes[0])
        site.stored(hidden, 1, 1, "weights shape", 3)
        site.stored(hidden, 2, 0, "bias length", 3)
        site.wanted(hidden, site.output, -1)
        outer = extent(3, hidden)
        width = hidden.settled() or 0
    if site.view(1) is not None:
        found.drafts.append(Draft("weights", site.value(1), (extent(inputs), outer), multiplied=True))
    if site.view(2) is not None:
        found.drafts.append(Draft("bias", site.value(2), (outer,)))
    if site.call.node.op == "QAttention":
        side_tensors(site, found, {4: "weight_scale", 7: "weight_zero_point"}, outer)
    heads = site.call.integer("num_heads", 0)
    if heads < 1 or width % heads:
        found.observations.append(contradiction(site, f"num_heads {heads} does not divide the width {width}"))
    axes = site.axes(0)
    found.positions = site.positions(axes[:-1] if axes is not None else None)
    found.extra_macs = scores(site.positions(axes[:-1], batch_first=True) if axes is not None else None, width)
    found.config = {"num_heads": heads} | ({"qkv_hidden_sizes": sizes} if sizes else {})
    return found


@layer("com.microsoft:MultiHeadAttention", "com.microsoft:PackedMultiHeadAttention", "com.microsoft:DecoderMaskedMultiHeadAttention")
def multi_head(site: Site) -> Found | None:
    """Only the bias of the three projections is its own: `[Q+K+V]`."""
    place = 10 if site.call.node.op == "DecoderMaskedMultiHeadAttention" else 3
    if site.view(place) is None:
        return None
    parts = [site.axis(position, -1).static for position in range(3)]
    width = Quantity("q + k + v")
    if all(size is not None for size in parts) and all(len(site.axes(position) or ()) == 3 for position in range(3)):
        source = {site.axis(position, -1).source for position in range(3)}
        joined = type(site.axis(0, -1))(sum(size or 0 for size in parts), source.pop() if len(source) == 1 else -1)
        width.activation(joined, ", ".join(site.name(position) for position in range(3)))
    site.stored(width, place, 0, "bias length")
    found = Found(site.call.node.op, site.call, output=site.output, inputs=site.call.inputs[:3])
    found.drafts.append(Draft("bias", site.value(place), (extent(width),)))
    axes = site.axes(0)
    found.extra_macs = scores(site.positions(axes[:-1]) if axes is not None else None, parts[0])
    found.config = {"num_heads": site.call.integer("num_heads", 0)}
    return found
