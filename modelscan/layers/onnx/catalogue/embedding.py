"""Tables that are looked up: `vocabulary × width`."""

from __future__ import annotations

from modelscan import dtypes
from modelscan.layers.onnx.evidence import Quantity, extent
from modelscan.layers.onnx.site import Draft, Found, Site
from modelscan.layers.onnx.views import FIXED, PARAMETER


def gather(site: Site) -> Found | None:
    """A float table of two or more axes; rows of integers are shape arithmetic."""
    view = site.view(0)
    if view is None or len(view.shape) < 2 or not (is_weight(site, 0) or _quantised(site)):
        return None
    axis = site.call.integer("axis", 0) % len(view.shape) if view.shape else 0
    extents = []
    rank = len(site.setting.shapes.of(site.output) or ())
    index_rank = len(site.axes(1) or ())
    for place in range(len(view.shape)):
        name = "vocabulary" if place == axis else "width" if place == len(view.shape) - 1 else f"size_{place + 1}"
        size = site.stored(Quantity(name), 0, place, "table")
        if place != axis and rank:
            site.wanted(size, site.output, place if place < axis else place + index_rank - 1)
        extents.append(extent(size))
    found = Found("Embedding", site.call, output=site.output, inputs=(site.value(1),), config={"operator": "Gather", "axis": axis})
    found.drafts.append(Draft("embeddings", site.value(0), tuple(extents)))
    return found


def _quantised(site: Site) -> bool:
    """Whether the table holds numbers of a few bits: quantised ones, since shape arithmetic is done in wider integers."""
    view = site.view(0)
    tensor = site.flow.tensors[view.pieces[0].value] if view is not None and view.pieces else None
    return tensor is not None and (dtypes.BITS.get(tensor.dtype) or 64) <= 8 and tensor.dtype != "bool"


def is_weight(site: Site, position: int) -> bool:
    """Whether an input holds numbers that were learned: floating point, or quantised from it, and no buffer by the exporter's word."""
    view = site.view(position)
    if view is None or (site.flow.kinds and all(site.flow.kinds.get(piece.value) in FIXED for piece in view.pieces)):
        return False
    if view.dequantised:
        return True
    tensor = site.flow.tensors[view.pieces[0].value] if view.pieces else None
    return tensor is not None and (dtypes.is_float(tensor.dtype) or tensor.dtype.startswith("complex"))


def is_parameter(site: Site, position: int) -> bool:
    """Whether the exporter says that an input is a parameter: then a single number is one, too (a temperature, a gate)."""
    view = site.view(position)
    return view is not None and bool(site.flow.kinds) and any(site.flow.kinds.get(piece.value) == PARAMETER for piece in view.pieces)
